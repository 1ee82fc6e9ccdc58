use proptest::prelude::*;

use super::*;
use crate::model::diagnostic::render;
use crate::model::spec::{Action, ClaudeAuth, EnvValue, Resources, Retry, RetryClass, SecretRef, TaskSpec};

fn read(path: &Path) -> Result<String, String> {
    if path.ends_with("prompt.md") {
        Ok("literal {{ prompt }}".to_owned())
    } else {
        Err(format!("{} is not there", path.display()))
    }
}

fn with<T>(text: &str, params: &[(&str, &str)], then: impl Fn(&str, &ParseOptions<'_>) -> T) -> T {
    let environment = BTreeMap::from([
        ("PATH".to_owned(), "/bin".to_owned()),
        ("CARGO_HOME".to_owned(), "/cargo".to_owned()),
        ("NOT_PASSED".to_owned(), "x".to_owned()),
    ]);
    let params: Vec<(String, String)> = params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let options = ParseOptions {
        file: "job.yaml",
        base: Path::new("/repo"),
        params: &params,
        environment: &environment,
        pools: Some(&BTreeSet::from(["local".to_owned(), "big".to_owned()])),
        claude_passed: &BTreeMap::from([("CLAUDE_CONFIG_DIR".to_owned(), "/c".to_owned())]),
        read_file: &read,
    };
    then(text, &options)
}

fn good(text: &str) -> Submission {
    with(text, &[], parse).map_err(|faults| render(&faults, text)).unwrap().submission
}

fn faults(text: &str) -> Vec<Diagnostic> {
    with(text, &[], parse).expect_err("the file has faults")
}

/// What a user sees for a bad file.
fn seen(text: &str) -> String {
    render(&faults(text), text)
}

#[test]
fn the_designs_own_example_is_read_apart_from_what_comes_later() {
    let job = good(
        "name: harden-auth\ndescription: Fix\npool: local\nworkspace: .\nmax_parallel: 2\nparams: { crate: { default: auth } }\n\
         env:\n  RUST_LOG: info\n  GITHUB_TOKEN: { from: \"env:GITHUB_TOKEN\" }\nenv_pass: [CARGO_HOME]\n\
         defaults:\n  timeout: 30m\n  retry: { attempts: 3, delay: 10s, factor: 2, max_delay: 10m, jitter: 0.2 }\n\
         tasks:\n  - id: discover\n    run: |\n      cargo clippy -p {{ params.crate }} 2>&1 | sort -u\n    result: lines\n\
         \x20 - id: fix\n    needs: [discover]\n    claude:\n      prompt: Fix {{ tasks.discover.result }}\n      \
         allowed_tools: [Read, \"Bash(cargo *)\"]\n      max_turns: 30\n      max_budget_usd: 0.50\n    \
         accept: \"! cargo clippy -p {{ params.crate }} | grep x\"\n  - id: test\n    needs: [fix]\n    command: cargo\n    args: [test, --workspace]\n",
    );
    assert_eq!((job.job.max_parallel, job.job.max_added), (2, None));
    assert_eq!(job.job.workspace, Path::new("/repo"));
    assert_eq!(job.job.passed_env, BTreeMap::from([("CARGO_HOME".into(), "/cargo".into()), ("PATH".into(), "/bin".into())]));
    assert_eq!(job.job.env["GITHUB_TOKEN"], EnvValue::From(SecretRef::Env("GITHUB_TOKEN".into())));
    assert_eq!(job.job.claude_env["CLAUDE_CONFIG_DIR"], "/c");
    assert_eq!(job.tasks[0].limits.timeout_ms, Some(1_800_000));
    assert_eq!(job.tasks[0].limits.retry.attempts, 3);
    assert_eq!(job.tasks[1].limits.retry.attempts, 1, "a Claude task is repeated only when it says so itself");
    assert!(matches!(&job.tasks[1].action, Action::Claude(claude) if claude.max_turns == Some(30) && !claude.literal));
    assert_eq!(job.tasks[2].action, Action::Command { program: "cargo".into(), args: vec!["test".into(), "--workspace".into()] });
}

#[test]
fn every_setting_of_a_task_is_taken() {
    let job = good(
        "name: a\npool: big\nmax_added: 0\ntasks:\n  - id: x\n    run: 'true'\n    env: { N: 3, B: true, E: }\n    workspace: ../other\n    pool: local\n    timeout: 90\n    \
         grace: 2s\n    retry: 4\n    resources: { memory: 2g, cpus: 0.5, pids: 64 }\n    output_limit: 10m\n    accept: { run: 'true', timeout: 5s }\n    result: json\n  \
         - id: y\n    needs: x\n    claude: { prompt_file: prompt.md, auth: 'env:KEY', subtasks: true, retry_: 1 }\n"
            .replace(", retry_: 1", "")
            .as_str(),
    );
    let task = &job.tasks[0];
    assert_eq!(task.workspace.as_deref(), Some(Path::new("/other")));
    assert_eq!((task.limits.timeout_ms, task.limits.grace_ms, task.limits.output_limit), (Some(90_000), 2_000, 10 << 20));
    assert_eq!(task.limits.retry, Retry { attempts: 4, ..Retry::default() });
    assert_eq!(task.limits.resources, Resources { memory: Some(2 << 30), cpus: Some(0.5), pids: Some(64) });
    assert_eq!(task.env["N"], EnvValue::Text("3".into()));
    assert_eq!(task.accept.as_ref().unwrap().timeout_ms, 5_000);
    let Action::Claude(claude) = &job.tasks[1].action else { panic!("no claude task") };
    assert_eq!((claude.prompt.as_str(), claude.literal), ("literal {{ prompt }}", true));
    assert_eq!(claude.auth, Some(ClaudeAuth::Env("KEY".into())));
    assert!(claude.subtasks);
    assert_eq!(job.job.max_added, Some(0));
}

#[test]
fn the_originals_json_is_read_with_its_strings_as_they_are() {
    let job = good(
        r#"{"_note": 1, "job": {"name": "old", "description": "d", "_x": 2},
            "tasks": [{"id": "a", "command": "echo", "args": ["{{ x }}"], "dependencies": [], "_y": {}},
                      {"id": "b", "command": "true", "dependencies": ["a"]}]}"#,
    );
    assert_eq!(job.job.on_failure, OnFailure::Stop);
    assert_eq!(job.tasks[1].needs, ["a"]);
    let Action::Command { args, .. } = &job.tasks[0].action else { panic!("no command") };
    assert_eq!(crate::model::template::render_text(&args[0], &crate::model::template::Context::default()).unwrap(), "{{ x }}");
}

