//! The API server goes and comes back, while tasks run and end, with a manager that sees it and without.

use std::time::Duration;

use super::bench::{Bench, Mode};
use super::{in_both_modes, job, job_of, printed, see_out, site};
use airx::model::state::TaskState;

in_both_modes! {
    gone_while_tasks_run_and_end, gone_while_tasks_run_and_end_without_runner: gone_while_tasks_end;
    gone_while_no_manager_runs, gone_while_no_manager_runs_without_runner: |mode| gone_with_the_manager(mode, false);
    gone_until_the_next_manager_runs, gone_until_the_next_manager_runs_without_runner: |mode| gone_with_the_manager(mode, true);
    started_anew_again_and_again, started_anew_again_and_again_without_runner: again_and_again;
}

/// So long a server that is back forbids everything.
const FORBIDDEN: Duration = Duration::from_millis(300);

fn runs(bench: &Bench, job: &str, task: &str) -> bool {
    matches!(bench.listed(job, task).state, TaskState::Running { .. }) && bench.file(&format!("runs-{task}")).exists()
}

/// Two of four tasks run. The server goes; one of them ends meanwhile.
fn gone_while_tasks_end(mode: Mode) {
    let Some(mut bench) = site(mode, 2) else { return };
    bench.home.start();
    let tasks = ["t1", "t2", "t3", "t4"];
    let job = bench.home.submit(&job_of(&tasks));
    bench.home.until("two tasks run", || tasks[..2].iter().all(|task| runs(&bench, &job, task)));
    bench.server.stop();
    bench.home.until("its absence is told", || {
        let is_told = |task: &&str| bench.listed(&job, task).why.is_some_and(|why| why.contains("unreachable"));
        bench.status().pools.iter().any(|pool| pool.name == "box" && pool.unreachable.is_some()) && tasks.iter().all(is_told)
    });
    bench.touch("go-t1");
    bench.until_file("done-t1");
    assert_eq!(bench.slots_used(), 2, "what was opened keeps its slot");
    bench.server.start(FORBIDDEN);
    for task in &tasks[1..] {
        bench.touch(&format!("go-{task}"));
    }
    assert_eq!(bench.home.until_over(&job), "completed", "{}", bench.home.manager_log());
    for task in tasks {
        bench.assert_once(&job, task, &printed(task));
    }
    bench.until_nothing_is_left();
    bench.assert_each_ran_once(4);
    bench.assert_replay();
}

/// The manager and the server go together, and the task ends meanwhile.
fn gone_with_the_manager(mode: Mode, is_late: bool) {
    let Some(mut bench) = site(mode, 1) else { return };
    bench.home.start();
    let job = bench.home.submit(&job());
    bench.until_file("runs-t");
    bench.home.kill_manager();
    bench.server.stop();
    bench.touch("go-t");
    bench.until_file("done-t");
    if is_late {
        bench.home.start();
        bench.home.until("its absence is told", || bench.status().pools.iter().any(|pool| pool.unreachable.is_some()));
        bench.server.start(FORBIDDEN);
    } else {
        bench.server.start(FORBIDDEN);
        bench.home.start();
    }
    see_out(&bench, &job);
}

fn again_and_again(mode: Mode) {
    let Some(mut bench) = site(mode, 1) else { return };
    bench.home.start();
    let job = bench.home.submit(&job());
    bench.until_file("runs-t");
    for _ in 0..3 {
        bench.server.restart(Duration::from_millis(200));
    }
    bench.touch("go-t");
    bench.server.restart(Duration::from_millis(200));
    see_out(&bench, &job);
}
