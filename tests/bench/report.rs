//! Figures, what they must reach, and how they are told.

use std::io::Write;

/// All figures of a run.
#[derive(Default)]
pub struct Report {
    lines: Vec<String>,
    misses: u32,
}

impl Report {
    /// A figure without a goal.
    pub fn figure(&mut self, what: &str, value: f64, unit: &str) {
        println!("{what:58} {value:10.2} {unit}");
        self.lines.push(serde_json::json!({ "what": what, "value": value, "unit": unit }).to_string());
    }

    /// A figure that must not be above `must` and should not be above `aim`.
    pub fn at_most(&mut self, what: &str, value: f64, must: f64, aim: f64, unit: &str) {
        self.judged(what, value, must, aim, unit, value <= must, value <= aim);
    }

    /// A figure that must not be below `must` and should not be below `aim`.
    pub fn at_least(&mut self, what: &str, value: f64, must: f64, aim: f64, unit: &str) {
        self.judged(what, value, must, aim, unit, value >= must, value >= aim);
    }

    #[allow(clippy::too_many_arguments, reason = "a row has so many columns")]
    fn judged(&mut self, what: &str, value: f64, must: f64, aim: f64, unit: &str, passes: bool, reaches_aim: bool) {
        let verdict = if reaches_aim {
            "aim"
        } else if passes {
            "ok"
        } else {
            "MISS"
        };
        self.misses += u32::from(!passes);
        println!("{what:58} {value:10.2} {unit:8} must {must:8.2}  aim {aim:8.2}  {verdict}");
        let line =
            serde_json::json!({ "what": what, "value": value, "unit": unit, "must": must, "aim": aim, "verdict": verdict });
        self.lines.push(line.to_string());
    }

    /// Writes the figures; how many missed.
    pub fn finish(self) -> u32 {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        std::fs::create_dir_all(&directory).expect("target/bench");
        let mut file = std::fs::File::create(directory.join("core.jsonl")).expect("a file");
        for line in &self.lines {
            writeln!(file, "{line}").expect("room for figures");
        }
        self.misses
    }
}

/// The middle of some values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
