//! A Claude run under the runner's eyes: its transcript is read as it grows, what it asks goes to the outbox, answers from
//! the inbox go to its standard input, and how far it is gets written down for the manager.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::{Value, json};

use super::records::create;
use super::{asking, outbox};
use crate::model::attempt::{Allowance, OutboxBody};
use crate::model::live::{LiveFacts, Sign, Spent, Watch};
use crate::model::question::{Answer, MAX_OPEN_QUESTIONS, MAX_QUESTION, Question, QuestionBody};
use crate::model::runner::Input;
use crate::model::time::Mono;
use crate::os;

/// Between two looks at the transcript, the inbox and the pipe.
pub const LOOK_MS: u64 = 250;
/// At least so long between two notes of how far it is.
const NOTE_MS: u64 = 1_000;
/// Bytes of the transcript read at once.
const PIECE: usize = 64 * 1024;
/// Most bytes of answers that wait for the command to read them: all questions that may be open, answered with the longest inputs.
/// One that reads none of them is told nothing more.
const MAX_UNSENT: usize = 32 << 20;
/// The CLI ends a run at its dollars by itself, exactly; the estimate of a run's cost ends it only this far beyond, in percent.
const ESTIMATE_PERCENT: u64 = 125;

/// What is followed.
pub struct Follower {
    transcript: File,
    read: u64,
    watch: Box<dyn Watch>,
    facts: LiveFacts,
    noted: LiveFacts,
    note_at: Mono,
    allowance: Option<Allowance>,
    over_budget: bool,
    refused: bool,
    /// The command's standard input, while there is something to say.
    stdin: Option<OwnedFd>,
    /// What could not be written to it yet.
    unsent: Vec<u8>,
    sent: usize,
    /// Questions that wait for an answer, with the input that they ask about.
    open: BTreeMap<String, Value>,
    /// Whether a result line was read: nothing more will be asked.
    is_over: bool,
    /// The public half of the seal on answers, and the attempt's mark.
    seal: (String, String),
}

impl Follower {
    /// Follows the transcript; `stdin` is the pipe to the command, none when it reads a file, and `first` what is said on it.
    pub fn new(
        transcript: File,
        watch: Box<dyn Watch>,
        allowance: Option<Allowance>,
        stdin: Option<OwnedFd>,
        first: Vec<u8>,
        seal: (String, String),
    ) -> Follower {
        Follower {
            transcript,
            read: 0,
            watch,
            facts: LiveFacts::default(),
            noted: LiveFacts::default(),
            note_at: Mono(0),
            allowance,
            over_budget: false,
            refused: false,
            stdin,
            unsent: first,
            sent: 0,
            open: BTreeMap::new(),
            is_over: false,
            seal,
        }
    }

    /// What the run used, as far as its transcript was read.
    pub fn spent(&self) -> Spent {
        self.facts.spent
    }

