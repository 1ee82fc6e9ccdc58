//! A mapped job of 10,000 instances.

use std::time::{Duration, Instant};

use airx::api::Client;
use airx::model::change::{Change, Seq};
use airx::model::ids::JobRef;
use airx::model::message::{Answer, MAX_PAGE, Query};
use airx::model::state::JobState;
use airx::model::time::Utc;

use crate::place::Place;
use crate::report::Report;

const INSTANCES: u32 = 10_000;

/// From the end of the task that told the list to the first instance that runs, the run of all of them, and what that takes of
/// memory.
pub fn all(report: &mut Report, floor: f64) {
    let place = Place::started();
    let job = format!(
        "name: mapped\nmax_parallel: 10\ntasks:\n  - {{ id: list, run: seq {INSTANCES}, result: lines }}\n  \
         - {{ id: each, needs: [list], for_each: '{{{{ tasks.list.result }}}}', command: /bin/true }}\n"
    );
    let file = place.file("mapped.yaml", &job);
    let output = place.run(&["submit", &file]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let job: JobRef = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a job's name");
    let mut client = place.client();
    let (deadline, mut most) = (Instant::now() + Duration::from_secs(120), 0.0f64);
    loop {
        most = most.max(place.manager_pss());
        let page = client.query(Query::Job { job: job.clone() }).expect("an answer");
        if let Answer::Job(detail) = page.body
            && detail.job.state.is_terminal()
        {
            assert_eq!(detail.job.state, JobState::Completed);
            break;
        }
        assert!(Instant::now() < deadline, "the mapped job does not end");
        std::thread::sleep(Duration::from_millis(250));
    }
    let (told, first, last) = times(&mut client, &job);
    report.at_most("expansion of 10,000 instances, to the first that runs", first.since(told) as f64, 200.0, 100.0, "ms");
    let rate = f64::from(INSTANCES) * 1_000.0 / last.since(first).max(1) as f64;
    report.at_least("throughput of a mapping as a part of the floor", rate / floor, 0.28, 0.42, "");
    report.at_most("manager memory (PSS) while 10,000 instances run, most", most, 60.0, 30.0, "MiB");
}

/// When the list was told, and when the first instance began and the last one ended.
fn times(client: &mut dyn Client, job: &JobRef) -> (Utc, Utc, Utc) {
    let (mut since, mut told, mut first, mut last) = (Seq(0), None, None, None);
    loop {
        let query = Query::Events { since, job: Some(job.clone()), below: false, task: None, last: false, limit: MAX_PAGE };
        let Answer::Events(events) = client.query(query).expect("an answer").body else { panic!("no events") };
        let Some(newest) = events.last() else { break };
        since = newest.seq;
        for event in events {
            match event.event.change {
                Change::AttemptClosed { attempt, .. } if attempt.task.0 == 0 => told = Some(event.event.at),
                Change::AttemptClosed { .. } => last = Some(event.event.at),
                Change::AttemptStarted { attempt } if attempt.task.0 > 0 => first = first.or(Some(event.event.at)),
                _ => {}
            }
        }
    }
    let some = |at: Option<Utc>| at.expect("the job has run");
    (some(told), some(first), some(last))
}
