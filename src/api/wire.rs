//! The wire: newline-delimited JSON-RPC 2.0. A message larger than a frame travels in parts, each a frame of its own.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::message::{Command, MAX_FRAME, Query, Refusal, RefusalCode};

/// Largest message put together from parts: a job file of 8 MiB is at most this much as a submission.
pub const MAX_MESSAGE: usize = 64 << 20;
/// Most tasks of its job that a running task sees at once.
pub const MAX_OWN_TASKS: u32 = 500;
/// Text in one part; escaped as JSON in JSON it still fits a frame (a byte becomes at most six).
const PART: usize = 160 * 1024;

/// A request or a notification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Always `2.0`.
    pub jsonrpc: String,
    /// Repeated in the answer; none for a notification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The verb.
    pub method: String,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub params: Value,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Always `2.0`.
    pub jsonrpc: String,
    /// The request's.
    #[serde(default)]
    pub id: Option<u64>,
    /// When it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// When it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RpcError>,
}

/// An error object of JSON-RPC 2.0, section 5.1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RpcError {
    /// -32700 to -32600 are the protocol's, -32000 and below ours.
    pub code: i32,
    /// In words.
    pub message: String,
    /// Our [`Refusal`], when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Refusal>,
}

/// A part of a larger message. `more` is false on the last one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The next piece of the message's text.
    pub part: String,
    /// Whether another follows.
    pub more: bool,
}

/// Arguments and answer of `hello`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Protocol version; both sides must have the same.
    pub protocol: u32,
    /// airx version, for people.
    pub version: String,
    /// Process id.
    #[serde(default)]
    pub pid: u32,
}

/// Arguments of `intake` on the task socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intake {
    /// `AIRX_ATTEMPT`.
    pub mark: String,
    /// `AIRX_TOKEN`.
    pub token: String,
}

/// Arguments of `tasks` on the task socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnTasks {
    /// `AIRX_ATTEMPT`.
    pub mark: String,
    /// `AIRX_TOKEN`.
    pub token: String,
    /// Only tasks from this place of the job on.
    pub from: u32,
    /// At most so many, and at most [`MAX_OWN_TASKS`].
    pub limit: u32,
}

impl Request {
    /// A request.
    pub fn new(id: u64, method: &str, params: Value) -> Request {
        Request { jsonrpc: "2.0".to_owned(), id: Some(id), method: method.to_owned(), params }
    }

    /// A request for a command or a query: both are written as `{verb, with}`, the verb becomes the method.
    pub fn of<T: Serialize>(id: u64, message: &T) -> Request {
        let mut value = serde_json::to_value(message).unwrap_or_default();
        let method = value.get("verb").and_then(Value::as_str).unwrap_or_default().to_owned();
        let params = value.get_mut("with").map(Value::take).unwrap_or_default();
        Request::new(id, &method, params)
    }

    /// The command that it is, if it is one.
    pub fn command(&self) -> Option<Result<Command, String>> {
        const VERBS: &[&str] = &[
            "submit",
            "add",
            "requeue",
            "cancel",
            "pause",
            "resume",
            "answer",
            "budget",
            "priority",
            "schedule_set",
            "schedule_pause",
            "schedule_remove",
            "schedule_run",
            "stop",
        ];
        VERBS.contains(&self.method.as_str()).then(|| self.message())
    }

    /// The query that it is, if it is one.
    pub fn query(&self) -> Option<Result<Query, String>> {
        const VERBS: &[&str] = &[
            "status",
            "overview",
            "jobs_of",
            "jobs",
            "job",
            "tasks",
            "task",
            "events",
            "questions",
            "schedules",
            "schedule",
            "rerun",
            "usage",
            "output",
            "artifacts",
            "artifact",
            "result",
        ];
        VERBS.contains(&self.method.as_str()).then(|| self.message())
    }

    fn message<T: for<'de> Deserialize<'de>>(&self) -> Result<T, String> {
        let mut object = serde_json::Map::new();
        object.insert("verb".to_owned(), Value::String(self.method.clone()));
        if !self.params.is_null() {
            object.insert("with".to_owned(), self.params.clone());
        }
        serde_json::from_value(Value::Object(object)).map_err(|error| error.to_string())
    }
}

impl Response {
    /// A success.
    pub fn ok(id: Option<u64>, result: impl Serialize) -> Response {
        match serde_json::to_value(result) {
            Ok(result) => Response { jsonrpc: "2.0".to_owned(), id, result: Some(result), error: None },
            Err(error) => Response::error(id, -32603, error.to_string()),
        }
    }

    /// An error of the protocol.
    pub fn error(id: Option<u64>, code: i32, message: String) -> Response {
        Response { jsonrpc: "2.0".to_owned(), id, result: None, error: Some(RpcError { code, message, data: None }) }
    }

