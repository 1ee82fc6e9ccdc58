//! A stand-in for a registry of images on 127.0.0.1, which engines ask without encryption: it refuses, knows nothing, or never
//! answers.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Nobody may have anything.
    Denied,
    /// It has no such image.
    Unknown,
    /// It says who it is, and then nothing more.
    Never,
}

/// One that answers so; its address.
pub fn registry(answers: Answers) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream, answers));
        }
    });
    address
}

fn serve(mut stream: TcpStream, answers: Answers) -> Option<()> {
    let mut head = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        head.extend_from_slice(&piece[..count]);
        // Encryption is not spoken here, which is seen at once.
        if head[0] == 0x16 {
            return None;
        }
        let Some(end) = head.windows(4).position(|part| part == b"\r\n\r\n") else { continue };
        let line = String::from_utf8_lossy(&head[..end]).lines().next().unwrap_or_default().to_owned();
        head.drain(..end + 4);
        let is_hello = line.split(' ').nth(1) == Some("/v2/");
        let (status, more, body) = match answers {
            Answers::Denied => ("401 Unauthorized", "WWW-Authenticate: Basic realm=\"here\"\r\n", DENIED),
            Answers::Unknown if is_hello => ("200 OK", "", "{}"),
            Answers::Unknown => ("404 Not Found", "", UNKNOWN),
            Answers::Never if is_hello => ("200 OK", "", "{}"),
            Answers::Never => loop {
                std::thread::park();
            },
        };
        let body = if line.starts_with("HEAD") { "" } else { body };
        let answer = format!(
            "HTTP/1.1 {status}\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Type: application/json\r\n{more}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

const DENIED: &str = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
const UNKNOWN: &str = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
