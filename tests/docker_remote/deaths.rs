//! Engines and managers that die while something is copied, and while a task runs: one outcome, and everything is there.

use std::path::PathBuf;

use super::*;
use engines::{Options, Private};

const MB: u64 = 1 << 20;

fn private() -> Option<Private> {
    engines::private(Options { live_restore: true, tcp: true, ..Options::default() })
}

/// Something to copy that takes a while.
fn heavy(home: &TestHome) {
    std::fs::File::create(home.work().join("heavy")).unwrap().set_len(2_500 * MB).unwrap();
}

fn until_copying(home: &TestHome) {
    home.until("files are copied to the engine", || home.ok(["tasks", "j.1", "-o", "json"]).contains("copied to the engine"));
}

/// The archive of the workspace on its way back.
fn spool(home: &TestHome) -> PathBuf {
    let mut place = task(home).attempts[0].dir.clone().into_os_string();
    place.push(".workspace.tar");
    place.into()
}

fn until_coming_back(place: &std::path::Path, home: &TestHome) {
    home.until("the workspace is on its way back", || std::fs::metadata(place).is_ok_and(|data| data.len() > 4 * MB));
}

const WAITS: &str = "echo begun; while [ ! -e go ]; do sleep 0.05; done; echo ended; echo made >thing";

fn all_is_there(home: &TestHome) {
    assert_eq!(only(home), ("succeeded".to_owned(), String::new()));
    assert_eq!(home.run(["logs", "j.1/t", "--raw"]).stdout, b"begun\nended\n");
}

#[test]
fn an_engine_that_dies_during_the_upload() {
    let Some(mut engine) = private() else { return };
    let home = started(&engine.tcp(), "");
    heavy(&home);
    submit(&home, "echo begun; stat -c %s heavy >size; rm heavy; echo ended", "");
    until_copying(&home);
    engine.kill();
    home.until("the engine is known to be gone", || home.ok(["tasks", "j.1"]).contains("reach"));
    engine.start();
    all_is_there(&home);
    assert_eq!(std::fs::read_to_string(home.work().join("size")).unwrap().trim(), (2_500 * MB).to_string());
    until_cleared(&engine, &home);
}

#[test]
fn an_engine_that_dies_while_a_task_runs_and_while_its_workspace_comes_back() {
    let Some(mut engine) = private() else { return };
    let home = started(&engine.tcp(), "");
    submit(&home, &format!("{WAITS}; head -c 600000000 /dev/zero | tr '\\0' x >large"), "");
    until_printed(&home, "begun");
    engine.kill();
    home.until("the engine is known to be gone", || home.ok(["status"]).contains("reach"));
    engine.start();
    home.until("it can be reached", || !containers(&engine, &home).is_empty());
    inside(&engine, &home, &["touch", "go"]);
    let place = spool(&home);
    until_coming_back(&place, &home);
    engine.kill();
    engine.start();
    all_is_there(&home);
    assert_eq!(std::fs::read_to_string(home.work().join("thing")).unwrap(), "made\n");
    assert_eq!(std::fs::metadata(home.work().join("large")).unwrap().len(), 600_000_000);
    assert!(!place.exists());
    until_cleared(&engine, &home);
}

#[test]
fn a_manager_that_is_killed_while_a_task_runs_and_while_its_workspace_comes_back() {
    let Some(engine) = engines::shared() else { return };
    let mut home = started(&engine.remote(), "");
    submit(&home, &format!("{WAITS}; head -c 600000000 /dev/zero | tr '\\0' x >large"), "");
    until_printed(&home, "begun");
    home.kill_manager();
    let relays = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c '[a]irx relay' || true";
    home.until("nobody tells what nobody hears", || inside(engine, &home, &["sh", "-c", relays]) == "0\n");
    home.start();
    inside(engine, &home, &["touch", "go"]);
    let place = spool(&home);
    until_coming_back(&place, &home);
    home.kill_manager();
    home.start();
    all_is_there(&home);
    assert_eq!(std::fs::read_to_string(home.work().join("thing")).unwrap(), "made\n");
    assert_eq!(std::fs::metadata(home.work().join("large")).unwrap().len(), 600_000_000);
    assert!(!place.exists());
    until_cleared(engine, &home);
}

#[test]
fn a_manager_that_is_killed_during_the_upload() {
    let Some(engine) = engines::shared() else { return };
    let mut home = started(&engine.remote(), "");
    heavy(&home);
    submit(&home, "echo begun; stat -c %s heavy >size; rm heavy; echo ended", "");
    until_copying(&home);
    home.kill_manager();
    home.start();
    all_is_there(&home);
    assert_eq!(std::fs::read_to_string(home.work().join("size")).unwrap().trim(), (2_500 * MB).to_string());
}

#[test]
fn a_task_that_is_cancelled_during_the_upload_never_runs() {
    let Some(engine) = engines::shared() else { return };
    let home = started(&engine.remote(), "");
    heavy(&home);
    submit(&home, "echo never >ran", "");
    until_copying(&home);
    home.ok(["cancel", "j.1/t"]);
    let began = std::time::Instant::now();
    assert_eq!(only(&home).0, "cancelled");
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(!home.work().join("ran").exists());
    until_cleared(engine, &home);
}

#[test]
fn a_container_that_dies_with_its_engine_is_tried_again_on_what_it_left() {
    let Some(mut engine) = engines::private(Options { tcp: true, ..Options::default() }) else { return };
    let home = started(&engine.tcp(), "");
    submit(&home, "echo x >>count; echo begun $(wc -l <count); while [ ! -e go ]; do sleep 0.05; done", "");
    until_printed(&home, "begun 1");
    engine.kill();
    engine.start();
    home.until("it is tried again", || task(&home).attempts.len() == 2);
    until_printed(&home, "begun 2");
    inside(&engine, &home, &["touch", "go"]);
    assert_eq!(home.until_over("j.1"), "completed");
    let outcomes: Vec<String> = task(&home).attempts.iter().map(outcome).collect();
    assert!(outcomes.len() == 2 && outcomes[0] != "succeeded" && outcomes[1] == "succeeded", "{outcomes:?}");
    assert_eq!(std::fs::read_to_string(home.work().join("count")).unwrap(), "x\nx\n");
    until_cleared(&engine, &home);
}
