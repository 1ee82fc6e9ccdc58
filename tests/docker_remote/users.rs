//! Whose everything is in the container.

use super::*;

#[test]
fn a_user_by_name_or_by_number_owns_what_it_is_given() {
    let Some(engine) = engines::shared() else { return };
    let script = r#"
        set -e; id -u; id -g; echo in >>given; mkdir here; echo x >here/file; airx progress 1/1 done 2>&-
        stat -c '%u %g' given /workspace /airx/attempt
    "#;
    for (user, more, group) in
        [("task", "", 1000), ("task:task", "", 1000), ("1000", "", 0), ("1000:50", ", read_only: true", 50)]
    {
        let home = started(&engine.remote(), &format!(", user: \"{user}\"{more}"));
        std::fs::write(home.work().join("given"), "").unwrap();
        submit(&home, script, "");
        let said = (only(&home), home::text(&home.run(["logs", "j.1/t", "--raw"])));
        assert_eq!(said.0, ("succeeded".to_owned(), String::new()), "{user}: {}", said.1);
        let said = said.1;
        let primary = if user == "1000" { 1000 } else { group };
        let owner = format!("1000 {group}\n");
        assert_eq!(said, format!("1000\n{primary}\n{owner}{owner}{owner}"), "{user}");
        assert_eq!(std::fs::read_to_string(home.work().join("given")).unwrap(), "in\n");
        assert_eq!(task(&home).task.progress.map(|progress| progress.to_string()), Some("1/1 done".to_owned()));
    }
    let home = started(&engine.remote(), ", user: nobody-knows");
    submit(&home, "true", "");
    let (outcome, _) = only(&home);
    assert!(outcome.contains("nobody-knows") && outcome.contains("UID:GID"), "{outcome}");
    until_cleared(engine, &home);
}

#[test]
fn sessions_of_claude_are_the_jobs_own_and_can_be_found() {
    let Some(engine) = engines::shared() else { return };
    let tool = r#"mkdir -p /tools && cat >/tools/claude <<'END'
#!/bin/sh
echo "$CLAUDE_CONFIG_DIR" >place; ls "$CLAUDE_CONFIG_DIR" >found; echo kept >"$CLAUDE_CONFIG_DIR/session-$$-$(id -u)"
echo '{"type":"result","subtype":"success","is_error":false,"result":"done","num_turns":1,"duration_api_ms":5,"total_cost_usd":0.01,"usage":{"input_tokens":5,"output_tokens":5},"session_id":"00000000-0000-4000-8000-000000000000"}'
END
chmod 755 /tools/claude"#;
    engine.ok(["run", "--rm", "-v", "airx-test-tools:/tools", engines::BUSYBOX, "sh", "-c", tool]);
    let mut home =
        unstarted(&engine.remote(), ", user: task, mounts: [{ source: airx-test-tools, target: /tools, read_only: true }]");
    let config = std::fs::read_to_string(home.path().join("config.yaml")).unwrap();
    let claude = "claude: { binary: /tools/claude, auth: 'env:TEST_KEY' }\n";
    std::fs::write(home.path().join("config.yaml"), config + claude).unwrap();
    home.env.push(("TEST_KEY".to_owned(), "test-key".to_owned()));
    home.start();
    let job =
        "name: j\npool: far\ntasks:\n  - { id: a, claude: { prompt: x } }\n  - { id: t, needs: [a], claude: { prompt: y } }\n";
    home.submit(job);
    home.until_over("j.1");
    let of_home = format!("label=airx.home={}", home.path().display());
    let said = || (home.ok(["show", "j.1/a", "-o", "json"]), home.ok(["show", "j.1/t", "-o", "json"]));
    let read = |name: &str| std::fs::read_to_string(home.work().join(name)).unwrap_or_else(|_| panic!("{:?}", said()));
    assert_eq!(read("place"), "/airx/claude\n");
    assert!(read("found").starts_with("session-") && read("found").contains("-1000"), "{}", read("found"));
    let volumes = engine.ok(["volume", "ls", "-q", "--filter", "label=airx.job=j.1", "--filter", &of_home]);
    assert_eq!(volumes.lines().count(), 1, "{volumes}");
    let volume = engine.get(&format!("/volumes/{}", volumes.trim()));
    for label in ["airx.instance", "airx.machine"] {
        assert!(volume["Labels"][label].is_string(), "{volume}");
    }
    engine.ok(["volume", "rm", volumes.trim()]);
}
