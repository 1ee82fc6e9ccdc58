//! `airx logs`: output of attempts, both streams in the order in which they were written.

mod many;

use std::cell::Cell;
use std::time::Duration;

use serde::Serialize;

use crate::api::client::Client;
use crate::model::ids::Address;
use crate::model::message::{Answer, OutputPiece, OutputStream, Query};
use crate::model::spec::Action;

use super::args::{Format, LogsArgs};
use super::context::{Context, Failure, Renderer};
use super::print;
use super::read::unexpected;

/// Bytes asked for at a time.
pub(super) const PIECE: u32 = 256 * 1024;
/// Bytes of one record of the index: stream, 3 unused, length, time.
const RECORD: usize = 16;
/// Between two looks at the output of a running attempt.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn logs(context: &Context, args: &LogsArgs) -> Result<(), Failure> {
    let text = match &args.task {
        Some(task) => format!("{}/{task}", args.target),
        None => args.target.clone(),
    };
    let address = super::parse_address(&text)?;
    let mut client = context.reader()?;
    // One JSON value is a list, written as its items come.
    let first = Cell::new(true);
    let is_list = context.global.output == Format::Json && !args.raw;
    if is_list {
        print::out("[");
    }
    many::job_logs(context, client.as_mut(), args, &address, &first)?;
    if is_list {
        print::out(if first.get() { "]\n" } else { "\n]\n" });
    }
    Ok(())
}

fn task_logs(
    context: &Context,
    client: &mut dyn Client,
    args: &LogsArgs,
    address: &Address,
    prefix: Option<String>,
    first: &Cell<bool>,
) -> Result<(), Failure> {
    let Answer::Task(detail) = client.query(Query::Task { task: address.clone() })?.body else { return Err(unexpected()) };
    if let Some(child) = detail.task.child.as_ref().filter(|_| context.printer.for_people()) {
        print::note(&format!("a child job does the work of {address}: airx logs {}", child.job));
    }
    let is_claude = matches!(detail.spec.action, Action::Claude(_));
    let mut attempt = args.attempt.unwrap_or(detail.task.attempts);
    let mut sink = Sink::new(context, args, is_claude, prefix, first);
    if context.is_json() && !args.raw {
        sink.json = address.task.clone();
    }
    // While a task waits for its next attempt, the last one is not told again.
    let mut told = 0;
    loop {
        if attempt > told {
            sink.end_line();
            told = attempt;
            let mut source = Source::new(address, attempt);
            if let Some(lines) = args.tail.filter(|_| is_claude) {
                source.offsets[0] = super::tail::begin(client, &source, context, args.raw, lines)?;
            }
            loop {
                let over = source.copy(client, &mut sink)?;
                if args.follow {
                    sink.release_tail();
                }
                if over || !args.follow {
                    break;
                }
                std::thread::sleep(LOOK);
            }
            source.rest(client, &mut sink)?;
            if !args.raw {
                source.gate(client, &mut sink)?;
            }
        }
        if !args.follow || args.attempt.is_some() {
            break;
        }
        // A task that is tried again goes on with its next attempt.
        let Answer::Task(detail) = client.query(Query::Task { task: address.clone() })?.body else { return Err(unexpected()) };
        if detail.task.attempts > attempt {
            attempt += 1;
        } else if detail.task.state.is_terminal() {
            break;
        } else {
            std::thread::sleep(LOOK);
        }
    }
    sink.finish();
    Ok(())
}

/// What is still to be copied of an attempt.
pub(super) struct Source<'a> {
    address: &'a Address,
    attempt: u32,
    index: u64,
    offsets: [u64; 2],
    /// Whether there is an index (a Claude task's transcript has none).
    indexed: bool,
}