    /// The pipe, while there is something that it would not take.
    pub fn blocked(&self) -> Option<BorrowedFd<'_>> {
        self.stdin.as_ref().filter(|_| self.sent < self.unsent.len()).map(AsFd::as_fd)
    }

    /// Looks at everything, and tells the machine what it has to know.
    pub fn look(&mut self, now: Mono) -> Vec<Input> {
        let mut inputs = Vec::new();
        self.read_on(&mut inputs);
        self.take_answers();
        inputs.push(Input::Waiting(!self.open.is_empty() || asking::waits(Path::new("."), &self.seal)));
        self.talk();
        inputs.extend(self.told_over_budget());
        if now >= self.note_at && self.facts != self.noted {
            self.note();
            self.note_at = Mono(now.0.saturating_add(NOTE_MS));
        }
        inputs
    }

    /// The command is over: what it wrote last is read, and how far it got is noted.
    pub fn finish(&mut self) {
        let mut inputs = Vec::new();
        self.read_on(&mut inputs);
        self.stdin = None;
        if self.facts != self.noted {
            self.note();
        }
    }

    fn read_on(&mut self, inputs: &mut Vec<Input>) {
        let mut piece = vec![0; PIECE];
        // A task that writes faster than this reads is read on at the next look.
        for _ in 0..256 {
            let Ok(count) = self.transcript.read_at(&mut piece, self.read) else { return };
            if count == 0 {
                return;
            }
            self.read += count as u64;
            for sign in self.watch.push(&piece[..count]) {
                inputs.extend(self.take(sign));
            }
        }
    }

    fn take(&mut self, sign: Sign) -> Option<Input> {
        match sign {
            Sign::Session { pays_by_key, .. } => self.facts.pays_by_key = Some(pays_by_key),
            Sign::Answered => self.facts.answered = true,
            Sign::Refused if !self.refused => {
                self.refused = true;
                return Some(Input::Refused);
            }
            Sign::Refused => {}
            Sign::Turns(turns) => self.facts.turns = turns,
            Sign::Todo { done, total, active } => self.facts.todo = Some((done, total, active)),
            Sign::Window(window) => window.put_in(&mut self.facts.windows),
            Sign::Spent(spent) => {
                self.facts.spent = spent;
                return self.spends();
            }
            Sign::Asks(question) => self.ask(*question),
            Sign::Over => self.is_over = true,
        }
        None
    }

    fn spends(&mut self) -> Option<Input> {
        let allowance = self.allowance?;
        let spent = self.facts.spent;
        let most = |most: u64| if spent.is_exact { most } else { most.saturating_mul(ESTIMATE_PERCENT) / 100 };
        let dollars = allowance.left.microusd.is_some_and(|left| spent.cost_microusd > most(left));
        let tokens = allowance.left.tokens.is_some_and(|left| spent.tokens() >= left);
        // A result is the end anyway; only what would go on is ended.
        ((dollars || tokens) && !self.is_over && !std::mem::replace(&mut self.over_budget, true))
            .then_some(Input::OverBudget(allowance.of))
    }

    /// The manager says that a budget that other runs share is spent.
    fn told_over_budget(&mut self) -> Option<Input> {
        if self.over_budget {
            return None;
        }
        let of = asking::spent_budget(Path::new("."))?;
        self.over_budget = true;
        Some(Input::OverBudget(of))
    }

    /// Puts a question into the outbox; one that cannot get there is denied, so that the run goes on.
    fn ask(&mut self, question: Question) {
        let Question { key, body } = question;
        let QuestionBody::Permission { input, .. } = &body else { return };
        if self.stdin.is_none() || self.open.contains_key(&key) {
            return;
        }
        let input = input.clone();
        let size = serde_json::to_string(&body).map_or(usize::MAX, |text| text.len());
        let why = if size > MAX_QUESTION {
            Some(format!("the request has {size} bytes, more than a person can be shown"))
        } else if self.open.len() >= MAX_OPEN_QUESTIONS {
            Some(format!("{MAX_OPEN_QUESTIONS} requests wait already"))
        } else {
            let item = OutboxBody::Ask(Box::new(Question { key: key.clone(), body }));
            outbox::put(Path::new("."), item, Some(&key)).err().map(|error| error.to_string())
        };
        match why {
            Some(message) => self.respond(&key, &input, &Answer::Deny { message }),
            None => {
                self.open.insert(key, input);
                poke();
            }
        }
    }

    fn take_answers(&mut self) {
        let found: Vec<(String, Answer)> =
            self.open.keys().filter_map(|key| Some((key.clone(), asking::answer(Path::new("."), key, &self.seal)?))).collect();
        for (key, answer) in found {
            if let Some(input) = self.open.remove(&key) {
                self.respond(&key, &input, &answer);
            }
        }
    }

    /// Says an answer the way the CLI expects it (its reference, section 9).
    fn respond(&mut self, key: &str, asked: &Value, answer: &Answer) {
        let response = match answer {
            // No answer to a tool: what a person approved is another matter.
            Answer::Approve { .. } | Answer::Reject { .. } => return,
            Answer::Allow { input, .. } => json!({ "behavior": "allow", "updatedInput": input.as_ref().unwrap_or(asked) }),
            Answer::Deny { message } | Answer::Say { text: message } => json!({ "behavior": "deny", "message": message }),
        };
        let line = json!({
            "type": "control_response",
            "response": { "subtype": "success", "request_id": key, "response": response },
        });
        let line = format!("{line}\n");
        self.unsent.drain(..std::mem::take(&mut self.sent));
        if self.unsent.len().saturating_add(line.len()) > MAX_UNSENT {
            self.hang_up();
        } else if self.stdin.is_some() {
            self.unsent.extend_from_slice(line.as_bytes());
        }
    }

    /// Nobody reads what is answered: nothing is waited for any more, and the task's time goes on.
    fn hang_up(&mut self) {
        (self.unsent, self.sent, self.stdin) = (Vec::new(), 0, None);
        self.open.clear();
    }

    /// Writes what there is to say, as far as the pipe takes it; after the result nothing more is said.
    fn talk(&mut self) {
        let Some(stdin) = &self.stdin else { return };
        while self.sent < self.unsent.len() {
            match rustix::io::write(stdin, &self.unsent[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                // The command reads no more: it is ending.
                Err(_) => return self.hang_up(),
            }
        }
        (self.unsent, self.sent) = (Vec::new(), 0);
        if self.is_over && self.open.is_empty() {
            self.stdin = None;
        }
    }

    /// Writes down how far it is, and tells the manager that there is news.
    fn note(&mut self) {
        let write = || -> io::Result<()> {
            let text = serde_json::to_vec(&self.facts)?;
            create(".live.new", false)?.write_all_at(&text, 0)?;
            fs::rename(".live.new", "live.json")
        };
        // On a full disk it is noted later; nothing depends on it.
        if write().is_ok() {
            self.noted = self.facts.clone();
            poke();
        }
    }
}

