//! A server of webhooks on loopback that answers as badly as servers do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How it answers.
#[derive(Clone, Copy)]
pub enum Answer {
    Status(u16),
    /// Takes the request and says nothing more.
    Never,
    /// 200, and a body of a gigabyte.
    Gigabyte,
    /// To another host.
    Redirect,
}

#[derive(Clone)]
pub struct Request {
    pub head: String,
    pub body: String,
}

impl Request {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// The server; its threads end with the test's process.
pub struct Hook {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Hook {
    pub fn start(answer: Answer) -> Hook {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = seen.clone();
                std::thread::spawn(move || drop(serve(stream, answer, &seen)));
            }
        });
        Hook { address, requests }
    }

    /// An address where nobody listens.
    pub fn refusing() -> Hook {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        Hook { address, requests: Arc::default() }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, answer: Answer, seen: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    seen.lock().unwrap().push(Request { head, body: String::from_utf8(body).unwrap() });
    let mut out = stream;
    match answer {
        Answer::Status(status) => write!(out, "HTTP/1.1 {status} Because\r\ncontent-length: 0\r\n\r\n")?,
        Answer::Never => drop(reader.read_to_string(&mut String::new())?),
        Answer::Redirect => write!(out, "HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n")?,
        Answer::Gigabyte => {
            write!(out, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1u64 << 30)?;
            let piece = vec![b'x'; 1 << 20];
            for _ in 0..1024 {
                out.write_all(&piece)?;
            }
        }
    }
    Ok(())
}
