//! What others do to a pod and to what is in it.

use super::bench::{Bench, Mode};
use super::kubernetes::{Halt, Kind, When};
use super::{engine, home, in_both_modes, job, printed, site};

in_both_modes! {
    a_pod_that_somebody_deletes, a_pod_that_somebody_deletes_without_runner: |mode| taken_away(mode, false);
    a_pod_that_somebody_deletes_while_no_manager_runs, a_pod_that_somebody_deletes_while_no_manager_runs_without_runner:
        |mode| taken_away(mode, true);
    a_pod_that_is_evicted, a_pod_that_is_evicted_without_runner: evicted;
    a_pod_that_is_cancelled_before_it_was_answered, a_pod_that_is_cancelled_before_it_was_answered_without_runner:
        |mode| cancelled_unanswered(mode, true);
    a_pod_that_is_cancelled_before_it_was_seen, a_pod_that_is_cancelled_before_it_was_seen_without_runner:
        |mode| cancelled_unanswered(mode, false);
}

/// Runs in two attempts, of which the second ends by itself.
fn see_out_of_two(bench: &Bench, job: &str, first: &str) {
    let address = format!("{job}/t");
    bench.touch("go-t");
    assert_eq!(bench.home.until_over(job), "completed", "{:?}", bench.outcomes(&address));
    let outcomes = bench.outcomes(&address);
    assert!(outcomes.len() == 2 && outcomes[0].starts_with(first) && outcomes[1] == "succeeded", "{outcomes:?}");
    bench.assert_out(&address, &printed("t"));
    bench.until_nothing_is_left();
    bench.assert_each_ran_once(2);
    bench.assert_replay();
}

/// The container of the only pod's task, once it is told.
fn container(bench: &Bench) -> String {
    let name = bench.pod();
    let id = || {
        let pod = bench.server.pod(&name)?;
        pod["status"]["containerStatuses"][0]["containerID"].as_str().map(str::to_owned)
    };
    bench.server.until("its container is told", |_| id().is_some_and(|id| !id.is_empty()));
    id().unwrap().trim_start_matches("containerd://").to_owned()
}

/// What kills a container is nobody's wish: the infrastructure's budget pays for the next attempt.
#[test]
fn a_container_that_is_killed_is_lost_and_the_task_runs_again() {
    let Some(mut bench) = site(Mode::Runner, 1) else { return };
    bench.home.start();
    let job = bench.home.submit(&job());
    bench.until_file("runs-t");
    engine().ok(["kill", &container(&bench)]);
    see_out_of_two(&bench, &job, "lost");
}

/// Without our runner a signal is a signal, whoever sent it.
#[test]
fn a_container_that_is_killed_has_failed_without_runner() {
    let Some(mut bench) = site(Mode::Reduced, 1) else { return };
    bench.home.start();
    let job = bench.home.submit(&job());
    bench.until_file("runs-t");
    engine().ok(["kill", &container(&bench)]);
    assert_eq!(bench.home.until_over(&job), "failed");
    assert_eq!(bench.outcomes(&format!("{job}/t")), ["signal 9"]);
    bench.until_nothing_is_left();
    bench.assert_each_ran_once(1);
    bench.assert_replay();
}

/// The runner is killed inside its pod, which its first process tells.
#[test]
fn a_runner_that_is_killed_is_lost_and_the_task_runs_again() {
    let Some(mut bench) = site(Mode::Runner, 1) else { return };
    bench.home.start();
    let job = bench.home.submit(&job());
    bench.until_file("runs-t");
    let processes = engine().ok(["top", &container(&bench), "-eo", "pid,args"]);
    let runner = processes.lines().find(|line| line.contains("run-task")).unwrap_or_else(|| panic!("{processes}"));
    home::kill(runner.split_whitespace().next().unwrap().parse().unwrap());
    see_out_of_two(&bench, &job, "lost");
    let facts = bench.home.task(&format!("{job}/t")).attempts[0].facts.clone().unwrap();
    println!("{:?}", facts.notes);
}

/// A task that takes its time to end, and writes down when it begins and when it has ended.
fn slow_to_end() -> String {
    let line = "echo $AIRX_ATTEMPT >> ran; echo begun >> order; trap \"sleep 1; echo over >> order; exit 9\" TERM; \
                touch runs-t; until [ -e go-t ]; do sleep 0.05; done; echo over >> order";
    format!("name: k\npool: box\ntasks:\n  - {{ id: t, run: '{line}' }}\n")
}

