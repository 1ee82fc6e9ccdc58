//! The manager is killed at each point of a pod's life.

use super::bench::{Bench, Mode};
use super::kubernetes::faults::{Fault, When, Which};
use super::kubernetes::{Kind, Server};
use super::{docker, engine, in_both_modes, job, printed, see_out, site, site_without_claim};

in_both_modes! {
    before_the_request_for_a_pod_arrives, before_the_request_for_a_pod_arrives_without_runner:
        |mode| killed_at(mode, Kind::Create, When::Before);
    when_the_pod_is_stored_and_that_is_not_answered, when_the_pod_is_stored_and_that_is_not_answered_without_runner:
        |mode| killed_at(mode, Kind::Create, When::After);
    before_the_first_list, before_the_first_list_without_runner: |mode| killed_at(mode, Kind::List, When::Before);
    before_its_log_is_followed, before_its_log_is_followed_without_runner: |mode| killed_at(mode, Kind::Log, When::Before);
    a_request_that_arrives_late, a_request_that_arrives_late_without_runner: arrives_late;
    while_no_node_takes_it, while_no_node_takes_it_without_runner: while_it_waits_for_a_node;
    while_its_image_is_pulled, while_its_image_is_pulled_without_runner: while_its_image_is_pulled_in_vain;
    while_the_task_runs, while_the_task_runs_without_runner: while_it_runs;
    when_the_task_ends_while_no_manager_runs, when_the_task_ends_while_no_manager_runs_without_runner: before_the_end_is_seen;
    while_the_last_of_its_log_is_read, while_the_last_of_its_log_is_read_without_runner: while_its_log_is_read;
    when_its_log_ends_well_and_is_not_all, when_its_log_ends_well_and_is_not_all_without_runner: its_log_is_cut_short;
    between_the_end_and_the_stored_outcome, between_the_end_and_the_stored_outcome_without_runner: before_it_is_stored;
    before_its_pod_is_deleted, before_its_pod_is_deleted_without_runner: |mode| at_the_deletion(mode, When::Before);
    when_its_pod_is_deleted_and_that_is_not_answered, when_its_pod_is_deleted_and_that_is_not_answered_without_runner:
        |mode| at_the_deletion(mode, When::After);
    an_end_that_could_not_be_stored_is_told_again, an_end_that_could_not_be_stored_is_told_again_without_runner: told_again;
}

/// Killed when this request is there, and its connection is reset.
fn killed_at(mode: Mode, kind: Kind, when: When) {
    let Some(mut bench) = site(mode, 1) else { return };
    let halt = bench.server.faults().hold(kind, when);
    bench.home.start();
    let job = bench.home.submit(&job());
    halt.reached();
    bench.home.kill_manager();
    halt.cut();
    assert_eq!(bench.server.created().len(), usize::from((kind, when) == (Kind::Create, When::After) || kind == Kind::Log));
    bench.home.start();
    see_out(&bench, &job);
}

/// The request of a manager that was killed arrives when the next one has seen that there is no pod, and before its own.
fn arrives_late(mode: Mode) {
    let Some(mut bench) = site(mode, 1) else { return };
    let first = bench.server.faults().hold(Kind::Create, When::Before);
    bench.home.start();
    let job = bench.home.submit(&job());
    first.reached();
    bench.home.kill_manager();
    let second = bench.server.faults().hold(Kind::Create, When::Before);
    bench.home.start();
    second.reached();
    first.let_go();
    bench.server.until("it is made", |server| server.created().len() == 1);
    second.let_go();
    see_out(&bench, &job);
}

/// Killed twice while it waits for a node.
fn while_it_waits_for_a_node(mode: Mode) {
    let Some(mut bench) = site_without_claim(mode, 1, docker::BUSYBOX) else { return };
    bench.home.start();
    let job = bench.home.submit(&job());
    for _ in 0..2 {
        until_progress(&bench, &job, "no node takes it (Unschedulable)");
        bench.home.kill_manager();
        bench.home.start();
    }
    until_progress(&bench, &job, "no node takes it (Unschedulable)");
    bench.claim();
    see_out(&bench, &job);
}

fn until_progress(bench: &Bench, job: &str, part: &str) {
    bench.home.until(part, || bench.listed(job, "t").progress.is_some_and(|progress| progress.to_string().contains(part)));
}

/// A name for an image that can be had later, and is no more afterwards.
struct Tag(String);

impl Tag {
    fn new() -> Tag {
        Tag(format!("airx-test/late:{}", std::process::id()))
    }

    fn give(&self) {
        engine().ok(["tag", docker::BUSYBOX, &self.0]);
    }
}

impl Drop for Tag {
    fn drop(&mut self) {
        // It may never have been given.
        let _ = engine().docker(["rmi", "-f", &self.0]).output();
    }
}

/// Killed while its image cannot be had, which it can before the next manager comes.
fn while_its_image_is_pulled_in_vain(mode: Mode) {
    if docker::shared().is_none() {
        return;
    }
    let tag = Tag::new();
    let Some(mut bench) = site_without_claim(mode, 1, &tag.0) else { return };
    bench.claim();
    bench.home.start();
    let job = bench.home.submit(&job());
    for is_last in [false, true] {
        until_progress(&bench, &job, "ull"); // ErrImagePull, ImagePullBackOff
        bench.home.kill_manager();
        if is_last {
            tag.give();
        }
        bench.home.start();
    }
    see_out(&bench, &job);
}

