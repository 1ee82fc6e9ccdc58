//! What a run has used so far: estimated line by line, exact at each `result`.
//!
//! While a message is written, its lines tell the tokens that were read, but not yet those that are written; these are
//! estimated as one for four characters. A `result` gives exact totals of the whole process, subagents included; what
//! follows is estimated on top of them. The last answer of a subagent is no line of its own and is counted by the result only.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::model::live::Spent;

/// Messages that may still be added to; as many subagents may write at once.
const MAX_MESSAGES: usize = 64;
/// Characters of a token, on average.
const CHARACTERS: u64 = 4;
/// A number of tokens above which a line is not believed.
const MAX_TOKENS: u64 = 1_000_000_000;

/// Dollars a million tokens of input and output.
///
/// The prices by which the costs of the recorded transcripts are exact: opus 5 and 25, sonnet 3 and 15, haiku 1 and 5, and an
/// unknown model as opus. Cached input has not been recorded; by the provider's price list reading it costs a tenth of the
/// input, writing it a quarter more.
fn price(model: &str) -> (u64, u64) {
    if model.contains("haiku") {
        (1, 5)
    } else if model.contains("sonnet") {
        (3, 15)
    } else {
        (5, 25)
    }
}

/// Tokens of one message, as its lines tell them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Read, not cached.
    pub(super) input: u64,
    /// Read from the cache.
    pub(super) cache_read: u64,
    /// Read and written to the cache.
    pub(super) cache_write: u64,
    /// Written; far too few as long as the message is not over.
    pub(super) output: u64,
}

impl Usage {
    fn tokens_in(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }

    /// Hundredths of a millionth of a dollar: dollars a million tokens are millionths of a dollar a token.
    fn cost(&self, model: &str) -> u64 {
        let (input, output) = price(model);
        let parts = [
            (self.input, 100 * input),
            (self.cache_read, 10 * input),
            (self.cache_write, 125 * input),
            (self.output, 100 * output),
        ];
        parts.iter().map(|(tokens, price)| tokens.saturating_mul(*price)).fold(0, u64::saturating_add)
    }

    /// The larger of each.
    fn max(self, other: Usage) -> Usage {
        Usage {
            input: self.input.max(other.input).min(MAX_TOKENS),
            cache_read: self.cache_read.max(other.cache_read).min(MAX_TOKENS),
            cache_write: self.cache_write.max(other.cache_write).min(MAX_TOKENS),
            output: self.output.max(other.output).min(MAX_TOKENS),
        }
    }
}

/// A message that may still be added to.
#[derive(Debug)]
struct Message {
    id: u64,
    characters: u64,
    counted: Usage,
}

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Spending {
    messages: VecDeque<Message>,
    exact: Spent,
    /// On top of `exact`, in tokens, and in hundredths of a millionth of a dollar.
    input: u64,
    output: u64,
    cost: u64,
}

impl Spending {
    /// Takes a line of a message: its `characters` of text, thinking and input of tools, and its `usage`. Says whether it is
    /// the message's first; one without an id is a message of its own.
    pub(super) fn line(&mut self, id: &str, model: &str, usage: Usage, characters: u64) -> bool {
        let hash = hash(id);
        let known = self.messages.iter().rposition(|message| message.id == hash && !id.is_empty());
        let at = known.unwrap_or_else(|| {
            if self.messages.len() >= MAX_MESSAGES {
                self.messages.pop_front();
            }
            self.messages.push_back(Message { id: hash, characters: 0, counted: Usage::default() });
            self.messages.len() - 1
        });
        let message = &mut self.messages[at];
        message.characters = message.characters.saturating_add(characters);
        let estimated = Usage { output: message.characters.div_ceil(CHARACTERS), ..Usage::default() };
        let before = message.counted;
        message.counted = before.max(usage).max(estimated);
        let now = message.counted;
        self.input = self.input.saturating_add(now.tokens_in() - before.tokens_in());
        self.output = self.output.saturating_add(now.output - before.output);
        self.cost = self.cost.saturating_add(now.cost(model).saturating_sub(before.cost(model)));
        known.is_none()
    }

    /// Takes the totals of a `result`.
    pub(super) fn result(&mut self, exact: Spent) {
        self.exact = Spent { is_exact: true, ..exact };
        (self.input, self.output, self.cost) = (0, 0, 0);
    }

    /// All of it.
    pub(super) fn total(&self) -> Spent {
        Spent {
            input_tokens: self.exact.input_tokens.saturating_add(self.input),
            output_tokens: self.exact.output_tokens.saturating_add(self.output),
            cost_microusd: self.exact.cost_microusd.saturating_add(self.cost.div_ceil(100)),
            is_exact: self.exact.is_exact && (self.input, self.output) == (0, 0),
        }
    }
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPUS: &str = "claude-opus-4-8";

    #[test]
    fn the_lines_of_one_message_tell_its_input_once_and_add_up_its_output() {
        let mut spending = Spending::default();
        let usage = Usage { input: 100, output: 1, ..Usage::default() };
        assert!(spending.line("a", OPUS, usage, 10));
        assert!(!spending.line("a", OPUS, usage, 11));
        assert!(spending.line("b", OPUS, usage, 0));
        let total = spending.total();
        assert_eq!((total.input_tokens, total.output_tokens, total.is_exact), (200, 6 + 1, false));
        assert_eq!(total.cost_microusd, 200 * 5 + 7 * 25);
    }

    #[test]
    fn cached_input_has_its_own_prices() {
        let mut spending = Spending::default();
        spending.line("a", "claude-haiku-4-5", Usage { cache_read: 1000, cache_write: 1000, ..Usage::default() }, 0);
        assert_eq!((spending.total().input_tokens, spending.total().cost_microusd), (2000, 100 + 1250));
    }

    #[test]
    fn a_result_is_exact_and_later_lines_are_estimated_on_top_of_it() {
        let mut spending = Spending::default();
        spending.line("a", OPUS, Usage { input: 100, ..Usage::default() }, 400);
        let exact = Spent { input_tokens: 90, output_tokens: 80, cost_microusd: 7, is_exact: true };
        spending.result(exact);
        assert_eq!(spending.total(), exact);
        spending.line("a", OPUS, Usage { input: 100, ..Usage::default() }, 8);
        let more = Spent { output_tokens: 82, cost_microusd: 7 + 50, is_exact: false, ..exact };
        assert_eq!(spending.total(), more);
    }

    #[test]
    fn absurd_numbers_stay_within_bounds() {
        let mut spending = Spending::default();
        let absurd = Usage { input: u64::MAX, cache_read: u64::MAX, cache_write: u64::MAX, output: u64::MAX };
        for number in 0..200 {
            spending.line(&number.to_string(), OPUS, absurd, u64::MAX);
        }
        assert_eq!(spending.messages.len(), MAX_MESSAGES);
        assert_eq!(spending.total().output_tokens, 200 * MAX_TOKENS);
    }
}