impl<'a> Source<'a> {
    fn new(address: &'a Address, attempt: u32) -> Source<'a> {
        Source { address, attempt, index: 0, offsets: [0, 0], indexed: false }
    }

    /// Copies what is there; true when the attempt is over and all of it was copied.
    fn copy(&mut self, client: &mut dyn Client, sink: &mut Sink<'_>) -> Result<bool, Failure> {
        let mut over = true;
        loop {
            let piece = self.piece(client, OutputStream::Index, self.index, PIECE)?;
            over &= piece.over;
            let records: Vec<(usize, u64)> = piece.data.chunks_exact(RECORD).map(record).collect();
            self.indexed |= !records.is_empty();
            // The last record grows while the attempt runs: of it only what is there is copied, and it is read again.
            let whole = if piece.over { records.len() } else { records.len().saturating_sub(1) };
            for (stream, length) in records.iter().take(whole) {
                self.stream(client, *stream, *length, sink)?;
            }
            self.index += (whole * RECORD) as u64;
            if whole == 0 {
                break;
            }
        }
        if !self.indexed {
            self.rest(client, sink)?;
        }
        Ok(over)
    }

    /// Copies what no index covers: transcripts, and what was written when the runner died.
    fn rest(&mut self, client: &mut dyn Client, sink: &mut Sink<'_>) -> Result<(), Failure> {
        for stream in 0..2 {
            self.stream(client, stream, u64::MAX, sink)?;
        }
        Ok(())
    }

    /// Copies what the acceptance command printed: it may be all that says why the attempt failed.
    fn gate(&self, client: &mut dyn Client, sink: &mut Sink<'_>) -> Result<(), Failure> {
        let mut offset = 0;
        loop {
            let piece = self.piece(client, OutputStream::Gate, offset, PIECE)?;
            if piece.data.is_empty() {
                return Ok(());
            }
            if offset == 0 {
                sink.end_line();
                if sink.json.is_none() {
                    sink.write(GATE, b"-- accept --\n");
                }
            }
            offset += piece.data.len() as u64;
            sink.write(GATE, &piece.data);
        }
    }

    fn stream(&mut self, client: &mut dyn Client, stream: usize, length: u64, sink: &mut Sink<'_>) -> Result<(), Failure> {
        let which = if stream == 0 { OutputStream::Out } else { OutputStream::Err };
        let mut left = length;
        while left > 0 {
            let limit = u32::try_from(left).unwrap_or(u32::MAX).min(PIECE);
            let piece = self.piece(client, which, self.offsets[stream], limit)?;
            if piece.data.is_empty() {
                break;
            }
            self.offsets[stream] += piece.data.len() as u64;
            left = left.saturating_sub(piece.data.len() as u64);
            sink.write(stream, &piece.data);
        }
        Ok(())
    }

    pub(super) fn piece(
        &self,
        client: &mut dyn Client,
        stream: OutputStream,
        offset: u64,
        limit: u32,
    ) -> Result<OutputPiece, Failure> {
        let query = Query::Output { task: self.address.clone(), attempt: Some(self.attempt), stream, offset, limit };
        match client.query(query)?.body {
            Answer::Output(piece) => Ok(piece),
            _ => Err(unexpected()),
        }
    }
}

fn record(bytes: &[u8]) -> (usize, u64) {
    let length = bytes.get(4..8).and_then(|length| length.try_into().ok()).map_or(0, u32::from_le_bytes);
    (usize::from(bytes.first() == Some(&1)), u64::from(length))
}

/// Where output goes: as it is, or made harmless for a terminal, with or without prefix, whole or only its tail.
struct Sink<'a> {
    context: &'a Context,
    raw: bool,
    renderer: Option<Renderer>,
    prefix: Option<String>,
    tail: Option<usize>,
    kept: std::collections::VecDeque<(usize, Vec<u8>)>,
    /// Unfinished line by stream.
    partial: [Vec<u8>; 3],
    /// The task's id, when lines are told as JSON.
    json: Option<String>,
    /// Nothing was printed so far.
    first: &'a Cell<bool>,
}

/// The stream of the acceptance command, after the command's two.
const GATE: usize = 2;

