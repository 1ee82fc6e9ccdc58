//! Messages that pass, and a bounded memory of them.

use std::collections::VecDeque;

use crate::model::time::{Mono, Utc};

/// Messages kept for looking at again.
const KEPT: usize = 200;
/// Messages shown at once.
pub const SHOWN: usize = 3;
/// How long they are shown: news, and faults.
const STAY: (u64, u64) = (4_000, 10_000);

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On its way: sent, not confirmed.
    Sent,
    /// Done, or worth knowing.
    News,
    /// Refused or failed.
    Fault,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    /// What it says; the first line is what happened, further ones what to do.
    pub text: String,
    /// What it is about.
    pub kind: Kind,
    /// When it came.
    pub at: Utc,
    /// Shown until then.
    pub until: Mono,
    /// The command it belongs to.
    pub number: Option<u64>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Toasts {
    /// Newest last.
    pub all: VecDeque<Toast>,
}

impl Toasts {
    /// Adds one.
    pub fn add(&mut self, text: impl Into<String>, kind: Kind, now: crate::model::time::Now) {
        self.add_for(text, kind, now, None);
    }

    /// Adds one that belongs to a command, in the place of the one before of that command.
    pub fn add_for(&mut self, text: impl Into<String>, kind: Kind, now: crate::model::time::Now, number: Option<u64>) {
        if number.is_some() {
            self.all.retain(|toast| toast.number != number || toast.kind != Kind::Sent);
        }
        let stay = match kind {
            // Until it is answered; the connection's own patience ends it.
            Kind::Sent => 120_000,
            Kind::News => STAY.0,
            Kind::Fault => STAY.1,
        };
        let until = Mono(now.mono.0 + stay);
        self.all.push_back(Toast { text: text.into(), kind, at: now.utc, until, number });
        while self.all.len() > KEPT {
            self.all.pop_front();
        }
    }

    /// Those to be shown now, newest last.
    pub fn shown(&self, now: Mono) -> impl Iterator<Item = &Toast> {
        let live: Vec<&Toast> = self.all.iter().filter(|toast| toast.until > now).collect();
        let skip = live.len().saturating_sub(SHOWN);
        live.into_iter().skip(skip)
    }

    /// When the next one passes.
    pub fn next_end(&self, now: Mono) -> Option<Mono> {
        self.all.iter().map(|toast| toast.until).filter(|until| *until > now).min()
    }

    /// Takes away those that are shown; whether there were any.
    pub fn dismiss(&mut self, now: Mono) -> bool {
        let mut any = false;
        for toast in self.all.iter_mut().filter(|toast| toast.until > now && toast.kind != Kind::Sent) {
            toast.until = now;
            any = true;
        }
        any
    }
}
