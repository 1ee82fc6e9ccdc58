//! `claude:` and `budget:` of the configuration.

use std::path::{Path, PathBuf};

use crate::model::money::micro;
use crate::model::settings::ClaudeSettings;
use crate::model::spec::{Budget, ClaudeAuth, WhenLimited};
use crate::model::units::parse_duration;
use crate::model::yaml::{Node, Value};

use super::load::Reader;

/// Keys of `claude:`.
const KEYS: &[&str] =
    &["binary", "model", "auth", "max_parallel", "when_limited", "limit_margin", "quiet_hours", "silence", "trusted"];

impl Reader {
    pub(super) fn claude(&mut self, node: &Node, claude: &mut ClaudeSettings) {
        for (key, value) in self.entries(node, "claude", KEYS) {
            match key {
                "binary" => claude.binary = self.words(value, key).unwrap_or_else(|| claude.binary.clone()),
                "model" => claude.model = self.words(value, key).unwrap_or_else(|| claude.model.clone()),
                "auth" => self.auth(value, claude),
                "max_parallel" => claude.max_parallel = self.whole(value, 10_000).or(claude.max_parallel),
                "when_limited" => match value.text() {
                    Some("wait") => claude.when_limited = WhenLimited::Wait,
                    Some("ask") => claude.when_limited = WhenLimited::Ask,
                    Some("fail") => claude.when_limited = WhenLimited::Fail,
                    _ => self.fault(value, "a usage limit does no such thing".to_owned(), "write wait, ask or fail"),
                },
                "limit_margin" => {
                    claude.limit_margin_ms = self.parsed(value, parse_duration).unwrap_or(claude.limit_margin_ms);
                }
                "quiet_hours" => match value.text().and_then(span) {
                    Some(span) => claude.quiet_hours = Some(span),
                    None => self.fault(
                        value,
                        "these are no quiet hours".to_owned(),
                        "write FROM-TO in local time: \"09:00-18:00\", or \"22:30-06:00\" over midnight",
                    ),
                },
                "trusted" => claude.trusted = self.trusted(value),
                _ => match self.parsed(value, parse_duration) {
                    Some(0) => self.fault(value, "no run is never silent".to_owned(), "write how long it may be: 40m"),
                    silence => claude.silence_ms = silence.unwrap_or(claude.silence_ms),
                },
            }
        }
    }

    fn words(&mut self, value: &Node, key: &str) -> Option<String> {
        let text = value.text().filter(|text| !text.is_empty());
        if text.is_none() {
            self.fault(value, format!("{key} is {}, not text", value.kind()), "write text");
        }
        text.map(str::to_owned)
    }

    fn auth(&mut self, value: &Node, claude: &mut ClaudeSettings) {
        let text = value.text().unwrap_or_default();
        match text.strip_prefix("env:") {
            _ if text == "login" => claude.auth = ClaudeAuth::Login,
            Some(name) if !name.is_empty() => claude.auth = ClaudeAuth::Env(name.to_owned()),
            _ => self.fault(value, "auth is neither `login` nor a reference".to_owned(), "write login, or env:NAME"),
        }
    }

    fn trusted(&mut self, node: &Node) -> Vec<PathBuf> {
        let Value::List(items) = &node.value else {
            self.fault(node, format!("trusted is {}, not a list", node.kind()), "write trusted: [~/src, /srv/projects]");
            return Vec::new();
        };
        let mut trusted = Vec::new();
        for item in items {
            let path = Path::new(item.text().unwrap_or_default());
            if path.is_absolute() || path.starts_with("~") {
                trusted.push(path.to_owned());
            } else {
                let hint = "write an absolute path, or one that begins with ~/";
                self.fault(item, "this directory has no place to begin at".to_owned(), hint);
            }
        }
        trusted
    }

    /// What all Claude runs may use in a day.
    pub(super) fn budget(&mut self, node: &Node) -> Option<Budget> {
        let mut budget = Budget::default();
        for (key, value) in self.entries(node, "budget", &["usd_per_day", "tokens_per_day"]) {
            let number = value.plain().and_then(|text| text.parse::<f64>().ok()).filter(|number| *number < 1e12);
            // What is less would be rounded to nothing, and hold every run for ever.
            match (key, number) {
                ("usd_per_day", Some(usd)) if usd >= 0.000_001 => budget.microusd = micro(usd),
                ("usd_per_day", _) => self.fault(value, format!("{key} is no number of dollars"), "write 0.000001 or more"),
                (_, Some(tokens)) if tokens >= 1.0 && tokens.fract() == 0.0 => budget.tokens = Some(rounded(tokens)),
                _ => self.fault(value, format!("{key} is no whole number above 0"), "write 1 or more"),
            }
        }
        (budget != Budget::default()).then_some(budget)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and the number is above 0")]
fn rounded(number: f64) -> u64 {
    number.round() as u64
}

/// `HH:MM-HH:MM`, in minutes since midnight; the two differ.
fn span(text: &str) -> Option<(u32, u32)> {
    let time = |text: &str| {
        let (hours, minutes) = text.trim().split_once(':')?;
        let (hours, minutes) = (hours.parse::<u32>().ok()?, minutes.parse::<u32>().ok()?);
        let is_midnight = hours == 24 && minutes == 0;
        (is_midnight || (hours < 24 && minutes < 60)).then_some(hours * 60 + minutes)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (time(from)?, time(to)?);
    (from != to && from < 24 * 60).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_are_two_times_of_a_day() {
        assert_eq!(span("09:00-18:30"), Some((540, 1110)));
        assert_eq!(span("22:00 - 6:00"), Some((1320, 360)));
        assert_eq!(span("18:00-24:00"), Some((1080, 1440)));
        for bad in ["", "9-18", "24:00-25:00", "08:00-08:00", "08:60-09:00", "-", "٠٩:00-18:00"] {
            assert_eq!(span(bad), None, "{bad}");
        }
    }
}
