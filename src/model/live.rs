//! What the transcript of a run that goes on says: signs that somebody has to act on, and how far it is.

use serde::{Deserialize, Serialize};

use super::attempt::Progress;
use super::question::Question;
use super::time::Utc;

/// What a piece of a transcript says that matters while the run goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum Sign {
    /// A turn of this session began (`system/init`).
    Session {
        /// Its id.
        id: String,
        /// Whether an API key pays (`apiKeySource` other than `none`): dollars are real then.
        pays_by_key: bool,
    },
    /// The model answered: the credential works, and no usage limit stands in the way.
    Answered,
    /// The credential was refused (`api_retry` or a synthetic message with `authentication_failed`).
    Refused,
    /// So many model calls of the main thread were answered so far.
    Turns(u32),
    /// What the run has used so far, subagents included.
    Spent(Spent),
    /// The newest list of things to do.
    Todo {
        /// Items done.
        done: u32,
        /// All items.
        total: u32,
        /// The active item, clipped to 200 characters; empty when there is none.
        active: String,
    },
    /// A usage window as the provider told it.
    Window(UsageWindow),
    /// A tool wants permission (`control_request` with `can_use_tool`).
    Asks(Box<Question>),
    /// A `result` line: the turn is over.
    Over,
}

/// What a run has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Millionths of a dollar.
    pub cost_microusd: u64,
    /// Whether the CLI itself said so (`result`); else it is estimated from the lines so far.
    #[serde(default)]
    pub is_exact: bool,
}

/// Most that is believed of one attempt, in millionths of a dollar and in tokens: sums over all attempts there may be stay far
/// from the end of the numbers.
pub const MAX_SPENT: u64 = 1_000_000_000_000;
/// Longest name of a window, and longest text of the active item, in characters.
const MAX_TEXT: usize = 200;

impl Spent {
    /// No more than is believed.
    #[must_use]
    pub fn bounded(self) -> Spent {
        Spent {
            input_tokens: self.input_tokens.min(MAX_SPENT),
            output_tokens: self.output_tokens.min(MAX_SPENT),
            cost_microusd: self.cost_microusd.min(MAX_SPENT),
            ..self
        }
    }

    /// All tokens.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// A usage window of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageWindow {
    /// `five_hour`, `seven_day`, …, as the provider names it.
    pub kind: String,
    /// Used part in percent, when told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// When it begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Utc>,
    /// Whether requests are refused until then.
    #[serde(default)]
    pub is_rejected: bool,
}

/// Most usage windows kept of a run or a credential; three are known.
pub const MAX_WINDOWS: usize = 8;

impl UsageWindow {
    /// Puts it among `windows`, in place of an older word on the same one; dropped where [`MAX_WINDOWS`] others are known.
    pub fn put_in(self, windows: &mut Vec<UsageWindow>) {
        match windows.iter().position(|known| known.kind == self.kind) {
            Some(place) => windows[place] = self,
            None if windows.len() < MAX_WINDOWS => windows.push(self),
            None => {}
        }
    }
}

/// How far a run is, as its runner writes it down from time to time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveFacts {
    /// Model calls of the main thread.
    #[serde(default)]
    pub turns: u32,
    /// What it has used.
    #[serde(default)]
    pub spent: Spent,
    /// Items of its list of things to do: done, all, and the active one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub todo: Option<(u32, u32, String)>,
    /// Usage windows it was told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<UsageWindow>,
    /// Whether the model answered and the credential works.
    #[serde(default)]
    pub answered: bool,
    /// Whether an API key pays; none before the session began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pays_by_key: Option<bool>,
}

impl LiveFacts {
    /// No more than a runner would write: the task can write there too, and each news is kept in the journal.
    #[must_use]
    pub fn bounded(mut self) -> LiveFacts {
        let clip = |text: &mut String| {
            if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
                text.truncate(end);
            }
        };
        self.spent = self.spent.bounded();
        self.windows.truncate(MAX_WINDOWS);
        self.windows.iter_mut().for_each(|window| clip(&mut window.kind));
        self.todo.iter_mut().for_each(|(_, _, active)| clip(active));
        self
    }
}

/// Reads a transcript as it grows. Memory is bounded whatever it holds.
pub trait Watch: Send {
    /// Takes further bytes; what they complete is told in order.
    fn push(&mut self, bytes: &[u8]) -> Vec<Sign>;
}

/// How far a task is, in words and honest: what it says itself, else its list of things to do, else how many turns it has taken.
pub fn how_far(said: Option<&Progress>, run: Option<&LiveFacts>) -> String {
    match (said, run) {
        (Some(said), _) => said.to_string(),
        (None, Some(LiveFacts { todo: Some((done, total, active)), .. })) => {
            format!("{done}/{total} todo {active}").trim_end().to_owned()
        }
        (None, Some(run)) if run.turns > 0 => format!("turn {}", run.turns),
        _ => String::new(),
    }
}

/// How far a launch is, in words and percent: `pulling image 34 %`.
pub fn on_its_way(told: &Progress) -> String {
    let percent = |total| format!("{} %", u128::from(told.done.min(total)) * 100 / u128::from(total));
    let percent = told.total.filter(|total| *total > 0).map(percent);
    told.text.iter().cloned().chain(percent).collect::<Vec<_>>().join(" ")
}

/// What of it is done, as far as that is known: how much of how much.
pub fn fraction(said: Option<&Progress>, run: Option<&LiveFacts>) -> Option<(u64, u64)> {
    match (said, run) {
        (Some(said), _) => said.total.map(|total| (said.done, total)),
        (None, Some(LiveFacts { todo: Some((done, total, _)), .. })) => Some((u64::from(*done), u64::from(*total))),
        _ => None,
    }
    .filter(|(_, total)| *total > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_tells_percent_where_the_whole_is_known() {
        let told = |done, total, text: &str| on_its_way(&Progress { done, total, text: Some(text.to_owned()) });
        assert_eq!(told(34, Some(100), "pulling image"), "pulling image 34 %");
        assert_eq!(told(u64::MAX, Some(u64::MAX - 1), "pulling image"), "pulling image 100 %");
        assert_eq!(told(3, Some(0), "pulling image"), "pulling image");
        assert_eq!(told(0, None, "making the container"), "making the container");
    }

    #[test]
    fn a_fraction_is_told_only_where_the_total_is_known() {
        let run = LiveFacts { turns: 7, ..LiveFacts::default() };
        assert_eq!(how_far(None, Some(&run)), "turn 7");
        let listed = LiveFacts { todo: Some((3, 5, "tests".to_owned())), ..run.clone() };
        assert_eq!(how_far(None, Some(&listed)), "3/5 todo tests");
        let said = Progress { done: 4, total: None, text: None };
        assert_eq!(how_far(Some(&said), Some(&listed)), "4");
        assert_eq!(how_far(None, None), "");
        assert_eq!(
            [fraction(None, Some(&run)), fraction(None, Some(&listed)), fraction(Some(&said), Some(&listed))],
            [None, Some((3, 5)), None]
        );
    }
}
