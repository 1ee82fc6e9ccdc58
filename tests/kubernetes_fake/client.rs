//! As much of HTTP/1.1 as it takes to ask the fake.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::kubernetes::Server;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);
pub const PODS: &str = "/api/v1/namespaces/airx/pods";

pub struct Client {
    port: u16,
    pub token: Option<String>,
    pub accept: &'static str,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// An answer that goes on.
pub struct Stream {
    pub status: u16,
    reader: BufReader<TcpStream>,
    line: Vec<u8>,
    /// The sizes of all chunks.
    pub chunks: Vec<usize>,
    pub end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With the zero chunk.
    Clean,
    Broken,
}

impl Client {
    pub fn of(server: &Server) -> Client {
        Client { port: server.port(), token: Some(server.token().to_owned()), accept: "application/json" }
    }

    pub fn try_send(&self, method: &str, target: &str, content: &str, body: &[u8]) -> io::Result<(BufReader<TcpStream>, Reply)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let token = self.token.as_ref().map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        let (length, accept) = (body.len(), self.accept);
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n{token}Content-Type: {content}\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut reader = BufReader::new(stream);
        let first = line(&mut reader)?;
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut headers = Vec::new();
        loop {
            let line = line(&mut reader)?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_owned(), value.to_owned()));
        }
        Ok((reader, Reply { status, headers, body: Vec::new() }))
    }

    pub fn try_request(&self, method: &str, target: &str, content: &str, body: &[u8]) -> io::Result<Reply> {
        let (mut reader, mut reply) = self.try_send(method, target, content, body)?;
        if reply.header("Transfer-Encoding").is_some() {
            while let Some(chunk) = chunk(&mut reader)? {
                reply.body.extend(chunk);
            }
        } else {
            let length = reply.header("Content-Length").map_or(0, |length| length.parse().unwrap());
            reply.body = vec![0; length];
            reader.read_exact(&mut reply.body)?;
        }
        Ok(reply)
    }

    pub fn request(&self, method: &str, target: &str, body: &[u8]) -> Reply {
        let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        self.try_request(method, target, content, body).unwrap()
    }

    pub fn get(&self, target: &str) -> Reply {
        self.request("GET", target, b"")
    }

    /// Posts a pod that must be taken.
    pub fn create(&self, pod: &Value) -> Value {
        let reply = self.request("POST", PODS, pod.to_string().as_bytes());
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()
    }

    /// Deletes a pod as a client should.
    pub fn delete(&self, pod: &Value) -> Reply {
        self.delete_within(pod, None)
    }

    pub fn delete_within(&self, pod: &Value, grace: Option<u64>) -> Reply {
        let uid = &pod["metadata"]["uid"];
        let mut options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": uid } });
        if let Some(grace) = grace {
            options["gracePeriodSeconds"] = json!(grace);
        }
        self.request("DELETE", &format!("{PODS}/{}", name(pod)), options.to_string().as_bytes())
    }

    pub fn stream(&self, target: &str) -> Stream {
        let (reader, reply) = self.try_send("GET", target, "application/json", b"").unwrap();
        Stream { status: reply.status, reader, line: Vec::new(), chunks: Vec::new(), end: None }
    }

    /// A watch of all pods from a version on.
    pub fn watch(&self, more: &str) -> Stream {
        self.stream(&format!("{PODS}?&watch=true&timeoutSeconds=60{more}"))
    }

    /// The version of now.
    pub fn version(&self) -> String {
        self.get(PODS).json()["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Stream {
    /// The next line; none when it has ended.
    pub fn next_line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                return Some(self.line.drain(..=end).collect());
            }
            if self.end.is_some() {
                return None;
            }
            match chunk(&mut self.reader) {
                Ok(Some(chunk)) => {
                    self.chunks.push(chunk.len());
                    self.line.extend(chunk);
                }
                Ok(None) => self.end = Some(End::Clean),
                Err(_) => self.end = Some(End::Broken),
            }
            if self.end.is_some() {
                let rest = std::mem::take(&mut self.line);
                return Some(rest).filter(|rest| !rest.is_empty());
            }
        }
    }

    pub fn next_event(&mut self) -> Option<Value> {
        self.next_line().map(|line| serde_json::from_slice(&line).unwrap())
    }

    /// All bytes to the end.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(line) = self.next_line() {
            all.extend(line);
        }
        all
    }

    /// Events up to the one that is wanted, with it.
    pub fn until(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        while Instant::now() < deadline {
            let Some(event) = self.next_event() else { break };
            let is_last = is_it(&event);
            all.push(event);
            if is_last {
                return all;
            }
        }
        panic!("no event {what}; there were {:#?}", all.iter().map(short).collect::<Vec<_>>());
    }
}

pub fn name(pod: &Value) -> String {
    pod["metadata"]["name"].as_str().unwrap().to_owned()
}

/// An event in short: type, phase, reason, states of containers, conditions, deletion.
pub fn short(event: &Value) -> String {
    let pod = &event["object"];
    let states = |list: &str| {
        let all = pod["status"][list].as_array().into_iter().flatten();
        let told = all.map(|status| {
            let (word, state) = status["state"].as_object().unwrap().iter().next().unwrap();
            format!("{}={word}:{}:{}", status["name"].as_str().unwrap(), state["reason"], state["exitCode"])
        });
        told.collect::<Vec<_>>().join(" ")
    };
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let conditions = conditions.map(|it| format!("{}{}{}", it["type"], it["status"], it["reason"])).collect::<Vec<_>>().join(" ");
    format!(
        "{} {} {} deleting({}) init[{}] [{}] {{{conditions}}}",
        event["type"].as_str().unwrap(),
        pod["status"]["phase"],
        pod["status"]["reason"],
        pod["metadata"]["deletionGracePeriodSeconds"],
        states("initContainerStatuses"),
        states("containerStatuses"),
    )
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn chunk(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let head = line(reader)?;
    let length = usize::from_str_radix(&head, 16).map_err(|_| io::ErrorKind::UnexpectedEof)?;
    let mut bytes = vec![0; length + 2];
    reader.read_exact(&mut bytes)?;
    bytes.truncate(length);
    Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
}
