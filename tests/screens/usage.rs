//! What Claude runs use, what holds them, and how far they are.

use airx::model::credential::{CredentialHold, CredentialState};
use airx::model::spec::Budget;
use airx::model::time::Mono;
use airx::tui::update::next_wake;

use super::harness::{Screen, Setup, at, over};
use super::inbox::windows;
use super::scenes::talk;
use super::world::{HOUR, MINUTE, NOON, World, task, world};

fn usd(dollars: u64) -> Budget {
    Budget { microusd: Some(dollars * 1_000_000), tokens: None }
}

/// A home with a run, in which so much was used today.
fn home(microusd: u64, day: Option<Budget>) -> World {
    let mut world = world().job("ai", vec![task("fix").running(MINUTE).claude(&talk())]);
    (world.overview.usage.today_microusd, world.overview.usage.day) = (microusd, day);
    world
}

fn login(hold: Option<CredentialHold>) -> CredentialState {
    CredentialState { hold, windows: windows(), pays_by_key: Some(false), ..CredentialState::default() }
}

fn limit(in_ms: u64) -> Option<CredentialHold> {
    let until = NOON.plus(i64::try_from(in_ms).unwrap());
    Some(CredentialHold::Limit { until, told: true })
}

fn top(screen: &Screen) -> String {
    screen.text().lines().next().unwrap().to_owned()
}

#[test]
fn todays_cost_stands_beside_the_days_budget() {
    let key = CredentialState { pays_by_key: Some(true), ..CredentialState::default() };
    let screen = over(home(4_120_000, Some(usd(20))).credential("key K", key));
    assert!(top(&screen).contains(" $4.12 of $20 today"), "{}", top(&screen));
    assert!(!top(&screen).contains("limit"), "a key has no windows: {}", top(&screen));
    over(home(20_100_000, Some(usd(20)))).shows("$20.10 of $20 today, all of it");
    over(home(0, None)).shows_no("today");
}

#[test]
fn dollars_that_nobody_pays_are_marked_and_both_windows_told() {
    let screen = at(160, 30).over(home(4_120_000, None).credential("login /home/ann/.claude", login(None)));
    screen.shows("5 h window 71 %, resets 00:30");
    screen.shows("week 40 %").shows("≈$4.12 today");
    let ascii = Setup { glyphs: airx::config::screen::Glyphs::Ascii, ..at(160, 30) };
    ascii.over(home(4_120_000, None).credential("login", login(None))).shows("~$4.12 today");
}

#[test]
fn a_limit_that_nobody_told_is_unknown_and_one_of_a_window_that_is_over_too() {
    let none = CredentialState { windows: Vec::new(), ..login(None) };
    over(home(0, None).credential("login", none)).shows("limit unknown");
    let mut screen = over(home(0, None).credential("login", login(None)));
    screen.shows("5 h window 71 %");
    screen.pass(138 * MINUTE).shows_no("5 h window").shows("week 40 %");
}

#[test]
fn a_limit_counts_down_and_wakes_the_screen_only_when_it_reads_differently() {
    let mut world = world().job("ai", vec![task("fix")]).credential("login", login(limit(62 * MINUTE)));
    world.jobs[0].view.submitted = super::world::ago(10 * 24 * HOUR);
    let mut screen = over(world);
    screen.shows("limit until 23:15, in 1h 02m");
    assert_eq!(next_wake(&screen.app), Some(Mono(screen.now.mono.0 + MINUTE)));
    screen.pass(MINUTE + 1).shows("limit until 23:15, in 1h 01m");
    screen.pass(61 * MINUTE).shows("limit over, being tried");
}

#[test]
fn a_refused_login_and_a_limit_whose_end_is_not_known_say_so() {
    let again = NOON.plus(300_000);
    let refused = Some(CredentialHold::Login { again, delay_ms: 300_000 });
    over(home(0, None).credential("login", login(refused))).shows("login needed");
    let until = NOON.plus(600_000);
    let guess = Some(CredentialHold::Limit { until, told: false });
    over(home(0, None).credential("login", login(guess))).shows("limit, tried at 22:23, in 10m");
}

