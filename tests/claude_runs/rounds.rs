//! Prompts that are run again until a condition holds.

use airx::model::state::{FailCause, Outcome};

use crate::claude_home::{job, plain};
use crate::home::TestHome;
use crate::{outcomes, sessions};

const ADD: &str = r#"[[fake:bash {"command": "echo round >> count"}]]"#;
const MAY: &str = "      permission_mode: acceptEdits\n      allowed_tools: [Bash]\n";

fn count(home: &TestHome) -> usize {
    std::fs::read_to_string(home.work().join("count")).unwrap_or_default().lines().count()
}

#[test]
fn a_prompt_is_run_again_in_its_session_until_a_command_says_that_it_holds() {
    let Some((home, _api)) = plain() else { return };
    let repeat = "    repeat: { until: { command: 'test \"$(wc -l < count)\" -ge 3' }, max: 5 }\n    accept: test -e count\n";
    let name = home.submit(&job(ADD, &format!("{MAY}{repeat}")));
    assert_eq!(home.until_over(&name), "completed");
    let task = home.task(&format!("{name}/a"));
    assert_eq!(outcomes(&task), [Outcome::Succeeded, Outcome::Succeeded, Outcome::Succeeded]);
    assert_eq!(count(&home), 3);
    let sessions = sessions(&task);
    assert!(sessions.iter().all(|session| *session == sessions[0]), "{sessions:?}");
}

#[test]
fn a_file_can_be_the_condition_and_each_round_a_session_of_its_own() {
    let Some((home, _api)) = plain() else { return };
    let repeat = "    repeat: { until: { file: count, matches: '^round$' }, max: 5, fresh_session: true }\n";
    let twice = r#"[[fake:bash {"command": "test -e first && echo round >> count; touch first"}]]"#;
    let name = home.submit(&job(twice, &format!("{MAY}{repeat}")));
    assert_eq!(home.until_over(&name), "completed");
    let task = home.task(&format!("{name}/a"));
    assert_eq!(task.attempts.len(), 2);
    assert_ne!(sessions(&task)[0], sessions(&task)[1]);
}

#[test]
fn rounds_are_bounded() {
    let Some((home, _api)) = plain() else { return };
    let name = home.submit(&job(ADD, &format!("{MAY}    repeat: {{ until: {{ file: never }}, max: 2 }}\n")));
    assert_eq!(home.until_over(&name), "failed");
    let task = home.task(&format!("{name}/a"));
    assert_eq!(task.attempts.len(), 2);
    let Outcome::Failed { cause: FailCause::Repeat(why) } = &outcomes(&task)[1] else { panic!("{:?}", outcomes(&task)) };
    assert!(why.contains("after 2 rounds"), "{why}");
}

#[test]
fn rounds_that_change_nothing_in_the_git_tree_are_given_up() {
    let Some((home, _api)) = plain() else { return };
    let project = home.work().join("project");
    std::fs::create_dir(&project).unwrap();
    let git = |args: &[&str]| {
        let done = std::process::Command::new("git")
            .args(args)
            .current_dir(&project)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "-q"]);
    std::fs::write(project.join("file"), "content\n").unwrap();
    git(&["add", "."]);
    git(&["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first"]);
    let run = |prompt: &str| {
        let more =
            format!("{MAY}    workspace: project\n    repeat: {{ until: {{ file: never }}, max: 6, stop_after_no_change: 2 }}\n");
        let name = home.submit(&job(prompt, &more));
        assert_eq!(home.until_over(&name), "failed");
        home.task(&format!("{name}/a"))
    };
    let idle = run(r#"[[fake:bash {"command": "echo nothing"}]]"#);
    assert_eq!(idle.attempts.len(), 3, "the first round has nothing to be compared with");
    assert!(outcomes(&idle)[2].sentence().contains("2 rounds in a row changed nothing"), "{:?}", outcomes(&idle));
    let busy = run(r#"[[fake:bash {"command": "echo more >> file"}]]"#);
    assert_eq!(busy.attempts.len(), 6, "each round changes the tree");
}
