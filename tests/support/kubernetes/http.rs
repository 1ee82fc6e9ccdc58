//! HTTP/1.1 as a server speaks it: requests read, answers and chunked streams written.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::net::RecvFlags;
use serde_json::Value;

/// Bodies larger than this are refused.
const LARGEST: usize = 3_145_728;
/// Bodies larger than this are sent in chunks.
const WHOLE: usize = 2048;

/// A request with its body.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body was larger than the server takes.
    pub is_too_large: bool,
}

impl Request {
    /// The first parameter of this name.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a parameter is set to true.
    pub fn is_set(&self, name: &str) -> bool {
        matches!(self.param(name), Some("true" | "1"))
    }

    /// A header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// One line for messages.
    pub fn line(&self) -> String {
        let query: Vec<String> = self.query.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("{} {}?{}", self.method, self.path, query.join("&"))
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer of JSON.
    pub fn json(status: u16, body: &Value) -> Answer {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Answer { status, headers, body: body.to_string().into_bytes() }
    }

    /// An answer of text.
    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Answer {
        let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
        Answer { status, headers, body: body.into() }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: Vec::new() }
    }

    /// With one more header.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Answer {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut bytes = head(self.status, &self.headers);
        if self.status == 204 {
            bytes.extend_from_slice(b"\r\n");
        } else if self.body.len() <= WHOLE {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
            bytes.extend_from_slice(&self.body);
        } else {
            bytes.extend_from_slice(format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", self.body.len()).as_bytes());
            bytes.extend_from_slice(&self.body);
            bytes.extend_from_slice(b"\r\n0\r\n\r\n");
        }
        stream.write_all(&bytes)
    }
}

fn head(status: u16, headers: &[(String, String)]) -> Vec<u8> {
    let phrase = match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        409 => "Conflict",
        410 => "Gone",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unknown",
    };
    let mut text = format!(
        "HTTP/1.1 {status} {phrase}\r\nAudit-Id: 00000000-0000-4000-8000-000000000000\r\nCache-Control: no-cache, private\r\n"
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.into_bytes()
}

/// How the bytes of a stream are put into chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// One chunk for each event or piece of a log.
    #[default]
    Each,
    /// Pieces of so many bytes, each a chunk.
    Pieces(usize),
    /// All that is there in one chunk.
    Joined,
}

/// A connection that reads requests and writes answers.
pub struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    pub framing: Framing,
    held: Vec<u8>,
}

impl Connection {
    pub fn new(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Connection { stream, reader, framing: Framing::Each, held: Vec::new() })
    }

    /// The next request; none at the end.
    pub fn request(&mut self) -> io::Result<Option<Request>> {
        let line = self.line()?;
        if line.is_empty() {
            return Ok(None);
        }
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Request { method: method.to_owned(), path: decoded(path, false), ..Request::default() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            request.query.push((decoded(key, true), decoded(value, true)));
        }
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if request.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            request.body = self.chunks()?;
        } else {
            let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            request.body = vec![0; length];
            self.reader.read_exact(&mut request.body)?;
        }
        request.is_too_large = request.body.len() > LARGEST;
        Ok(Some(request))
    }

    /// Without its end; empty at the end of all.
    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let length = usize::from_str_radix(line.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
            let start = body.len();
            body.resize(start + length, 0);
            self.reader.read_exact(&mut body[start..])?;
            self.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }

    pub fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        answer.write(&mut self.stream)
    }

    /// Begins a stream of chunks.
    pub fn begin(&mut self, content_type: &str) -> io::Result<()> {
        let mut bytes = head(200, &[("Content-Type".to_owned(), content_type.to_owned())]);
        bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        self.stream.write_all(&bytes)
    }

    /// Sends a piece of a stream; with joined framing it waits for [`Connection::flush`].
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.framing {
            Framing::Each => self.chunk(bytes),
            Framing::Pieces(size) => bytes.chunks(size.max(1)).try_for_each(|piece| self.chunk(piece)),
            Framing::Joined => {
                self.held.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Sends what joined framing held back.
    pub fn flush(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        self.chunk(&held)
    }

    fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.stream.write_all(&chunk)
    }

    /// Ends a stream as it should.
    pub fn end(&mut self) -> io::Result<()> {
        self.flush()?;
        self.stream.write_all(b"0\r\n\r\n")
    }

    /// Answers an upgrade and gives the stream away, with what has been read of it already.
    pub fn upgrade(&mut self, headers: &[(String, String)]) -> io::Result<(TcpStream, Vec<u8>)> {
        let mut bytes = head(101, headers);
        bytes.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        self.stream.write_all(&bytes)?;
        Ok((self.stream.try_clone()?, self.reader.buffer().to_vec()))
    }

    /// Whether the other side has gone.
    pub fn is_gone(&self) -> bool {
        let mut byte = [0];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match rustix::net::recv(&self.stream, &mut byte, flags) {
            Ok((_, count)) => count == 0,
            Err(error) => error != rustix::io::Errno::AGAIN && error != rustix::io::Errno::INTR,
        }
    }

    /// Cuts the connection: reset, without a good-bye.
    pub fn cut(&self) {
        cut(&self.stream);
    }
}

/// Ends a connection with a reset.
pub fn cut(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

fn decoded(text: &str, plus_is_blank: bool) -> String {
    let bytes = text.as_bytes();
    let mut result = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).and_then(|code| u8::from_str_radix(code, 16).ok());
        match (bytes[at], code) {
            (b'%', Some(code)) => {
                result.push(code);
                at += 2;
            }
            (b'+', _) if plus_is_blank => result.push(b' '),
            (byte, _) => result.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&result).into_owned()
}
