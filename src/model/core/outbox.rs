//! What tasks ask of the manager: further tasks, results, progress. Asked twice, done once.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::attempt::{OutboxBody, OutboxItem, Progress};
use crate::model::change::{Change, Origin, TaskResult};
use crate::model::ids::{Address, AttemptId, JobRef};
use crate::model::message::{Refusal, RefusalCode};
use crate::model::time::Now;

use super::submit::digest;
use super::{Core, Effect, Live, MAX_ADDED_BY_TASK, MAX_DEPTH, RequestId};

/// Most outbox files of one attempt that are looked at.
pub const MAX_OUTBOX_FILES: usize = 20_000;
/// Files, newest last, that are told to a task that asks: it asks right after it wrote one.
const MAX_ANSWER: usize = 64;
/// Longest progress text kept, in characters.
const MAX_PROGRESS_TEXT: usize = 200;

/// What became of one outbox file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// Its order number.
    pub seq: u32,
    /// The task it queued, if it queued one.
    pub task: Option<Address>,
    /// Why it was refused, if it was.
    pub refused: Option<String>,
    /// Whether it set the task's result.
    #[serde(default)]
    pub result: bool,
}

impl Core {
    /// A task asks to look into its outbox now.
    pub(super) fn intake(&mut self, request: RequestId, attempt: AttemptId) {
        match self.live.get_mut(&attempt) {
            Some(live) => {
                live.waiting.push(request);
                self.effects.push(Effect::Intake(attempt));
            }
            None => self.effects.push(Effect::Took(
                request,
                Err(Refusal {
                    code: RefusalCode::Conflict,
                    message: "this attempt is over".to_owned(),
                    hint: "only a running task can ask".to_owned(),
                }),
            )),
        }
    }

    /// Takes in what is new in an attempt's outbox.
    pub(super) fn take_outbox(&mut self, attempt: AttemptId, items: Vec<OutboxItem>, now: Now) {
        for item in items.into_iter().take(MAX_OUTBOX_FILES) {
            let seen = self.live.get(&attempt).is_none_or(|live| live.taken.contains_key(&item.seq));
            if seen {
                continue;
            }
            let seq = item.seq;
            let taken = self.take_item(attempt, item, now);
            if let Some(live) = self.live.get_mut(&attempt) {
                live.taken.insert(seq, taken);
            }
        }
    }

    fn take_item(&mut self, attempt: AttemptId, item: OutboxItem, now: Now) -> Taken {
        let mut taken = Taken { seq: item.seq, task: None, refused: None, result: false };
        match item.body {
            OutboxBody::Add(task) => match self.take_added(attempt, *task, &item.key, now) {
                Ok(address) => taken.task = Some(address),
                Err(refusal) => {
                    let why =
                        if refusal.hint.is_empty() { refusal.message } else { format!("{}; {}", refusal.message, refusal.hint) };
                    self.emit(Change::OutboxRefused { attempt, key: item.key, why: why.clone() }, now);
                    taken.refused = Some(why);
                }
            },
            OutboxBody::Unfit(why) => {
                self.emit(Change::OutboxRefused { attempt, key: item.key, why: why.clone() }, now);
                taken.refused = Some(why);
            }
            OutboxBody::Result(_) | OutboxBody::Stored(_) => {
                taken.result = true;
                let result = match item.body {
                    OutboxBody::Result(value) => TaskResult::Inline(Arc::new(value)),
                    OutboxBody::Stored(result) => result,
                    _ => return taken,
                };
                let known = self.task(attempt.job, attempt.task).and_then(|task| task.result.as_ref()) == Some(&result);
                if !known {
                    self.emit(Change::ResultSet { attempt, result }, now);
                }
            }
            OutboxBody::Ask(question) => {
                if let Err(why) = self.ask(attempt, *question, now) {
                    self.emit(Change::OutboxRefused { attempt, key: item.key, why: why.clone() }, now);
                    taken.refused = Some(why);
                }
            }
            OutboxBody::Progress(progress) => {
                let progress = bounded(progress);
                let known = self.task(attempt.job, attempt.task).and_then(|task| task.progress.as_ref()) == Some(&progress);
                if !known {
                    self.emit(Change::ProgressSet { attempt, progress }, now);
                }
            }
        }
        taken
    }

    fn take_added(
        &mut self,
        attempt: AttemptId,
        task: crate::model::attempt::AddedTask,
        key: &str,
        now: Now,
    ) -> Result<Address, Refusal> {
        let limit = |message: String| Refusal { code: RefusalCode::Limit, message, hint: "nothing was queued".to_owned() };
        let Some(job) = self.jobs.get(&attempt.job) else { return Err(limit("the job is gone".to_owned())) };
        let depth = 1 + job.get(attempt.task).and_then(|task| task.origin.as_ref()).map_or(0, |origin| origin.depth);
        if depth > MAX_DEPTH {
            return Err(limit(format!("tasks queue tasks at most {MAX_DEPTH} generations deep")));
        }
        let origin = Origin { parent: Some(attempt.task), key: key.to_owned(), depth, digest: digest(&task) };
        let children = job.by_key.range((origin.parent, String::new())..).take_while(|((parent, _), _)| *parent == origin.parent);
        let known = job.by_key.contains_key(&(origin.parent, origin.key.clone()));
        if !known && children.count() >= MAX_ADDED_BY_TASK as usize {
            return Err(limit(format!("a task may queue {MAX_ADDED_BY_TASK} tasks")));
        }
        let by_tasks = || job.by_key.keys().filter(|(parent, _)| parent.is_some()).count();
        if let Some(most) = job.spec.max_added.filter(|most| !known && by_tasks() >= *most as usize) {
            return Err(limit(format!("the tasks of this job have queued {most} tasks, the most they may (max_added)")));
        }
        let idx = self.add_task(attempt.job, task, origin, now)?;
        let job = self.jobs.get(&attempt.job);
        let name = job.map(|job| JobRef { name: job.name.name.clone(), number: Some(job.name.number) });
        let id = self.task(attempt.job, idx).map(|task| task.id.to_string());
        name.map(|job| Address { job, task: id }).ok_or_else(|| limit("the job is gone".to_owned()))
    }

    /// Answers those who asked for a look into the outbox.
    pub(super) fn answer_intakes(&mut self, attempt: AttemptId) {
        let Some(live) = self.live.get_mut(&attempt) else { return };
        let mut taken: Vec<Taken> = live.taken.values().rev().take(MAX_ANSWER).cloned().collect();
        taken.reverse();
        for request in live.take_waiting() {
            self.effects.push(Effect::Took(request, Ok(taken.clone())));
        }
    }
}

/// With no more words than are kept.
pub(super) fn bounded(progress: Progress) -> Progress {
    let text = progress.text.map(|text| text.chars().take(MAX_PROGRESS_TEXT).collect());
    Progress { text, ..progress }
}

impl Live {
    pub(super) fn take_waiting(&mut self) -> Vec<RequestId> {
        std::mem::take(&mut self.waiting)
    }

    /// Number of the last outbox file that was taken in.
    pub fn taken_to(&self) -> u32 {
        self.taken.keys().next_back().copied().unwrap_or(0)
    }

    /// Whether the task has set its result by itself.
    pub(super) fn has_result(&self) -> bool {
        self.taken.values().any(|taken| taken.result)
    }
}
