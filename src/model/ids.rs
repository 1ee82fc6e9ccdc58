//! Names and numbers: jobs, tasks, attempts, and the one address form `JOB/TASK` that people type.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest job or task name, in characters (all of them ASCII).
pub const MAX_NAME: usize = 100;

/// A job's number in its store, from 1, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u32);

/// A task's place in its job, from 0, in the order of the job file and then of addition; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskIdx(pub u32);

/// One execution of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The job.
    pub job: JobId,
    /// The task within it.
    pub task: TaskIdx,
    /// Numbered from 1 without gaps, never reused.
    pub number: u32,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for AttemptId {
    /// `JOB-TASK-NUMBER` in numbers, as in `AIRX_ATTEMPT` after the home's id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.job.0, self.task.0, self.number)
    }
}

/// Whether `name` may name a job or a task: 1 to 100 of `A-Z a-z 0-9 _ -`, so no path tricks and nothing a shell expands.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// A submission's full name, `NAME.N`: the N-th job of that name in this home.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct JobName {
    /// The name from the job file.
    pub name: String,
    /// From 1.
    pub number: u32,
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.number)
    }
}

impl From<JobName> for String {
    fn from(name: JobName) -> String {
        name.to_string()
    }
}

impl TryFrom<String> for JobName {
    type Error = AddressError;
    fn try_from(text: String) -> Result<JobName, AddressError> {
        match text.parse::<JobRef>()? {
            JobRef { name, number: Some(number) } => Ok(JobName { name, number }),
            JobRef { .. } => Err(AddressError { text }),
        }
    }
}

/// A job as people write it: `NAME.N`, or a bare `NAME` for the newest of that name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobRef {
    /// The name from the job file.
    pub name: String,
    /// The submission, or the newest.
    pub number: Option<u32>,
}

impl fmt::Display for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "{}.{number}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// `JOB`, or `JOB/TASK`, as people write it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The job.
    pub job: JobRef,
    /// The task's id within it; none means the whole job.
    pub task: Option<String>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.task {
            Some(task) => write!(f, "{}/{task}", self.job),
            None => write!(f, "{}", self.job),
        }
    }
}

/// Text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an address: write JOB, JOB.N, JOB/TASK or JOB.N/TASK (letters, digits, `_` and `-`)")]
pub struct AddressError {
    /// What was written.
    pub text: String,
}

impl FromStr for JobRef {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<JobRef, AddressError> {
        let error = || AddressError { text: text.to_owned() };
        let (name, number) = match text.rsplit_once('.') {
            Some((name, digits)) => {
                let number = digits.parse::<u32>().ok().filter(|n| *n > 0 && !digits.starts_with(['0', '+']));
                (name, Some(number.ok_or_else(error)?))
            }
            None => (text, None),
        };
        if is_name(name) { Ok(JobRef { name: name.to_owned(), number }) } else { Err(error()) }
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Address, AddressError> {
        match text.split_once('/') {
            None => Ok(Address { job: text.parse()?, task: None }),
            Some((job, task)) => {
                // Mapped instances (`JOB/TASK/INDEX`) are stored under the id `TASK/INDEX`.
                let mut parts = task.splitn(2, '/');
                let (id, index) = (parts.next().unwrap_or(""), parts.next());
                let index_ok = index.is_none_or(|i| !i.is_empty() && i.bytes().all(|b| b.is_ascii_digit()));
                let job = job.parse().map_err(|_| AddressError { text: text.to_owned() })?;
                if is_name(id) && index_ok {
                    Ok(Address { job, task: Some(task.to_owned()) })
                } else {
                    Err(AddressError { text: text.to_owned() })
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_they_were_written() {
        for text in ["a", "a.3", "a/b", "harden-auth.3/fix", "harden-auth.3/fix/2"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn path_tricks_and_shell_characters_are_no_address() {
        for text in ["", ".", "..", "a/", "/a", "a/..", "a.0", "a.01", "a.x", "a b", "$(x)", "a/b/c", "a/b/2/3", "a*", "é"] {
            assert!(text.parse::<Address>().is_err(), "{text:?} was accepted");
        }
        assert!("x".repeat(101).parse::<Address>().is_err());
    }
}
