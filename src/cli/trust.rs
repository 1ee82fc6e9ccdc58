//! What a submitter is told of workspaces that are not marked as trusted: what lies there and will not be used, and the line
//! that changes that.

use std::collections::BTreeSet;
use std::path::Path;

use crate::manager::trust;
use crate::model::spec::{Action, Submission, TaskSpec, Trust};

use super::context::Context;
use super::print;

/// What a project may have that acts in a run there, or speaks to it.
const OWN: [&str; 4] = ["CLAUDE.md", ".claude", "CLAUDE.local.md", ".mcp.json"];
/// Workspaces that are told of; a job may have as many as tasks.
const MAX_TOLD: usize = 5;

/// Tells it, when there is anything to tell.
pub(super) fn tell(context: &Context, submission: &Submission) {
    let is_undecided = |task: &&TaskSpec| matches!(&task.action, Action::Claude(claude) if claude.trust.is_none());
    let workspaces: BTreeSet<&Path> = submission
        .with_children()
        .into_iter()
        .flat_map(|submission| submission.tasks.iter().filter(is_undecided).map(|task| (task, &submission.job)))
        .map(|(task, job)| task.workspace.as_deref().unwrap_or(&job.workspace))
        .collect();
    if workspaces.is_empty() {
        return;
    }
    let marked = context.settings().settings.claude.trusted;
    let home = context.env.get("HOME").map(String::as_str);
    for workspace in workspaces.into_iter().take(MAX_TOLD) {
        let own: Vec<&str> = OWN.into_iter().filter(|name| workspace.join(name).exists()).collect();
        if own.is_empty() || trust::decide(None, workspace, &marked, home) == Ok(Trust::Project) {
            continue;
        }
        print::note(&format!(
            "note: {} is not marked as trusted, so its {} will not be used\n  help: to have it used, add to {}: claude: {{ trusted: [{workspace:?}] }}",
            workspace.display(),
            own.join(", "),
            context.config_path().display()
        ));
    }
}
