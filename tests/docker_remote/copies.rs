//! What is copied there, and what comes back.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use super::*;

#[test]
fn a_workspace_comes_back_as_a_task_left_it_also_one_that_failed() {
    let Some(engine) = engines::shared() else { return };
    let mut home = unstarted(&engine.remote(), "");
    let work = home.work();
    // The home lies in the workspace.
    std::fs::rename(home.path(), work.join("airx home")).unwrap();
    home.place = Some(work.join("airx home"));
    home.start();
    let write = |name: &str, text: &str| std::fs::write(work.join(name), text).unwrap();
    std::fs::create_dir_all(work.join(".git/refs")).unwrap();
    std::fs::create_dir_all(work.join("empty")).unwrap();
    write(".git/HEAD", "ref: refs/heads/main\n");
    write("removed", "stays on this side");
    write("untouched", "as it was");
    write("odd\nname", "odd");
    write("program", "#!/bin/sh\necho it runs\n");
    std::fs::set_permissions(work.join("program"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("untouched", work.join("link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, work.join("fifo"), rustix::fs::Mode::RWXU).unwrap();
    std::os::unix::fs::chown(work.join("untouched"), Some(12_345), Some(12_345)).unwrap();
    let before = std::fs::metadata(work.join("untouched")).unwrap();
    let script = r#"
        set -e
        ./program; cat link .git/HEAD; test -d empty; test -d .git/refs; cat "odd
name"; test ! -e fifo; test ! -e "airx home"
        echo changed >>"odd
name"
        rm removed; mkdir -p new/deep "airx home/jobs"; echo forged >"airx home/config.yaml"; echo x >"airx home/jobs/x"
        echo second >new/deep/file; ln new/deep/file new/other; ln -s ../program new/link; mkfifo new/fifo
        printf '#!/bin/sh\n' >new/tool; chmod 4755 new/tool; mkdir new/closed; echo in >new/closed/file; chmod 555 new/closed
        ln -s /etc/passwd new/leads-out; rm -r empty; echo now a file >empty
        exit 3
    "#;
    submit(&home, script, "");
    assert_eq!(only(&home), ("exit 3".to_owned(), String::new()));
    let read = |name: &str| std::fs::read_to_string(work.join(name)).unwrap();
    assert!(read("odd\nname") == "oddchanged\n" && read("new/deep/file") == "second\n" && read("new/closed/file") == "in\n");
    assert!(read("removed") == "stays on this side" && read("empty") == "now a file\n");
    let after = std::fs::metadata(work.join("untouched")).unwrap();
    assert_eq!((before.ino(), before.uid(), before.ctime()), (after.ino(), after.uid(), after.ctime()), "it is not touched");
    let of = |name: &str| std::fs::symlink_metadata(work.join(name)).unwrap();
    assert_eq!(of("new/tool").mode() & 0o7777, 0o755, "without setuid");
    assert_eq!(of("new/closed").mode() & 0o7777, 0o555);
    assert_eq!(of("new/deep/file").ino(), of("new/other").ino());
    assert_eq!(std::fs::read_link(work.join("new/leads-out")).unwrap(), std::path::Path::new("/etc/passwd"));
    assert!(!work.join("new/fifo").exists());
    assert!(read("airx home/config.yaml").contains("pools:") && !work.join("airx home/jobs/x").exists(), "the home is its own");
    until_cleared(engine, &home);
}

#[test]
fn what_is_large_takes_time_and_no_memory() {
    let Some(engine) = engines::shared() else { return };
    let home = started(&engine.remote(), "");
    let megabytes = std::env::var("AIRX_TEST_SPARSE_MB").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    std::fs::File::create(home.work().join("sparse")).unwrap().set_len(megabytes << 20).unwrap();
    submit(&home, "stat -c %s sparse; head -c 50000000 /dev/zero >made; seq 300000", "");
    assert_eq!(only(&home), ("succeeded".to_owned(), String::new()));
    assert_eq!(std::fs::metadata(home.work().join("made")).unwrap().len(), 50_000_000);
    let sparse = std::fs::metadata(home.work().join("sparse")).unwrap();
    assert!(sparse.len() == megabytes << 20 && sparse.blocks() < 100, "it is still sparse");
    let status = std::fs::read_to_string(format!("/proc/{}/status", home.manager_pid())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = most.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 150_000, "{kilobytes} kB");
}

#[test]
fn a_workspace_can_be_copied_or_left_out_on_an_engine_of_this_machine_too() {
    let Some(engine) = engines::shared() else { return };
    for (mode, more) in [("copy", ""), ("copy", ", read_only: true"), ("none", "")] {
        let home = started(&engine.host(), &format!(", user: task, workspace: {mode}{more}"));
        std::fs::write(home.work().join("given"), "given\n").unwrap();
        submit(&home, "cat given; echo made >made; echo changed >given", "");
        assert_eq!(only(&home), ("succeeded".to_owned(), String::new()), "{mode}{more}");
        let read = |name: &str| std::fs::read_to_string(home.work().join(name)).unwrap_or_default();
        let expected = if mode == "copy" { ("changed\n", "made\n") } else { ("given\n", "") };
        assert_eq!((&*read("given"), &*read("made")), expected, "{mode}{more}");
        until_cleared(engine, &home);
    }
}

#[test]
fn what_a_task_puts_beside_its_records_does_not_hide_them() {
    let Some(engine) = engines::shared() else { return };
    let home = started(&engine.remote(), "");
    submit(&home, "truncate -s 3G $AIRX_DIR/0; airx progress 1/1 all; echo printed", r#""output_limit": 100000"#);
    assert_eq!(only(&home), ("succeeded".to_owned(), String::new()));
    assert!(home.run(["logs", "j.1/t", "--raw"]).stdout.ends_with(b"printed\n"));
    assert_eq!(task(&home).task.progress.map(|progress| progress.to_string()), Some("1/1 all".to_owned()));
    assert!(!task(&home).attempts[0].dir.join("0").exists());
}

/// A small file system below a home's workspace; none where it cannot be mounted.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(place: std::path::PathBuf) -> Option<Small> {
        std::fs::create_dir(&place).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "airx-test"]).arg(&place).status();
        mount.is_ok_and(|status| status.success()).then_some(Small(place))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn what_does_not_fit_any_more_is_kept_and_named() {
    let Some(engine) = engines::shared() else { return };
    let home = started(&engine.remote(), "");
    let Some(_small) = Small::mount(home.work().join("small")) else { return };
    submit(&home, "echo a >a; head -c 8000000 /dev/zero >b; echo c >c", r#""workspace": "small""#);
    let (outcome, notes) = only(&home);
    assert_eq!(outcome, "succeeded");
    let place = notes.rsplit_once("all of it is in ").unwrap_or_else(|| panic!("{notes}")).1;
    assert!(notes.contains("workspace/b") && notes.contains("No space left"), "{notes}");
    let listed = Command::new("tar").args(["-tf", place]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(["workspace/a", "workspace/b", "workspace/c"].iter().all(|name| listed.contains(name)), "{listed}");
    until_cleared(engine, &home);
}

#[test]
fn a_container_whose_workspace_cannot_be_taken_is_left_for_a_person() {
    let Some(engine) = engines::shared() else { return };
    let mut home = started(&engine.remote(), "");
    submit(&home, "echo precious >thing; while [ ! -e go ]; do sleep 0.05; done", "");
    until_running(&home);
    until_printed_nothing_but_made(engine, &home);
    // Where the archive would be put.
    let dir = task(&home).attempts[0].dir.clone();
    std::fs::create_dir(format!("{}.workspace.tar", dir.display())).unwrap();
    inside(engine, &home, &["touch", "go"]);
    let (outcome, notes) = only(&home);
    assert_eq!(outcome, "succeeded");
    let left = notes.split("the container ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_else(|| panic!("{notes}"));
    // Neither this manager nor the next takes it for an attempt's.
    home.kill_manager();
    home.start();
    let job = home.submit("name: other\npool: far\ntasks: [{ id: a, run: 'true' }]\n");
    assert_eq!(home.until_over(&job), "completed");
    let copied = engine.docker(["cp", &format!("{left}:/workspace/thing"), "-"]).output().unwrap();
    assert!(String::from_utf8_lossy(&copied.stdout).contains("precious"), "{copied:?}");
    engine.ok(["rm", "-v", left]);
}

fn until_printed_nothing_but_made(engine: &Engine, home: &TestHome) {
    home.until("it was made", || {
        let container = containers(engine, home).pop().unwrap_or_default();
        engine.docker(["exec", &container, "test", "-s", "/workspace/thing"]).status().is_ok_and(|status| status.success())
    });
}

#[test]
fn the_program_is_there_once_and_nobody_can_change_it() {
    let Some(engine) = engines::shared() else { return };
    for _ in 0..2 {
        let home = started(&engine.remote(), "");
        submit(&home, "! touch /airx/bin/x 2>/dev/null && ! (echo x >/airx/bin/airx) 2>/dev/null && airx --version", "");
        assert_eq!(only(&home).0, "succeeded");
        until_cleared(engine, &home);
    }
    let programs = engine.ok(["volume", "ls", "-q", "--filter", "label=airx.program"]);
    assert_eq!(programs.lines().count(), 1, "{programs}");
}

#[test]
fn the_program_of_an_earlier_build_goes_when_nothing_uses_it() {
    let Some(engine) = engines::private(engines::Options { tcp: true, ..Default::default() }) else { return };
    let mut home = started(&engine.tcp(), "");
    let programs = || engine.ok(["volume", "ls", "-q", "--filter", "label=airx.program"]);
    let run = |home: &TestHome| {
        let job = home.submit("name: j\npool: far\ntasks: [{ id: t, run: 'true' }]\n");
        assert_eq!(home.until_over(&job), "completed");
        until_cleared(&engine, home);
        programs()
    };
    let first = run(&home);
    home.kill_manager();
    let other = home.work().join("another-build");
    let mut build = std::fs::read(home::AIRX).unwrap();
    build.push(0);
    std::fs::write(&other, build).unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).unwrap();
    home.start_with(&other);
    let second = run(&home);
    assert_ne!(first, second);
    assert_eq!((first.lines().count(), second.lines().count()), (1, 1), "{first}{second}");
    assert_eq!(engine.ok(["ps", "-aq"]), "", "what filled them is gone");
}