/// A line for programs.
#[derive(Serialize)]
struct JsonLine<'a> {
    task: &'a str,
    stream: &'static str,
    text: &'a str,
}

/// Longest line that is held back until its end comes.
const MAX_LINE: usize = 64 * 1024;

impl<'a> Sink<'a> {
    fn new(context: &'a Context, args: &LogsArgs, is_claude: bool, prefix: Option<String>, first: &'a Cell<bool>) -> Sink<'a> {
        let renderer = (is_claude && !args.raw).then(|| context.services.renderer());
        let prefix = prefix.filter(|_| !args.raw);
        Sink {
            context,
            raw: args.raw,
            renderer,
            prefix,
            tail: args.tail,
            kept: std::collections::VecDeque::new(),
            partial: Default::default(),
            json: None,
            first,
        }
    }

    fn write(&mut self, stream: usize, bytes: &[u8]) {
        if let (0, Some(render)) = (stream, &mut self.renderer) {
            let text = render(bytes);
            self.lines(stream, text.as_bytes());
        } else if self.raw && self.tail.is_none() {
            print::out_bytes(bytes);
        } else {
            self.lines(stream, bytes);
        }
    }

    fn lines(&mut self, stream: usize, bytes: &[u8]) {
        let mut pending = std::mem::take(&mut self.partial[stream]);
        pending.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(at) = memchr::memchr(b'\n', &pending[start..]) {
            self.line(stream, &pending[start..=start + at]);
            start += at + 1;
        }
        pending.drain(..start);
        if pending.len() > MAX_LINE {
            self.line(stream, &pending);
            pending.clear();
        }
        self.partial[stream] = pending;
    }

    fn line(&mut self, stream: usize, line: &[u8]) {
        match self.tail {
            Some(count) => {
                self.kept.push_back((stream, line.to_vec()));
                while self.kept.len() > count {
                    self.kept.pop_front();
                }
            }
            None => self.print(stream, line),
        }
    }

    fn print_json(&self, task: &str, stream: usize, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let stream = ["out", "err", "accept"].get(stream).copied().unwrap_or("out");
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let line = print::json_line(&JsonLine { task, stream, text });
        let before = match (self.context.global.output, self.first.replace(false)) {
            (Format::Json, true) => "\n  ",
            (Format::Json, false) => ",\n  ",
            _ => return print::out(&line),
        };
        print::out(&format!("{before}{}", line.trim_end()));
    }

    fn print(&self, stream: usize, line: &[u8]) {
        if let Some(task) = &self.json {
            return self.print_json(task, stream, line);
        }
        if self.raw || (!self.context.printer.is_terminal && self.prefix.is_none()) {
            print::out_bytes(line);
            return;
        }
        let text = String::from_utf8_lossy(line);
        let text = if self.context.printer.is_terminal { print::tame(&text) } else { text.into_owned() };
        let reset = if self.context.printer.color && text.contains('\x1b') { "\x1b[0m" } else { "" };
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let end = if text.ends_with('\n') || self.prefix.is_none() { "" } else { "\n" };
        print::out(&format!("{prefix}{text}{reset}{end}"));
    }

    /// Ends lines that have no end, since something else follows.
    fn end_line(&mut self) {
        self.flush("\n");
    }

    /// Prints the last lines so far; what comes now is printed as it comes.
    fn release_tail(&mut self) {
        if self.tail.take().is_some() {
            for (stream, line) in std::mem::take(&mut self.kept) {
                self.print(stream, &line);
            }
        }
    }

    fn flush(&mut self, end: &str) {
        for stream in 0..self.partial.len() {
            let mut rest = std::mem::take(&mut self.partial[stream]);
            if !rest.is_empty() {
                rest.extend_from_slice(end.as_bytes());
                self.line(stream, &rest);
            }
        }
    }

    fn finish(&mut self) {
        if let Some(mut render) = self.renderer.take() {
            let rest = render(&[]);
            self.lines(0, rest.as_bytes());
        }
        self.flush("");
        self.release_tail();
    }
}
