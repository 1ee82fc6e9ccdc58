//! Where the last lines of a transcript begin, found from its end.

use memchr::{memchr, memchr_iter};

use crate::api::client::Client;
use crate::model::message::OutputStream;

use super::context::{Context, Failure, Renderer};
use super::logs::{PIECE, Source};

/// Where to begin, so that at least `lines` lines come, raw or rendered: at the beginning of an event.
///
/// A transcript may be far larger than its last lines, so only what is needed for them is read and rendered: a part at the
/// end, twice as large each time until it is enough.
pub(super) fn begin(
    client: &mut dyn Client,
    source: &Source<'_>,
    context: &Context,
    raw: bool,
    lines: usize,
) -> Result<u64, Failure> {
    let mut window = u64::from(PIECE);
    loop {
        let size = source.piece(client, OutputStream::Out, 0, 1)?.size;
        let Some(from) = size.checked_sub(window) else { return Ok(0) };
        let mut part = Part { renderer: (!raw).then(|| context.services.renderer()), begin: None, lines: 0 };
        let mut at = from;
        while at < size && part.lines < lines {
            let piece = source.piece(client, OutputStream::Out, at, PIECE)?;
            if piece.data.is_empty() {
                break;
            }
            part.take(at, &piece.data);
            at += piece.data.len() as u64;
        }
        if let Some(begin) = part.begin.filter(|_| part.lines >= lines) {
            return Ok(begin);
        }
        window = window.saturating_mul(2);
    }
}

/// What a part of the transcript comes to.
struct Part {
    renderer: Option<Renderer>,
    /// Where its first event begins.
    begin: Option<u64>,
    lines: usize,
}

impl Part {
    /// Takes what stands at `at`. What comes before the first line feed belongs to an event that is not whole.
    fn take(&mut self, at: u64, mut bytes: &[u8]) {
        if self.begin.is_none() {
            let Some(end) = memchr(b'\n', bytes) else { return };
            self.begin = Some(at + end as u64 + 1);
            bytes = &bytes[end + 1..];
        }
        let feeds = |bytes: &[u8]| memchr_iter(b'\n', bytes).count();
        self.lines += match &mut self.renderer {
            // An empty piece would end the transcript.
            Some(_) if bytes.is_empty() => 0,
            Some(render) => feeds(render(bytes).as_bytes()),
            None => feeds(bytes),
        };
    }
}
