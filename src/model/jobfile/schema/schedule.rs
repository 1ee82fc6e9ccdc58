//! `schedule` as types.

use schemars::JsonSchema;

use crate::model::schedule::{CatchUp, Overlap};

use super::Duration;

/// A schedule: a cron expression alone, or all of it.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) enum ScheduleEntry {
    /// A cron expression, in UTC.
    Cron(String),
    /// All of it.
    Full(ScheduleFields),
}

/// When a job is submitted. Exactly one of `cron` and `every`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) struct ScheduleFields {
    /// Five fields (minute, hour, day of the month, month, weekday), or @daily and the like.
    cron: Option<String>,
    /// The zone whose clocks `cron` means, such as Europe/Berlin; default UTC.
    timezone: Option<String>,
    /// At equal distances: 15m, 1h; at least 1s.
    every: Option<Duration>,
    /// None before: 2027-01-31, 2027-01-31T09:00, or with an offset; `every` counts from it, else from when it was added.
    start: Option<String>,
    /// None after; a date alone includes its day.
    until: Option<String>,
    /// What becomes of times that passed while no manager ran or the machine slept: last (one run for all, the default), none, or
    /// all (at most 100, one after the other).
    catch_up: Option<CatchUp>,
    /// What becomes of a time that comes while the job before is not over: skip (the default), queue (one waits), or replace (the
    /// job before is cancelled).
    overlap: Option<Overlap>,
    /// Each time is put off by a random part of this.
    jitter: Option<Duration>,
}
