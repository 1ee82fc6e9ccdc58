//! `airx doctor` for pools of pods: their clusters, what airx may do there, and what becomes of a pod of each pool.

use airx::backend::kubernetes::survey;
use airx::cli::context::Context;
use airx::cli::doctor::Check;

use super::checks::{check, identity};

/// Checks of all namespaces that pools lead to; none when no pool does.
pub fn checks(context: &Context) -> Vec<Check> {
    let settings = context.settings().settings;
    let sites = survey::sites(&settings);
    if sites.is_empty() {
        return Vec::new();
    }
    let own = identity(&context.home);
    let has_manager = context.services.running(&context.home).is_some();
    let answers = survey::survey(&sites, &context.env, own.as_deref());
    let found = sites.iter().zip(&answers);
    found.flat_map(|(site, answer)| survey::findings(site, answer, own.as_deref(), has_manager)).map(check).collect()
}
