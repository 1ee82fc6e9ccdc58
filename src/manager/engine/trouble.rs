//! What a person should look at, and the engines that nothing can be started on.

use std::collections::BTreeMap;

use crate::model::core::Input;
use crate::model::ids::{AttemptId, JobName};
use crate::model::time::Mono;

use super::super::ports::Store;
use super::super::reach::EngineGone;
use super::Engine;

/// What a person should look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Jobs with rows that cannot be decoded, and why.
    pub set_aside: Vec<(JobName, String)>,
    /// Whether there is too little room to start anything.
    pub disk_low: bool,
    /// Engines that cannot be reached.
    pub engines: Vec<EngineGone>,
    /// Attempts of which nothing is known: their nodes do not answer.
    pub stranded: BTreeMap<AttemptId, String>,
    /// Why nothing can be committed.
    pub store: Option<String>,
}

impl Trouble {
    /// The pools that nothing can be started in, and why.
    pub fn unreachable(&self) -> BTreeMap<String, String> {
        let pools = |gone: &EngineGone| gone.pools.iter().map(|pool| (pool.clone(), gone.why.clone())).collect::<Vec<_>>();
        self.engines.iter().flat_map(pools).collect()
    }
}

impl<S: Store> Engine<S> {
    /// Tells what a person should look at, when that has changed.
    pub(super) fn tell_trouble(&mut self) {
        let trouble = Trouble {
            set_aside: self.turn.set_aside().to_vec(),
            disk_low: self.disk_low,
            engines: self.reach.engines(&self.settings),
            stranded: self.reach.stranded().clone(),
            store: self.turn.failing().map(|error| format!("{}: {}. {}", error.what, error.cause, error.hint)),
        };
        if trouble != self.told {
            self.told = trouble.clone();
            (self.on_trouble)(trouble);
        }
    }

    /// An engine is gone, or back: then what was asked of it meanwhile is asked for again in this very turn.
    pub(super) fn hear_of_engine(&mut self, engine: String, trouble: Option<String>, inputs: &mut Vec<Input>) {
        // Backends say in the log what has changed; some tell it again and again.
        if self.reach.hear(engine, trouble) {
            self.next_poll = Mono(0);
        }
        inputs.push(Input::Unreachable(self.reach.pools(&self.settings)));
    }
}