#[test]
fn parameters_take_their_kind_from_the_default_and_are_checked() {
    let file = "name: a\nparams: { n: 1, s: text, must: {} }\ntasks: [{ id: x, run: 'echo {{ params.n }}' }]\n";
    let parsed = with(file, &[("n", "5"), ("s", "6"), ("must", "m")], parse).unwrap();
    assert_eq!(parsed.submission.job.params["n"], serde_json::json!(5));
    assert_eq!(parsed.submission.job.params["s"], serde_json::json!("6"));
    let faults = with(file, &[("nn", "5")], parse).unwrap_err();
    let said = render(&faults, file);
    assert!(said.contains("-p nn") && said.contains("`must` has no default"), "{said}");
}

#[test]
fn all_faults_of_a_file_are_seen_at_once_each_with_its_place_and_remedy() {
    insta::with_settings!({ snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"), prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("jobfile_faults", seen(
"name: ../up
max_paralel: 2
max_parallel: 0
on_failure: halt
pool: bigg
budget: { usd: 5 }
env:
  API_TOKEN: abcdef123456
  KEY: sk-ant-REDACTED-000000
  AIRX_X: 1
env_pass: [GITHUB_TOKEN, lower-case]
params: { crate: { default: auth }, 1x: 2 }
defaults: { timeout: 3 hours, retry: { attempts: 0, jitter: 2 } }
tasks:
  - id: a
    needs: [c, nope]
    run: echo '{{ params.crate }}' {{ params.crat }}
  - id: b
    needs: [a]
    run: |
      echo one
        echo {{ tasks.a.result }} {{ tasks.zz.result }}
  - { id: c, needs: [b], run: x, command: y }
  - { id: a, command: '' }
  - { id: d, approve: x, run: x, timeout: 0, output_limit: 5x }
  - { id: e, claude: { prompt: x, max_turns: 0, max_budget_usd: 0, permission_mode: acceptEdit, fallback_model: opus } }
  - { id: f, claude: { prompt_file: nowhere.md } }
  - { id: g, args: [x] }
  - { id: h, run: x, run: y, result: yaml }
  - just text
"));
        insta::assert_snapshot!("jobfile_no_yaml", seen("name: x\ntasks: [\n  - id: a\n"));
        insta::assert_snapshot!("jobfile_empty", seen(""));
        insta::assert_snapshot!("jobfile_list", seen("[1, 2]"));
        insta::assert_snapshot!("jobfile_json", seen("{\"name\": \"x\",\n \"tasks\": [{\"id\": \"a\", \"rum\": \"x\"}]}"));
    });
}

