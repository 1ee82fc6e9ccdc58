//! Which recording is played for a pod, and how.

use std::time::Duration;

/// What a process does at SIGTERM, where the recording has nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTerm {
    /// It ends at once with this code.
    Exit(u8),
    /// It runs until its grace is over.
    Ignore,
}

/// Which recording is played, and how.
#[derive(Debug, Clone)]
pub struct Replay {
    pub(super) scenario: String,
    pub(super) pod: Option<String>,
    pub(super) factor: f64,
    pub(super) longest: Duration,
    pub(super) by_somebody: bool,
    pub(super) on_term: OnTerm,
}

impl Replay {
    /// A scenario with one pod, as fast as it was.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn of(scenario: &str) -> Replay {
        assert!(super::script::fixtures().join(scenario).is_dir(), "there is no recording {scenario}");
        Replay {
            scenario: scenario.to_owned(),
            pod: None,
            factor: 1.0,
            longest: Duration::from_secs(3600),
            by_somebody: false,
            on_term: OnTerm::Exit(143),
        }
    }

    /// One pod of a scenario with several, with what happened to the server and the node.
    pub fn of_pod(scenario: &str, pod: &str) -> Replay {
        Replay { pod: Some(pod.to_owned()), ..Replay::of(scenario) }
    }

    /// Times are multiplied by this.
    pub fn factor(self, factor: f64) -> Replay {
        Replay { factor, ..self }
    }

    /// Nothing waits longer than this for what comes next.
    pub fn gaps(self, longest: Duration) -> Replay {
        Replay { longest, ..self }
    }

    /// Fifty times as fast.
    pub fn quick(self) -> Replay {
        self.factor(0.02).gaps(Duration::from_millis(100))
    }

    /// The recorder's DELETE is played too, as somebody else's.
    pub fn deleted_by_somebody(self) -> Replay {
        Replay { by_somebody: true, ..self }
    }

    pub fn on_term(self, on_term: OnTerm) -> Replay {
        Replay { on_term, ..self }
    }
}
