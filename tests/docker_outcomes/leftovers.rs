//! Containers that nobody has in his hands: ours are cleared away, those of others are not touched.

use super::bench::{Bench, Mode};
use super::docker;
use super::proxy::Proxy;

/// A container with these labels and this name, made by hand. It runs.
fn made(bench: &Bench, name: &str, labels: &[(&str, &str)]) -> String {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut args = vec!["run", "-d", "--init", "--name", name];
    labels.iter().for_each(|label| args.extend(["--label", label.as_str()]));
    args.extend([docker::BUSYBOX, "sleep", "600"]);
    bench.engine.ok(args).trim().to_owned()
}

fn runs(bench: &Bench, id: &str) -> bool {
    let shown = bench.engine.docker(["inspect", "--format", "{{.State.Running}}", id]).output().unwrap();
    String::from_utf8_lossy(&shown.stdout).trim() == "true"
}

/// The identity of a home, as its containers bear it.
fn instance(bench: &Bench) -> String {
    let job = bench
        .home
        .submit("name: who\npool: box\ntasks:\n  - { id: t, run: 'touch here-t1; until [ -e go ]; do sleep 0.05; done' }\n");
    bench.until_all_are_here(1);
    let instance = bench.engine.ok(["inspect", "--format", "{{index .Config.Labels \"airx.instance\"}}", &bench.container()]);
    bench.touch("go");
    bench.home.until_over(&job);
    bench.until_nothing_is_left();
    instance.trim().to_owned()
}

#[test]
fn what_is_left_of_closed_attempts_is_cleared_away_and_what_is_others_is_not() {
    let Some(engine) = docker::shared() else { return };
    let mut bench = Bench::new(engine, &engine.host(), 1, Mode::Runner, "");
    bench.home.start();
    let instance = instance(&bench);
    let home = bench.home.path().display().to_string();
    let mark = format!("{instance}-1-0-1");
    let gone = format!("{instance}-1-0-2");
    let ours = [("airx.instance", instance.as_str()), ("airx.attempt", &gone), ("airx.job", "who.1"), ("airx.home", &home)];
    let stranger = made(&bench, &format!("airx-{mark}"), &[("who", "a stranger")]);
    let other = made(&bench, &format!("x-{mark}-o"), &[("airx.instance", "0a0a0a0a"), ("airx.attempt", "0a0a0a0a-1-0-1")]);
    let half = made(&bench, &format!("x-{mark}-h"), &[("airx.instance", &instance)]);
    let left = made(&bench, &format!("airx-{gone}"), &ours);
    // Started by a person from an image that was made of one of ours.
    let copy = made(&bench, &format!("x-{mark}-c"), &ours);
    bench.home.until("what is left is removed, also with nothing to do", || !runs(&bench, &left));
    let job = bench.home.submit("name: k\npool: box\ntasks:\n  - { id: t, run: 'true' }\n");
    assert_eq!(bench.home.until_over(&job), "completed");
    for id in [&stranger, &other, &half, &copy] {
        assert!(runs(&bench, id), "it is not airx's to remove");
        bench.engine.ok(["rm", "-f", id]);
    }
    bench.until_nothing_is_left();
}

