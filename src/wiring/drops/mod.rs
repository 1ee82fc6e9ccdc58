//! The drop directory: job files that scripts and other schedulers put into the home's `jobs/` are taken up at each poll.
//!
//! On a thread of its own, so that neither a large file nor a slow disk holds up the manager's. A file is submitted under a key
//! made of its name, what it is on the disk and its content, and moved away only after that: a manager that dies in between, or
//! hands over, submits it once. Relative paths begin at the user's HOME, as cron has it; the environment is the manager's.

mod file;
mod keep;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use airx::cli::submit::Checker;
use airx::manager::handle::{ClientMessage, Handle};
use airx::model::diagnostic::render;
use airx::model::jobfile::Parsed;
use airx::model::message::{Command, Done, Refusal, RefusalCode};
use airx::store::StoreReader;

use file::{Look, Stamp, Unfit};
use keep::Keeper;

/// Most files that are taken up at one poll.
const MAX_TAKEN: usize = 20;
/// Most files that are waited for at a time; further ones have their turn at the next poll.
const MAX_WAITING: usize = 1_000;
/// Most names that are read at a time.
const MAX_LISTED: usize = 100_000;
/// Longest wait for the manager's answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Endings of job files.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// What it is made of.
pub struct Parts {
    /// The directory.
    pub jobs: PathBuf,
    /// Where relative paths of dropped files begin; none refuses them all.
    pub base: Option<PathBuf>,
    /// Checks a file as `airx submit` does.
    pub check: Checker,
    /// The way to the manager.
    pub manager: Handle,
    /// Told of rejected files.
    pub reader: Arc<StoreReader>,
}

/// Begins. What comes back is called at each poll, and never waits; the thread ends when it is dropped.
///
/// # Errors
/// When no thread can be started.
pub fn begin(parts: Parts) -> std::io::Result<impl FnMut() + Send> {
    let (sender, receiver): (SyncSender<()>, Receiver<()>) = sync_channel(1);
    let keeper = Keeper::new(&parts.jobs);
    let mut drops = Drops { parts, keeper, seen: BTreeMap::new(), stuck: BTreeMap::new(), reached: String::new() };
    std::thread::Builder::new().name("drops".to_owned()).spawn(move || {
        while receiver.recv().is_ok() {
            drops.look();
        }
    })?;
    // When it is still at it, it looks at everything anyway.
    Ok(move || {
        let _ = sender.try_send(());
    })
}

struct Drops {
    parts: Parts,
    keeper: Keeper,
    /// Files that were there at the last look, and as what.
    seen: BTreeMap<String, Stamp>,
    /// Files that are dealt with, but cannot be moved away yet.
    stuck: BTreeMap<String, Stuck>,
    /// Where the last look came to its bounds; the next one begins after it, so that none waits for files that stay for ever.
    reached: String,
}

/// A file that is dealt with, but still lies there.
struct Stuck {
    stamp: Stamp,
    end: End,
    why: String,
}

/// What became of a file.
enum Fate {
    /// It is dealt with.
    Over(End),
    /// Later.
    Later(String),
}

/// How a file was dealt with.
enum End {
    /// The manager has it, under this name.
    Taken(String),
    /// It is at fault.
    Rejected(String),
}

impl Drops {
    fn look(&mut self) {
        self.move_stuck();
        let mut all = self.names();
        all.retain(|name| !self.stuck.contains_key(name));
        let names = window(all, &self.reached, MAX_WAITING);
        // As long as so many cannot be moved away, none is added to them.
        let room = if self.stuck.len() < MAX_WAITING { MAX_TAKEN } else { 0 };
        let (mut seen, mut taken) = (BTreeMap::new(), 0);
        self.reached = if names.len() == MAX_WAITING { names.last().cloned().unwrap_or_default() } else { String::new() };
        for name in names {
            let path = self.parts.jobs.join(&name);
            let stamp = match file::look(&path) {
                Look::Is(stamp) => stamp,
                Look::Gone => continue,
                Look::Foreign(why) => {
                    if !self.seen.contains_key(&name) {
                        tracing::warn!("drop directory: {name} is left alone: {why}");
                    }
                    seen.insert(name, Stamp::default());
                    continue;
                }
            };
            let is_settled = stamp.is_settled(self.seen.get(&name), file::now());
            seen.insert(name.clone(), stamp);
            if !is_settled || taken >= room {
                continue;
            }
            taken += 1;
            self.take(&name, &path, stamp);
            if taken == MAX_TAKEN {
                self.reached = name;
            }
        }
        self.seen = seen;
        let mut told = self.keeper.rejected();
        told.extend(self.told_stuck());
        self.parts.reader.set_rejected(told);
    }

    /// Tries again to move away what is dealt with. Asked again the manager would undo what people did since, so it is not.
    fn move_stuck(&mut self) {
        for (name, stuck) in std::mem::take(&mut self.stuck) {
            let path = self.parts.jobs.join(&name);
            if matches!(file::look(&path), Look::Is(stamp) if stamp.is_same_file(&stuck.stamp)) {
                self.move_away(name, &path, stuck.stamp, stuck.end);
            }
        }
    }

    fn move_away(&mut self, name: String, path: &Path, stamp: Stamp, end: End) {
        let moved = match &end {
            End::Taken(job) => self.keeper.take(&name, path, job),
            End::Rejected(why) => self.keeper.reject(&name, path, why),
        };
        if let Err(error) = moved {
            self.stuck.insert(name, Stuck { stamp, end, why: error.to_string() });
        }
    }

