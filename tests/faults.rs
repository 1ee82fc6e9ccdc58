//! Full disks, damaged databases, rubbish on the socket, many clients, clocks that step: what is there stays, and what
//! fails says why.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/home.rs"]
mod home;

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use airx::model::state::{Outcome, TaskState};
use home::{TestHome, text};

/// Connects to the control socket as any program could.
fn socket(home: &TestHome) -> UnixStream {
    let directory = std::fs::read_to_string(home.path().join("sockets")).unwrap();
    let stream = UnixStream::connect(Path::new(directory.trim()).join("control.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

#[test]
fn rubbish_and_oversized_frames_get_one_clear_error_and_harm_nobody() {
    let mut home = TestHome::new();
    home.start();
    let oversized = vec![b'x'; (1 << 20) + 4096];
    for (rubbish, said) in [
        (b"hello\n".as_slice(), "no JSON-RPC request"),
        (b"\xff\xfe\n".as_slice(), "not UTF-8"),
        (oversized.as_slice(), "longer than"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"submit\",\"params\":{}}\n".as_slice(), "missing field"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nonsense\"}\n".as_slice(), "no verb"),
    ] {
        let mut stream = socket(&home);
        // The manager may close before it has read everything.
        let _ = stream.write_all(rubbish);
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.contains(said) && answer.contains("error"), "{said}: {answer}");
    }
    assert!(home.run(["ping"]).status.success());
}

#[test]
fn fifty_clients_at_once_all_get_their_answers() {
    let mut home = TestHome::new();
    home.start();
    home.job_file("job.yaml", "name: crowd\ntasks:\n  - { id: a, run: echo a }\n");
    let children: Vec<_> = (0..50)
        .map(|n| {
            let args: &[&str] = if n % 2 == 0 { &["submit", "job.yaml"] } else { &["status", "-o", "json"] };
            home.command(args).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
    for n in 1..=25 {
        assert_eq!(home.until_over(&format!("crowd.{n}")), "completed");
    }
}

#[test]
fn a_large_job_travels_in_parts() {
    use std::fmt::Write as _;
    let mut home = TestHome::new();
    home.start();
    home.ok(["pause"]);
    let mut job = "name: large\ntasks:\n".to_owned();
    for n in 0..30_000 {
        let _ = writeln!(job, "  - {{ id: t{n}, command: /bin/true, args: ['{}'] }}", "x".repeat(60));
    }
    let name = home.submit(&job);
    assert_eq!(home.job(&name).job.tasks.total(), 30_000);
    assert_eq!(home.tasks(&name).len(), 30_000);
}

/// Overwrites a piece of the database in the middle, past its first pages.
fn damage(database: &Path) {
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(database).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    assert!(pages > 12, "{pages} pages");
    for page in [4, pages / 2] {
        file.seek(SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0xa5; 4096]).unwrap();
    }
}

#[test]
fn a_corrupted_page_stops_the_manager_and_the_named_command_repairs_it() {
    let mut home = TestHome::new();
    home.start();
    let jobs: Vec<String> = (0..20)
        .map(|_| home.submit("name: kept\nmax_parallel: 4\ntasks:\n  - { id: a, run: echo a }\n  - { id: b, run: echo b }\n  - { id: c, needs: [a], run: echo c }\n"))
        .collect();
    jobs.iter().for_each(|job| drop(home.until_over(job)));
    home.ok(["stop"]);
    home.await_manager();
    std::fs::create_dir_all(home.path().join("backup")).unwrap();
    std::fs::copy(home.path().join("airx.db"), home.path().join("backup/airx-20260101.db")).unwrap();
    damage(&home.path().join("airx.db"));

    let output = home.run(["doctor"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("airx doctor --repair"), "{}", text(&output));
    let repaired = home.ok(["doctor", "--repair"]);
    assert!(repaired.contains("kept as"), "{repaired}");
    home.start();
    for job in &jobs {
        assert_eq!(home.job(job).job.state.word(), "completed", "{job}: {repaired}");
        assert_eq!(home.task(&format!("{job}/c")).attempts[0].outcome, Some(Outcome::Succeeded));
    }
    let differences = airx::store::verify::replay(&home.path().join("airx.db"));
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
fn a_file_that_is_no_database_names_the_repair_and_is_kept() {
    let mut home = TestHome::new();
    home.start();
    home.ok(["stop"]);
    home.await_manager();
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(home.path().join(format!("airx.db{end}")));
    }
    std::fs::write(home.path().join("airx.db"), b"this is no database at all, but somebody's notes ".repeat(100)).unwrap();
    let output = home.run(["--daemon"]);
    assert!(!output.status.success());
    assert!(text(&output).contains("airx doctor --repair"), "{}", text(&output));
    home.ok(["doctor", "--repair"]);
    home.start();
    let kept =
        std::fs::read_dir(home.path()).unwrap().flatten().any(|entry| entry.file_name().to_string_lossy().contains("damaged"));
    assert!(kept, "the damaged file is kept");
}

#[test]
fn an_undecodable_row_sets_its_own_job_aside_and_the_rest_goes_on() {
    let mut home = TestHome::new();
    home.start();
    home.ok(["pause"]);
    let bad = home.submit("name: bad\ntasks:\n  - { id: a, run: echo a }\n");
    let good = home.submit("name: good\ntasks:\n  - { id: a, run: echo a }\n");
    home.kill_manager();
    let database = rusqlite::Connection::open(home.path().join("airx.db")).unwrap();
    database.execute("UPDATE task SET state = 'not json' WHERE job = 1", []).unwrap();
    drop(database);
    home.start();
    home.ok(["resume"]);
    assert_eq!(home.until_over(&good), "completed");
    let status = home.ok(["status"]);
    assert!(status.contains(&bad) && status.contains("set aside"), "{status}");
    home.ok(["stop"]);
    home.await_manager();
    home.ok(["doctor", "--repair"]);
    home.start();
    assert_eq!(home.until_over(&bad), "completed");
}

#[test]
fn an_undecodable_event_keeps_none_of_the_others_back() {
    let mut home = TestHome::new();
    home.start();
    let name = home.submit("name: told\ntasks:\n  - { id: a, run: echo a }\n");
    home.until_over(&name);
    let all = home.ok(["events"]).lines().count();
    let database = rusqlite::Connection::open(home.path().join("airx.db")).unwrap();
    database.execute("UPDATE event SET body = 'not json' WHERE seq = 3", []).unwrap();
    drop(database);
    assert_eq!(home.ok(["events"]).lines().count(), all - 1);
    assert_eq!(home.ok(["events", "--job", &name]).lines().count(), all - 1);
}

/// A small file system of its own; none where it cannot be mounted (only root can).
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Small> {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("home");
        std::fs::create_dir(&target).unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m,mode=0700", "airx-test"])
            .arg(&target)
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            let required = std::env::var("AIRX_TEST_REQUIRE").unwrap_or_default();
            assert!(required.is_empty(), "a small file system cannot be mounted here");
            return None;
        }
        Some(Small(directory))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path().join("home")).status();
    }
}

#[test]
fn on_a_full_disk_nothing_is_lost_and_everything_goes_on_once_there_is_room() {
    let Some(small) = Small::mount() else { return };
    let mut home = TestHome::new();
    home.place = Some(small.0.path().join("home"));
    std::fs::write(home.path().join("config.yaml"), "min_free_disk: 0\npoll_interval: 1s\n").unwrap();
    home.start();
    let before = home.submit("name: before\ntasks:\n  - { id: a, run: 'while [ ! -e go ]; do sleep 0.05; done; echo done' }\n");
    home.until("the task runs", || matches!(home.tasks(&before)[0].state, TaskState::Running { .. }));

    let filler = home.path().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    while file.write_all(&[0; 1]).is_ok() {}
    drop(file);
    home.job_file("after.yaml", "name: after\ntasks:\n  - { id: a, run: echo a }\n");
    let refused = (0..200).map(|_| home.run(["submit", "after.yaml"])).find(|output| !output.status.success());
    let refused = refused.expect("a full disk refuses a submission");
    assert!(text(&refused).contains("nothing was changed"), "{}", text(&refused));
    // It ends while its end cannot be written.
    std::fs::write(home.work().join("go"), "").unwrap();
    std::fs::remove_file(&filler).unwrap();

    assert_eq!(home.until_over(&before), "completed");
    assert_eq!(home.task(&format!("{before}/a")).attempts.len(), 1);
    assert_eq!(home.ok(["logs", &format!("{before}/a"), "--raw"]), "done\n");
    assert!(airx::store::verify::replay(&home.path().join("airx.db")).is_empty());
}

#[test]
fn too_little_room_starts_nothing_new_and_says_so() {
    let mut home = TestHome::new();
    std::fs::create_dir_all(home.path()).unwrap();
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::write(home.path().join("config.yaml"), "min_free_disk: 9000TB\npoll_interval: 1s\n").unwrap();
    home.start();
    let job = home.submit("name: wait\ntasks:\n  - { id: a, run: echo a }\n");
    assert_eq!(home.tasks(&job)[0].state, TaskState::Queued);
    assert!(home.tasks(&job)[0].why.as_deref().is_some_and(|why| why.contains("disk")), "{:?}", home.tasks(&job));
    // The configuration is read again when it changes.
    std::fs::write(home.path().join("config.yaml"), "min_free_disk: 0\npoll_interval: 1s\n").unwrap();
    assert_eq!(home.until_over(&job), "completed");
}

/// Many open connections, and messages that come byte by byte, on the socket that tasks see.
#[test]
fn connections_that_tasks_leave_open_keep_nobody_else_out() {
    let mut home = TestHome::new();
    home.start();
    let directory = std::fs::read_to_string(home.path().join("sockets")).unwrap();
    let task = Path::new(directory.trim()).join("task/task.sock");
    let open: Vec<UnixStream> = (0..600).map(|_| UnixStream::connect(&task).unwrap()).collect();
    // The manager has looked at the last of them once a further one is closed at once.
    let mut refused = UnixStream::connect(&task).unwrap();
    refused.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(refused.read(&mut [0; 16]).unwrap_or(0), 0);
    for (name, args) in [("ping", ["ping"].as_slice()), ("status", &["status"]), ("pause", &["pause"])] {
        let output = home.run(args);
        assert!(output.status.success(), "{name}: {}", text(&output));
    }
    drop(open);
}

#[test]
fn rubbish_on_the_socket_of_tasks_gets_one_clear_error_and_no_rights() {
    let mut home = TestHome::new();
    home.start();
    let directory = std::fs::read_to_string(home.path().join("sockets")).unwrap();
    let oversized = vec![b'x'; (1 << 20) + 4096];
    for (rubbish, said) in [
        (b"hello\n".as_slice(), "no JSON-RPC request"),
        (b"\xff\xfe\n".as_slice(), "not UTF-8"),
        (oversized.as_slice(), "longer than"),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"cancel\",\"params\":{\"targets\":[],\"all\":true,\"how\":\"ask\"}}\n",
            "not for tasks",
        ),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stop\"}\n", "not for tasks"),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"intake\",\"params\":{\"mark\":\"a\",\"token\":\"b\"}}\n",
            "does not belong",
        ),
    ] {
        let mut stream = UnixStream::connect(Path::new(directory.trim()).join("task/task.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // The manager may close before it has read everything.
        let _ = stream.write_all(rubbish);
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.contains(said) && answer.contains("error"), "{said}: {answer}");
    }
    assert!(home.run(["ping"]).status.success());
}

