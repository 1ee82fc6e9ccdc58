//! Answers are sealed by the manager and checked by the runner: a task owns its attempt directory, inbox included, and must
//! not be able to answer its own question. The runner gets the public half with its specification, before its task exists.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::question::InboxItem;

/// The public half of a seal made from `secret`, in hexadecimal digits.
pub fn public(secret: &[u8; 32]) -> String {
    hex(SigningKey::from_bytes(secret).verifying_key().as_bytes())
}

/// Seals an answer to a question of the attempt `mark`.
pub fn seal(secret: &[u8; 32], mark: &str, mut item: InboxItem) -> InboxItem {
    item.seal = hex(&SigningKey::from_bytes(secret).sign(&text(mark, &item)).to_bytes());
    item
}

/// Whether an answer bears the seal of `public`, for this very question and attempt.
pub fn is_sealed(public: &str, mark: &str, item: &InboxItem) -> bool {
    let key = bytes::<32>(public).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
    let seal = bytes::<64>(&item.seal).map(|bytes| Signature::from_bytes(&bytes));
    match (key, seal) {
        (Some(key), Some(seal)) => key.verify_strict(&text(mark, item), &seal).is_ok(),
        _ => false,
    }
}

fn text(mark: &str, item: &InboxItem) -> Vec<u8> {
    // Object keys keep their order, so the same answer is the same text on both sides.
    serde_json::to_vec(&(mark, &item.key, &item.answer)).unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    if hex.len() != N * 2 || !hex.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[place * 2..place * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::question::Answer;

    #[test]
    fn only_the_managers_own_answer_to_this_question_of_this_attempt_is_taken() {
        let secret = [7; 32];
        let item =
            |text: &str| InboxItem { key: "q".to_owned(), answer: Answer::Say { text: text.to_owned() }, seal: String::new() };
        let sealed = seal(&secret, "home-1-0-1", item("yes"));
        let public = public(&secret);
        assert!(is_sealed(&public, "home-1-0-1", &sealed));
        assert!(!is_sealed(&public, "home-1-0-2", &sealed), "an answer to another attempt");
        assert!(!is_sealed(&public, "home-1-0-1", &InboxItem { key: "r".to_owned(), ..sealed.clone() }));
        assert!(!is_sealed(&public, "home-1-0-1", &InboxItem { answer: item("no").answer, ..sealed.clone() }));
        assert!(!is_sealed(&public, "home-1-0-1", &seal(&[8; 32], "home-1-0-1", item("yes"))), "another key");
        for bad in ["", "zz", "é".repeat(64).as_str(), "+f".repeat(64).as_str()] {
            assert!(!is_sealed(&public, "home-1-0-1", &InboxItem { seal: bad.to_owned(), ..sealed.clone() }));
            assert!(!is_sealed(bad, "home-1-0-1", &sealed));
        }
    }
}
