//! What of a task's definition shapes the graph of its job: trigger rules and mappings.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Action, EnvValue, TaskSpec, Until, texts_of};
use crate::model::template::{named_tasks, tasks_of};

/// What has to have become of the tasks that one needs before it may start (DESIGN section 6).
///
/// Of a mapped task that is needed, `one_success` and `one_failed` look at each instance, the others at all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// All completed; one that was skipped skips it too.
    #[default]
    AllSuccess,
    /// All are over, whatever became of them.
    AllDone,
    /// One completed; the others are not waited for.
    OneSuccess,
    /// One failed; the others are not waited for.
    OneFailed,
    /// All are over, and each completed or was skipped.
    NoneFailed,
    /// All are over, whatever became of them, also after its job was cancelled.
    Always,
}

impl Rule {
    /// All of them, with the words of a job file.
    pub const WORDS: [(&'static str, Rule); 6] = [
        ("all_success", Rule::AllSuccess),
        ("all_done", Rule::AllDone),
        ("one_success", Rule::OneSuccess),
        ("one_failed", Rule::OneFailed),
        ("none_failed", Rule::NoneFailed),
        ("always", Rule::Always),
    ];

    /// The word of a job file.
    pub fn word(self) -> &'static str {
        Rule::WORDS.iter().find(|(_, rule)| *rule == self).map_or("all_success", |(word, _)| word)
    }

    /// Whether a task of this rule may start when what it needs has failed: it does so also after `on_failure: stop`.
    pub fn accepts_failure(self) -> bool {
        matches!(self, Rule::AllDone | Rule::OneFailed | Rule::Always)
    }
}

/// One instance of a task for each item of a list (`for_each`), or of a product of lists (`matrix`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mapping {
    /// What there is an instance for.
    pub over: Items,
    /// Most instances alive at once, at least 1; none leaves it to the job and the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
}

/// Where the items of a mapping come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Items {
    /// The items themselves.
    List(Vec<serde_json::Value>),
    /// An expression whose value is the list, known when everything that the task needs is over.
    From(String),
    /// The product of lists: an item for each combination, an object by their names, the last one changing fastest.
    Matrix(Vec<(String, Items)>),
}

impl TaskSpec {
    /// The tasks that its expressions name. Those that decide what it does (`if`, its lists) count only with `deciding`.
    pub fn named_tasks(&self, deciding: bool) -> BTreeSet<String> {
        let mut named = BTreeSet::new();
        let mut take = |found: BTreeSet<&str>| named.extend(found.into_iter().map(str::to_owned));
        match &self.action {
            Action::Run(text) => take(named_tasks(text)),
            Action::Command { program, args } => std::iter::once(program).chain(args).for_each(|text| take(named_tasks(text))),
            Action::Claude(claude) if claude.literal => {}
            Action::Claude(claude) => take(named_tasks(&claude.prompt)),
            Action::Job(child) => {
                child.params.values().flat_map(texts_of).for_each(|text| take(named_tasks(text)));
            }
            Action::Approve(asks) => asks.texts().for_each(|text| take(named_tasks(text))),
        }
        for value in self.env.values() {
            if let EnvValue::Text(text) = value {
                take(named_tasks(text));
            }
        }
        self.accept.iter().for_each(|gate| take(named_tasks(&gate.run)));
        if let Some(Until::Command(text)) = self.repeat.as_ref().map(|repeat| &repeat.until) {
            take(named_tasks(text));
        }
        if deciding {
            let lists = self.each.iter().flat_map(|each| each.over.expressions());
            self.when.as_deref().into_iter().chain(lists).for_each(|source| take(tasks_of(source)));
        }
        named
    }
}

impl Items {
    /// The key of a job file that it stands under.
    pub fn key(&self) -> &'static str {
        if matches!(self, Items::Matrix(_)) { "matrix" } else { "for_each" }
    }

    /// As it stands in a job file.
    pub fn written(&self) -> serde_json::Value {
        match self {
            Items::List(items) => items.clone().into(),
            Items::From(source) => format!("{{{{ {source} }}}}").into(),
            Items::Matrix(axes) => axes.iter().map(|(name, items)| (name.clone(), items.written())).collect(),
        }
    }

    /// In a line for people.
    pub fn line(&self) -> String {
        match self {
            Items::List(items) => format!("a list of {}", items.len()),
            Items::From(source) => format!("{{{{ {source} }}}}"),
            Items::Matrix(axes) => {
                axes.iter().map(|(name, items)| format!("{name}: {}", items.line())).collect::<Vec<_>>().join(" × ")
            }
        }
    }

    /// Its expressions.
    pub fn expressions(&self) -> Vec<&str> {
        match self {
            Items::List(_) => Vec::new(),
            Items::From(source) => vec![source],
            Items::Matrix(axes) => axes.iter().flat_map(|(_, items)| items.expressions()).collect(),
        }
    }
}
