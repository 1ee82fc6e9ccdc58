//! Standard input whose end is told, since whoever waits for a person need not wait on for a client that has left, and whose
//! lines are bounded, since the protocol's reader keeps a line until its end has come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::watch;

/// Longest line: twice what an outbox takes, escaped.
const MAX_LINE: usize = 12 << 20;

/// A reader that says when nothing more will come.
pub(super) struct Input<R> {
    reader: R,
    ended: watch::Sender<bool>,
    /// Bytes since the last end of a line.
    line: usize,
}

impl<R> Input<R> {
    /// The reader, and where its end is told.
    pub fn new(reader: R) -> (Input<R>, watch::Receiver<bool>) {
        let (ended, told) = watch::channel(false);
        (Input { reader, ended, line: 0 }, told)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Input<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let has_room = buffer.remaining() > 0;
        let poll = Pin::new(&mut self.reader).poll_read(context, buffer);
        let new = &buffer.filled()[before..];
        self.line = match memchr::memrchr(b'\n', new) {
            Some(at) => new.len() - at - 1,
            None => self.line.saturating_add(new.len()),
        };
        let end = match poll {
            Poll::Ready(Ok(())) if self.line > MAX_LINE => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, format!("a line is longer than {MAX_LINE} bytes"))))
            }
            Poll::Ready(Ok(())) if new.is_empty() && has_room => poll,
            Poll::Ready(Err(_)) => poll,
            going_on => return going_on,
        };
        self.ended.send_replace(true);
        end
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn the_end_is_told_and_a_line_without_one_is_not_waited_for() {
        let (mut input, ended) = Input::new(&b"one\ntwo"[..]);
        let mut text = String::new();
        input.read_to_string(&mut text).await.unwrap();
        assert_eq!((text.as_str(), *ended.borrow()), ("one\ntwo", true));

        let (mut input, ended) = Input::new(tokio::io::repeat(b'x'));
        let error = tokio::io::copy(&mut input, &mut tokio::io::sink()).await.unwrap_err();
        assert!(error.to_string().contains("longer than") && *ended.borrow(), "{error}");

        let lines = "x\n".repeat(MAX_LINE);
        let (mut input, ended) = Input::new(lines.as_bytes());
        assert!(input.read_exact(&mut vec![0; lines.len()]).await.is_ok(), "short lines may be as many as there are");
        assert!(!*ended.borrow());
    }
}
