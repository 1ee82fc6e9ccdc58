//! What was told of a live attempt: each thing once, and nothing in a flood.

use crate::model::live::LiveFacts;
use crate::model::time::Mono;

/// Remarks kept about one attempt.
const MAX_NOTES: usize = 50;
/// Between two news of how far a run is: half of what a runner lets pass. A task can write there and ask for looks as often as it
/// likes, and each news is kept in the journal; what is passed over is found by the next inspection.
const NEWS_MS: u64 = 500;

/// What a backend has told, and has still to tell.
#[derive(Debug, Default)]
pub struct Told {
    /// Number of the last outbox item reported.
    pub reported: u32,
    /// Remarks for the end.
    pub notes: Notes,
    /// Whether its end is told, or about to be: nothing comes after that.
    pub is_over: bool,
    /// Results in its outbox that took long to be compared with their schema.
    pub slow_checks: u32,
    /// How far its Claude run was when it was last told, and when that was.
    seen: Option<(LiveFacts, Mono)>,
}

impl Told {
    /// What is to be told of how far its Claude run is. Who asks may have lost what was told before, with a commit that failed.
    pub fn news(&mut self, found: LiveFacts, is_asked: bool, now: Mono) -> Option<LiveFacts> {
        match &self.seen {
            Some((seen, _)) if *seen == found => is_asked.then_some(found),
            Some((_, at)) if now.0 < at.0.saturating_add(NEWS_MS) => None,
            _ => {
                self.seen = Some((found.clone(), now));
                Some(found)
            }
        }
    }

    /// Keeps remarks.
    pub fn note(&mut self, notes: impl IntoIterator<Item = String>) {
        self.notes.add(notes);
    }
}

/// Remarks about one attempt: each once, at most [`MAX_NOTES`].
#[derive(Debug, Default)]
pub struct Notes(Vec<String>);

impl Notes {
    /// Keeps remarks.
    pub fn add(&mut self, notes: impl IntoIterator<Item = String>) {
        for note in notes {
            if self.0.len() < MAX_NOTES && !self.0.contains(&note) {
                self.0.push(note);
            }
        }
    }

    /// All of them; none are left.
    pub fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_run_is_is_told_when_it_changes_or_somebody_asks_and_never_in_a_flood() {
        let mut told = Told::default();
        let turn = |turns| LiveFacts { turns, ..LiveFacts::default() };
        assert_eq!(told.news(turn(1), false, Mono(0)), Some(turn(1)));
        assert_eq!(told.news(turn(1), false, Mono(5_000)), None, "nothing is new");
        assert_eq!(told.news(turn(1), true, Mono(5_000)), Some(turn(1)), "who asks may have lost it");
        assert_eq!(told.news(turn(2), false, Mono(5_000)), Some(turn(2)));
        let count = (5_000..15_000).filter(|ms| told.news(turn(*ms), true, Mono(u64::from(*ms))).is_some()).count();
        assert_eq!(count, 19, "two a second at most");
        assert_eq!(told.news(turn(3), false, Mono(60_000)), Some(turn(3)), "what was passed over is found later");
    }
}
