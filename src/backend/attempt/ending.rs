//! What an attempt left in its directory, read once it is over.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::directory::read;
use crate::model::attempt::{End, ExitRecord, MAX_INLINE_RESULT, MAX_JSON_RESULT, MAX_RESULT, RESULT_FILE, unread};
use crate::model::change::TaskResult;
use crate::model::exit_file::{EXIT_FILE_BYTES, ExitFile, decode};
use crate::model::report::{ClaudeReport, ClaudeResult, ResultFinding};
use crate::model::result::sound;
use crate::model::spec::{ResultKind, ResultSpec};

use super::outbox::Check;

/// Most lines of output that can become a result: in memory each takes many times its text.
const MAX_LINES: usize = 500_000;

/// The exit record.
pub fn exit(dir: &Path) -> ExitFile {
    read(&dir.join("exit.json"), EXIT_FILE_BYTES as u64).map_or(ExitFile::Empty, |bytes| decode(&bytes))
}

/// Why the runner ended without a record, when it could still say so.
pub fn runner_log(dir: &Path) -> Option<String> {
    let text = read(&dir.join("runner.log"), 16 << 10).ok()?;
    Some(String::from_utf8_lossy(&text).trim_end().to_owned())
}

/// The task's result, when the command succeeded: what it printed or wrote into a file, or what Claude answered.
pub fn result(
    dir: &Path,
    spec: &ResultSpec,
    record: &ExitRecord,
    claude: Option<&ClaudeReport>,
    results: &Path,
    check: Check<'_>,
) -> Option<ResultFinding> {
    if record.end != End::Exited(0) || record.stopped.is_some() {
        return None;
    }
    let value = match claude {
        None => value(dir, spec, &record.notes),
        // Without a result that is no error the attempt fails, and for a better reason than its answer.
        Some(report) => answer(dir, spec.kind, report.result.as_ref().filter(|result| !result.is_error)?),
    };
    let value = value.and_then(|value| sound(&value).map(|()| value)).and_then(|value| match &spec.schema {
        Some(schema) => check(schema, &value).map(|()| value),
        None => Ok(value),
    });
    Some(match value.and_then(|v| keep(v, results).map_err(|e| format!("the result could not be stored: {e}"))) {
        Ok(result) => ResultFinding::Value(result),
        Err(why) => ResultFinding::Bad(why),
    })
}

fn value(dir: &Path, spec: &ResultSpec, notes: &[String]) -> Result<Value, String> {
    let most = if spec.kind == ResultKind::Json { MAX_JSON_RESULT } else { MAX_RESULT };
    let (place, what) = match &spec.file {
        None => ("out", "the output".to_owned()),
        Some(file) => (RESULT_FILE, format!("the file {file}")),
    };
    let remedy = if spec.file.is_none() { "; write a file and print its name" } else { "; keep it as an artifact" };
    let bytes = match read(&dir.join(place), most) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound && spec.file.is_some() => {
            let file = spec.file.as_deref().unwrap_or_default();
            // It may be there, and not be what can be copied: the runner has seen which.
            let remark = notes.iter().find(|note| note.starts_with(&unread(file)));
            return Err(remark.cloned().unwrap_or_else(|| format!("there is no file {file} in the workspace")));
        }
        // Nothing was written.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) if e.kind() == io::ErrorKind::FileTooLarge => {
            return Err(format!("{what} is larger than a result may be ({most} bytes){remedy}"));
        }
        Err(e) => return Err(format!("{what} cannot be read: {e}")),
    };
    let text = String::from_utf8(bytes).map_err(|e| format!("{what} is not UTF-8 (byte {})", e.utf8_error().valid_up_to()))?;
    match spec.kind {
        ResultKind::Text => Ok(Value::String(text.strip_suffix('\n').unwrap_or(&text).to_owned())),
        ResultKind::Lines if memchr::memchr_iter(b'\n', text.as_bytes()).count() > MAX_LINES => {
            Err(format!("{what} has more lines than a result may have ({MAX_LINES}){remedy}"))
        }
        ResultKind::Lines => Ok(text.lines().map(|l| Value::String(l.to_owned())).collect()),
        ResultKind::Json => serde_json::from_str(&text).map_err(|e| format!("{what} is not one JSON value: {e}")),
    }
}