/// The retry begins after the first is gone, and never beside it.
fn taken_away(mode: Mode, without_manager: bool) {
    let Some(mut bench) = site(mode, 2) else { return };
    bench.home.start();
    let job = bench.home.submit(&slow_to_end());
    bench.until_file("runs-t");
    let pod = bench.pod();
    if without_manager {
        bench.home.kill_manager();
    }
    bench.server.delete(&pod, None);
    if without_manager {
        bench.server.until("it is on its way out", |server| {
            server.pod(&pod).is_none_or(|pod| !pod["metadata"]["deletionTimestamp"].is_null())
        });
        bench.home.start();
    }
    bench.home.until("it runs again", || bench.content("order").lines().count() > 2);
    assert_eq!(bench.content("order"), "begun\nover\nbegun\n");
    assert!(bench.server.pod(&pod).is_none_or(|pod| pod["status"]["phase"] == "Failed"), "the first is over");
    bench.touch("go-t");
    assert_eq!(bench.home.until_over(&job), "completed");
    let outcomes = bench.outcomes(&format!("{job}/t"));
    assert_eq!((outcomes.len(), outcomes[1].as_str()), (2, "succeeded"), "{outcomes:?}");
    assert!(outcomes[0].starts_with("evicted: its pod was deleted by somebody else"), "{outcomes:?}");
    bench.until_nothing_is_left();
    bench.assert_each_ran_once(2);
    bench.assert_replay();
}

fn evicted(mode: Mode) {
    let Some(mut bench) = site(mode, 1) else { return };
    bench.home.start();
    let job = bench.home.submit(&job());
    bench.until_file("runs-t");
    bench.server.evict(&bench.pod());
    see_out_of_two(&bench, &job, "evicted");
}

/// A pod that is deleted before anything of it ran costs nothing but an attempt.
#[test]
fn a_pod_that_somebody_deletes_before_it_ran() {
    let Some(mut bench) = super::site_without_claim(Mode::Reduced, 1, super::docker::BUSYBOX) else { return };
    bench.home.start();
    let job = bench.home.submit(&job());
    bench.server.until("it waits for a node", |server| {
        server.pods().iter().any(|pod| pod["status"]["conditions"][0]["reason"] == "Unschedulable")
    });
    bench.server.delete(&bench.pod(), None);
    bench.home.until("there is another", || bench.server.created().len() == 2);
    bench.claim();
    bench.touch("go-t");
    assert_eq!(bench.home.until_over(&job), "completed");
    let outcomes = bench.outcomes(&format!("{job}/t"));
    println!("{outcomes:?}");
    assert_eq!((outcomes.len(), outcomes[1].as_str()), (2, "succeeded"), "{outcomes:?}");
    assert_eq!(bench.server.ran().len(), 1);
    bench.assert_out(&format!("{job}/t"), &printed("t"));
    bench.until_nothing_is_left();
    bench.assert_replay();
}

/// Its making was not answered, but it was seen; then the manager is killed, and the pod is deleted. It is not made again.
#[test]
fn a_pod_that_was_seen_before_it_was_answered_is_made_once() {
    let Some(mut bench) = site(Mode::Reduced, 1) else { return };
    let halt = bench.server.faults().hold(Kind::Create, When::After);
    bench.home.start();
    let job = bench.home.submit(&job());
    halt.reached();
    let pod = bench.pod();
    let uid = bench.server.pod(&pod).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    bench.home.until("it is written down", || bench.is_known(&uid));
    bench.until_file("runs-t");
    bench.home.kill_manager();
    halt.cut();
    bench.server.delete(&pod, Some(1));
    bench.server.until("it is gone", |server| server.pods().is_empty());
    bench.home.start();
    see_out_of_two(&bench, &job, "lost");
}

/// Cancelled while its making was not answered, and never is. It is cancelled when it has ended, and not before.
fn cancelled_unanswered(mode: Mode, is_seen: bool) {
    let Some(mut bench) = site(mode, 1) else { return };
    let watch = (!is_seen).then(|| bench.server.faults().hold(Kind::Watch, When::Before));
    let halt = bench.server.faults().hold(Kind::Create, When::After);
    bench.home.start();
    let job = bench.home.submit(&slow_to_end());
    halt.reached();
    bench.until_file("runs-t");
    bench.home.ok(["cancel", &format!("{job}/t")]);
    halt.cut();
    bench.server.until("it is to end", |server| server.requests(Kind::Delete) > 0);
    watch.into_iter().for_each(Halt::let_go);
    assert_eq!(bench.home.until_over(&job), "cancelled");
    assert_eq!(bench.content("order"), "begun\nover\n", "it had ended by then");
    assert_eq!(bench.outcomes(&format!("{job}/t")), ["cancelled"]);
    bench.until_nothing_is_left();
    bench.assert_each_ran_once(1);
    bench.assert_replay();
}

/// One that nobody asks for any more: its manager died when it had told that it is cancelled.
#[test]
fn a_cancelled_one_is_deleted_by_the_next_manager() {
    let Some(mut bench) = site(Mode::Runner, 1) else { return };
    bench.home.start();
    let job = bench.home.submit(&job());
    bench.until_file("runs-t");
    let halt = bench.server.faults().hold(Kind::Delete, When::Before);
    bench.home.ok(["cancel", &format!("{job}/t")]);
    halt.reached();
    bench.home.kill_manager();
    halt.cut();
    bench.home.start();
    assert_eq!(bench.home.until_over(&job), "cancelled");
    assert_eq!(bench.outcomes(&format!("{job}/t")), ["cancelled"]);
    bench.until_nothing_is_left();
    bench.assert_each_ran_once(1);
    bench.assert_replay();
    let next = bench.home.submit(&super::job());
    bench.touch("go-t");
    assert_eq!(bench.home.until_over(&next), "completed", "its slot is free");
}
