//! Who a container's user is, inside and outside of it.

use super::plan::EngineFacts;
use crate::model::docker::DockerSettings;

/// No group is known: files keep theirs.
pub const ANY_GROUP: u32 = u32::MAX;

/// Why a Claude run is refused where the manager is root and the pool does not say who its containers are.
pub const ROOT_REFUSED: &str = "a Claude run in a container is never root by default, and the manager runs as root: name another \
                                user in the pool (user: \"1000:1000\") and give it the workspace, or say user: root";

/// The user as the engine takes it, and as numbers where they are known. `own` is whoever runs the manager.
pub fn inside(settings: &DockerSettings, engine: &EngineFacts, own: (u32, u32)) -> (String, Option<(u32, u32)>) {
    match settings.user.as_deref() {
        // Root in a container of a rootless engine is whoever runs the engine.
        None if engine.is_rootless => ("0:0".to_owned(), Some((0, 0))),
        None => (format!("{}:{}", own.0, own.1), Some(own)),
        Some("root") => ("0:0".to_owned(), Some((0, 0))),
        Some(user) => {
            let (name, group) = user.split_once(':').unwrap_or((user, ""));
            let owner = match (name.parse(), group.parse()) {
                (Ok(uid), Ok(gid)) => Some((uid, gid)),
                // The group is the image's to say; files need only the user.
                (Ok(uid), Err(_)) if group.is_empty() => Some((uid, ANY_GROUP)),
                _ => None,
            };
            (user.to_owned(), owner)
        }
    }
}

/// Whether a run by this user is refused to Claude, for being root without anybody having said so.
pub fn is_root_unasked(settings: &DockerSettings, engine: &EngineFacts, owner: Option<(u32, u32)>) -> bool {
    settings.user.is_none() && owner == Some((0, 0)) && !engine.is_rootless
}

/// To whom the files of a container's user have to belong on this machine, so that it may write them; none when they are as
/// they should be.
///
/// # Errors
/// Why they cannot be given to it, and what to do.
pub fn outside(user: (u32, u32), engine: &EngineFacts, own: (u32, u32)) -> Result<Option<(u32, u32)>, String> {
    match user.0 {
        // See `inside`.
        0 if engine.is_rootless => Ok(None),
        uid if engine.is_rootless => Err(format!(
            "user {uid} of a container is not user {uid} of this machine where the engine is rootless, and cannot be given the \
             attempt's directory: leave `user` out of the pool; root in such a container is you"
        )),
        uid if uid == own.0 => Ok(None),
        _ if own.0 == 0 => Ok(Some(user)),
        uid => Err(format!(
            "the pool's user is {uid}, and the attempt's directory cannot be given to it: only root can do that: leave `user` out \
             of the pool, so that containers run as whoever runs the manager ({})",
            own.0
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: (u32, u32) = (1000, 1000);
    const ROOT: (u32, u32) = (0, 0);

    fn pool(user: Option<&str>) -> DockerSettings {
        DockerSettings { user: user.map(str::to_owned), ..DockerSettings::of("x") }
    }

    fn engine(is_rootless: bool) -> EngineFacts {
        EngineFacts { is_local: true, is_rootless, ..EngineFacts::default() }
    }

    #[test]
    fn files_of_a_rootless_engines_root_are_ours_as_they_are() {
        let (user, owner) = inside(&pool(None), &engine(true), ANN);
        assert_eq!((user.as_str(), owner), ("0:0", Some(ROOT)));
        assert_eq!(outside(ROOT, &engine(true), ANN), Ok(None));
        let why = outside(ANN, &engine(true), ANN).unwrap_err();
        assert!(why.contains("rootless") && why.contains("leave `user` out"), "{why}");
    }

    #[test]
    fn only_root_gives_files_to_another_user() {
        assert_eq!(inside(&pool(None), &engine(false), ANN), ("1000:1000".to_owned(), Some(ANN)));
        assert_eq!(inside(&pool(Some("7")), &engine(false), ANN).1, Some((7, ANY_GROUP)));
        assert_eq!(inside(&pool(Some("ann:staff")), &engine(false), ANN), ("ann:staff".to_owned(), None));
        assert_eq!(outside(ANN, &engine(false), ANN), Ok(None));
        assert_eq!(outside(ANN, &engine(false), ROOT), Ok(Some(ANN)));
        let why = outside((7, 7), &engine(false), ANN).unwrap_err();
        assert!(why.contains("only root") && why.contains("(1000)"), "{why}");
        assert!(outside(ROOT, &engine(false), ANN).is_err(), "root's neither");
    }

    #[test]
    fn root_is_refused_to_claude_unless_somebody_said_so() {
        assert!(is_root_unasked(&pool(None), &engine(false), Some(ROOT)));
        assert!(!is_root_unasked(&pool(Some("root")), &engine(false), Some(ROOT)));
        assert!(!is_root_unasked(&pool(None), &engine(true), Some(ROOT)));
        assert!(!is_root_unasked(&pool(None), &engine(false), Some(ANN)));
    }
}