/// Lets the manager know that there is news; without one it finds that out by itself later.
fn poke() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let request = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "intake",
        "params": { "mark": variable("AIRX_ATTEMPT"), "token": variable("AIRX_TOKEN") },
    });
    os::tell(Path::new(&variable("AIRX_SOCKET")), format!("{request}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Deaf;

    impl Watch for Deaf {
        fn push(&mut self, _bytes: &[u8]) -> Vec<Sign> {
            Vec::new()
        }
    }

    fn follower(stdin: OwnedFd) -> Follower {
        rustix::io::ioctl_fionbio(&stdin, true).unwrap();
        let (transcript, seal) = (tempfile::tempfile().unwrap(), (String::new(), String::new()));
        Follower::new(transcript, Box::new(Deaf), None, Some(stdin), Vec::new(), seal)
    }

    #[test]
    fn nothing_is_waited_for_once_the_command_reads_no_answers_any_more() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let mut follower = follower(write);
        follower.open.insert("other".to_owned(), Value::Null);
        drop(read);
        follower.respond("key", &Value::Null, &Answer::Allow { input: None, always: false });
        follower.talk();
        assert!(follower.open.is_empty(), "its timeout would stand still for ever");
    }

    #[test]
    fn a_command_that_asks_and_never_reads_an_answer_fills_no_memory() {
        let (_read, write) = rustix::pipe::pipe().unwrap();
        let mut follower = follower(write);
        let message = "x".repeat(1 << 20);
        let mut most = 0;
        for _ in 0..64 {
            follower.respond("key", &Value::Null, &Answer::Deny { message: message.clone() });
            follower.talk();
            most = most.max(follower.unsent.len());
        }
        assert!((MAX_UNSENT / 2..=MAX_UNSENT).contains(&most), "{most}");
        assert!(follower.unsent.is_empty() && follower.stdin.is_none());
    }
}
