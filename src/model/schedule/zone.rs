//! Time zones by name. The database is part of the program, so that the same name means the same times on every machine, and so
//! that nothing is read here.

use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::model::diagnostic::nearest;

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The zone of schedules that name none.
pub const DEFAULT: &str = "UTC";

/// The zone of this name, such as `Europe/Berlin`; upper and lower case are the same.
pub fn find(name: &str) -> Option<TimeZone> {
    if name.eq_ignore_ascii_case(DEFAULT) { Some(TimeZone::UTC) } else { ZONES.get(name).ok() }
}

/// A name that may have been meant: the nearest one, or the one whose city it is.
pub fn meant(name: &str) -> Option<String> {
    let names: Vec<String> = ZONES.available().map(|name| name.as_str().to_owned()).collect();
    let lower = name.trim().to_ascii_lowercase().replace(' ', "_");
    let of_city = names.iter().find(|known| known.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&lower)));
    of_city.cloned().or_else(|| {
        let lowered: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let near = nearest(&lower, lowered.iter().map(String::as_str))?;
        lowered.iter().position(|name| name == near).map(|place| names[place].clone())
    })
}
