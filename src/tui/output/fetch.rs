//! Whole outputs and jobs as files, for a pager, an editor or a person who takes them away.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::api::client::Client;
use crate::model::change::Seq;
use crate::model::ids::{Address, JobRef};
use crate::model::message::{Answer, JobDetail, MAX_PAGE, Query};
use crate::model::time::Mono;

use super::document::{Document, Step};

/// Highest number that a name gets because those before it are taken.
const MAX_NUMBER: u32 = 1_000;

/// What to fetch, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Both streams of an attempt in the order in which they were written.
    Output {
        /// The task.
        task: Address,
        /// The attempt.
        attempt: u32,
        /// The file.
        to: PathBuf,
        /// Whether a file that is there already may be written over.
        replace: bool,
    },
    /// A job: its definition, its tasks and what happened, as JSON.
    Job {
        /// The job.
        job: JobRef,
        /// The file.
        to: PathBuf,
    },
}

impl Wanted {
    /// Fetches it; where it is now.
    ///
    /// # Errors
    /// In words: what could not be read or written.
    pub fn fetch(&self, client: &mut dyn Client) -> Result<PathBuf, String> {
        match self {
            Wanted::Output { task, attempt, to, replace } => {
                let (mut file, path) = create(to, *replace)?;
                output(client, task, *attempt, &mut file).and_then(|()| file.flush().map_err(|error| error.to_string()))?;
                Ok(path)
            }
            Wanted::Job { job, to } => {
                let value = export(client, job).map_err(|error| error.to_string())?;
                let (mut file, path) = create(to, false)?;
                serde_json::to_writer_pretty(&mut file, &value).map_err(|error| error.to_string())?;
                file.write_all(b"\n").and_then(|()| file.flush()).map_err(|error| error.to_string())?;
                Ok(path)
            }
        }
    }
}

/// Makes the file; where. Nothing that is there is written over: the name gets a number then.
fn create(to: &Path, replace: bool) -> Result<(BufWriter<File>, PathBuf), String> {
    let mut options = File::options();
    options.write(true).mode(0o600);
    if replace {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut path = to.to_owned();
    for number in 2..=MAX_NUMBER {
        match options.open(&path) {
            Ok(file) => return Ok((BufWriter::new(file), path)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < MAX_NUMBER => path = numbered(to, number),
            Err(error) => return Err(format!("cannot write {}: {error}", path.display())),
        }
    }
    Err(format!("cannot write {}", to.display()))
}

/// `build.1.json` becomes `build.1-2.json`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let part = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    path.with_file_name(format!("{}-{number}.{}", part(path.file_stem()), part(path.extension())))
}

fn output(client: &mut dyn Client, task: &Address, attempt: u32, file: &mut dyn Write) -> Result<(), String> {
    let mut document = Document::new(task.clone(), attempt);
    let mut at = 0;
    let mut poll = true;
    loop {
        for (key, limit) in document.requests(std::mem::take(&mut poll)) {
            match client.query(key.query(limit)).map_err(|error| error.to_string())?.body {
                Answer::Output(piece) => drop(document.take(&key, piece, Mono(0))),
                _ => return Err("the manager answered something else".to_owned()),
            }
        }
        match document.line_at(at) {
            Step::Line(line) => {
                let is_whole = line.next > line.at + line.bytes.len() as u64;
                at = line.next;
                file.write_all(&line.bytes)
                    .and_then(|()| if is_whole { file.write_all(b"\n") } else { Ok(()) })
                    .map_err(|error| error.to_string())?;
            }
            Step::End => return Ok(()),
            Step::Missing => {}
        }
    }
}

fn export(client: &mut dyn Client, job: &JobRef) -> Result<serde_json::Value, crate::api::client::ClientError> {
    let unexpected = || crate::api::client::ClientError::protocol("it answered something else than was asked".to_owned());
    let Answer::Job(detail) = client.query(Query::Job { job: job.clone() })?.body else { return Err(unexpected()) };
    let (mut tasks, mut events) = (Vec::new(), Vec::new());
    loop {
        let from = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        let query = Query::Tasks { job: job.clone(), from, limit: MAX_PAGE, kinds: Vec::new() };
        let Answer::Tasks(page) = client.query(query)?.body else { return Err(unexpected()) };
        if page.is_empty() {
            break;
        }
        tasks.extend(page);
    }
    let mut since = Seq(0);
    loop {
        let query = Query::Events { since, job: Some(job.clone()), below: false, task: None, last: false, limit: MAX_PAGE };
        let Answer::Events(page) = client.query(query)?.body else { return Err(unexpected()) };
        let Some(last) = page.last() else { break };
        since = last.seq;
        events.extend(page);
    }
    let spec = detail.spec.without_values();
    let detail = JobDetail { spec, ..*detail };
    Ok(serde_json::json!({ "job": detail, "tasks": tasks, "events": events }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("build.1.json");
        let names: Vec<String> =
            (0..3).map(|_| create(&to, false).unwrap().1.file_name().unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["build.1.json", "build.1-2.json", "build.1-3.json"]);
        assert_eq!(create(&to, true).unwrap().1, to);
    }
}
