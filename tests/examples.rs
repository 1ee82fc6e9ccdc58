//! The jobs of `assets/examples`, each run to its end as it is: the built program, the real CLI, a model that answers by rules, and a
//! git repository that has what the example is for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/claude/mod.rs"]
mod claude;
#[path = "support/claude_home.rs"]
mod claude_home;
#[path = "support/home.rs"]
mod home;

use std::path::PathBuf;
use std::process::Command;

use airx::model::message::TaskView;
use airx::model::state::{FailCause, Hold, Outcome, TaskState};
use claude::FakeApi;
use home::{TestHome, text};
use serde_json::{Value, json};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/examples");

/// A repository with an example in it, and a manager.
struct World {
    home: TestHome,
    _api: FakeApi,
}

impl World {
    /// A repository of these files, committed, whose prompts are answered by `rules`; none when the CLI is not installed.
    fn new(files: &[(&str, &str)], rules: &[Value]) -> Option<World> {
        let (home, api) = claude_home::with_rules(&json!(rules).to_string())?;
        let world = World { home, _api: api };
        std::fs::create_dir_all(world.repository()).unwrap();
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        world.git(&["config", "user.name", "Test"]);
        world.git(&["config", "user.email", "test@localhost"]);
        world.commit("begin", files);
        Some(world)
    }

    fn repository(&self) -> PathBuf {
        self.home.work().join("repository")
    }