    /// What a person should know of files that cannot be moved away.
    fn told_stuck(&self) -> Option<String> {
        let (name, first) = self.stuck.first_key_value()?;
        let (done, why) = (if matches!(first.end, End::Taken(_)) { "taken up" } else { "rejected" }, &first.why);
        let more = match self.stuck.len() {
            1 => String::new(),
            count => format!(", nor can {} more", count - 1),
        };
        Some(format!(
            "a dropped job file that was {done} cannot be moved away: {name}: {why}{more}; it is tried again at each poll"
        ))
    }

    /// Names of job files. Attempt directories lie here too; none of them is touched.
    fn names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.parts.jobs) else { return Vec::new() };
        let named = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            is_job_file(&name).then_some(name)
        });
        named.take(MAX_LISTED).collect()
    }

    fn take(&mut self, name: &str, path: &Path, stamp: Stamp) {
        let fate = match file::read(path, stamp) {
            Ok(text) => self.submit(name, path, stamp, &text),
            Err(Unfit::Gone) => return,
            Err(Unfit::Later(why)) => Fate::Later(why),
            Err(Unfit::Faulty(why)) => Fate::Over(End::Rejected(why)),
        };
        let end = match fate {
            // Whoever writes it may have come so far only.
            Fate::Over(End::Rejected(why)) if !stamp.is_old(file::now()) => {
                return tracing::debug!("drop directory: {name} is at fault, and young: {why}");
            }
            Fate::Later(why) => return tracing::info!("drop directory: {name} waits: {why}"),
            Fate::Over(end) => end,
        };
        match &end {
            End::Taken(job) => tracing::info!("drop directory: {name} was taken up as {job}"),
            End::Rejected(why) => tracing::warn!("drop directory: {name} was rejected: {why}"),
        }
        self.move_away(name.to_owned(), path, stamp, end);
        if let Some(stuck) = self.stuck.get(name) {
            tracing::warn!("drop directory: {name} cannot be moved away: {}", stuck.why);
        }
    }

    fn submit(&self, name: &str, path: &Path, stamp: Stamp, text: &str) -> Fate {
        let Some(base) = &self.parts.base else {
            return Fate::Over(End::Rejected(
                "HOME is not set for the manager, and relative paths of dropped files begin there\n".to_owned(),
            ));
        };
        let shown = path.display().to_string();
        let Parsed { submission, schedule, warnings } = match (self.parts.check)(text, &shown, base, &[]) {
            Ok(parsed) => parsed,
            Err(faults) => return Fate::Over(End::Rejected(render(&faults, text))),
        };
        warnings.iter().for_each(|warning| tracing::warn!("drop directory: {warning}"));
        let (submission, job) = (Box::new(submission.clone()), submission.job.name);
        let command = match schedule {
            Some(rule) => Command::ScheduleSet { submission, rule: Box::new(rule) },
            None => Command::Submit { submission, key: Some(stamp.key(name, text)) },
        };
        match self.ask(command) {
            Ok(Done::Submitted { job, missing, .. }) => {
                missing.iter().for_each(|why| tracing::warn!("drop directory: {job}: a secret is missing: {why}"));
                Fate::Over(End::Taken(job.to_string()))
            }
            Ok(_) => Fate::Over(End::Taken(job)),
            Err(refusal) if matches!(refusal.code, RefusalCode::Unavailable | RefusalCode::Limit) => Fate::Later(refusal.message),
            Err(refusal) => Fate::Over(End::Rejected(format!("{shown}: {}\n  help: {}\n", refusal.message, refusal.hint))),
        }
    }

    fn ask(&self, command: Command) -> Result<Done, Refusal> {
        let (sender, answer) = sync_channel(1);
        let reply = Box::new(move |done| drop(sender.try_send(done)));
        self.parts.manager.send(ClientMessage::Command { command, reply });
        answer.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            Err(Refusal { code: RefusalCode::Unavailable, message: "the manager did not answer".to_owned(), hint: String::new() })
        })
    }
}

/// The first names after `reached`, in order; after the last one comes the first.
fn window(mut names: Vec<String>, reached: &str, most: usize) -> Vec<String> {
    names.sort();
    let begin = names.partition_point(|name| name.as_str() <= reached);
    names.rotate_left(begin);
    names.truncate(most);
    names
}

/// Whether a name is a job file's that is not being written.
fn is_job_file(name: &str) -> bool {
    let ending = Path::new(name).extension().and_then(OsStr::to_str);
    !name.starts_with('.') && ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

/// Rejected files of a home, without a manager.
pub fn rejected(jobs: &Path) -> Vec<String> {
    Keeper::new(jobs).rejected()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_goes_on_where_the_one_before_came_to_its_bounds() {
        let all = || ["d", "b", "a", "c"].map(str::to_owned).to_vec();
        assert_eq!(window(all(), "", 9), ["a", "b", "c", "d"]);
        assert_eq!(window(all(), "b", 3), ["c", "d", "a"], "then it begins anew");
        assert_eq!(window(all(), "bb", 2), ["c", "d"], "also when that one is gone");
        assert_eq!(window(all(), "d", 2), ["a", "b"]);
        assert!(window(Vec::new(), "d", 2).is_empty());
    }

    #[test]
    fn names_of_job_files_are_known_from_all_others() {
        for name in ["job.yaml", "a.b.yml", "x.json"] {
            assert!(is_job_file(name), "{name}");
        }
        for name in [".job.yaml", "job.yaml.tmp", "job.yaml.part", "job.txt", "yaml", "job.3", "job.yaml~", "taken"] {
            assert!(!is_job_file(name), "{name}");
        }
    }
}
