//! The workstation as a person meets it: the built program in a pseudo-terminal, with a real manager in a home of its own.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failing test says so by a panic")]

#[path = "support/claude/mod.rs"]
mod claude;
#[path = "support/claude_home.rs"]
mod claude_home;
#[path = "support/home.rs"]
mod home;
#[path = "support/pty.rs"]
mod pty;

#[path = "workstation/first.rs"]
mod first;
#[path = "workstation/inbox.rs"]
mod inbox;
#[path = "workstation/leaving.rs"]
mod leaving;
#[path = "workstation/link.rs"]
mod link;
#[path = "workstation/load.rs"]
mod load;
#[path = "workstation/programs.rs"]
mod programs;
#[path = "workstation/several.rs"]
mod several;
#[path = "workstation/terminal.rs"]
mod terminal;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use airx::api::paths::SocketPaths;
use home::TestHome;
use pty::Pty;
use rustix::fs::FlockOperation;

/// Keys are no answer to a question for so long after it appears; a person has not read it by then.
const DEAF: Duration = Duration::from_millis(350);

/// `airx` alone, in this home.
fn airx(home: &TestHome) -> Command {
    home.command::<&str>([])
}

/// The workstation in a terminal that has both panes.
fn wide(home: &TestHome) -> Pty {
    Pty::open(&airx(home), 130, 40)
}

/// A shell at its prompt in a terminal, from which `airx` is started by its name. Variables of the home are set before.
fn shell(home: &mut TestHome) -> Pty {
    let programs = Path::new(home::AIRX).parent().unwrap().display().to_string();
    home.env.push(("PATH".to_owned(), format!("{programs}:/usr/local/bin:/usr/bin:/bin")));
    home.env.push(("PS1".to_owned(), "prompt> ".to_owned()));
    let command = home.command_of(Path::new("/bin/bash"), ["--norc", "--noprofile", "--noediting", "-i"]);
    let shell = Pty::open(&command, 130, 40);
    shell.wait_for("prompt>");
    shell
}

/// Answers a question that is about to be on the screen.
fn answer(screen: &Pty, question: &str, key: &str) {
    screen.wait_for(question);
    std::thread::sleep(DEAF);
    screen.keys(key);
}

/// The question of how to leave.
const LEAVING: &str = "leave it to a background manager";

/// The state of a task in words, as the store has it.
fn state(home: &TestHome, job: &str, task: &str) -> String {
    let tasks = home.tasks(job);
    let found = tasks.iter().find(|view| view.id == task);
    found.map(|view| view.state.kind().word().to_owned()).unwrap_or_default()
}

/// Tasks of a job in a state.
fn in_state(home: &TestHome, job: &str, word: &str) -> usize {
    home.tasks(job).iter().filter(|view| view.state.kind().word() == word).count()
}

/// Whether the tree has a line of this job or task.
fn has_row(screen: &str, name: &str) -> bool {
    let tree = screen.lines().filter_map(|line| line.split("││").next());
    tree.skip(1).any(|line| line.split_whitespace().any(|word| word == name))
}

/// Unfolds the selected job; its tasks are there afterwards.
fn unfold(screen: &Pty, last: &str) {
    screen.keys("l");
    screen.wait(&format!("task {last} is shown"), |screen| has_row(screen, last));
}

/// A shell loop that writes ever different lines, so many every 20 ms, until it may end.
fn flood(lines: u32) -> String {
    format!("'n=10000; while [ ! -e go ]; do seq $n $((n + {lines} - 1)); n=$((n + {lines})); sleep 0.02; done'")
}

/// Waits until the pane shows what [`flood`] writes.
fn wait_for_flood(screen: &Pty) {
    let is_number = |line: &str| line.split("││").nth(1).is_some_and(|part| part.trim_matches([' ', '│']).parse::<u64>().is_ok());
    screen.wait("the output is shown", |screen| screen.lines().any(is_number));
}

/// Lets all tasks go on that wait for it.
fn go(home: &TestHome) {
    std::fs::write(home.work().join("go"), "").unwrap();
}

/// What a task runs that waits for [`go`].
const WAITS: &str = "'echo begun; while [ ! -e go ]; do sleep 0.05; done; echo went'";

/// Whether nobody holds the home's lock.
fn is_free(home: &TestHome) -> bool {
    std::fs::File::open(home.path().join("manager.lock"))
        .is_ok_and(|file| rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_ok())
}

/// No manager, and nothing left of one.
fn assert_no_manager(home: &TestHome) {
    assert!(is_free(home), "a manager holds the home");
    assert!(SocketPaths::find(&home.path()).is_none_or(|paths| !paths.control().exists()), "its socket was left behind");
}

/// The process that holds the home.
fn manager(home: &TestHome) -> u32 {
    assert!(!is_free(home), "there is no manager");
    std::fs::read_to_string(home.path().join("manager.lock")).unwrap().trim().parse().unwrap()
}

/// Replay of the journal equals the tables, as `airx doctor` sees it.
fn assert_replay(home: &TestHome) {
    let differences = airx::store::verify::replay(&home.path().join("airx.db"));
    assert!(differences.is_empty(), "{differences:?}");
}
