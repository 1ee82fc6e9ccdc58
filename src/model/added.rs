//! Tasks queued at run time: from a request to a definition. Their strings are literal, nothing in them is a template.

use std::collections::BTreeMap;

use super::attempt::AddedTask;
use super::ids::is_name;
use super::spec::{Action, Rule, TaskDefaults, TaskSpec};
use super::template::escape;

/// Longest definition, in bytes of its strings.
const MAX_BYTES: usize = 1 << 20;
/// Most tasks that one task may need.
const MAX_NEEDS: usize = 10_000;

/// The definition of an added task: what it leaves out comes from `defaults`, and where a running task queued it, place and
/// permissions from that `parent`. `known` tells whether a task exists.
///
/// # Errors
/// Why it cannot be a task, in words.
pub fn build(
    added: AddedTask,
    id: &str,
    defaults: &TaskDefaults,
    parent: Option<&TaskSpec>,
    known: &dyn Fn(&str) -> bool,
) -> Result<TaskSpec, String> {
    if !is_name(id) {
        return Err(format!("`{id}` is no task id: use 1 to 100 letters, digits, `_` and `-`"));
    }
    if added.needs.len() > MAX_NEEDS {
        return Err(format!("the task needs {} others, more than {MAX_NEEDS}", added.needs.len()));
    }
    for (place, need) in added.needs.iter().enumerate() {
        if !known(need) {
            return Err(format!("there is no task `{need}` to wait for"));
        }
        if added.needs[..place].contains(need) {
            return Err(format!("`{need}` is needed twice"));
        }
    }
    let action = match parent {
        Some(parent) => super::subtask::restrain(added.action, &parent.action)?,
        None => added.action,
    };
    let (action, bytes) = match action {
        Action::Job(_) => {
            return Err(
                "a task that is queued at run time runs no job file: queue what that one does, or name it in the job file"
                    .to_owned(),
            );
        }
        Action::Run(text) => (Action::Run(escape(&text)), text.len()),
        Action::Command { program, args } => {
            if program.is_empty() {
                return Err("the command is empty".to_owned());
            }
            let bytes = program.len() + args.iter().map(String::len).sum::<usize>();
            (Action::Command { program: escape(&program), args: args.iter().map(|arg| escape(arg)).collect() }, bytes)
        }
        Action::Approve(_) => return Err("an approval is part of a job file, and cannot be queued".to_owned()),
        Action::Claude(mut claude) => {
            if claude.prompt.trim().is_empty() {
                return Err("the prompt is empty".to_owned());
            }
            // The CLI takes 0 as no limit, and ends at once for a budget of nothing.
            if claude.max_turns == Some(0) || claude.max_budget_usd.is_some_and(|usd| usd <= 0.0) {
                return Err("max_turns and max_budget_usd are above 0".to_owned());
            }
            claude.literal = true;
            let bytes = claude.prompt.len();
            (Action::Claude(claude), bytes)
        }
    };
    if bytes > MAX_BYTES {
        return Err(format!("the definition has {bytes} bytes, more than {MAX_BYTES}"));
    }
    Ok(TaskSpec {
        id: id.to_owned(),
        needs: added.needs,
        rule: Rule::default(),
        when: None,
        finally: parent.is_some_and(|parent| parent.finally),
        each: None,
        action,
        env: BTreeMap::new(),
        // Elsewhere it could reach what its parent cannot: another directory, a pool outside of its sandbox.
        workspace: parent.and_then(|parent| parent.workspace.clone()),
        pool: parent.and_then(|parent| parent.pool.clone()),
        limits: defaults.clone(),
        accept: None,
        result: None,
        artifacts: None,
        budget: parent.and_then(|parent| parent.budget),
        priority: parent.map_or(0, |parent| parent.priority),
        repeat: None,
    })
}