#[test]
fn no_fault_hides_another_one() {
    for (text, count) in [
        ("tasks:\n  - { id: a, rum: x }\n", 3),
        ("name: [x]\ntasks:\n  - { id: a, run: 'echo {{ nope }}' }\n", 2),
        ("name: a\ntasks:\n  - { id: a, claude: { model: [x], permission_mode: y, max_turns: 0 } }\n", 4),
        ("name: a\ntasks:\n  - { id: a, claude: { prompt: [x], prompt_file: y, max_turns: 0 } }\n", 2),
        ("name: a\ntasks:\n  - { id: a, run: '', command: '', args: [[x]] }\n", 4),
        ("name: a\ntasks:\n  - { id: a, claude: { prompt: x, permissions: { timeout: 0s, default: allow } } }\n", 1),
        ("name: a\ntasks:\n  - { id: a, claude: x, budget: { usd: -1 } }\n  - { id: b, claude: x, budget: {} }\n", 2),
        (r#"{"job": {}, "tasks": [{"id": "a", "args": [[1]], "dependencies": ["b"]}]}"#, 4),
    ] {
        assert_eq!(faults(text).len(), count, "{}", seen(text));
    }
}

#[test]
fn what_would_silently_do_nothing_is_a_fault() {
    for mode in ["bypassPermissions", "dontAsk"] {
        let said =
            seen(&format!("name: a\ntasks: [{{ id: a, claude: {{ prompt: x, permissions: ask, permission_mode: {mode} }} }}]\n"));
        assert!(said.contains(&format!("nobody would be asked in permission_mode {mode}")), "{said}");
    }
    good("name: a\ntasks: [{ id: a, claude: { prompt: x, permissions: ask, permission_mode: acceptEdits } }]\n");
    good("name: a\ntasks: [{ id: a, claude: { prompt: x, permissions: deny, permission_mode: dontAsk } }]\n");
    let said = seen("name: a\ntasks: [{ id: a, run: x, retry: { attempts: 2, resume: always } }]\n");
    assert!(said.contains("2:48: only a claude task has a session to resume"), "{said}");
    good("name: a\ndefaults: { retry: { resume: never } }\ntasks: [{ id: a, run: x, retry: 2 }]\n");
}

#[test]
fn no_text_holds_a_nul_and_no_message_anything_that_a_terminal_obeys() {
    let said = seen("name: \"\\e[31mred\"\ntasks: [{ id: a, run: \"a\\0b\", env: { A: \"\\0\" }, needs: \"\\e\" }]\n");
    assert_eq!(said.matches("holds a NUL character").count(), 2, "{said}");
    assert!(!said.contains('\u{1b}') && said.contains("`\\u{1b}[31mred`"), "{said}");
}

#[test]
fn what_a_parameter_does_not_hold_is_a_fault_with_its_place() {
    let text = "name: a\nparams: { c: { default: { x: 1 } }, n: 1 }\ntasks:\n  - { id: a, run: \"echo {{ params.c.x }} {{ params.c.y }} {{ params.n | items }}\" }\n";
    let columns: Vec<u32> = faults(text).iter().map(|fault| fault.column).collect();
    assert_eq!(columns, [42, 59], "{}", seen(text));
    good(
        "name: a\nparams: { c: { default: {} } }\ntasks: [{ id: a, run: 'echo {{ params.c.y | default(1) }} {{ job.name }}' }]\n",
    );
}

#[test]
fn a_number_of_tokens_is_no_secret() {
    good("name: a\nenv: { CLAUDE_CODE_MAX_OUTPUT_TOKENS: 32000 }\ntasks: [{ id: a, run: x }]\n");
    assert!(seen("name: a\nenv: { API_TOKENS: abc }\ntasks: [{ id: a, run: x }]\n").contains("named like a secret"));
}

#[test]
fn what_is_no_yaml_gets_a_remedy_that_fits() {
    for (text, part) in [
        ("name: a\ntasks:\n  - run: echo a: b\n", "in quotes"),
        ("name: a\ntasks:\n  - run: @x\n", "in quotes"),
        ("{\"name\": \"a\"\n \"tasks\": []}", "a comma or a closing bracket"),
        ("name: \"a\ntasks: []\n", "close the quotes"),
        (&format!("a: {}", "[".repeat(1_000)), "nests so deep"),
    ] {
        let hint = &faults(text)[0].hint;
        assert!(hint.contains(part), "{text}: {hint}");
    }
}

#[test]
fn a_circle_is_printed() {
    let said = seen(
        "name: a\ntasks:\n  - { id: a, needs: [c], run: x }\n  - { id: b, needs: [a], run: x }\n  - { id: c, needs: [b], run: x }\n  - { id: s, needs: [s], run: x }\n",
    );
    assert!(said.contains("a -> c -> b -> a") && said.contains("s -> s"), "{said}");
}

#[test]
fn what_is_too_large_is_refused_quickly() {
    let huge = format!("name: a\n# {}\n", "x".repeat(MAX_FILE));
    assert!(faults(&huge)[0].message.contains("8 MiB"));
    let many = format!("name: a\ntasks: [{}]", "{id: a, run: x},".repeat(100_001));
    assert!(faults(&many)[0].message.contains("more than 100,000"));
}

#[test]
fn a_hundred_thousand_tasks_in_a_chain_are_read() {
    use std::fmt::Write;
    let mut text = "name: a\ntasks:\n- {id: t0, command: x}\n".to_owned();
    for n in 1..100_000 {
        let _ = writeln!(text, "- {{id: t{n}, needs: [t{}], command: x}}", n - 1);
    }
    assert_eq!(good(&text).tasks.len(), 100_000);
}

/// Tasks in number; large enough that work for each task times each other task would take many minutes.
const MANY: usize = 20_000;

/// A job of many tasks, each written by `task` on a line of its own.
fn many(task: impl Fn(usize) -> String) -> String {
    let lines: String = (1..MANY).map(|n| format!("- {}\n", task(n))).collect();
    format!("name: a\nparams: {{ p: 1 }}\ntasks:\n- {{ id: t0, run: x, result: text }}\n{lines}")
}

#[test]
fn many_tasks_with_templates_are_read_in_reasonable_time() {
    let started = std::time::Instant::now();
    let read = |task: &dyn Fn(usize) -> String| assert_eq!(good(&many(task)).tasks.len(), MANY);
    read(&|n| format!("{{ id: t{n}, run: 'echo {{{{ params.p }}}}' }}"));
    // Each reads the one before it, the one before that, and the very first.
    for back in [1, 2, usize::MAX] {
        read(&|n| {
            let (before, read) = (n - 1, n.saturating_sub(back));
            format!("{{ id: t{n}, needs: [t{before}], result: text, run: 'echo {{{{ tasks.t{read}.result }}}}' }}")
        });
    }
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn many_needs_and_many_wrong_ones_are_read_in_reasonable_time() {
    let started = std::time::Instant::now();
    let all: Vec<String> = (0..MANY).map(|n| format!("t{n}")).collect();
    let join = format!("{}- {{ id: join, needs: [{}], run: x }}\n", many(|n| format!("{{ id: t{n}, run: x }}")), all.join(", "));
    assert_eq!(good(&join).tasks[MANY].needs.len(), MANY);
    assert_eq!(faults(&many(|n| format!("{{ id: t{n}, needs: [u{n}], run: x }}"))).len(), 1_000);
    assert_eq!(faults(&many(|n| format!("{{ id: t{n}, run: 'echo {{{{ tasks.u{n}.result }}}}' }}"))).len(), 1_000);
    let line: Vec<String> = (0..MANY).map(|n| format!(r#"{{"id":"t{n}","command":"é","args":["a","b"]}}"#)).collect();
    assert_eq!(good(&format!(r#"{{"name":"a","tasks":[{}]}}"#, line.join(","))).tasks.len(), MANY);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn two_artifacts_with_one_name_are_a_fault() {
    let job = |list: &str| format!("name: j\ntasks:\n  - {{ id: a, run: x, artifacts: [{list}] }}\n");
    let found = faults(&job("a/x, { path: b/y, name: a/x }"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].message, "`a/x` and `b/y` would both be kept as `a/x`");
    for fine in ["a/x, b/x", "x, ./x", "{ path: a/, name: x }, { path: b/, name: x }", "x, \"*\""] {
        good(&job(fine));
    }
}

#[test]
fn a_far_result_may_be_used_and_one_of_an_unrelated_task_may_not() {
    let chain = many(|n| format!("{{ id: t{n}, needs: [t{}], run: x, result: text }}", n - 1));
    let last = MANY - 1;
    let end =
        |read: &str, need: &str| format!("{chain}- {{ id: end, needs: [{need}], run: 'echo {{{{ tasks.{read}.result }}}}' }}\n");
    assert_eq!(good(&end("t0", &format!("t{last}"))).tasks.len(), MANY + 1);
    assert!(faults(&end(&format!("t{last}"), "t2000"))[0].hint.contains("needs: ["));
}

#[test]
fn places_in_one_line_of_json_are_exact() {
    let fault = &faults(r#"{"name": "é", "tasks": [{"id": "a", "run": "x", "é": 1, "rum": "y"}]}"#);
    let columns: Vec<u32> = fault.iter().map(|fault| fault.column).collect();
    assert_eq!(columns, [10, 49, 57]);
}

#[test]
fn no_place_lies_outside_of_the_file() {
    for text in
        ["name: a\ntasks:\n- id: x\n  run: |\n\n\n    echo one\n    echo {{ nope }}\n", "[\t\t", "[\r\r\r\r", "name: [a", "a: {"]
    {
        let count = text.lines().count() as u32;
        for fault in faults(text) {
            assert!((1..=count).contains(&fault.line), "{text:?}: {fault}");
        }
    }
    let fault = &faults("name: a\ntasks:\n- id: x\n  run: |\n\n\n    echo one\n    echo {{ nope }}\n")[0];
    assert_eq!((fault.line, fault.column), (8, 10), "empty lines at the beginning of a block count");
}

#[test]
fn empty_commands_and_prompts_are_faults_in_every_form() {
    assert!(seen("name: a\ntasks: [{ id: x, claude: '' }]\n").contains("the prompt is empty"));
    assert!(seen(r#"{"job": {"name": "o"}, "tasks": [{"id": "a", "command": " "}]}"#).contains("the command is empty"));
}

#[test]
fn a_result_in_the_jobs_environment_is_a_fault_with_the_way_out() {
    let said = seen("name: a\nenv: { A: '{{ tasks.x.result }}' }\ntasks: [{ id: x, run: x, result: text }]\n");
    assert!(said.contains("it can hold no result") && said.contains("`env` of the tasks"), "{said}");
}

#[test]
fn expressions_where_nothing_is_replaced_are_told() {
    let text = "name: a\nworkspace: '{{ params.x }}'\ntasks: [{ id: x, claude: { prompt: p, model: '{{ m }}' } }]\n";
    let warnings = with(text, &[], parse).unwrap().warnings;
    assert_eq!(warnings.iter().map(|warning| warning.line).collect::<Vec<_>>(), [2, 3], "{warnings:?}");
}

#[test]
fn a_fault_in_a_block_points_into_it() {
    let fault = &faults("name: a\ntasks:\n  - id: a\n    run: |\n      echo one\n        echo {{ nope }}\n")[0];
    assert_eq!((fault.line, fault.column), (6, 14));
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic_and_places_lie_inside(text in "[a-z:{}\\[\\],\"'|>&*!#%@ \n\t-]{0,300}") {
        let lines = text.split('\n').count() as u32;
        if let Err(faults) = with(&text, &[], parse) {
            prop_assert!(!faults.is_empty());
            prop_assert!(faults.iter().all(|fault| fault.line >= 1 && fault.line <= lines + 1));
        }
    }

    #[test]
    fn a_damaged_file_is_read_without_panic(at in 0usize..400, with_what in "[a-z:{}\\[\\]\"'|\n -]{0,5}") {
        let good = "name: a\nparams: { p: 1 }\nenv: { A: b }\ntasks:\n  - id: x\n    run: |\n      echo {{ params.p }}\n    accept: test 1 = 1\n  - id: y\n    needs: [x]\n    claude: { prompt: hello, allowed_tools: [Read] }\n    retry: { attempts: 2 }\n";
        let at = at.min(good.len());
        let text = format!("{}{with_what}{}", &good[..at], &good[at..]);
        let _ = with(&text, &[], parse);
    }
}

#[test]
fn retries_by_outcome_are_read_inherited_and_replaced_class_by_class() {
    let job = good(
        "name: a\ndefaults:\n  retry:\n    attempts: 3\n    on: { gate: never, timed_out: { delay: 1m }, infrastructure: { attempts: 5, delay: 30s } }\n\
         tasks:\n  - id: a\n    run: x\n    retry: { on: { timed_out: 9, exit: { 75: { delay: 5m, attempts: 6 }, 2: never } } }\n\
         \x20 - { id: b, run: x }\n  - { id: c, claude: { prompt: p } }\n",
    );
    let class = |place: usize, class| {
        let rule = job.tasks[place].limits.retry.rule(class);
        (rule.attempts, rule.delay_ms)
    };
    assert_eq!(class(0, RetryClass::Exit(75)), (6, 300_000));
    assert_eq!((class(0, RetryClass::Exit(2)).0, class(0, RetryClass::Gate).0, class(0, RetryClass::Oom)), (1, 1, (3, 10_000)));
    assert_eq!(class(0, RetryClass::TimedOut), (9, 10_000), "a class that a task names replaces that of the defaults");
    assert_eq!((class(1, RetryClass::TimedOut), class(1, RetryClass::Lost)), ((3, 60_000), (5, 30_000)));
    assert_eq!(job.tasks[2].limits.retry.most(), 5, "a Claude task repeats nothing of its own fault unless it says so itself");
    let text = serde_json::to_string(&job.tasks[0]).unwrap();
    assert_eq!(serde_json::from_str::<TaskSpec>(&text).unwrap(), job.tasks[0]);
}

#[test]
fn faults_of_retries_by_outcome_name_their_place_and_the_remedy() {
    let said = seen(
        "name: a\ntasks:\n  - id: a\n    run: x\n    retry:\n      on:\n        timedout: { delay: 1m }\n        gate: sometimes\n        \
         oom: { attempts: 0, tries: 3 }\n        exit: { 0: never, 300: 2 }\n        75: never\n        lost: [1]\n",
    );
    for part in [
        "job.yaml:7:9: there is no outcome `timedout` that is retried",
        "did you mean `timed_out`?",
        "job.yaml:8:15: `sometimes` says nothing about retries of gate",
        "job.yaml:9:26: 0 is out of bounds",
        "job.yaml:9:29: oom has no key `tries`",
        "job.yaml:10:17: `0` is no exit code of a failure",
        "job.yaml:10:27: `300` is no exit code of a failure",
        "job.yaml:11:9: there is no outcome `75` that is retried",
        "exit codes stand below `exit`: exit: { 75: … }",
        "job.yaml:12:15: a list says nothing about retries of lost",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[test]
fn a_claude_task_is_given_its_results_schema_and_tasks_share_equal_ones() {
    let task = |id: &str, more: &str| {
        format!("  - id: {id}\n    claude: {{ prompt: hi{more} }}\n    result: {{ schema: {{ type: object, required: [a] }} }}\n")
    };
    let text = format!("name: j\ntasks:\n{}{}", task("a", ""), task("b", ", json_schema: { type: object }"));
    let tasks = good(&text).tasks;
    let schemas: Vec<_> = tasks.iter().map(|task| task.result.as_ref().unwrap().schema.clone().unwrap()).collect();
    assert!(std::sync::Arc::ptr_eq(&schemas[0], &schemas[1]));
    let told = |task: &TaskSpec| match &task.action {
        Action::Claude(claude) => claude.json_schema.clone().unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&tasks[0]), *schemas[0]);
    assert_eq!(told(&tasks[1]), serde_json::json!({ "type": "object" }));
}

#[test]
fn an_approval_is_a_text_or_says_who_until_when_and_what_is_shown() {
    let of = |text: &str| match &good(&format!("name: j\ntasks:\n  - {{ id: a, run: x, result: text }}\n{text}")).tasks[1].action
    {
        Action::Approve(asks) => asks.as_ref().clone(),
        other => panic!("{other:?}"),
    };
    let short = of("  - { id: b, approve: 'Merge {{ job.name }}?' }\n");
    assert_eq!((short.message.as_str(), short.timeout_ms, short.approves), ("Merge {{ job.name }}?", None, false));
    let long =
        of("  - id: b\n    needs: [a]\n    approve: { message: m, who: [ann, bob], timeout: 2h, default: approve, show: '{{ \
                   tasks.a.result }}' }\n");
    assert_eq!((long.who, long.timeout_ms, long.approves), (vec!["ann".to_owned(), "bob".to_owned()], Some(7_200_000), true));
    let later = good(
        "name: j\ntasks:\n  - { id: ok, approve: m }\n  - { id: b, needs: [ok], run: 'echo {{ tasks.ok.result.comment }}' }\n",
    );
    assert_eq!(later.tasks.len(), 2, "an approval has a result by itself");
}

#[test]
fn faults_of_approvals_and_of_gates_name_their_place_and_the_remedy() {
    let said = |line: &str| seen(&format!("name: j\ntasks:\n  - {line}\n"));
    for (line, wanted) in [
        ("{ id: a, approve: '' }", "the approval asks nothing"),
        ("{ id: a, approve: { who: ann } }", "approve needs `message`"),
        ("{ id: a, approve: { message: m, default: approve } }", "`default` without `timeout` never comes about"),
        ("{ id: a, approve: { message: m, timeout: 1h, default: maybe } }", "it is one of approve, reject"),
        ("{ id: a, approve: { message: m, who: [] } }", "`who` has 0 names"),
        ("{ id: a, approve: { message: m, who: ann smith } }", "this cannot be a login name"),
        ("{ id: a, approve: m, timeout: 1h }", "how long a person is waited for is said in it"),
        ("{ id: a, approve: m, accept: 'true' }", "an approval runs nothing, so `accept` means nothing for it"),
        ("{ id: a, approve: m, artifacts: [x] }", "an approval runs nothing, so `artifacts` means nothing for it"),
        ("{ id: a, approve: '{{ nothing }}' }", "`nothing` is not defined"),
        ("{ id: a, approve: { message: m, show: '{{ params.x }}' } }", "there is no parameter `x`"),
        ("{ id: a, run: 'echo {{ gate.output }}' }", "there is no gate whose output it could be"),
        ("{ id: a, run: 'echo {{ gate.said }}', accept: x }", "of the gate there are gate.output and gate.attempt"),
        ("{ id: a, if: 'gate.output', run: x, accept: x }", "there is no gate whose output it could be"),
    ] {
        let text = said(line);
        assert!(text.contains(wanted) && text.starts_with("job.yaml:3:"), "{line}: {text}");
    }
    good("name: j\ntasks:\n  - { id: a, run: 'echo {{ gate.output }} {{ gate.attempt }}', accept: 'echo {{ gate.output }}' }\n");
}

#[test]
fn a_date_alone_begins_a_schedule_with_its_day_and_ends_one_with_it() {
    let at = |start: &str, until: &str| {
        let text = format!(
            "name: j\nschedule: {{ cron: '0 3 * * *', timezone: Europe/Berlin, start: {start}, until: {until} }}\ntasks: [{{ id: a, run: x }}]\n"
        );
        let rule = with(&text, &[], parse).unwrap().schedule.unwrap();
        [rule.start, rule.until].map(|at| jiff::Timestamp::from_millisecond(at.unwrap().0).unwrap().to_string())
    };
    assert_eq!(at("2027-01-30", "2027-01-31"), ["2027-01-29T23:00:00Z", "2027-01-31T22:59:59.999Z"]);
    // The day that a clock is changed has another length.
    assert_eq!(at("2027-03-28", "2027-03-28"), ["2027-03-27T23:00:00Z", "2027-03-28T21:59:59.999Z"]);
    let exact = at("2027-01-30T09:00", "2027-01-31T09:00:00+02:00");
    assert_eq!(exact, ["2027-01-30T08:00:00Z", "2027-01-31T07:00:00Z"]);
}
