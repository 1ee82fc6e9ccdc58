//! What `airx doctor` finds where tasks live.

/// How something that was looked at is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// In place.
    Ok,
    /// Works, with a restriction.
    Warn,
    /// Does not work.
    Fail,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub what: String,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    /// It is in place.
    pub fn ok(what: &str, found: impl Into<String>) -> Finding {
        Finding { what: what.to_owned(), level: Level::Ok, found: found.into(), remedy: String::new() }
    }

    /// It works, with a restriction.
    pub fn warn(what: &str, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { what: what.to_owned(), level: Level::Warn, found: found.into(), remedy: remedy.into() }
    }

    /// It does not work.
    pub fn fail(what: &str, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { level: Level::Fail, ..Finding::warn(what, found, remedy) }
    }
}

/// `pool a`, `pools a, b`.
pub fn pools<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    format!("{} {}", if names.len() == 1 { "pool" } else { "pools" }, names.join(", "))
}
