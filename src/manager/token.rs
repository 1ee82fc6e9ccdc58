//! The token by which a running task proves which attempt it is. Derived, so that it survives restarts and is never stored.

use sha2::{Digest, Sha256};

use crate::model::ids::{AttemptId, JobId, TaskIdx};

/// What tells this home's attempts from all others.
#[derive(Clone)]
pub struct Identity {
    /// Eight hexadecimal digits, drawn when the home was made.
    pub home: String,
    /// Secret of the home, from which tokens are derived.
    pub secret: String,
}

impl Identity {
    /// The attempt's mark: `HOMEID-JOB-TASK-NUMBER`, unique over all homes.
    pub fn mark(&self, attempt: AttemptId) -> String {
        format!("{}-{attempt}", self.home)
    }

    /// The token of the attempt with this mark, 64 hexadecimal digits.
    pub fn token(&self, mark: &str) -> String {
        let mut hash = Sha256::new();
        for part in ["airx-attempt-token", &self.secret, mark] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The secret half of the seal on answers to this attempt's questions ([`crate::model::seal`]).
    pub fn seal(&self, mark: &str) -> [u8; 32] {
        Sha256::digest(self.token(&format!("answers to {mark}")).as_bytes()).into()
    }

    /// The attempt that a mark and its token prove; none when they do not.
    pub fn prove(&self, mark: &str, token: &str) -> Option<AttemptId> {
        let expected = self.token(mark);
        // Compared in full whatever differs, so that timing tells nothing.
        let same = expected.len() == token.len() && expected.bytes().zip(token.bytes()).fold(0, |acc, (a, b)| acc | (a ^ b)) == 0;
        if !same {
            return None;
        }
        let mut parts = mark.strip_prefix(self.home.as_str())?.strip_prefix('-')?.splitn(3, '-');
        let mut number = || parts.next()?.parse().ok();
        Some(AttemptId { job: JobId(number()?), task: TaskIdx(number()?), number: number()? })
    }

    /// A seed that stays the same for the home.
    pub fn seed(&self) -> u64 {
        self.token("seed")
            .bytes()
            .take(16)
            .fold(0, |acc, digit| (acc << 4) | u64::from((digit as char).to_digit(16).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_proves_its_own_attempt_and_no_other() {
        let identity = Identity { home: "0a1b2c3d".to_owned(), secret: "s".to_owned() };
        let attempt = AttemptId { job: JobId(3), task: TaskIdx(7), number: 2 };
        let mark = identity.mark(attempt);
        let token = identity.token(&mark);
        assert_eq!(identity.prove(&mark, &token), Some(attempt));
        assert_eq!(identity.prove("0a1b2c3d-3-7-3", &token), None);
        assert_eq!(identity.prove(&mark, &token[1..]), None);
        assert_eq!(Identity { secret: "t".to_owned(), ..identity }.prove(&mark, &token), None);
    }
}
