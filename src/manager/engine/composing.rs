//! From a decided launch to the backend's order, on the manager's thread or, where a command has to run first, aside.

use crate::model::core::{Input, Launch};
use crate::model::report::Report;

use super::super::Message;
use super::super::launch::Composed;
use super::super::ports::Store;
use super::Engine;

/// Held tasks whose secrets are looked for at once; the others have their turn at a later poll.
const MAX_CHECKS: usize = 16;

impl<S: Store> Engine<S> {
    /// Makes the launch order; off this thread when a command has to print a secret first.
    pub(super) fn compose(&mut self, launch: Launch) {
        if self.composer.runs_commands(&launch) {
            // One at a time: of two answers, one could start what the other has given up.
            if !self.composing.insert(launch.attempt) {
                return;
            }
            let (composer, sender, attempt) = (self.composer.clone(), self.mailbox.sender(), launch.attempt);
            let started = aside(move || {
                let composed = composer.compose(&launch);
                drop(sender.send(Message::Composed(Box::new(launch), Box::new(composed))));
            });
            if let Err(error) = started {
                self.composing.remove(&attempt);
                // An order that the backend has is not taken back: what came of it is seen at the next comparison.
                if !self.ordered.contains(&attempt) {
                    let why = format!("no thread can be started for the command that prints a secret: {error}");
                    self.pending.push(Input::Report(Report::LaunchFailed { attempt, why, transient: true }));
                }
            }
            return;
        }
        let composed = self.composer.compose(&launch);
        let refused = self.launch(&launch, composed);
        self.pending.extend(refused);
    }

    /// Hands a composed launch to the backend, or tells the core why there is none.
    pub(super) fn launch(&mut self, launch: &Launch, composed: Composed) -> Option<Input> {
        match composed {
            // It was closed while it was being composed.
            Composed::Order(order) if !self.turn.core().live().contains_key(&order.attempt) => None,
            Composed::Order(order) => {
                self.ordered.insert(order.attempt);
                self.backend.launch(*order);
                None
            }
            Composed::Ready => Some(Input::SecretsReady(launch.attempt.job, launch.attempt.task)),
            Composed::StillMissing => None,
            Composed::Secret { attempt, .. } if self.ordered.contains(&attempt) => None,
            Composed::Secret { attempt, what } => Some(Input::SecretMissing { attempt, what }),
            Composed::Never { why } => {
                Some(Input::Report(Report::LaunchFailed { attempt: launch.attempt, why, transient: false }))
            }
        }
    }

    /// Sees whether a held task's secrets can be resolved now; never on this thread, since it happens at every poll.
    pub(super) fn check_secrets(&mut self, launch: Launch) {
        if self.checking.len() >= MAX_CHECKS || !self.checking.insert(launch.attempt) {
            return;
        }
        let (composer, sender, attempt) = (self.composer.clone(), self.mailbox.sender(), launch.attempt);
        let started = aside(move || {
            let found = match composer.compose(&launch) {
                Composed::Secret { .. } => Composed::StillMissing,
                _ => Composed::Ready,
            };
            drop(sender.send(Message::Composed(Box::new(launch), Box::new(found))));
        });
        if started.is_err() {
            // Looked for again at the next poll.
            self.checking.remove(&attempt);
        }
    }
}

/// Does something on a thread of its own. A task that forks without end may leave no room for one, which must not end the
/// manager.
fn aside(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name("aside".to_owned()).spawn(work).map(drop)
}
