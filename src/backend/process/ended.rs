//! What is known of attempts that are over, until the manager forgets them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::ids::AttemptId;
use crate::model::report::Report;
use crate::model::time::Mono;

/// Inspections after the report of an end that find it still asked for, before it is told again: the first may have been asked
/// for before the report was heard.
const IN_VAIN: u32 = 2;

/// The attempts that are over. What they left is read once, however often they are asked for meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Ended(Arc<Mutex<HashMap<AttemptId, Stage>>>);

#[derive(Debug)]
enum Stage {
    /// What it left is being read.
    Reading,
    /// Its end was told then, and was asked for so often since.
    Told { report: Report, at: Mono, asked: u32 },
}

impl Ended {
    fn held(&self) -> MutexGuard<'_, HashMap<AttemptId, Stage>> {
        // Nothing is changed in steps.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is over.
    pub fn begin(&self, attempt: AttemptId) {
        self.held().insert(attempt, Stage::Reading);
    }

    /// Its end is told now.
    pub fn told(&self, report: &Report, attempt: AttemptId, at: Mono) {
        if let Some(stage) = self.held().get_mut(&attempt) {
            *stage = Stage::Told { report: report.clone(), at, asked: 0 };
        }
    }

    /// The answer to an inspection that was asked for at `asked_at`: the report again, when it was lost with a commit that failed.
    /// None when it is not over.
    pub fn answer(&self, attempt: AttemptId, asked_at: Mono) -> Option<Report> {
        let mut held = self.held();
        let stage = held.get_mut(&attempt)?;
        if let Stage::Told { report, at, asked } = stage
            && asked_at > *at
        {
            *asked += 1;
            if *asked >= IN_VAIN {
                return Some(report.clone());
            }
        }
        Some(Report::Unsure { attempt })
    }

    /// The report of its end, for who launches it again; none while it is read.
    pub fn report(&self, attempt: AttemptId) -> Option<Option<Report>> {
        self.held().get(&attempt).map(|stage| match stage {
            Stage::Told { report, .. } => Some(report.clone()),
            Stage::Reading => None,
        })
    }

    /// Nobody asks for it any more.
    pub fn forget(&self, attempt: AttemptId) {
        self.held().remove(&attempt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{JobId, TaskIdx};

    #[test]
    fn an_end_is_told_again_only_to_who_has_asked_twice_since() {
        let attempt = AttemptId { job: JobId(1), task: TaskIdx(0), number: 1 };
        let (ended, report, unsure) = (Ended::default(), Report::Started { attempt }, Some(Report::Unsure { attempt }));
        assert_eq!(ended.answer(attempt, Mono(1)), None);
        ended.begin(attempt);
        for _ in 0..5 {
            assert_eq!(ended.answer(attempt, Mono(2)), unsure, "it is read, once");
        }
        ended.told(&report, attempt, Mono(9));
        for _ in 0..5 {
            assert_eq!(ended.answer(attempt, Mono(8)), unsure, "asked for before it was told");
        }
        assert_eq!(ended.answer(attempt, Mono(20)), unsure);
        assert_eq!(ended.answer(attempt, Mono(30)), Some(report.clone()));
        assert_eq!(ended.report(attempt), Some(Some(report)));
        ended.forget(attempt);
        assert_eq!((ended.answer(attempt, Mono(40)), ended.report(attempt)), (None, None));
    }
}