/// All of it but the header, so that nothing can be read any more.
#[test]
fn a_database_beyond_reading_stops_the_manager_and_a_repair_does_not_call_that_nothing_lost() {
    let mut home = TestHome::new();
    home.start();
    let job = home.submit("name: gone\ntasks:\n  - { id: a, run: echo a }\n");
    home.until_over(&job);
    home.ok(["stop"]);
    home.await_manager();
    let database = home.path().join("airx.db");
    let length = usize::try_from(database.metadata().unwrap().len()).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(&database).unwrap();
    file.seek(SeekFrom::Start(8192)).unwrap();
    file.write_all(&vec![0xa5; length - 8192]).unwrap();
    drop(file);
    // In front of the person as in the background: it does not start, and names the command.
    for args in [["--daemon", "--foreground"].as_slice(), &["--daemon"]] {
        let output = home.run(args);
        assert!(!output.status.success(), "{}", text(&output));
        assert!(text(&output).contains("airx doctor --repair"), "{}", text(&output));
    }
    let repaired = home.ok(["doctor", "--repair"]);
    assert!(repaired.contains("lost: ") && !repaired.contains("nothing was lost"), "{repaired}");
    home.start();
    assert!(home.run(["jobs"]).status.success());
}

/// A page is damaged under a manager that runs: it stops by itself, its runner goes on, and after the repair the next
/// manager takes that in.
#[test]
fn a_page_that_is_damaged_under_a_manager_stops_it_and_harms_no_runner() {
    let mut home = TestHome::new();
    home.start();
    for _ in 0..20 {
        let job = home.submit("name: filler\ntasks:\n  - { id: a, run: echo a }\n");
        home.until_over(&job);
    }
    let job = home.submit("name: on\ntasks:\n  - { id: a, run: 'while [ ! -e go ]; do sleep 0.05; done; echo done' }\n");
    home.until("the task runs", || matches!(home.tasks(&job)[0].state, TaskState::Running { .. }));
    home.kill_manager();
    let database = home.path().join("airx.db");
    // The journal of the last writes becomes part of the file, as at the end of a manager that left in order.
    rusqlite::Connection::open(&database).unwrap().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    std::fs::create_dir_all(home.path().join("backup")).unwrap();
    std::fs::copy(&database, home.path().join("backup/airx-20260101.db")).unwrap();
    let root: u64 = rusqlite::Connection::open(&database)
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'attempt'", [], |row| row.get(0))
        .unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(&database).unwrap();
    file.seek(SeekFrom::Start((root - 1) * 4096)).unwrap();
    file.write_all(&[0xa5; 4096]).unwrap();
    drop(file);
    // Starting reads no attempt, so it starts; the end of the task cannot be written.
    home.start();
    std::fs::write(home.work().join("go"), "").unwrap();
    assert!(!home.await_manager().success());
    assert!(home.manager_log().contains("airx doctor --repair"), "{}", home.manager_log());
    home.ok(["doctor", "--repair"]);
    home.start();
    assert_eq!(home.until_over(&job), "completed");
    assert_eq!(home.task(&format!("{job}/a")).attempts.len(), 1, "it ran once");
    assert_eq!(home.ok(["logs", &format!("{job}/a"), "--raw"]), "done\n");
    assert!(airx::store::verify::replay(&database).is_empty());
}