#[test]
fn with_several_credentials_a_hold_names_its_own() {
    let world = home(0, None).credential("key TEAM", CredentialState::default()).credential("login /srv/bot", login(limit(HOUR)));
    at(80, 24).over(world.clone()).shows("limit until 23:13, in 1h 00m").shows("1 running");
    at(160, 30).over(world).shows("limit until 23:13, in 1h 00m (login /srv/bot)");
}

#[test]
fn holds_and_waiting_tasks_survive_where_money_goes_first_and_then_windows() {
    let mut all = home(4_120_000, Some(usd(20))).credential("login", login(limit(HOUR)));
    all.asks(1, "fix", airx::model::question::QuestionBody::Words { text: "?".to_owned(), options: Vec::new() }, None);
    let order = ["waits for you", "limit until", "5 h window", "week 40 %", "today"];
    let mut before = usize::MAX;
    for columns in (60..=200).rev() {
        let screen = at(columns, 20).over(all.clone());
        let text = top(&screen);
        let shown = order.iter().take_while(|part| text.contains(**part)).count();
        assert!(order[shown..].iter().all(|part| !text.contains(part)), "{columns}: {text}");
        assert!(shown <= before && shown >= 2, "{columns}: {text}");
        before = shown;
    }
    assert_eq!(before, 2, "at 60 columns only what a person has to act on is left");
    for (columns, rows) in [(60, 16), (80, 24), (120, 40), (200, 50)] {
        at(columns, rows).over(all.clone()).looks_as_in(&format!("usage_{columns}x{rows}"));
    }
}

#[test]
fn a_job_tells_its_cost_of_its_budget() {
    let tasks =
        vec![task("a").completed(MINUTE).cost(1_500_000), task("b").running(MINUTE).runs(2, 400_000, None).claude(&talk())];
    let mut screen = over(world().job("ai", tasks).with(|job| job.spec.budget = Some(usd(5))));
    assert!(screen.line("›▾").contains("$1.90 of $5"), "{}", screen.text());
    screen.press("tab 2").shows("$1.90 of $5");
}

#[test]
fn how_far_a_run_is_is_a_bar_only_where_the_whole_is_known() {
    let run = |id: &str| task(id).running(MINUTE).claude(&talk());
    let tasks = vec![run("listed").runs(4, 10_000, Some((3, 5, "tests"))), run("turning").runs(7, 10_000, None)];
    let screen = at(200, 20).over(world().job("ai", tasks));
    assert!(screen.line("listed").contains("████▊     3/5 todo tests"), "{}", screen.line("listed"));
    assert!(screen.line("turning").contains("  turn 7"), "{}", screen.line("turning"));
    assert!(!screen.line("turning").contains('█') && !screen.line("turning").contains('/'));
    // Words before pictures.
    let long = "all tests of the store";
    let narrow = world().job("ai", vec![run("listed").runs(4, 10_000, Some((3, 5, long)))]);
    at(60, 20).over(narrow).shows(&format!("3/5 todo {long}")).shows_no("████▊");
}

#[test]
fn info_of_a_run_tells_its_session_use_budgets_and_list() {
    let run = task("fix")
        .failed(airx::model::state::Outcome::Overloaded)
        .running(MINUTE)
        .cost(110_000)
        .runs(7, 220_000, Some((1, 3, "fix the check")))
        .with(|spec| spec.budget = Some(usd(1)))
        .claude(&talk());
    let mut screen = at(100, 60).over(world().job("ai", vec![run]).with(|job| job.spec.budget = Some(usd(5))));
    screen.press("j enter 2");
    screen.shows("session      7605ea43").shows("claude --resume 7605ea43").shows("turns        7").shows("8.1k in, 420 out");
    screen
        .shows("budget       $0.33 of $1")
        .shows("of job       $0.33 of $5")
        .shows("✓ read the validator")
        .shows("► fix the check");
    screen.looks_as_in("info_run");
}