    fn git(&self, args: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(args).current_dir(self.repository()).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        let output = git.output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn commit(&self, subject: &str, files: &[(&str, &str)]) {
        for (name, content) in files {
            let path = self.repository().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--message", subject]);
    }

    /// Copies an example into the repository, as a user would, and changes it by `edit`.
    fn copy(&self, name: &str, edit: impl FnOnce(String) -> String) -> String {
        let example = std::fs::read_to_string(format!("{EXAMPLES}/{name}.yaml")).unwrap();
        let path = self.repository().join(format!("{name}.yaml"));
        std::fs::write(&path, edit(example)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs an example with parameters; whether the job completed.
    fn run(&self, name: &str, params: &[&str]) -> bool {
        let file = self.copy(name, |text| text);
        let params = params.iter().flat_map(|param| ["-p", param]);
        let output = self.home.run(["run", &file].into_iter().chain(params));
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", text(&output));
        output.status.success()
    }

    fn state(&self, task: &str) -> String {
        self.home.task(task).task.state.kind().word().to_owned()
    }

    /// Instances of a task, by what they are for.
    fn instances(&self, task: &str) -> Vec<TaskView> {
        let (job, id) = task.split_once('/').unwrap();
        let is_instance = |view: &TaskView| view.item.is_some() && view.parent.as_deref() == Some(id);
        self.home.tasks(job).into_iter().filter(is_instance).collect()
    }

    fn artifact(&self, task: &str, name: &str) -> String {
        self.home.ok(["artifacts", task, name])
    }

    /// Names of the files that are staged.
    fn staged(&self) -> Vec<String> {
        self.git(&["diff", "--cached", "--name-only"]).lines().map(str::to_owned).collect()
    }

    /// Subjects of all commits, the newest first.
    fn log(&self) -> Vec<String> {
        self.git(&["log", "--format=%s"]).lines().map(str::to_owned).collect()
    }
}

/// An answer to prompts that `when` is found in: these steps, then `said`.
fn rule(when: &str, steps: &[Value], said: &str) -> Value {
    let last = json!({"blocks": [{"text": said}]});
    json!({"when": when, "steps": steps.iter().cloned().chain([last]).collect::<Vec<_>>()})
}

fn tool(name: &str, input: Value) -> Value {
    json!({"blocks": [{"tool": name, "input": input}]})
}

/// Steps that replace a text in a file.
fn edit(file: &str, old: &str, new: &str) -> [Value; 2] {
    let path = format!("{{cwd}}/{file}");
    [tool("Read", json!({"file_path": path})), tool("Edit", json!({"file_path": path, "old_string": old, "new_string": new}))]
}

/// A package without dependencies, of these modules.
fn package(modules: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let manifest = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n";
    let lock = "# This file is automatically @generated by Cargo.\n# It is not intended for manual editing.\nversion = 4\n\n[[package]]\nname = \"shop\"\nversion = \"0.1.0\"\n";
    let lib = "pub mod a;\npub mod b;\n";
    let fixed = [("Cargo.toml", manifest), ("Cargo.lock", lock), (".gitignore", "target\n"), ("src/lib.rs", lib)];
    fixed.into_iter().chain(modules.iter().copied()).collect()
}

#[test]
fn fix_warnings_has_one_run_for_each_file_and_tries_again_with_what_the_gate_said() {
    let unused = "pub fn one() -> u8 {\n    let spare = 2;\n    1\n}\n";
    let files = package(&[("src/a.rs", unused), ("src/b.rs", unused)]);
    let gone = |file: &str| edit(file, "    let spare = 2;\n", "");
    // The first run for b.rs mends another file instead; its gate tells the second one what is left.
    let rules = [
        rule(
            r"Fix all warnings in src/b\.rs.*this is why:.*unused variable",
            &gone("src/b.rs"),
            "Took an unused variable out of b.",
        ),
        rule(r"Fix all warnings in src/b\.rs", &edit("src/lib.rs", "pub mod b;", "mod b;"), "Mended something."),
        rule(r"Fix all warnings in (?P<file>src/a\.rs)", &gone("{file}"), "Took an unused variable out of a."),
    ];
    let Some(world) = World::new(&files, &rules) else { return };
    assert!(world.run("fix-warnings", &[]), "{}", world.home.ok(["tasks", "fix-warnings"]));
    let instances = world.instances("fix-warnings/fix");
    let seen: Vec<_> = instances.iter().map(|task| (task.item.as_deref().unwrap(), task.attempts)).collect();
    assert_eq!(seen, [("src/a.rs", 1), ("src/b.rs", 2)]);
    let first = world.home.task("fix-warnings/fix/1").attempts[0].outcome.clone();
    assert!(matches!(first, Some(Outcome::Failed { cause: FailCause::Gate(_) })), "{first:?}");
    assert_eq!(world.staged(), ["src/a.rs", "src/b.rs"], "what passed is staged");
    assert_eq!(world.git(&["diff", "--name-only"]), "", "what did not is put back");
    assert_eq!((world.state("fix-warnings/test"), world.state("fix-warnings/commit")), ("completed".into(), "skipped".into()));
    assert_eq!(world.log(), ["begin"], "nothing is committed");
    let summary = world.artifact("fix-warnings/summary", "summary.md");
    assert!(summary.starts_with("# Warnings: 2 files, fix completed, test completed\n"), "{summary}");
    assert!(summary.contains("Took an unused variable out of a.\nTook an unused variable out of b.\n"), "{summary}");
    assert!(summary.contains(" src/b.rs | 1 -\n"), "{summary}");
}

#[test]
fn write_tests_accepts_only_added_lines_and_a_run_that_spends_too_much_leaves_nothing_to_the_next() {
    let plain = "pub fn one() -> u8 {\n    1\n}\n";
    let tested = "#[cfg(test)]\nmod tests {\n    #[test]\n    fn is_one() {\n        assert_eq!(super::one(), 1);\n    }\n}\n";
    let files = package(&[("src/a.rs", plain), ("src/b.rs", plain)]);
    let dear = |step: &Value| {
        let mut step = step.clone();
        step["usage"] = json!({"output_tokens": 100_000});
        step
    };
    let change = edit("src/a.rs", "    1\n", "    2\n");
    let rules = [
        rule(r"Write unit tests for src/a\.rs", &[change[0].clone(), dear(&change[1]), change[0].clone()], "never said"),
        rule(
            r"Write unit tests for src/b\.rs.*this is why:.*lines that were there were changed",
            &edit("src/b.rs", "    1\n}\n", &format!("    1\n}}\n\n{tested}")),
            "One test.",
        ),
        rule(r"Write unit tests for src/b\.rs", &edit("src/b.rs", "    1\n", "    3\n"), "I changed it."),
    ];
    let Some(world) = World::new(&files, &rules) else { return };
    assert!(!world.run("write-tests", &["commit=true"]));
    let instances = world.instances("write-tests/write");
    let seen: Vec<_> =
        instances.iter().map(|task| (task.item.as_deref().unwrap(), task.attempts, task.state.kind().word())).collect();
    assert_eq!(seen, [("src/a.rs", 1, "failed"), ("src/b.rs", 2, "completed")]);
    assert!(matches!(instances[0].outcome, Some(Outcome::BudgetExceeded { .. })), "{:?}", instances[0].outcome);
    assert_eq!(world.log(), ["Add tests", "begin"]);
    assert_eq!(world.git(&["show", "--format=", "--name-only"]), "src/b.rs\n");
    assert_eq!(world.git(&["diff", "HEAD", "--name-only"]), "");
    let summary = world.artifact("write-tests/summary", "summary.md");
    assert!(summary.starts_with("# Tests for 2 modules: failed\n\nOne test.\n\n src/b.rs | "), "{summary}");
    // The next time there is one module left, and none when those are left out.
    assert!(world.run("write-tests", &["modules=true"]));
    assert_eq!(world.state("write-tests/write"), "skipped");
}

#[test]
fn upgrade_dependencies_keeps_what_passes_and_puts_back_what_does_not() {
    let files = [
        ("deps", "left 1\nother 1\nright 1\n"),
        ("outdated", "left 1 2\nother 1 2\nright 1 2\n"),
        ("test.sh", "if grep 'right 2' deps; then echo no function right_one; exit 1; fi\n"),
    ];
    let upgrade = r"version to reach\): (?P<name>\w+) 1 2";
    let steps = edit("deps", "{name} 1", "{name} 2");
    let Some(world) = World::new(&files, &[rule(upgrade, &steps, "Nothing had to be adapted to {name}.")]) else { return };
    let params = ["outdated=cat outdated", "test=sh test.sh", "only=^(left|right) ", "commit=true"];
    assert!(!world.run("upgrade-dependencies", &params), "one upgrade fails");
    let instances = world.instances("upgrade-dependencies/upgrade");
    let seen: Vec<_> =
        instances.iter().map(|task| (task.item.as_deref().unwrap(), task.attempts, task.state.kind().word())).collect();
    assert_eq!(seen, [("left 1 2", 1, "completed"), ("right 1 2", 2, "failed")]);
    assert_eq!(world.log(), ["Upgrade left 1 2", "begin"]);
    assert_eq!(std::fs::read_to_string(world.repository().join("deps")).unwrap(), "left 2\nother 1\nright 1\n");
    let gate = world.home.ok(["logs", "upgrade-dependencies/upgrade/1"]);
    assert!(gate.contains("+right 2") && gate.contains("no function right_one"), "the gate shows what it put back: {gate}");
    let summary = world.artifact("upgrade-dependencies/summary", "summary.md");
    assert!(summary.starts_with("# Dependencies: 2 outdated, upgrade failed\n"), "{summary}");
    assert!(summary.contains("\nNothing had to be adapted to left.\n"), "{summary}");
}

#[test]
fn review_branches_reads_only_makes_one_report_and_waits_when_its_budget_is_spent() {
    let answer = |verdict: &str| {
        let report = format!("## {{branch}}\n\n- a.txt:1: to {verdict}");
        let value = json!({"branch": "{branch}", "verdict": verdict, "report": report});
        let mut step = tool("StructuredOutput", value);
        step["usage"] = json!({"output_tokens": 20_000});
        step
    };
    let look = json!({"blocks": [
        {"tool": "Bash", "input": {"command": "git diff main...{branch}"}},
        {"tool": "Bash", "input": {"command": "git log main..{branch} && git show {branch}:a.txt"}},
        {"tool": "Bash", "input": {"command": "git branch -D {branch}"}},
        {"tool": "Write", "input": {"file_path": "{cwd}/note", "content": "x"}},
    ]});
    let with = |verdict: &str| [look.clone(), answer(verdict)];
    let rules = [
        rule(r"Review the branch (?P<branch>good)", &with("merge"), "done"),
        rule(r"Review the branch (?P<branch>\w+)", &with("change"), "done"),
    ];
    let Some(world) = World::new(&[("a.txt", "a\n")], &rules) else { return };
    for branch in ["merged", "good", "bad", "worse"] {
        world.git(&["switch", "--quiet", "--create", branch, "main"]);
        world.commit(branch, &[("a.txt", &format!("{branch}\n"))]);
        world.git(&["switch", "--quiet", "main"]);
    }
    world.git(&["merge", "--quiet", "merged"]);
    let file = world.copy("review-branches", |text| {
        assert!(text.contains("budget: { usd: 6 }") && text.contains("max_parallel: 3"));
        text.replace("budget: { usd: 6 }", "budget: { usd: 0.2 }").replace("max_parallel: 3", "max_parallel: 1")
    });
    world.home.ok(["submit", &file]);
    world.home.until("what is left waits for its budget", || {
        let of_budget = |task: &TaskView| matches!(task.state, TaskState::Held { hold: Hold::Budget { .. } });
        world.instances("review-branches/review").iter().any(of_budget)
    });
    world.home.ok(["budget", "review-branches", "--usd", "5"]);
    assert_eq!(world.home.until_over("review-branches"), "completed");
    assert_eq!(world.instances("review-branches/review").len(), 3, "one for each branch that is not merged");
    for branch in 0..3 {
        let task = world.home.task(&format!("review-branches/review/{branch}"));
        let facts = task.attempts[0].facts.clone().unwrap().claude.unwrap();
        assert_eq!(facts.denials.len(), 2, "git shows it the branch, and it can change nothing: {:?}", facts.denials);
    }
    assert_eq!(world.git(&["branch", "--list", "good"]).trim(), "good");
    assert!(!world.repository().join("note").exists());
    let report = world.artifact("review-branches/report", "review.md");
    assert!(report.starts_with("# Open branches: 3, review completed\n\nTo merge: good\nTo change: "), "{report}");
    assert!(report.contains("\n## bad\n\n- a.txt:1: to change\n"), "{report}");
}

#[test]
fn refresh_docs_is_a_schedule_that_edits_what_is_behind_and_skips_when_nothing_is() {
    let rules = [rule(r"(?P<file>\S+\.md) may be out of date", &edit("{file}", "one", "two"), "It said one.")];
    let Some(world) = World::new(&[("old.md", "one\n"), ("src/count", "1\n")], &rules) else { return };
    world.commit("count to two", &[("src/count", "2\n")]);
    world.commit("new", &[("new.md", "one\n")]);
    let file = world.copy("refresh-docs", |text| text);
    let said = world.home.ok(["submit", &file, "-p", "commit=true", "-p", "check=grep -q two old.md"]);
    assert!(said.contains("refresh-docs"), "{said}");
    assert!(world.home.ok(["schedule"]).contains("0 6 * * mon"), "{}", world.home.ok(["schedule"]));
    world.home.ok(["schedule", "run", "refresh-docs"]);
    assert_eq!(world.home.until_over("refresh-docs.1"), "completed");
    let instances = world.instances("refresh-docs.1/refresh");
    assert_eq!(instances.iter().map(|task| task.item.as_deref().unwrap()).collect::<Vec<_>>(), ["old.md"]);
    assert_eq!(world.log()[0], "Bring the documents up to date");
    assert_eq!(std::fs::read_to_string(world.repository().join("old.md")).unwrap(), "two\n");
    world.home.ok(["schedule", "run", "refresh-docs"]);
    assert_eq!(world.home.until_over("refresh-docs.2"), "completed");
    assert_eq!(world.state("refresh-docs.2/refresh"), "skipped", "nothing is behind any more");
    let summary = world.artifact("refresh-docs.2/summary", "summary.md");
    assert!(summary.starts_with("# Documents behind the code: 0, refresh skipped"), "{summary}");
    // What somebody has staged is theirs to commit.
    let commits = world.log();
    std::fs::write(world.repository().join("old.md"), "three\n").unwrap();
    world.git(&["add", "old.md"]);
    world.home.ok(["schedule", "run", "refresh-docs"]);
    assert_eq!(world.home.until_over("refresh-docs.3"), "failed");
    assert_eq!((world.log(), world.staged()), (commits, vec!["old.md".to_owned()]));
}

#[test]
fn plan_then_execute_waits_for_a_person_and_does_one_step_after_the_other() {
    let steps = json!([
        {"title": "Greet in English", "work": "Put hello into greeting."},
        {"title": "Greet loudly", "work": "Put HELLO into greeting."},
        {"title": "Greet no more", "work": "Never begun."},
    ]);
    let plan = tool("StructuredOutput", json!({"summary": "Greet people.", "steps": steps}));
    let write = |old: &str, new: &str| edit("greeting", old, new);
    let new = tool("Write", json!({"file_path": "{cwd}/new", "content": "x"}));
    let first: Vec<Value> = write("hi", "hello").into_iter().chain([new]).collect();
    let rules = [
        rule("Plan this work on the repository.*: Be polite", &[plan], "planned"),
        rule("Greet in English.*Whoever approved the plan added: keep it short", &first, "It says hello."),
        rule("Greet loudly", &write("hello", "HELLO"), "It says HELLO."),
    ];
    let Some(world) = World::new(&[("greeting", "hi\n")], &rules) else { return };
    let file = world.copy("plan-then-execute", |text| text);
    let params = ["goal=Be polite", "test=! grep HELLO greeting", "commit=true"];
    world.home.ok(["submit", &file].into_iter().chain(params.iter().flat_map(|param| ["-p", param])));
    world.home.until("the plan waits for a person", || world.home.ok(["approvals"]).contains("Greet people."));
    assert_eq!(world.log(), ["begin"], "nothing is done before");
    world.home.ok(["approve", "plan-then-execute/go", "keep", "it", "short"]);
    assert_eq!(world.home.until_over("plan-then-execute"), "failed");
    let instances = world.instances("plan-then-execute/step");
    let seen: Vec<_> = instances.iter().map(|task| (task.attempts, task.state.kind().word())).collect();
    assert_eq!(seen, [(1, "completed"), (3, "failed"), (0, "skipped")], "what comes after a step that fails is not begun");
    assert_eq!(world.log(), ["Greet in English", "begin"]);
    assert_eq!(world.git(&["show", "--format=", "--name-only"]), "greeting\nnew\n", "with its new file, without the job's own");
    assert!(world.git(&["diff"]).ends_with("-hello\n+HELLO\n"), "a step that fails stays to be looked at");
    let summary = world.artifact("plan-then-execute/summary", "summary.md");
    assert!(
        summary.starts_with("# Be polite\n\nGreet in English\nGreet loudly\nGreet no more\n\nplan completed, approval completed, steps failed\n\nIt says hello.\n"),
        "{summary}"
    );
}

#[test]
fn a_plan_that_is_rejected_changes_nothing() {
    let steps = json!([{"title": "Break it", "work": "Break everything."}]);
    let plan = tool("StructuredOutput", json!({"summary": "Break it.", "steps": steps}));
    let Some(world) = World::new(&[("a", "a\n")], &[rule("Plan this work on the repository", &[plan], "planned")]) else {
        return;
    };
    let file = world.copy("plan-then-execute", |text| text);
    world.home.ok(["submit", &file]);
    world.home.until("the plan waits for a person", || world.home.ok(["approvals"]).contains("Break it."));
    world.home.ok(["reject", "plan-then-execute/go", "rather", "not"]);
    assert_eq!(world.home.until_over("plan-then-execute"), "failed");
    assert_eq!(world.git(&["diff", "HEAD", "--name-only"]), "");
    let summary = world.artifact("plan-then-execute/summary", "summary.md");
    assert!(summary.contains("\nplan completed, approval failed, steps upstream_failed\n"), "{summary}");
}

#[test]
fn airx_examples_prints_them_as_they_are() {
    let home = TestHome::new();
    let listed = home.ok(["examples"]);
    let files: Vec<_> = std::fs::read_dir(EXAMPLES).unwrap().flatten().collect();
    assert_eq!(files.len(), 6);
    for file in files {
        let name = file.file_name().to_str().unwrap().trim_end_matches(".yaml").to_owned();
        assert!(listed.contains(&name), "{listed}");
        assert_eq!(home.ok(["examples", &name]), std::fs::read_to_string(file.path()).unwrap());
    }
    let unknown = home.run(["examples", "nosuch"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown).contains("there are fix-warnings, write-tests"), "{}", text(&unknown));
}
