//! `airx doctor` for pools of containers: their engines, and what homes that are gone have left there.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use airx::api::paths::SocketPaths;
use airx::backend::docker::survey::left::{self, HomeState, Mark};
use airx::backend::docker::survey::{self, Here};
use airx::cli::context::Context;
use airx::cli::doctor::Check;
use airx::config::home::Home;

use super::checks::{check, identity};

/// Checks of all engines that pools use; none when no pool does.
pub fn checks(context: &Context) -> Vec<Check> {
    let settings = context.settings().settings;
    let sites = survey::sites(&settings, &context.env);
    if sites.is_empty() {
        return Vec::new();
    }
    let home = &context.home;
    let here = Here::look((airx::os::uid(), airx::os::gid()), home.path.clone(), sockets(context), &sites);
    let (machine, own) = (airx::os::machine(), identity(home));
    let has_manager = context.services.running(home).is_some();
    let mut found = Vec::new();
    for (site, answer) in sites.iter().zip(survey::survey(&sites)) {
        found.extend(survey::findings(site, &answer, &here));
        if let Ok(facts) = answer {
            let sorted = left::sort(&facts.things, &machine, own.as_deref(), &look);
            found.extend(left::findings(site, &sorted, has_manager));
        }
    }
    found.into_iter().map(check).collect()
}

/// Removes what homes that are gone have left on the engines of the configuration; what was done, in lines.
pub fn clear(context: &Context) -> Vec<String> {
    let settings = context.settings().settings;
    let sites = survey::sites(&settings, &context.env);
    let (machine, own) = (airx::os::machine(), identity(&context.home));
    let mut lines = Vec::new();
    for (site, answer) in sites.iter().zip(survey::survey(&sites)) {
        match answer {
            Ok(facts) => {
                let gone = left::sort(&facts.things, &machine, own.as_deref(), &look).gone;
                lines.extend(left::remove(site, &gone, &look));
            }
            Err(_) => lines.push(format!("{}: not looked at, since the engine cannot be reached", site.url)),
        }
    }
    lines
}

/// By which a container could tell the manager what to do.
fn sockets(context: &Context) -> Vec<PathBuf> {
    let home = &context.home.path;
    let runtime = context.env.get("XDG_RUNTIME_DIR").map(Path::new);
    let paths = SocketPaths::find(home).unwrap_or_else(|| SocketPaths::choose(home, runtime, airx::os::uid()));
    vec![paths.control()]
}

/// What has become of the home with this mark. It is gone only when that is certain: a home without its database may be one
/// that somebody is about to restore.
fn look(mark: &Mark) -> HomeState {
    let home = Home { path: mark.home.clone() };
    let is_missing = |path: &Path| std::fs::symlink_metadata(path).map_err(|error| error.kind()).err();
    match (is_missing(&home.path), is_missing(&home.database())) {
        (Some(ErrorKind::NotFound), _) => HomeState::Gone,
        (Some(_), _) => HomeState::Unknown,
        (None, Some(ErrorKind::NotFound)) => {
            let has_backup = std::fs::read_dir(home.backups()).map(|mut entries| entries.next().is_some());
            match has_backup {
                Ok(false) => HomeState::Gone,
                Err(error) if error.kind() == ErrorKind::NotFound => HomeState::Gone,
                _ => HomeState::Unknown,
            }
        }
        (None, Some(_)) => HomeState::Unknown,
        (None, None) => match identity(&home) {
            Some(identity) if identity == mark.instance => HomeState::There,
            Some(_) => HomeState::Gone,
            None => HomeState::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(home: &Path, instance: &str) -> Mark {
        Mark { instance: instance.to_owned(), home: home.to_owned(), machine: String::new(), job: String::new() }
    }

    #[test]
    fn a_home_is_gone_only_when_that_is_certain() {
        let place = tempfile::tempdir().unwrap();
        let home = Home { path: place.path().join("home") };
        let of = |instance: &str| look(&mark(&home.path, instance));
        assert_eq!(of("0a1b2c3d"), HomeState::Gone, "no directory");
        home.create().unwrap();
        assert_eq!(of("0a1b2c3d"), HomeState::Gone, "nothing in it");
        std::fs::write(home.backups().join("airx-1.db"), "").unwrap();
        assert_eq!(of("0a1b2c3d"), HomeState::Unknown, "it could be restored");
        std::fs::write(home.database(), "damaged").unwrap();
        assert_eq!(of("0a1b2c3d"), HomeState::Unknown, "its identity cannot be read");
        std::fs::remove_file(home.database()).unwrap();
        let store = airx::store::SqliteStore::open(&home.database(), [7; 36]).unwrap();
        let own = store.identity().home.clone();
        assert_eq!((of(&own), of("0a1b2c3d")), (HomeState::There, HomeState::Gone));
    }
}
