//! Where attempts live, known to all backends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::ids::AttemptId;

/// On which engine each attempt lives, or none for processes. Two engines by name can be one: what lives by way of one name is
/// not for whoever looks at it by the other.
#[derive(Clone, Default)]
pub struct Places(Arc<Mutex<HashMap<AttemptId, Option<String>>>>);

impl Places {
    fn all(&self) -> MutexGuard<'_, HashMap<AttemptId, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it lives; the outer none when that is not known.
    pub fn get(&self, attempt: AttemptId) -> Option<Option<String>> {
        self.all().get(&attempt).cloned()
    }

    /// It lives there from now on.
    pub fn insert(&self, attempt: AttemptId, place: Option<String>) {
        self.all().insert(attempt, place);
    }

    /// Nobody asks about it any more.
    pub fn remove(&self, attempt: AttemptId) {
        self.all().remove(&attempt);
    }

    /// Whether it is known to live anywhere but on this engine.
    pub fn is_elsewhere(&self, attempt: AttemptId, engine: &str) -> bool {
        self.all().get(&attempt).is_some_and(|place| place.as_deref() != Some(engine))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{JobId, TaskIdx};

    #[test]
    fn an_attempt_is_elsewhere_only_while_it_is_known_to_be() {
        let places = Places::default();
        let attempt = AttemptId { job: JobId(1), task: TaskIdx(0), number: 1 };
        assert!(!places.is_elsewhere(attempt, "default"));
        places.insert(attempt, Some("unix:///x".to_owned()));
        assert!(places.is_elsewhere(attempt, "default") && !places.is_elsewhere(attempt, "unix:///x"));
        places.remove(attempt);
        assert!(!places.is_elsewhere(attempt, "default"));
    }
}
