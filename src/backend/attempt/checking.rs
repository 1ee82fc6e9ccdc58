//! Whether a value fits a schema, found out by a process of its own (`airx check-result`): a small value can keep a schema with
//! alternatives busy for ever or fill all memory, and neither may happen to the manager, whose idle size stays as it is, too.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::json_schema::fits;
use crate::model::result::unfit;
use crate::os;

/// The word that asks for it.
const VERB: &str = "check-result";
/// Processor time that a check may take, in seconds.
const CPU_S: u64 = 5;
/// Longest wait for it, on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(20);
/// Memory that a check may use.
const MEMORY: u64 = 1 << 30;
/// Stack of a check: values nest up to 128 deep, and schemas lead from each level to the next over some references.
const STACK: usize = 256 << 20;
/// Largest question, in bytes, and what is read of the answer.
const MAX_QUESTION: u64 = 80 << 20;
const MAX_ANSWER: u64 = 8 << 10;
/// Begins what is said when the bounds were reached.
pub const UNKNOWN: &str = "whether it fits its schema could not be found out";
/// Exit code of a value that does not fit.
const UNFIT_CODE: i32 = 10;

#[derive(Serialize)]
struct Question<'a> {
    schema: &'a Value,
    value: &'a Value,
}

#[derive(Deserialize)]
struct Asked {
    schema: Value,
    value: Value,
}

/// Whether the value fits; waits for the answer, some seconds at most.
///
/// # Errors
/// Why not, as it is to be told.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    let cannot = |why: String| format!("{UNKNOWN}: {why}");
    let text = serde_json::to_vec(&Question { schema, value }).map_err(|e| cannot(e.to_string()))?;
    let input = os::unnamed_file(&text).map_err(|e| cannot(e.to_string()))?;
    let mut command = Command::new("/proc/self/exe");
    command.arg(VERB).env_clear().current_dir("/").stdin(input).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| cannot(e.to_string()))?;
    let until = Instant::now() + DEADLINE;
    // It says no more than a pipe holds, so it never waits for us.
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
            Ok(None) => {
                // Already gone is as good as killed.
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            Err(error) => return Err(cannot(error.to_string())),
        }
    };
    let mut words = Vec::new();
    let _ = child.stdout.take().map(|out| out.take(MAX_ANSWER).read_to_end(&mut words));
    let words = String::from_utf8_lossy(&words).into_owned();
    match status.and_then(|status| status.code()) {
        Some(0) => Ok(()),
        Some(UNFIT_CODE) if !words.is_empty() => Err(unfit(&words)),
        _ => Err(cannot(format!("it takes more than {CPU_S} s or {} GiB; make the schema simpler", MEMORY >> 30))),
    }
}

/// Whether this process is to check a value.
pub fn requested(mut words: impl Iterator<Item = OsString>) -> bool {
    words.nth(1).is_some_and(|word| word == VERB)
}

/// Answers the question on standard input, within its bounds; the exit code.
pub fn main() -> i32 {
    os::close_inherited();
    let limit = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    let bound = [limit(Resource::Cpu, CPU_S), limit(Resource::As, MEMORY), limit(Resource::Core, 0)];
    if bound.iter().any(Result::is_err) {
        return 1;
    }
    let answer = std::thread::Builder::new().stack_size(STACK).spawn(|| {
        let mut text = Vec::new();
        std::io::stdin().take(MAX_QUESTION).read_to_end(&mut text).ok()?;
        let Asked { schema, value } = serde_json::from_slice(&text).ok()?;
        Some(fits(&schema, &value))
    });
    match answer.map(std::thread::JoinHandle::join) {
        Ok(Ok(Some(Ok(())))) => 0,
        Ok(Ok(Some(Err(why)))) => {
            // Nobody to tell is nobody who waits.
            let _ = std::io::stdout().write_all(why.as_bytes());
            UNFIT_CODE
        }
        _ => 1,
    }
}
