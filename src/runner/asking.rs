//! Questions of the task itself (`airx mcp`), which go past the runner: it only has to know whether one is waited for.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use crate::model::attempt::{ASK_KEY, ASKING, MAX_OUTBOX_BYTES};
use crate::model::question::{Answer, InboxItem};
use crate::model::seal::is_sealed;
use crate::model::state::BudgetOf;
use crate::os;

/// Most names of the outbox that are looked at.
const MAX_NAMES: usize = 20_000;
/// Longest word on whose budget is spent that is read, in bytes.
const MAX_WORD: u64 = 16;

/// Whether somebody inside the attempt `dir` waits for an answer in words: it says so by a lock, which ends with it, and there
/// is a question that a person can see. The lock is looked at first, so most looks cost one call.
pub fn waits(dir: &Path, seal: &(String, String)) -> bool {
    if !os::is_locked(&dir.join(ASKING)).unwrap_or(false) {
        return false;
    }
    let Ok(entries) = fs::read_dir(dir.join("outbox")) else { return false };
    let mut names = entries.take(MAX_NAMES).flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.any(|name| {
        let key = name.strip_suffix(".json").and_then(|name| name.split_once('-')).map(|(_, key)| key);
        key.is_some_and(|key| key.starts_with(ASK_KEY) && answer(dir, key, seal).is_none())
    })
}

/// The answer to a question, once it is there. What the manager did not seal is none: the task can write there too.
pub fn answer(dir: &Path, key: &str, (public, mark): &(String, String)) -> Option<Answer> {
    let mut text = Vec::new();
    let file = os::open_regular(&dir.join("inbox").join(format!("{key}.json"))).ok()?;
    file.take(MAX_OUTBOX_BYTES).read_to_end(&mut text).ok()?;
    let item: InboxItem = serde_json::from_slice(&text).ok()?;
    (item.key == key && is_sealed(public, mark, &item)).then_some(item.answer)
}

/// The shared budget that the manager says is spent, if it does.
pub fn spent_budget(dir: &Path) -> Option<BudgetOf> {
    let mut word = String::new();
    os::open_regular(&dir.join("inbox/over-budget")).ok()?.take(MAX_WORD).read_to_string(&mut word).ok()?;
    [BudgetOf::Job, BudgetOf::Day].into_iter().find(|of| of.word() == word.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::seal::{public, seal};

    #[test]
    fn a_question_is_waited_for_while_somebody_holds_the_lock_and_no_sealed_answer_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let trust = (public(&[7; 32]), "m".to_owned());
        let waits = || waits(dir, &trust);
        fs::create_dir(dir.join("outbox")).unwrap();
        fs::create_dir(dir.join("inbox")).unwrap();
        let lock = fs::File::create(dir.join(ASKING)).unwrap();
        fs::write(dir.join("outbox/000001-ask-1.json"), "{}").unwrap();
        assert!(!waits(), "nobody waits");
        assert!(os::try_lock_shared(&lock).unwrap());
        assert!(waits());
        let item = InboxItem::new("ask-1".to_owned(), Answer::Say { text: "yes".to_owned() });
        let put = |item: &InboxItem| fs::write(dir.join("inbox/ask-1.json"), serde_json::to_vec(item).unwrap()).unwrap();
        put(&item);
        assert!(waits(), "the task answered itself");
        put(&seal(&[7; 32], "m", item));
        assert!(!waits());
        fs::write(dir.join("outbox/000002-ask-2.json"), "{}").unwrap();
        assert!(waits());
        drop(lock);
        assert!(!waits());
    }

    #[test]
    fn a_spent_budget_is_told_by_a_file_alone_and_nothing_in_its_place_keeps_the_runner_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("inbox/over-budget");
        assert_eq!(spent_budget(dir.path()), None);
        fs::create_dir(dir.path().join("inbox")).unwrap();
        for (word, of) in [("day", Some(BudgetOf::Day)), ("job\n", Some(BudgetOf::Job)), ("attempt", None)] {
            fs::write(&place, word).unwrap();
            assert_eq!(spent_budget(dir.path()), of, "{word}");
        }
        fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &place).unwrap();
        assert_eq!(spent_budget(dir.path()), None, "no end of it would be read");
        fs::remove_file(&place).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &place, rustix::fs::Mode::RWXU).unwrap();
        let (told, tells) = std::sync::mpsc::channel();
        let home = dir.path().to_owned();
        std::thread::spawn(move || told.send(spent_budget(&home)).unwrap());
        let waited = tells.recv_timeout(std::time::Duration::from_secs(10));
        assert_eq!(waited.expect("no wait for a writer"), None);
    }
}