/// Killed twice while it runs, before it ends under the third one's eyes.
fn while_it_runs(mode: Mode) {
    let Some(mut bench) = site(mode, 1) else { return };
    bench.home.start();
    let job = bench.home.submit(&job());
    for _ in 0..2 {
        bench.until_file("runs-t");
        bench.home.kill_manager();
        bench.home.start();
    }
    bench.home.until("its output is here", || bench.home.run(["logs", &format!("{job}/t"), "--raw"]).stdout.len() > 1_000);
    see_out(&bench, &job);
}

/// Killed while it runs; the next manager finds a pod that is over.
fn before_the_end_is_seen(mode: Mode) {
    let Some(mut bench) = site(mode, 1) else { return };
    bench.home.start();
    let job = bench.home.submit(&job());
    bench.until_file("runs-t");
    bench.home.kill_manager();
    bench.touch("go-t");
    bench.until_pod_is_over();
    bench.home.start();
    see_out(&bench, &job);
}

/// The follower of its log is cut off after a few lines; killed when the rest is asked for after the end, and when that breaks off too.
fn while_its_log_is_read(mode: Mode) {
    let Some(mut bench) = site(mode, 1) else { return };
    let cut = |lines| bench.server.faults().on(Kind::Log, Which::Next(1), Fault::End { after: lines, is_clean: false });
    cut(2);
    bench.home.start();
    let job = bench.home.submit(&job());
    bench.server.until("its log was asked for", |server| server.requests(Kind::Log) > 0);
    let halt = bench.server.faults().hold(Kind::Log, When::Before);
    bench.touch("go-t");
    bench.until_pod_is_over();
    halt.reached();
    bench.home.kill_manager();
    halt.cut();
    let logs = bench.server.requests(Kind::Log);
    bench.server.faults().on(Kind::Log, Which::Next(1), Fault::End { after: 3, is_clean: false });
    bench.home.start();
    bench.server.until("its log was asked for again", |server| server.requests(Kind::Log) > logs);
    bench.home.kill_manager();
    bench.home.start();
    see_out(&bench, &job);
}

/// Read after the end, its log ends early without a sign of it, as one does whose node falls away behind the API server.
fn its_log_is_cut_short(mode: Mode) {
    let Some(mut bench) = site(mode, 1) else { return };
    let halt = bench.server.faults().hold(Kind::Log, When::Before);
    bench.home.start();
    let job = bench.home.submit(&job());
    bench.touch("go-t");
    bench.until_pod_is_over();
    halt.reached();
    bench.server.faults().on(Kind::Log, Which::Next(1), Fault::End { after: 1, is_clean: true });
    halt.cut();
    see_out(&bench, &job);
}

/// Runs until its end cannot be stored, because another process holds the database; that goes on in `then`.
fn unstored(mode: Mode, then: impl FnOnce(&mut Bench, rusqlite::Connection)) {
    let Some(mut bench) = site(mode, 1) else { return };
    bench.home.start();
    let job = bench.home.submit(&job());
    bench.home.until("it runs", || bench.listed(&job, "t").started.is_some() && bench.file("runs-t").exists());
    let database = rusqlite::Connection::open(bench.home.path().join("airx.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    bench.touch("go-t");
    bench.home.until("it cannot be stored", || bench.log().contains("another process holds the database"));
    then(&mut bench, database);
    see_out(&bench, &job);
}

/// Killed when the end was told and could not be stored.
fn before_it_is_stored(mode: Mode) {
    unstored(mode, |bench, database| {
        bench.home.kill_manager();
        database.execute_batch("ROLLBACK").unwrap();
        bench.home.start();
    });
}

fn told_again(mode: Mode) {
    unstored(mode, |_, database| database.execute_batch("ROLLBACK").unwrap());
}

/// Killed when the outcome is stored, and its pod about to be deleted; nothing else ever runs in that home.
fn at_the_deletion(mode: Mode, when: When) {
    let Some(mut bench) = site(mode, 1) else { return };
    let halt = bench.server.faults().hold(Kind::Delete, when);
    bench.home.start();
    let job = bench.home.submit(&job());
    bench.touch("go-t");
    halt.reached();
    assert_eq!(bench.home.until_over(&job), "completed");
    bench.home.kill_manager();
    halt.cut();
    if when == When::Before {
        assert_eq!(bench.server.pods().len(), 1);
    }
    bench.home.start();
    see_out(&bench, &job);
}

/// The directory of an attempt holds as much as is printed before its end; the pod has it all.
#[test]
fn what_was_read_before_stays_and_the_rest_comes() {
    let Some(mut bench) = site(Mode::Reduced, 1) else { return };
    bench.home.start();
    let job = bench.home.submit(&job());
    let out = || bench.home.task(&format!("{job}/t")).attempts.first().map(|attempt| attempt.dir.join("out"));
    bench
        .home
        .until("its output is here", || out().is_some_and(|out| std::fs::metadata(out).is_ok_and(|file| file.len() > 1_000)));
    let before = std::fs::read_to_string(out().unwrap()).unwrap();
    bench.home.kill_manager();
    bench.touch("go-t");
    bench.until_pod_is_over();
    assert!(printed("t").starts_with(&before) && before != printed("t"));
    let asked = |server: &Server| server.requests(Kind::Log);
    let logs = asked(&bench.server);
    bench.home.start();
    see_out(&bench, &job);
    assert_eq!(asked(&bench.server), logs + 2, "one look after the end tells all, and another one that it is all");
}