/// The answer of a run of Claude: the last result line's text, or for JSON its structured output where there is one.
fn answer(dir: &Path, kind: ResultKind, result: &ClaudeResult) -> Result<Value, String> {
    let (start, length) = result.line;
    if length > MAX_RESULT {
        return Err(format!("the answer is larger than a result may be ({MAX_RESULT} bytes)"));
    }
    let unreadable = |e: io::Error| format!("the transcript cannot be read: {e}");
    let mut file = crate::os::open_regular(&dir.join("out")).map_err(unreadable)?;
    file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
    let mut line = Vec::new();
    file.take(length).read_to_end(&mut line).map_err(unreadable)?;
    // The CLI can print what is not UTF-8; the answer is text all the same.
    let mut line: Value = serde_json::from_str(&String::from_utf8_lossy(&line))
        .map_err(|e| format!("the result line of the transcript is no JSON: {e}"))?;
    let structured = line.get_mut("structured_output").map(Value::take).filter(|value| !value.is_null());
    let text = line.get("result").and_then(Value::as_str).unwrap_or_default();
    match (kind, structured) {
        (ResultKind::Text, _) => Ok(Value::String(text.to_owned())),
        (ResultKind::Lines, _) => Ok(text.lines().map(|l| Value::String(l.to_owned())).collect()),
        (ResultKind::Json, Some(value)) => Ok(value),
        (ResultKind::Json, None) => serde_json::from_str(text)
            .map_err(|e| format!("the answer is not one JSON value ({e}); `json_schema` makes Claude give one")),
    }
}

/// A result as it is referred to: a large one lies in a file by its hash.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn keep(value: Value, results: &Path) -> io::Result<TaskResult> {
    let text = serde_json::to_vec(&value)?;
    if text.len() <= MAX_INLINE_RESULT {
        return Ok(TaskResult::Inline(Arc::new(value)));
    }
    let sha256: String = Sha256::digest(&text).iter().map(|b| format!("{b:02x}")).collect();
    let path = results.join(&sha256);
    if !path.exists() {
        fs::create_dir_all(results)?;
        let new = results.join(format!(".{sha256}.new"));
        let mut file = File::create(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        // The name must survive a power cut before the database refers to it.
        File::open(results)?.sync_all()?;
    }
    Ok(TaskResult::File { sha256, bytes: text.len() as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_of_a_claude_task_is_its_answer_and_not_the_transcript() {
        let dir = tempfile::tempdir().unwrap();
        let line = r#"{"type":"result","is_error":false,"result":"[1,\n2]","structured_output":{"a":"b"}}"#;
        let plain = r#"{"type":"result","is_error":false,"result":"[1,\n2]","structured_output":null}"#;
        fs::write(dir.path().join("out"), format!("{{\"type\":\"system\"}}\n{line}\n{plain}\n")).unwrap();
        let first = ClaudeResult { line: (18, line.len() as u64), ..ClaudeResult::default() };
        let second = ClaudeResult { line: (18 + line.len() as u64 + 1, plain.len() as u64), ..ClaudeResult::default() };
        assert_eq!(answer(dir.path(), ResultKind::Text, &first).unwrap(), "[1,\n2]");
        assert_eq!(answer(dir.path(), ResultKind::Lines, &first).unwrap(), serde_json::json!(["[1,", "2]"]));
        assert_eq!(answer(dir.path(), ResultKind::Json, &first).unwrap(), serde_json::json!({ "a": "b" }));
        assert_eq!(answer(dir.path(), ResultKind::Json, &second).unwrap(), serde_json::json!([1, 2]));
    }

    #[test]
    fn of_a_file_that_is_no_result_the_runners_reason_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let spec = ResultSpec { kind: ResultKind::Text, file: Some("link".to_owned()), schema: None };
        assert_eq!(value(dir.path(), &spec, &[]).unwrap_err(), "there is no file link in the workspace");
        let notes = ["another remark".to_owned(), format!("{}it leads out of the workspace", unread("link"))];
        assert_eq!(value(dir.path(), &spec, &notes).unwrap_err(), notes[1]);
    }
}
