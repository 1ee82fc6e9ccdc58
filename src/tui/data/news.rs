//! The thread that follows the manager: everything once, then what changes.

use std::time::{Duration, Instant};

use crate::api::client::{Client, ClientError};
use crate::model::change::Seq;
use crate::model::message::{Answer, JobView, MAX_PAGE, OverviewView, Query};
use crate::tui::parts::Connect;

use super::mirror::MAX_JOBS;
use super::sync::{Back, Incoming, unexpected};

/// Between two reads of events while they keep coming.
const BREATH: Duration = Duration::from_millis(15);
/// Longest wait for news in one go; then what surrounds the jobs is looked at all the same.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to connect: the first, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Further behind than this, everything is read anew instead of event by event.
const TOO_FAR: u64 = 50_000;
/// Jobs in the first page: what a screen shows.
const FIRST_JOBS: u32 = 200;

/// Connects, tells what there is and what changes, and connects again, until the screen is gone.
pub fn run(connect: &Connect, back: &Back) {
    let mut wait = AGAIN.0;
    loop {
        let failure = match connect() {
            Ok(mut client) => match follow(client.as_mut(), back, &mut wait) {
                Ok(()) => return,
                Err(error) => error,
            },
            Err(error) => error,
        };
        if !back.tell(Incoming::Down(failure)) {
            return;
        }
        std::thread::sleep(wait);
        wait = (wait * 2).min(AGAIN.1);
    }
}

/// Reads everything, then what changes, until the connection breaks (an error) or the screen is gone.
fn follow(client: &mut dyn Client, back: &Back, wait: &mut Duration) -> Result<(), ClientError> {
    'anew: loop {
        let Some(mut seen) = load(client, back)? else { return Ok(()) };
        let mut around = overview(client)?;
        *wait = AGAIN.0;
        loop {
            let newest = client.wait(seen, PATIENCE)?;
            if newest <= seen {
                let now = overview(client)?;
                if now != around && !back.tell(Incoming::Overview(Box::new(now.clone()))) {
                    return Ok(());
                }
                around = now;
                continue;
            }
            if newest.0 - seen.0 > TOO_FAR {
                continue 'anew;
            }
            let begun = Instant::now();
            match changes(client, seen)? {
                Some((incoming, seq)) => {
                    if !back.tell(incoming) {
                        return Ok(());
                    }
                    seen = seq;
                }
                // Announced, but its events are gone: collected in between.
                None => continue 'anew,
            }
            std::thread::sleep(BREATH.saturating_sub(begun.elapsed()));
        }
    }
}

/// None when the screen is gone.
fn load(client: &mut dyn Client, back: &Back) -> Result<Option<Seq>, ClientError> {
    let page = client.query(Query::Overview)?;
    let seq = page.seq;
    let Answer::Overview(overview) = page.body else { return Err(unexpected()) };
    let jobs = jobs(client, None, FIRST_JOBS)?;
    let (mut more, mut count, mut last) = (jobs.len() as u32 == FIRST_JOBS, jobs.len(), jobs.last().map(|job| job.id));
    if !back.tell(Incoming::Reset { overview, jobs, seq, more }) {
        return Ok(None);
    }
    while more {
        let jobs = jobs_before(client, last)?;
        last = jobs.last().map(|job| job.id).or(last);
        count += jobs.len();
        let too_many = count >= MAX_JOBS;
        more = !jobs.is_empty() && !too_many;
        if !back.tell(Incoming::Jobs { jobs, too_many }) {
            return Ok(None);
        }
    }
    Ok(Some(seq))
}

fn overview(client: &mut dyn Client) -> Result<OverviewView, ClientError> {
    match client.query(Query::Overview)?.body {
        Answer::Overview(overview) => Ok(*overview),
        _ => Err(unexpected()),
    }
}

fn jobs_before(client: &mut dyn Client, before: Option<u32>) -> Result<Vec<JobView>, ClientError> {
    jobs(client, before, MAX_PAGE)
}

fn jobs(client: &mut dyn Client, before: Option<u32>, limit: u32) -> Result<Vec<JobView>, ClientError> {
    match client.query(Query::Jobs { before, limit })?.body {
        Answer::Jobs(jobs) => Ok(jobs),
        _ => Err(unexpected()),
    }
}

/// The events after `seen` and the rows they touched; none when there are none.
fn changes(client: &mut dyn Client, seen: Seq) -> Result<Option<(Incoming, Seq)>, ClientError> {
    let query = Query::Events { since: seen, job: None, below: false, task: None, last: false, limit: MAX_PAGE };
    let Answer::Events(events) = client.query(query)?.body else { return Err(unexpected()) };
    let Some(seq) = events.last().map(|event| event.seq) else { return Ok(None) };
    let mut ids: Vec<u32> = events.iter().filter_map(|event| event.event.change.job()).map(|job| job.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let jobs = if ids.is_empty() {
        Vec::new()
    } else {
        match client.query(Query::JobsOf { ids })?.body {
            Answer::Jobs(jobs) => jobs,
            _ => return Err(unexpected()),
        }
    };
    let overview = Box::new(overview(client)?);
    Ok(Some((Incoming::Changes { events, jobs, overview, seq }, seq)))
}
