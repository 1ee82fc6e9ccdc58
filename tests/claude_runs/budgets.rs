//! What runs may use, in dollars and tokens.

use airx::model::state::{BudgetOf, Hold, Outcome, TaskState};

use crate::claude_home::{QUIET, job, plain, with};
use crate::outcomes;

/// A run that would go on for ever, at a cent and 4,000 tokens a step.
const LOOP: &str = r#"[[fake:loop {"usage": {"input_tokens": 3990}}]]"#;
const MAY: &str = "      permission_mode: acceptEdits\n";

#[test]
fn a_task_is_ended_at_its_own_budget_and_the_overshoot_is_told() {
    let Some((home, _api)) = plain() else { return };
    let name = home.submit(&job(LOOP, &format!("{MAY}    budget: 0.05\n    retry: 3\n")));
    assert_eq!(home.until_over(&name), "failed");
    let task = home.task(&format!("{name}/a"));
    assert_eq!(outcomes(&task), [Outcome::BudgetExceeded { of: BudgetOf::Task }], "another attempt would have nothing to use");
    let used = task.task.cost_microusd;
    assert!((50_000..100_000).contains(&used), "{used}");
    let notes = task.attempts[0].facts.as_ref().unwrap().notes.join("\n");
    assert!(notes.contains("task budget: $0.0") && notes.contains("of $0.0500"), "{notes}");
}

#[test]
fn tokens_are_watched_while_the_run_goes_on() {
    let Some((home, _api)) = plain() else { return };
    let name = home.submit(&job(LOOP, &format!("{MAY}    budget: {{ tokens: 30000 }}\n")));
    assert_eq!(home.until_over(&name), "failed");
    let task = home.task(&format!("{name}/a"));
    assert_eq!(outcomes(&task), [Outcome::BudgetExceeded { of: BudgetOf::Task }]);
    let facts = crate::facts(&task.attempts[0]);
    let used = facts.input_tokens + facts.output_tokens;
    assert!((30_000..60_000).contains(&used), "{used}");
    assert_eq!(home.strays(), Vec::<u32>::new());
}

#[test]
fn what_waits_for_a_jobs_budget_is_held_and_goes_on_when_a_person_raises_it() {
    let Some((home, _api)) = plain() else { return };
    let tasks = format!(
        "  - id: a\n    claude:\n      prompt: '{LOOP}'\n{MAY}  - {{ id: b, claude: 'Say [[fake:text]]' }}\n  - {{ id: c, run: 'true' }}\n"
    );
    let name = home.submit(&format!("name: c\n{QUIET}\nbudget: {{ usd: 0.05 }}\ntasks:\n{tasks}"));
    let spent = |state: &TaskState| matches!(state, TaskState::Held { hold: Hold::Budget { of: BudgetOf::Job, .. } });
    home.until("both Claude tasks are held", || home.tasks(&name).iter().take(2).all(|task| spent(&task.state)));
    home.until("what costs nothing goes on", || home.tasks(&name)[2].state == TaskState::Completed);
    let task = home.task(&format!("{name}/a"));
    assert_eq!(outcomes(&task), [Outcome::BudgetExceeded { of: BudgetOf::Job }]);
    assert!(home.ok(["tasks", &name]).contains("job budget spent"));
    home.ok(["cancel", &format!("{name}/a")]);
    home.ok(["budget", &name, "--usd", "5"]);
    home.until("the other has run", || home.tasks(&name)[1].state == TaskState::Completed);
}

#[test]
fn runs_that_share_a_jobs_budget_are_ended_together_when_it_is_spent() {
    let Some((home, _api)) = plain() else { return };
    let step = r#"{"blocks": [{"tool": "Bash", "input": {"command": "sleep 0.4"}}], "usage": {"input_tokens": 3990}}"#;
    let task = |id: &str| {
        format!(
            "  - id: {id}\n    claude:\n      prompt: '[[fake:script {{\"steps\": [{step}]}}]]'\n      allowed_tools: [Bash]\n"
        )
    };
    let name = home.submit(&format!(
        "name: c\n{QUIET}\nmax_parallel: 2\nbudget: {{ usd: 10, tokens: 60000 }}\ntasks:\n{}{}",
        task("a"),
        task("b")
    ));
    home.until("both have ended by the budget", || {
        home.tasks(&name)
            .iter()
            .all(|task| matches!(task.state, TaskState::Held { hold: Hold::Budget { of: BudgetOf::Job, .. } }))
    });
    let used: u64 = ["a", "b"]
        .iter()
        .map(|id| crate::facts(&home.task(&format!("{name}/{id}")).attempts[0]))
        .map(|facts| facts.input_tokens + facts.output_tokens)
        .sum();
    assert!((60_000..120_000).contains(&used), "{used}");
    home.ok(["cancel", &name]);
}

#[test]
fn the_days_budget_holds_everything_until_tomorrow() {
    let Some((home, _api)) = with("", "budget: { usd_per_day: 0.03 }") else { return };
    let first = home.submit(&job(LOOP, MAY));
    let held = |name: &str| {
        matches!(home.tasks(name)[0].state, TaskState::Held { hold: Hold::Budget { of: BudgetOf::Day, until: Some(_) } })
    };
    home.until("the first is held", || held(&first));
    let second = home.submit(&job("Say [[fake:text]]", "").replace("name: c", "name: d"));
    home.until("the second is held", || held(&second));
    assert!(home.ok(["tasks", &second]).contains("day budget spent, until"));
    assert_eq!(home.tasks(&second)[0].attempts, 0);
}
