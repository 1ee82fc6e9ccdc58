//! Live tasks of which nothing is known, though their engine can be reached.

use crate::model::message::StrandedView;

use super::mirror::JobRow;

impl JobRow {
    /// Why nothing is known of the task with this id, when it is one of those.
    pub fn stranded<'a>(&self, id: &str, all: &'a [StrandedView]) -> Option<&'a str> {
        let is_it = |view: &&StrandedView| {
            view.job == self.view.id && self.tasks.get(view.task as usize).is_some_and(|found| found.id == id)
        };
        all.iter().find(is_it).map(|view| view.why.as_str())
    }
}
