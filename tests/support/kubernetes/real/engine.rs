//! As much of the Docker Engine API as a kubelet needs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::Value;

#[derive(Debug, Clone)]
pub struct Api {
    pub socket: PathBuf,
}

impl Api {
    /// A request and its whole answer; an error has the engine's message.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let (status, bytes) = self.exchange(method, path, body).map_err(|error| format!("{method} {path}: {error}"))?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status < 400 {
            return Ok(value);
        }
        Err(value["message"].as_str().map_or_else(|| format!("{method} {path}: {status}"), str::to_owned))
    }

    fn exchange(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = UnixStream::connect(&self.socket)?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")?;
        let mut reader = BufReader::new(stream);
        let status = head(&mut reader)?;
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        Ok((status, bytes))
    }

    /// The streams of a container, from before its start on.
    pub fn attach(&self, id: &str, has_stdin: bool) -> io::Result<Attached> {
        let mut stream = UnixStream::connect(&self.socket)?;
        let stdin = u8::from(has_stdin);
        write!(
            stream,
            "POST /containers/{id}/attach?stream=1&stdout=1&stderr=1&stdin={stdin} HTTP/1.1\r\nHost: engine\r\n\
             Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
        )?;
        let mut reader = BufReader::new(stream.try_clone()?);
        match head(&mut reader)? {
            101 | 200 => Ok(Attached { output: reader, stdin: stream }),
            status => Err(io::Error::other(format!("attach: {status}"))),
        }
    }
}

/// The way to a container's streams, and from them.
pub struct Attached {
    pub output: BufReader<UnixStream>,
    pub stdin: UnixStream,
}

impl Attached {
    /// The next piece of output: 1 or 2 for its stream, and bytes; none at its end.
    pub fn piece(output: &mut BufReader<UnixStream>) -> io::Result<Option<(u8, Vec<u8>)>> {
        let mut frame = [0; 8];
        if output.fill_buf()?.is_empty() {
            return Ok(None);
        }
        output.read_exact(&mut frame)?;
        let length = u32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        output.read_exact(&mut bytes)?;
        Ok(Some((frame[0], bytes)))
    }
}

/// Reads a head; its status.
fn head(reader: &mut BufReader<UnixStream>) -> io::Result<u16> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or(io::ErrorKind::UnexpectedEof)?;
    while line.trim_end() != "" {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            break;
        }
    }
    Ok(status)
}
