//! What the terminal itself tells a person of, as the configuration says: of what is heard while the workstation is open.

use crate::model::message::{EventView, JobView};
use crate::model::notice::words::Words;
use crate::model::notice::{Clock, Digest, Means, Notice, Notifier, Ring, Throttle};
use crate::model::time::Mono;
use crate::tui::app::Effect;

/// The notifiers of the terminal and what they were told.
#[derive(Debug, Clone, Default)]
pub struct Bell {
    notifiers: Vec<Notifier>,
    digest: Digest,
    throttle: Throttle,
}

impl Bell {
    /// One for these notifiers; those that are none of the terminal's ring nothing.
    pub fn new(notifiers: Vec<Notifier>) -> Bell {
        let notifiers = notifiers.into_iter().filter(Notifier::is_terminal).collect();
        Bell { notifiers, ..Bell::default() }
    }

    /// What these events ring. `home` is for templates, `clock` puts times into words.
    pub fn hear(&mut self, events: &[EventView], jobs: &[JobView], home: &str, clock: Clock<'_>, now: Mono) -> Vec<Effect> {
        if self.notifiers.is_empty() {
            return Vec::new();
        }
        let mut told = Vec::new();
        for found in self.digest.take(events, jobs, clock) {
            told.extend(self.throttle.offer(&self.notifiers, &found, now));
        }
        self.rings(told, home)
    }

    /// What was gathered and rings now.
    pub fn due(&mut self, home: &str, now: Mono) -> Vec<Effect> {
        let told = self.throttle.due(now);
        self.rings(told, home)
    }

    /// When something that was gathered rings.
    pub fn next_due(&self) -> Option<Mono> {
        self.throttle.next_due()
    }

    fn rings(&self, told: Vec<(usize, Notice)>, home: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (place, notice) in told {
            let Some(notifier) = self.notifiers.get(place) else { continue };
            let Means::Terminal(ring) = notifier.means else { continue };
            // The templates were tried when the configuration was read; one that fails all the same still rings.
            let words = Words::new(notifier, &notice, home).ok();
            let get = |name: &str| words.as_ref().map_or_else(String::new, |words| words.get(name));
            let effect = Effect::Ring { ring, title: get("title"), text: get("text") };
            // One bell for what comes at the same time.
            if ring != Ring::Bell || !effects.contains(&effect) {
                effects.push(effect);
            }
        }
        effects
    }
}