/// Two pools lead to one engine by two names, each followed by a thread of its own.
#[test]
fn an_engine_by_another_name_clears_away_nothing_that_lives() {
    let Some(engine) = docker::shared() else { return };
    let mut bench = Bench::new(engine, &engine.host(), 1, Mode::Runner, "");
    let other = bench.home.work().join("engine.sock");
    std::os::unix::fs::symlink(engine.socket(), &other).unwrap();
    let path = bench.home.path().join("config.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let again =
        text.lines().last().unwrap().replace("box:", "again:").replace(&engine.host(), &format!("unix://{}", other.display()));
    std::fs::write(path, format!("{text}{again}\n")).unwrap();
    bench.home.start();
    let jobs: Vec<String> = ["box", "again"]
        .iter()
        .enumerate()
        .map(|(at, pool)| {
            let run = format!("touch here-t{}; until [ -e go ]; do sleep 0.05; done", at + 1);
            bench.home.submit(&format!("name: {pool}\npool: {pool}\ntasks:\n  - {{ id: t, run: '{run}' }}\n"))
        })
        .collect();
    bench.until_all_are_here(2);
    // Comparisons by both, also of what a manager found that was started anew.
    std::thread::sleep(std::time::Duration::from_secs(3));
    bench.home.kill_manager();
    bench.home.start();
    std::thread::sleep(std::time::Duration::from_secs(3));
    bench.touch("go");
    for job in jobs {
        assert_eq!(bench.home.until_over(&job), "completed");
        assert_eq!(bench.outcomes(&format!("{job}/t")), ["succeeded"]);
    }
    bench.until_nothing_is_left();
}

/// A stranger's container has the name that an attempt's would have.
#[test]
fn a_strangers_container_of_our_name_is_refused_and_not_touched() {
    let Some(engine) = docker::shared() else { return };
    for mode in [Mode::Runner, Mode::Reduced] {
        let mut bench = Bench::new(engine, &engine.host(), 1, mode, "");
        bench.home.start();
        let mark = format!("{}-2-0-1", instance(&bench));
        let stranger = made(&bench, &format!("airx-{mark}"), &[]);
        let job = bench.home.submit("name: k\npool: box\ntasks:\n  - { id: t, run: 'echo ran >> ran' }\n");
        assert_eq!(bench.home.until_over(&job), "failed");
        let outcomes = bench.outcomes(&format!("{job}/t"));
        assert!(outcomes.len() == 1 && outcomes[0].contains("not airx's: rename or remove it"), "{outcomes:?}");
        bench.home.kill_manager();
        bench.home.start();
        let next = bench.home.submit("name: n\npool: box\ntasks:\n  - { id: t, run: 'true' }\n");
        assert_eq!(bench.home.until_over(&next), "completed");
        assert!(runs(&bench, &stranger), "it is still there");
        bench.engine.ok(["rm", "-f", &stranger]);
        bench.until_nothing_is_left();
        assert!(!bench.file("ran").exists());
    }
}

/// A job whose rows cannot be read is set aside: its container goes on, and is found again when the job is repaired.
#[test]
fn a_container_of_a_job_that_is_set_aside_is_left_alone() {
    let Some(engine) = docker::shared() else { return };
    let mut bench = Bench::new(engine, &engine.host(), 2, Mode::Runner, "");
    bench.home.start();
    let task = "tasks:\n  - { id: t, run: 'touch here-t1; until [ -e go ]; do sleep 0.05; done; echo end' }\n";
    let bad = bench.home.submit(&format!("name: bad\npool: box\n{task}"));
    bench.until_all_are_here(1);
    let container = bench.container();
    bench.home.kill_manager();
    break_a_row(&bench, &bad);
    bench.home.start();
    let good = bench.home.submit("name: good\npool: box\ntasks:\n  - { id: t, run: 'true' }\n");
    assert_eq!(bench.home.until_over(&good), "completed");
    assert!(bench.status().warnings.iter().any(|warning| warning.contains(&bad)), "{:?}", bench.status().warnings);
    let proxied = bench.containers(false, "{{.ID}}");
    assert_eq!(proxied.join(" "), container, "it goes on");
    bench.touch("go");
    bench.home.until("it has ended", || bench.containers(true, "{{.State}}") == ["exited"]);
    let again = bench.home.submit("name: again\npool: box\ntasks:\n  - { id: t, run: 'true' }\n");
    assert_eq!(bench.home.until_over(&again), "completed");
    bench.home.until("its end alone is still to be had", || bench.containers(true, "{{.ID}}") == [container.clone()]);
    bench.home.ok(["stop"]);
    bench.home.await_manager();
    bench.home.ok(["doctor", "--repair"]);
    bench.home.start();
    assert_eq!(bench.home.until_over(&bad), "completed");
    bench.assert_once(&bad, "t", "end\n");
    bench.until_nothing_is_left();
}

fn break_a_row(bench: &Bench, job: &str) {
    let db = rusqlite::Connection::open(bench.home.path().join("airx.db")).unwrap();
    let broken = "UPDATE task SET state = 'not json' WHERE job = (SELECT id FROM job WHERE name || '.' || number = ?1)";
    assert_eq!(db.execute(broken, [job]).unwrap(), 1);
}

/// Two engines at once, each with a copy of our program that was not there before.
#[test]
fn two_engines_of_one_manager() {
    let Some(engine) = docker::shared() else { return };
    let (one, two) = (Proxy::before(&engine.socket()), Proxy::before(&engine.socket()));
    let mut bench = Bench::new(engine, &one.host(), 1, Mode::Runner, "");
    let path = bench.home.path().join("config.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let pool = text.lines().last().unwrap().replace("  box:", "  other:").replace(&one.host(), &two.host());
    std::fs::write(&path, format!("{text}{pool}\n")).unwrap();
    bench.home.start();
    let job = bench.home.submit(
        "name: k\npool: box\nmax_parallel: 2\ntasks:\n  - { id: a, run: echo a }\n  - { id: b, pool: other, run: echo b }\n",
    );
    assert_eq!(bench.home.until_over(&job), "completed");
    bench.assert_once(&job, "a", "a\n");
    bench.assert_once(&job, "b", "b\n");
    bench.until_nothing_is_left();
}
