//! A task that does to its attempt's directory whatever it can. The manager neither follows where that leads, nor waits for what
//! never comes, nor writes anywhere else.

use std::fs;
use std::path::{Path, PathBuf};

use super::bench::{Bench, Mode};
use super::docker;

/// A directory of this machine that a task has no business with, and what it holds.
struct Victim {
    dir: PathBuf,
    before: Vec<(String, String)>,
}

impl Victim {
    /// It looks like an outbox: with a progress that is none, and with what would be set aside.
    fn new(bench: &Bench) -> Victim {
        let dir = bench.home.work().parent().unwrap().join("victim");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("000001-a.json"), r##"{"seq":1,"key":"#1","body":{"progress":{"done":7,"text":"stolen"}}}"##).unwrap();
        fs::write(dir.join("000002-b.json"), "not json").unwrap();
        fs::write(dir.join("secret"), "of the machine\n").unwrap();
        let before = content(&dir);
        Victim { dir, before }
    }

    fn assert_untouched(&self) {
        assert_eq!(content(&self.dir), self.before);
    }
}

fn content(dir: &Path) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap_or_default()))
        .collect();
    all.sort();
    all
}

fn bench() -> Option<(Bench, Victim)> {
    let engine = docker::shared()?;
    let mut bench = Bench::new(engine, &engine.host(), 4, Mode::Runner, "");
    let victim = Victim::new(&bench);
    bench.home.start();
    Some((bench, victim))
}

/// Nothing that the task did holds up another one.
fn assert_others_go_on(bench: &Bench) {
    let job = bench.home.submit("name: other\npool: box\ntasks:\n  - { id: t, run: 'airx progress 1/1 done; echo fine' }\n");
    assert_eq!(bench.home.until_over(&job), "completed");
    bench.assert_once(&job, "t", "fine\n");
}

#[test]
fn an_outbox_that_leads_elsewhere() {
    let Some((mut bench, victim)) = bench() else { return };
    let job = bench.home.submit(&format!(
        "name: k\npool: box\ntasks:\n  - id: t\n    run: |\n      cd $AIRX_DIR; rm -r outbox; ln -s {} outbox; touch /workspace/here-t1\n      \
         until [ -e /workspace/go ]; do sleep 0.1; done; echo end\n",
        victim.dir.display()
    ));
    bench.until_all_are_here(1);
    assert_others_go_on(&bench);
    bench.home.kill_manager();
    bench.home.start();
    assert_others_go_on(&bench);
    bench.touch("go");
    bench.home.until_over(&job);
    victim.assert_untouched();
    assert_eq!(bench.listed(&job, "t").progress, None, "nothing was taken from there");
    bench.until_nothing_is_left();
}

#[test]
fn an_inbox_that_leads_elsewhere() {
    let Some((bench, victim)) = bench() else { return };
    let question = r#"{"seq":1,"key":"q1","body":{"ask":{"key":"q1","body":{"asks":"words","text":"Where to?"}}}}"#;
    let job = bench.home.submit(&format!(
        "name: k\npool: box\ntasks:\n  - id: t\n    run: |\n      cd $AIRX_DIR; rm -r inbox; ln -s {} inbox; mkdir -p outbox\n      \
         echo '{question}' > outbox/.new; mv outbox/.new outbox/000001-q1.json; touch /workspace/here-t1\n      \
         until [ -e /workspace/go ]; do sleep 0.1; done; echo end\n",
        victim.dir.display()
    ));
    bench.home.until("the question is there", || bench.home.ok(["approvals"]).contains("Where to?"));
    bench.home.ok(["approve", &format!("{job}/t"), "nowhere"]);
    assert_others_go_on(&bench);
    let began = std::time::Instant::now();
    bench.home.until("the answer was said again", || began.elapsed().as_millis() > 2_500);
    bench.touch("go");
    bench.home.until_over(&job);
    victim.assert_untouched();
    bench.until_nothing_is_left();
}

const FILES: &str = "exit.json out err index lock live.json runner.json runner.log spec.json gate.log";

/// Each of its files is something else now; at the second attempt it behaves.
fn replaced(becomes: &str) {
    let Some((mut bench, victim)) = bench() else { return };
    let becomes = becomes.replace("VICTIM", &victim.dir.join("secret").display().to_string());
    let task = |id: &str, end: &str| {
        format!(
            "  - id: {id}\n    run: |\n      if [ -e did-{id} ]; then echo good; exit 0; fi\n      touch did-{id}; echo bad; cd $AIRX_DIR\n      \
             for f in {FILES}; do rm -rf $f; {becomes}; done\n      touch /workspace/here-{id}\n      \
             until [ -e /workspace/go ]; do sleep 0.1; done; {end}\n"
        )
    };
    let job = bench.home.submit(&format!(
        "name: k\npool: box\nmax_parallel: 2\ntasks:\n{}{}",
        task("t1", "exit 0"),
        // The runner's own directory goes from under it, and it with it.
        task("t2", "rm -rf $AIRX_DIR/*; kill -9 -1")
    ));
    bench.until_all_are_here(2);
    assert_others_go_on(&bench);
    bench.home.kill_manager();
    bench.home.start();
    assert_others_go_on(&bench);
    let shown = bench.home.run(["logs", &format!("{job}/t1"), "--raw"]);
    assert!(!String::from_utf8_lossy(&shown.stdout).contains("of the machine"), "links are not followed");
    bench.touch("go");
    bench.home.until_over(&job);
    for task in ["t1", "t2"] {
        println!("{task}: {:?}\n{}", bench.outcomes(&format!("{job}/{task}")), bench.notes(&format!("{job}/{task}")));
    }
    victim.assert_untouched();
    bench.until_nothing_is_left();
    bench.assert_replay();
}

#[test]
fn files_that_are_fifos() {
    replaced("mkfifo $f");
}

#[test]
fn files_that_are_links() {
    replaced("ln -s VICTIM $f");
}

#[test]
fn files_that_are_directories() {
    replaced("mkdir -p $f/x");
}
