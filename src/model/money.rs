//! Money and tokens as people read them: the same for the command line and the screen.

use super::message::UsageView;
use super::spec::Budget;

/// How dollars are written. Without an API key nobody pays them: they are what the same use would cost, marked `≈`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dollars {
    /// Whether an API key pays.
    pub are_real: bool,
    /// Whether signs beyond ASCII may be used.
    pub unicode: bool,
}

impl Dollars {
    /// For sums over runs of any credential: real only where each one is known to pay by key.
    pub fn of(usage: &UsageView, unicode: bool) -> Dollars {
        let pays = |state: &super::credential::CredentialState| state.pays_by_key == Some(true);
        Dollars { are_real: usage.credentials.iter().all(|credential| pays(&credential.state)), unicode }
    }

    /// The same for a run of which it is known who pays.
    pub fn paid_by_key(self, are_real: bool) -> Dollars {
        Dollars { are_real, ..self }
    }

    /// `$1.90`, or `≈$1.90` where nobody pays it; nothing for nothing.
    pub fn show(self, microusd: u64) -> String {
        let mark = match (self.are_real, self.unicode) {
            (true, _) => "",
            (false, true) => "\u{2248}",
            (false, false) => "~",
        };
        match microusd {
            0 => String::new(),
            1..=9_999 => format!("{mark}<$0.01"),
            _ => format!("{mark}${}.{:02}", microusd / 1_000_000, microusd / 10_000 % 100),
        }
    }

    /// What was used of a budget, as in `$1.90 of $5`; what has no bound is told only when there is any.
    pub fn used(self, microusd: u64, tokens: u64, budget: Option<&Budget>) -> String {
        let budget = budget.copied().unwrap_or_default();
        let spent = match (self.show(microusd), budget.microusd) {
            (spent, None) => spent,
            (spent, Some(most)) => format!("{} of {}", if spent.is_empty() { "$0" } else { &spent }, amount(most)),
        };
        let read = budget.tokens.map(|most| format!("{} of {} tokens", count(tokens), count(most)));
        [Some(spent), read].into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

/// What may be used, as in `$5 and 1.2M tokens`.
pub fn most(budget: &Budget) -> String {
    let tokens = budget.tokens.map(|tokens| format!("{} tokens", count(tokens)));
    budget.microusd.map(amount).into_iter().chain(tokens).collect::<Vec<_>>().join(" and ")
}

/// Dollars in millionths; none where that is no amount.
pub fn micro(usd: f64) -> Option<u64> {
    let micro = (usd * 1e6).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the bounds are checked")]
    (0.0..1e18).contains(&micro).then_some(micro as u64)
}

/// An amount that somebody set: `$20`, `$0.50`.
pub fn amount(microusd: u64) -> String {
    match (microusd / 1_000_000, microusd / 10_000 % 100) {
        (whole, 0) if microusd >= 10_000 || microusd == 0 => format!("${whole}"),
        (0, 0) => "<$0.01".to_owned(),
        (whole, cents) => format!("${whole}.{cents:02}"),
    }
}

/// A number of tokens in at most four characters and a unit: `812`, `12k`, `1.2M`.
pub fn count(tokens: u64) -> String {
    match tokens {
        0..1_000 => tokens.to_string(),
        1_000..10_000 => format!("{}.{}k", tokens / 1_000, tokens / 100 % 10),
        10_000..1_000_000 => format!("{}k", tokens / 1_000),
        1_000_000..10_000_000 => format!("{}.{}M", tokens / 1_000_000, tokens / 100_000 % 10),
        _ => format!("{}M", tokens / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::credential::CredentialState;
    use crate::model::message::CredentialView;

    const REAL: Dollars = Dollars { are_real: true, unicode: true };

    #[test]
    fn dollars_that_nobody_pays_are_marked() {
        assert_eq!([0, 3, 220_000, 12_345_678].map(|sum| REAL.show(sum)), ["", "<$0.01", "$0.22", "$12.34"]);
        let notional = REAL.paid_by_key(false);
        assert_eq!([0, 3, 220_000].map(|sum| notional.show(sum)), ["", "≈<$0.01", "≈$0.22"]);
        assert_eq!(Dollars { unicode: false, ..notional }.show(220_000), "~$0.22");
    }

    #[test]
    fn a_sum_is_real_only_where_every_credential_pays_by_key() {
        let view = |pays_by_key| {
            let state = CredentialState { pays_by_key, ..CredentialState::default() };
            CredentialView { name: "c".to_owned(), state }
        };
        let real = |known: &[Option<bool>]| {
            let credentials = known.iter().map(|pays| view(*pays)).collect();
            Dollars::of(&UsageView { credentials, ..UsageView::default() }, true).are_real
        };
        assert!(real(&[]) && real(&[Some(true)]));
        assert!(!real(&[None]) && !real(&[Some(true), Some(false)]));
    }

    #[test]
    fn a_budget_is_told_with_what_was_used_of_it() {
        let budget = Budget { microusd: Some(20_000_000), tokens: None };
        assert_eq!(REAL.used(4_120_000, 9, Some(&budget)), "$4.12 of $20");
        assert_eq!(REAL.used(0, 9, Some(&budget)), "$0 of $20");
        let both = Budget { microusd: Some(500_000), tokens: Some(1_250_000) };
        assert_eq!(REAL.used(10_000, 8_150, Some(&both)), "$0.01 of $0.50, 8.1k of 1.2M tokens");
        assert_eq!(REAL.used(10_000, 8_150, None), "$0.01");
        assert_eq!([most(&budget), most(&both)], ["$20", "$0.50 and 1.2M tokens"]);
        assert_eq!([0, 999, 12_345, 22_000_000].map(count), ["0", "999", "12k", "22M"]);
        assert_eq!([0.25, 1e-9, -1.0, f64::NAN, 1e300].map(micro), [Some(250_000), Some(0), None, None, None]);
        assert_eq!([0, 1, 1_000_000, 1_500_000].map(amount), ["$0", "<$0.01", "$1", "$1.50"]);
    }
}
