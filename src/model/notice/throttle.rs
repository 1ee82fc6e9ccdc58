//! One message instead of a hundred: of each kind a notifier is told one notice at once, then what came meanwhile in one.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::change::Seq;
use crate::model::time::Mono;

use super::{Found, Kind, Notice, Notifier};

/// Between two notices of one kind to one notifier, in milliseconds.
pub const GAP_MS: u64 = 10_000;
/// Names of jobs that are told apart while they are gathered; beyond that they count as one more each.
const MAX_JOBS: usize = 100;

/// Which notifier is told what, and when. Bounded by the number of notifiers and kinds.
#[derive(Debug, Clone, Default)]
pub struct Throttle {
    gates: BTreeMap<(usize, Kind), Gate>,
}

#[derive(Debug, Clone)]
struct Gate {
    opens: Mono,
    gathered: Option<Gathered>,
}

#[derive(Debug, Clone)]
struct Gathered {
    first: Seq,
    notice: Notice,
    jobs: BTreeSet<String>,
}

impl Throttle {
    /// What each notifier is told at once, by its place; the rest is gathered.
    pub fn offer(&mut self, notifiers: &[Notifier], found: &Found, now: Mono) -> Vec<(usize, Notice)> {
        let mut told = Vec::new();
        for (place, notifier) in notifiers.iter().enumerate() {
            // An event that is several kinds is told once, as the first of them.
            let Some(notice) = found.iter().find(|notice| notifier.on.contains(&notice.kind)) else { continue };
            match self.gates.get_mut(&(place, notice.kind)) {
                Some(gate) if now < gate.opens || gate.gathered.is_some() => gate.gather(notice),
                _ => {
                    self.gates.insert((place, notice.kind), Gate { opens: after(now), gathered: None });
                    told.push((place, notice.clone()));
                }
            }
        }
        told
    }

    /// What was gathered and is to be told now.
    pub fn due(&mut self, now: Mono) -> Vec<(usize, Notice)> {
        let mut told = Vec::new();
        for ((place, _), gate) in self.gates.iter_mut().filter(|(_, gate)| now >= gate.opens) {
            if let Some(gathered) = gate.gathered.take() {
                gate.opens = after(now);
                told.push((*place, gathered.notice));
            }
        }
        self.gates.retain(|_, gate| now < gate.opens);
        told
    }

    /// When something is to be told next.
    pub fn next_due(&self) -> Option<Mono> {
        self.gates.values().filter(|gate| gate.gathered.is_some()).map(|gate| gate.opens).min()
    }

    /// All that was gathered, before its time: nothing is told any more.
    pub fn flush(&mut self) -> Vec<(usize, Notice)> {
        let gates = std::mem::take(&mut self.gates);
        gates.into_iter().filter_map(|((place, _), gate)| Some((place, gate.gathered?.notice))).collect()
    }

    /// The oldest event that nobody was told of yet.
    pub fn oldest(&self) -> Option<Seq> {
        self.gates.values().filter_map(|gate| Some(gate.gathered.as_ref()?.first)).min()
    }
}

fn after(now: Mono) -> Mono {
    Mono(now.0.saturating_add(GAP_MS))
}

impl Gate {
    fn gather(&mut self, notice: &Notice) {
        let Some(gathered) = &mut self.gathered else {
            let jobs = BTreeSet::from([notice.job.clone()]);
            self.gathered = Some(Gathered { first: notice.seq, notice: notice.clone(), jobs });
            return;
        };
        let sum = &mut gathered.notice;
        if gathered.jobs.len() < MAX_JOBS {
            gathered.jobs.insert(notice.job.clone());
            sum.jobs = u32::try_from(gathered.jobs.len()).unwrap_or(u32::MAX);
        } else if !gathered.jobs.contains(&notice.job) {
            sum.jobs = sum.jobs.saturating_add(1);
        }
        if sum.jobs > 1 {
            sum.job.clear();
        }
        sum.seq = notice.seq;
        sum.count = sum.count.saturating_add(1);
        sum.task.clear();
        sum.outcome.clone_from(&notice.outcome);
        sum.reason.clone_from(&notice.reason);
        sum.cost_microusd = sum.cost_microusd.saturating_add(notice.cost_microusd);
    }
}