    /// A refusal.
    pub fn refused(id: Option<u64>, refusal: Refusal) -> Response {
        let code = match refusal.code {
            RefusalCode::NotFound => -32001,
            RefusalCode::Conflict => -32002,
            RefusalCode::Invalid => -32003,
            RefusalCode::Forbidden => -32004,
            RefusalCode::Limit => -32005,
            RefusalCode::Unavailable => -32006,
            RefusalCode::Version => -32007,
        };
        let message = refusal.message.clone();
        Response { jsonrpc: "2.0".to_owned(), id, result: None, error: Some(RpcError { code, message, data: Some(refusal) }) }
    }
}

/// A message as frames, each with its newline, none longer than [`MAX_FRAME`].
pub fn frames<T: Serialize>(message: &T) -> Vec<u8> {
    let mut text = serde_json::to_string(message).unwrap_or_default();
    if text.len() < MAX_FRAME {
        text.push('\n');
        return text.into_bytes();
    }
    let mut frames = Vec::with_capacity(text.len() + text.len() / 8);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let mut end = rest.len().min(PART);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (part, after) = rest.split_at(end);
        rest = after;
        let part = Part { part: part.to_owned(), more: !rest.is_empty() };
        frames.extend(serde_json::to_vec(&part).unwrap_or_default());
        frames.push(b'\n');
    }
    frames
}

/// Puts received bytes together to messages, within bounds.
#[derive(Default)]
pub struct Assembler {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that hold no newline.
    searched: usize,
    parts: String,
}

/// Bytes that are no message. The connection is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A frame without an end.
    #[error("a frame is longer than {MAX_FRAME} bytes")]
    FrameTooLong,
    /// Too many parts.
    #[error("a message is longer than {MAX_MESSAGE} bytes")]
    MessageTooLong,
    /// Not UTF-8.
    #[error("a frame is not UTF-8")]
    NotText,
}

impl Assembler {
    /// Room for the next read; never more than a frame and a read's worth is kept.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Whether a message has begun and is not whole yet.
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty() || !self.parts.is_empty()
    }

    /// The next whole message; none when more bytes are needed.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn message(&mut self) -> Result<Option<String>, WireError> {
        while let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]).map(|at| at + self.searched) {
            if at > MAX_FRAME {
                return Err(WireError::FrameTooLong);
            }
            let frame = std::str::from_utf8(&self.buffer[..at]).map_err(|_| WireError::NotText)?.to_owned();
            self.buffer.drain(..=at);
            self.searched = 0;
            let part = if frame.starts_with("{\"part\":") { serde_json::from_str::<Part>(&frame).ok() } else { None };
            let Some(part) = part else { return Ok(Some(frame)) };
            if self.parts.len() + part.part.len() > MAX_MESSAGE {
                return Err(WireError::MessageTooLong);
            }
            self.parts.push_str(&part.part);
            if !part.more {
                return Ok(Some(std::mem::take(&mut self.parts)));
            }
        }
        self.searched = self.buffer.len();
        if self.buffer.len() > MAX_FRAME { Err(WireError::FrameTooLong) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::ids::JobRef;

    fn received(bytes: &[u8], step: usize) -> Result<Vec<String>, WireError> {
        let (mut assembler, mut messages) = (Assembler::default(), Vec::new());
        for chunk in bytes.chunks(step.max(1)) {
            assembler.buffer().extend_from_slice(chunk);
            while let Some(message) = assembler.message()? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    #[test]
    fn a_command_is_read_back_as_it_was_sent() {
        let command = Command::Pause { job: Some(JobRef { name: "a".to_owned(), number: Some(2) }) };
        let request = Request::of(7, &command);
        assert_eq!(request.method, "pause");
        assert_eq!(request.command(), Some(Ok(command)));
        assert_eq!(Request::of(1, &Command::Stop).command(), Some(Ok(Command::Stop)));
        assert_eq!(Request::of(1, &Query::Status).query(), Some(Ok(Query::Status)));
    }

    #[test]
    fn a_large_message_travels_in_frames_of_bounded_size() {
        let text = "ä\n\"\u{1}".repeat(400_000);
        let bytes = frames(&text);
        assert!(bytes.split(|byte| *byte == b'\n').all(|frame| frame.len() <= MAX_FRAME));
        let messages = received(&bytes, 50_000).unwrap();
        assert_eq!(messages.len(), 1);
        assert_eq!(serde_json::from_str::<String>(&messages[0]).unwrap(), text);
    }

    #[test]
    fn a_frame_without_an_end_is_refused_before_it_fills_the_memory() {
        assert_eq!(received(&vec![b'x'; MAX_FRAME + 2], 4096), Err(WireError::FrameTooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_taken_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), step in 1usize..100) {
            let _ = received(&bytes, step);
        }
    }
}
