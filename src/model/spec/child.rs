//! A task that runs another job file as a child job.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Action, JobSpec, MAX_TASKS, Submission, TaskSpec};

/// How deep sub-flows may be nested: a job, its child, that one's child, …
pub const MAX_NESTING: usize = 10;

/// What a task of a job runs as a child job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubJob {
    /// The file, as it was named to the submitter.
    pub file: String,
    /// What it says, read when its parent was submitted. Parameters that are given at run time are null there.
    pub submission: Submission,
    /// What its parameters are given: texts in these values are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
}

impl SubJob {
    /// The same for showing: without the child's tasks, of which there may be more than a frame holds, and without values of the
    /// submitter's environment.
    pub fn outline(&self) -> SubJob {
        let job = JobSpec { source: None, ..self.submission.job.without_values() };
        SubJob { file: self.file.clone(), params: self.params.clone(), submission: Submission { job, tasks: Vec::new() } }
    }

    /// The child as it is submitted, with these values for its parameters.
    pub fn with(&self, params: &BTreeMap<String, Value>, priority: i32) -> Submission {
        let Submission { mut job, tasks } = self.submission.clone();
        job.params.extend(params.iter().map(|(name, value)| (name.clone(), value.clone())));
        job.priority = priority;
        if let Some(source) = &mut job.source {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            source.params = params.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        }
        Submission { job, tasks }
    }
}

impl Submission {
    /// Its tasks and those of all its children, each as often as it is named.
    pub fn all_tasks(&self) -> usize {
        let children = self.tasks.iter().filter_map(TaskSpec::child);
        children.fold(self.tasks.len(), |sum, child| sum.saturating_add(child.submission.all_tasks()))
    }

    /// Children below each other, itself counted.
    pub fn nesting(&self) -> usize {
        1 + self.tasks.iter().filter_map(TaskSpec::child).map(|child| child.submission.nesting()).max().unwrap_or(0)
    }

    /// Itself and everything below it.
    pub fn with_children(&self) -> Vec<&Submission> {
        let mut all = vec![self];
        let mut next = 0;
        while let Some(submission) = all.get(next) {
            next += 1;
            all.extend(submission.tasks.iter().filter_map(TaskSpec::child).map(|child| &child.submission));
        }
        all
    }

    /// Whether all of it is within what one submission may be.
    pub fn is_bounded(&self) -> bool {
        self.nesting() <= MAX_NESTING && self.all_tasks() <= MAX_TASKS
    }
}

impl TaskSpec {
    /// The job that it runs, if it runs one.
    pub fn child(&self) -> Option<&SubJob> {
        match &self.action {
            Action::Job(child) => Some(child),
            Action::Run(_) | Action::Command { .. } | Action::Claude(_) | Action::Approve(_) => None,
        }
    }

    /// What would give it a result, when it promises none.
    pub fn lacks_result(&self) -> Option<String> {
        match &self.action {
            Action::Job(child) if child.submission.job.result.is_some() => None,
            Action::Job(child) => {
                Some(format!("write `result: TASK` beside `name` in {}: that task's result is then this one's", child.file))
            }
            // A person always says something.
            Action::Approve(_) => None,
            // It stands for what could not be read, whose fault is told already.
            Action::Run(text) if text.is_empty() => None,
            Action::Run(_) | Action::Command { .. } | Action::Claude(_) if self.result.is_some() => None,
            Action::Run(_) | Action::Command { .. } | Action::Claude(_) => {
                Some(format!("give it one: `result: text` in `{}`", self.id))
            }
        }
    }

    /// Makes it fit to be shown: see [`SubJob::outline`].
    pub fn reduce(&mut self) {
        if let Action::Job(child) = &mut self.action {
            **child = child.outline();
        }
    }
}

/// Every text in a value, however deep.
pub fn texts_of(value: &Value) -> Vec<&str> {
    let (mut texts, mut work) = (Vec::new(), vec![value]);
    while let Some(value) = work.pop() {
        match value {
            Value::String(text) => texts.push(text.as_str()),
            Value::Array(items) => work.extend(items),
            Value::Object(entries) => work.extend(entries.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    texts
}
