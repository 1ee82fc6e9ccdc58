//! A rule in words.

use std::fmt;

use super::{CatchUp, Overlap, Rule, When};

/// A duration as people write it: `1h30m`, `45s`, `500ms`.
pub fn span(ms: u64) -> String {
    const UNITS: [(u64, &str); 5] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let (mut rest, mut text) = (ms, String::new());
    for (size, unit) in UNITS {
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.when {
            When::Cron { expression, timezone } => write!(f, "{expression} {timezone}")?,
            When::Every { ms } => write!(f, "every {}", span(*ms))?,
        }
        match self.overlap {
            Overlap::Skip => {}
            Overlap::Queue => f.write_str(", queues")?,
            Overlap::Replace => f.write_str(", replaces")?,
        }
        match self.catch_up {
            CatchUp::Last => {}
            CatchUp::None => f.write_str(", no catch-up")?,
            CatchUp::All => f.write_str(", catches all up")?,
        }
        if self.jitter_ms > 0 { write!(f, ", up to {} later", span(self.jitter_ms)) } else { Ok(()) }
    }
}
