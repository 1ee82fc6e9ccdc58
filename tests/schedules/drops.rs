//! The drop directory.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::home::{TestHome, text};
use crate::{jobs, schedules};

/// A home whose manager looks every second.
fn quick() -> TestHome {
    let mut home = TestHome::new();
    std::fs::create_dir_all(home.path()).unwrap();
    std::fs::write(home.path().join("config.yaml"), "poll_interval: 1s\n").unwrap();
    home.start();
    home
}

fn place(home: &TestHome, name: &str) -> PathBuf {
    home.path().join("jobs").join(name)
}

fn put(home: &TestHome, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(place(home, name), text).unwrap();
}

fn exists(home: &TestHome, name: &str) -> bool {
    place(home, name).symlink_metadata().is_ok()
}

#[test]
fn a_dropped_file_is_submitted_once_and_kept_under_its_jobs_name() {
    let home = quick();
    put(&home, "nightly.yaml", "name: fromdrop\ntasks: [{ id: a, run: \"pwd; echo $HOME\" }]\n");
    home.until("it was taken up", || exists(&home, "taken/fromdrop.1.yaml"));
    assert!(!exists(&home, "nightly.yaml"));
    assert_eq!(home.until_over("fromdrop.1"), "completed");
    let user = home.user().canonicalize().unwrap().display().to_string();
    let printed = home.ok(["logs", "fromdrop.1/a", "--raw"]);
    assert_eq!(printed, format!("{user}\n{}\n", home.user().display()), "its paths begin at HOME");
    // The same file once more is another job.
    put(&home, "nightly.yaml", "name: fromdrop\ntasks: [{ id: a, run: \"true\" }]\n");
    home.until("it was taken up too", || exists(&home, "taken/fromdrop.2.yaml"));
    put(&home, "old.json", r#"{"job": {"name": "old"}, "tasks": [{"id": "a", "command": "true"}]}"#);
    home.until("the original's format too", || exists(&home, "taken/old.1.json"));
    put(&home, "every.yml", "name: often\nschedule: { every: 1h }\ntasks: [{ id: a, run: \"true\" }]\n");
    home.until("a schedule is set", || exists(&home, "taken/often.yml"));
    assert_eq!(schedules(&home)[0].name, "often");
    assert_eq!(jobs(&home).len(), 3, "each once");
}

#[test]
fn a_bad_file_is_set_aside_with_all_its_faults_beside_it() {
    let home = quick();
    put(&home, "bad.yaml", "name: bad\ntasks:\n  - { id: a, run: x, needs: [b] }\n  - { id: a, rum: y }\n");
    put(&home, "latin.yaml", b"name: b\xe4d\n");
    let huge = std::fs::File::create(place(&home, "huge.yaml")).unwrap();
    huge.set_len(9 << 20).unwrap();
    home.until("it was rejected", || exists(&home, "rejected/bad.yaml"));
    let why = std::fs::read_to_string(place(&home, "rejected/bad.yaml.error")).unwrap();
    for part in ["bad.yaml:3:", "there is no task `b`", "bad.yaml:4:", "has no key `rum`", "did you mean `run`?"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    home.until("it was rejected", || exists(&home, "rejected/latin.yaml"));
    home.until("it was rejected unread", || exists(&home, "rejected/huge.yaml"));
    assert!(std::fs::read_to_string(place(&home, "rejected/huge.yaml.error")).unwrap().contains("larger than 8 MiB"));
    home.until("people are told", || home.ok(["status"]).contains("3 dropped job files were rejected: "));
    assert!(text(&home.run(["doctor"])).contains("dropped job files were rejected"));
    assert_eq!(jobs(&home).len(), 0);
    for name in ["bad.yaml", "latin.yaml", "huge.yaml"] {
        std::fs::remove_file(place(&home, "rejected").join(name)).unwrap();
    }
    home.until("nothing is told any more", || !home.ok(["status"]).contains("rejected"));
}

#[test]
fn what_is_being_written_and_what_is_no_file_of_ones_own_is_left_alone() {
    let home = quick();
    let job = |name: &str| format!("name: {name}\ntasks: [{{ id: a, run: \"true\" }}]\n");
    for name in [".hidden.yaml", "half.yaml.tmp", "half.yaml.part", "notes.txt"] {
        put(&home, name, job("never"));
    }
    put(&home, "empty.yaml", "");
    std::fs::write(home.work().join("elsewhere.yaml"), job("never")).unwrap();
    symlink(home.work().join("elsewhere.yaml"), place(&home, "link.yaml")).unwrap();
    std::fs::create_dir(place(&home, "directory.yaml")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, place(&home, "fifo.yaml"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    // Written piece by piece, for longer than it takes to look at it twice.
    let growing = place(&home, "growing.yaml");
    std::fs::write(&growing, "name: growing\n").unwrap();
    let begun = airx::os::now().utc;
    home.until("it has grown for a while", || {
        use std::io::Write;
        let mut file = std::fs::File::options().append(true).open(&growing).expect("it is still there");
        file.write_all(b"# more\n").unwrap();
        airx::os::now().utc.since(begun) > 3_500
    });
    let mut file = std::fs::File::options().append(true).open(&growing).unwrap();
    std::io::Write::write_all(&mut file, b"tasks: [{ id: a, run: \"true\" }]\n").unwrap();
    home.until("it was taken up whole", || exists(&home, "taken/growing.1.yaml"));
    put(&home, "last.yaml", job("last"));
    home.until("the directory is still looked at", || exists(&home, "taken/last.1.yaml"));
    let left = [
        ".hidden.yaml",
        "half.yaml.tmp",
        "half.yaml.part",
        "notes.txt",
        "link.yaml",
        "directory.yaml",
        "fifo.yaml",
        "empty.yaml",
    ];
    for name in left {
        assert!(exists(&home, name), "{name} is left alone");
    }
    assert_eq!(jobs(&home).len(), 2);
}

#[test]
fn a_manager_that_is_killed_over_and_over_takes_each_file_once() {
    let mut home = quick();
    for round in 0..4 {
        for number in 0..10 {
            put(
                &home,
                &format!("f{round}-{number}.yaml"),
                format!("name: r{round}n{number}\ntasks: [{{ id: a, run: \"true\" }}]\n"),
            );
        }
        home.until("some are taken up", || jobs(&home).len() > 10 * round + round);
        home.kill_manager();
        home.start();
    }
    home.until("all are taken up", || {
        !std::fs::read_dir(home.path().join("jobs"))
            .unwrap()
            .flatten()
            .any(|entry| entry.path().extension() == Some("yaml".as_ref()))
    });
    assert_eq!(jobs(&home).len(), 40, "each once");
    assert!(jobs(&home).iter().all(|job| job.name.number == 1));
}

#[test]
fn a_file_that_cannot_be_moved_away_is_told_asked_about_once_and_moved_when_that_is_possible() {
    let home = quick();
    // What is in the way of the directory of files that were taken up.
    put(&home, "taken", "in the way");
    put(&home, "often.yaml", "name: often\nschedule: { every: 1h }\ntasks: [{ id: a, run: \"true\" }]\n");
    home.until("people are told", || home.ok(["status"]).contains("cannot be moved away: often.yaml"));
    home.ok(["schedule", "remove", "often"]);
    // Its rights are changed, and the directory is looked at again: a later file is dealt with.
    std::fs::set_permissions(place(&home, "often.yaml"), std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    put(&home, "zzz.yaml", "name: zzz\ntasks: [{ id: a, run: \"true\" }]\n");
    home.until("the later one was submitted", || jobs(&home).len() == 1);
    assert!(schedules(&home).is_empty(), "what a person removed stays removed");
    std::fs::remove_file(place(&home, "taken")).unwrap();
    home.until("it was moved", || exists(&home, "taken/often.yaml") && exists(&home, "taken/zzz.1.yaml"));
    home.until("nothing is told any more", || !home.ok(["status"]).contains("cannot be moved"));
    assert!(schedules(&home).is_empty() && jobs(&home).len() == 1);
}
