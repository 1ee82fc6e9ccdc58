//! A question to a person: asked through the outbox, answered by a file in the inbox.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::model::attempt::ASKING;
use crate::model::question::{Answer, InboxItem, MAX_ANSWER_TEXT};
use crate::model::seal::is_sealed;
use crate::os;

use super::tools::Said;

/// Largest answer file: its text escaped as JSON, which makes up to six bytes of one, and a little around it.
const MAX_FILE: u64 = 6 * MAX_ANSWER_TEXT as u64 + 4096;
/// Largest `spec.json` that is read.
const MAX_SPEC: u64 = 16 << 20;
/// Tries to say that somebody waits, beside the runner, which looks for a moment at a time.
const TRIES: u32 = 50;

/// What of `spec.json` concerns answers.
#[derive(Deserialize)]
struct Sealing {
    #[serde(default)]
    seal: String,
}

/// By what answers to the attempt in `directory` are known to come from the manager: the public half of their seal. Read before
/// the model begins to act, which could write it anew.
///
/// # Errors
/// When it cannot be read.
pub(super) fn public_seal(directory: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    os::open_regular(&directory.join("spec.json"))?.take(MAX_SPEC).read_to_end(&mut text)?;
    Ok(serde_json::from_slice::<Sealing>(&text)?.seal)
}

/// Tells the runner, as long as the answer lives, that somebody waits for a person: that time is not the task's. Where it cannot
/// be told the question is asked all the same.
pub(super) fn waiting(directory: &Path) -> Option<File> {
    let path = directory.join(ASKING);
    let parent = path.parent()?;
    match fs::DirBuilder::new().mode(0o700).create(parent) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return None,
        _ => {}
    }
    let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).ok()?;
    for _ in 0..TRIES {
        if os::try_lock_shared(&lock).ok()? {
            return Some(lock);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    None
}

/// A question that was asked and is not answered yet.
pub(super) struct Asking {
    /// Its key.
    pub key: String,
    /// The attempt's directory.
    pub directory: PathBuf,
    /// The attempt's mark.
    pub mark: String,
    /// By what its answer is known.
    pub public: String,
    /// Says that it is waited for.
    pub _waiting: Option<File>,
}

impl Asking {
    /// The answer in words for whoever asked; none while it is open.
    pub fn look(&self) -> Option<Said> {
        match self.read() {
            Some(Answer::Say { text }) => Some(Ok(text)),
            Some(Answer::Deny { message }) => Some(Err(format!("no answer: {message}"))),
            Some(Answer::Allow { .. } | Answer::Approve { .. }) => Some(Ok("yes".to_owned())),
            Some(Answer::Reject { .. }) => Some(Ok("no".to_owned())),
            // Held by the runner as long as the attempt lives.
            None if os::is_locked(&self.directory.join("lock")).is_ok_and(|held| !held) => {
                Some(Err("this attempt is over, so nobody answers its questions any more".to_owned()))
            }
            None => None,
        }
    }

    /// What is not sealed by the manager is no answer.
    fn read(&self) -> Option<Answer> {
        let mut text = Vec::new();
        let file = os::open_regular(&self.directory.join("inbox").join(format!("{}.json", self.key))).ok()?;
        file.take(MAX_FILE).read_to_end(&mut text).ok()?;
        let item: InboxItem = serde_json::from_slice(&text).ok()?;
        (item.key == self.key && is_sealed(&self.public, &self.mark, &item)).then_some(item.answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::seal::{public, seal};

    const SECRET: [u8; 32] = [7; 32];

    fn asking(dir: &Path) -> Asking {
        let (key, mark) = ("ask-1".to_owned(), "m".to_owned());
        Asking { key, directory: dir.to_owned(), mark, public: public(&SECRET), _waiting: None }
    }

    fn answered(item: &InboxItem) -> Option<Said> {
        let dir = tempfile::tempdir().unwrap();
        let lock = File::create(dir.path().join("lock")).unwrap();
        assert!(os::try_lock(&lock).unwrap());
        fs::create_dir(dir.path().join("inbox")).unwrap();
        fs::write(dir.path().join("inbox/ask-1.json"), serde_json::to_vec(item).unwrap()).unwrap();
        asking(dir.path()).look()
    }

    fn item(answer: Answer) -> InboxItem {
        InboxItem::new("ask-1".to_owned(), answer)
    }

    #[test]
    fn an_answer_is_told_in_words_and_a_refusal_is_an_error() {
        let longest = "\u{1}".repeat(MAX_ANSWER_TEXT);
        let sealed = |answer| seal(&SECRET, "m", item(answer));
        assert_eq!(answered(&sealed(Answer::Say { text: longest.clone() })), Some(Ok(longest)));
        let denied = Answer::Deny { message: "ask later".to_owned() };
        assert_eq!(answered(&sealed(denied)), Some(Err("no answer: ask later".to_owned())));
    }

    #[test]
    fn a_task_cannot_answer_itself() {
        assert_eq!(answered(&item(Answer::Say { text: "yes".to_owned() })), None);
        assert_eq!(answered(&seal(&[8; 32], "m", item(Answer::Say { text: "yes".to_owned() }))), None);
    }

    #[test]
    fn a_question_is_open_as_long_as_its_attempt_lives() {
        let dir = tempfile::tempdir().unwrap();
        let lock = File::create(dir.path().join("lock")).unwrap();
        assert!(os::try_lock(&lock).unwrap());
        assert_eq!(asking(dir.path()).look(), None);
        drop(lock);
        assert!(asking(dir.path()).look().unwrap().unwrap_err().contains("over"));
    }

    #[test]
    fn whoever_waits_says_so_for_as_long_as_it_waits() {
        let dir = tempfile::tempdir().unwrap();
        let is_told = || os::is_locked(&dir.path().join(ASKING)).unwrap();
        let (one, other) = (waiting(dir.path()), waiting(dir.path()));
        assert!(one.is_some() && other.is_some() && is_told());
        drop(one);
        assert!(is_told());
        drop(other);
        assert!(!is_told());
    }
}
