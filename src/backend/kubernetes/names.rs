//! How the pods of a home are known: by name, and by labels.

use sha2::{Digest, Sha256};

use crate::model::ids::{AttemptId, JobId, TaskIdx};

/// Who made it.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// What [`MANAGED_BY`] says.
pub const AIRX: &str = "airx";
/// The home's identity.
pub const INSTANCE: &str = "airx.dev/instance";
/// The job's full name, as far as a label can hold it.
pub const JOB: &str = "airx.dev/job";
/// The task's id, as far as a label can hold it.
pub const TASK: &str = "airx.dev/task";
/// The attempt's mark, `HOMEID-JOB-TASK-NUMBER`.
pub const ATTEMPT: &str = "airx.dev/attempt";
/// Most characters of a label's value.
const MAX_LABEL: usize = 63;
/// Digits of the digest that ends one that was cut.
const DIGEST: usize = 8;

/// The name of an attempt's pod: the same for the same attempt, so that two requests make one.
pub fn pod(mark: &str) -> String {
    format!("airx-{mark}")
}

/// The attempt with this mark, when it is one of the home `instance`.
pub fn attempt(instance: &str, mark: &str) -> Option<AttemptId> {
    let mut parts = mark.strip_prefix(instance)?.strip_prefix('-')?.splitn(3, '-').map(str::parse::<u32>);
    let mut number = || parts.next()?.ok();
    Some(AttemptId { job: JobId(number()?), task: TaskIdx(number()?), number: number()? })
}

/// Which pods are this home's.
pub fn of_home(instance: &str) -> String {
    format!("{MANAGED_BY}={AIRX},{INSTANCE}={instance}")
}

/// Which pods are some home's.
pub fn of_any_home() -> String {
    format!("{MANAGED_BY}={AIRX},{INSTANCE}")
}

/// Text as a label's value: what cannot stand there becomes `.`, and what is too long, or was changed, ends with a digest.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
pub fn label(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let changed: String = text.chars().map(|c| if fits(c) { c } else { '.' }).collect();
    let trimmed = changed.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if trimmed == text && text.len() <= MAX_LABEL {
        return trimmed.to_owned();
    }
    let digest: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).take(DIGEST / 2).collect();
    let head: String = trimmed.chars().take(MAX_LABEL - DIGEST - 1).collect();
    let head = head.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    if head.is_empty() { digest } else { format!("{head}-{digest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_holds_what_it_can_and_different_texts_stay_different() {
        assert_eq!(label("harden-auth.3"), "harden-auth.3");
        assert_ne!(label("fix/2"), label("fix.2"));
        let long = |last: &str| label(&format!("{}{last}", "x".repeat(80)));
        assert!(long("a").len() <= MAX_LABEL && long("a") != long("b"));
        for odd in ["", "___", "/", "ü", "a/"] {
            let label = label(odd);
            assert!(label.is_empty() || label.starts_with(|c: char| c.is_ascii_alphanumeric()), "{odd} {label}");
        }
    }
}
