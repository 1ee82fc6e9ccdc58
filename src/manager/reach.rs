//! Which engines cannot be reached, and which pools that concerns.

use std::collections::BTreeMap;

use crate::model::ids::AttemptId;
use crate::model::settings::Settings;

/// Longest reason kept, in characters: it may be an engine's own words.
const MAX_WHY: usize = 400;

/// What backends have told of their engines.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Why those cannot be reached that cannot, by name.
    gone: BTreeMap<String, String>,
    /// Why nothing is known of those attempts that are out of sight though their engine is not.
    stranded: BTreeMap<AttemptId, String>,
}

/// An engine that cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineGone {
    /// Its name.
    pub engine: String,
    /// Why, and what to do.
    pub why: String,
    /// The pools that live there.
    pub pools: Vec<String>,
}

impl Reach {
    /// A backend tells of an engine; whether it was gone and is back.
    pub fn hear(&mut self, engine: String, trouble: Option<String>) -> bool {
        match trouble {
            Some(why) => {
                self.gone.insert(engine, why.chars().take(MAX_WHY).collect());
                false
            }
            None => self.gone.remove(&engine).is_some(),
        }
    }

    /// A backend tells whether an attempt is in sight.
    pub fn hear_of_attempt(&mut self, attempt: AttemptId, why: Option<String>) {
        match why {
            Some(why) => drop(self.stranded.insert(attempt, why.chars().take(MAX_WHY).collect())),
            None => drop(self.stranded.remove(&attempt)),
        }
    }

    /// The attempts that are out of sight though their engine is not, and why.
    pub fn stranded(&self) -> &BTreeMap<AttemptId, String> {
        &self.stranded
    }

    /// The pools that nothing can be started in, and why.
    pub fn pools(&self, settings: &Settings) -> BTreeMap<String, String> {
        let of = |(engine, why): (&String, &String)| {
            pools_of(settings, engine).map(|pool| (pool.to_owned(), why.clone())).collect::<Vec<_>>()
        };
        self.gone.iter().flat_map(of).collect()
    }

    /// The engines that are gone, as far as pools live there.
    pub fn engines(&self, settings: &Settings) -> Vec<EngineGone> {
        let of = |(engine, why): (&String, &String)| {
            let pools: Vec<String> = pools_of(settings, engine).map(str::to_owned).collect();
            (!pools.is_empty()).then(|| EngineGone { engine: engine.clone(), why: why.clone(), pools })
        };
        self.gone.iter().filter_map(of).collect()
    }
}

fn pools_of<'a>(settings: &'a Settings, engine: &'a str) -> impl Iterator<Item = &'a str> {
    settings.pools.iter().filter(move |(_, pool)| pool.engine().as_deref() == Some(engine)).map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::docker::{DEFAULT_ENGINE, DockerSettings};
    use crate::model::settings::{PoolBackend, PoolSettings};
    use crate::model::spec::Resources;

    fn on(engines: &[(&str, Option<&str>)]) -> Settings {
        let mut settings = Settings::default();
        for (name, host) in engines {
            let docker = DockerSettings { host: host.map(str::to_owned), ..DockerSettings::of("image") };
            let backend = PoolBackend::Docker(Arc::new(docker));
            let pool = PoolSettings { slots: 1, resources: Resources::default(), backend };
            settings.pools.insert((*name).to_owned(), pool);
        }
        settings
    }

    #[test]
    fn an_engine_that_is_gone_takes_its_pools_along_and_no_other() {
        let settings = on(&[("big", None), ("far", Some("tcp://far:2375")), ("small", None)]);
        let mut reach = Reach::default();
        assert!(!reach.hear(DEFAULT_ENGINE.to_owned(), Some("no such socket".to_owned())));
        let pools: Vec<String> = reach.pools(&settings).into_keys().collect();
        assert_eq!(pools, ["big", "small"]);
        assert_eq!(reach.engines(&settings)[0].pools, pools);
        assert!(!reach.hear("tcp://far:2375".to_owned(), None), "it was never gone");
        assert!(reach.hear(DEFAULT_ENGINE.to_owned(), None), "it is back");
        assert!(reach.pools(&settings).is_empty());
    }

    #[test]
    fn the_configuration_that_holds_says_which_pools_live_there() {
        let mut reach = Reach::default();
        reach.hear("tcp://far:2375".to_owned(), Some("refused".to_owned()));
        let (before, after) = (on(&[("a", Some("tcp://far:2375"))]), on(&[("b", Some("tcp://far:2375"))]));
        assert_eq!(reach.pools(&after), BTreeMap::from([("b".to_owned(), "refused".to_owned())]));
        let elsewhere = on(&[("b", None)]);
        assert!(reach.pools(&elsewhere).is_empty() && reach.engines(&elsewhere).is_empty());
        assert_eq!(reach.engines(&before).len(), 1, "it is still gone when a pool leads there again");
    }
}
