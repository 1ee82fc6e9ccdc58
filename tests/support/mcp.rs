//! A client's side of an MCP session over pipes, for tests.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A session with a server that this process started.
pub struct Session {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<Value>,
    early: HashMap<u64, Value>,
    notified: Vec<Value>,
    last: u64,
}

impl Session {
    /// Starts the server and greets it as the Claude CLI does.
    pub fn open(mut command: Command) -> Session {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the server starts");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let message: Value = serde_json::from_str(&line).expect("standard output carries the protocol alone");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut session = Session { child, input, answers, early: HashMap::new(), notified: Vec::new(), last: 0 };
        let client = json!({ "name": "claude-code", "version": "2.1.197" });
        let greeting =
            json!({ "protocolVersion": "2025-11-25", "capabilities": { "roots": {}, "elicitation": {} }, "clientInfo": client });
        let id = session.request("initialize", greeting);
        let hello = session.wait(id);
        assert_eq!(hello["result"]["serverInfo"]["name"], "airx", "{hello}");
        session.write(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        session
    }

    fn write(&mut self, message: &Value) {
        let input = self.input.as_mut().expect("the session is open");
        writeln!(input, "{message}").expect("the server reads");
    }

    fn request(&mut self, method: &str, params: Value) -> u64 {
        self.last += 1;
        let id = self.last;
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    fn wait(&mut self, id: u64) -> Value {
        loop {
            if let Some(answer) = self.early.remove(&id) {
                return answer;
            }
            self.receive();
        }
    }

    fn receive(&mut self) {
        let message = self.answers.recv_timeout(PATIENCE).expect("an answer in time");
        match message["id"].as_u64() {
            Some(id) => drop(self.early.insert(id, message)),
            None => self.notified.push(message),
        }
    }

    /// Waits for a sign of life of a call.
    pub fn await_progress(&mut self, call: u64) -> Value {
        loop {
            let of_call =
                |message: &&Value| message["method"] == "notifications/progress" && message["params"]["progressToken"] == call;
            if let Some(sign) = self.notified.iter().find(of_call) {
                return sign["params"].clone();
            }
            self.receive();
        }
    }

    /// The names of its tools.
    pub fn tools(&mut self) -> Vec<String> {
        let id = self.request("tools/list", json!({}));
        let answer = self.wait(id);
        let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
        tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// Calls a tool without waiting; names the call.
    pub fn send(&mut self, tool: &str, arguments: Value) -> u64 {
        let meta = json!({ "progressToken": self.last + 1 });
        self.request("tools/call", json!({ "name": tool, "arguments": arguments, "_meta": meta }))
    }

    /// What a call answered: its text, or the text of its error.
    pub fn answer(&mut self, id: u64) -> Result<String, String> {
        let answer = self.wait(id);
        let result = &answer["result"];
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        if result["isError"] == true { Err(text) } else { Ok(text) }
    }

    /// Calls a tool and waits.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Result<String, String> {
        let id = self.send(tool, arguments);
        self.answer(id)
    }

    /// Closes its standard input and waits for its end.
    pub fn close(mut self) -> ExitStatus {
        self.input = None;
        self.child.wait().expect("a child")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
