//! What a command works with: the home, the configuration, a client, a printer; and what it needs from elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::client::{Client, ClientError, ClientErrorKind};
use crate::api::local::Offline;
use crate::api::paths::SocketPaths;
use crate::api::socket::SocketClient;
use crate::config::home::Home;
use crate::manager::ports::Reader;
use crate::model::attempt::OutboxBody;
use crate::model::diagnostic::Diagnostic;
use crate::model::message::{Command, Done, RefusalCode};
use crate::model::notice::{Notice, Notifier};

use super::args::{Format, Global};
use super::attempt::is_apart;
use super::doctor::Check;
use super::print::{self, Printer};

/// A manager that decides nothing more is still heard for so long at most.
const LEAVING: Duration = Duration::from_millis(500);
/// Longest wait for the manager that takes over from one that leaves.
const HANDED_OVER: Duration = Duration::from_secs(3);

/// Renders a transcript piece by piece; called with an empty piece at the end.
pub type Renderer = Box<dyn FnMut(&[u8]) -> String>;

/// What the command line needs from parts that it may not name. `main` fills it in.
pub trait Services: Send + Sync {
    /// Reads a home's store without a manager.
    fn reader(&self, home: &Home) -> Arc<dyn Reader>;
    /// Puts a request of a running task into its outbox; returns its order number and key.
    ///
    /// # Errors
    /// Why it cannot be put there, in words.
    fn put(&self, directory: &Path, body: OutboxBody, id: Option<&str>) -> Result<(u32, String), String>;
    /// Whether a value fits a schema, within bounds of time and memory.
    ///
    /// # Errors
    /// Why it does not, or why that could not be found out.
    fn fits(&self, schema: &serde_json::Value, value: &serde_json::Value) -> Result<(), String>;
    /// Makes a renderer for Claude transcripts.
    fn renderer(&self) -> Renderer;
    /// What a Claude task takes from its submitter's environment.
    fn claude_passed(&self, env: &BTreeMap<String, String>) -> BTreeMap<String, String>;
    /// Runs the manager in this process until it is told to leave.
    ///
    /// # Errors
    /// Why it could not begin, or had to end.
    fn manage(&self, context: &Context) -> Result<(), Failure>;
    /// Shows the workstation until it is left; the exit code.
    ///
    /// # Errors
    /// Why it could not begin.
    fn workstation(&self, context: &Context) -> Result<i32, Failure>;
    /// Checks of the home's parts, for `airx doctor`.
    fn checks(&self, context: &Context) -> Vec<Check>;
    /// Tells one notice by a command or a webhook, and waits for its end; what was answered.
    ///
    /// # Errors
    /// Why nobody was told.
    fn notify(&self, context: &Context, notifier: &Notifier, notice: &Notice) -> Result<String, String>;
    /// Rebuilds a damaged database; what was done, in lines.
    ///
    /// # Errors
    /// Why nothing was done.
    fn repair(&self, context: &Context) -> Result<Vec<String>, Failure>;
    /// Process id of the manager that holds the home; none when no manager runs.
    fn running(&self, home: &Home) -> Option<u32>;
}

/// What a command works with.
pub struct Context {
    /// From the command line.
    pub global: Global,
    /// The process's environment.
    pub env: BTreeMap<String, String>,
    /// Where relative paths begin; empty when the working directory was removed.
    pub cwd: PathBuf,
    /// How to print.
    pub printer: Printer,
    /// The home.
    pub home: Home,
    /// From elsewhere.
    pub services: Arc<dyn Services>,
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code: 1 failed, 2 bad input, 3 no manager, 130 cancelled.
    pub code: i32,
    /// What, where, why.
    pub message: String,
    /// What to do; empty when that is plain.
    pub hint: String,
}

impl Failure {
    /// Bad input.
    pub fn input(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure { code: 2, message: message.into(), hint: hint.into() }
    }

    /// Something that did not work.
    pub fn failed(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure { code: 1, message: message.into(), hint: hint.into() }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let code = match error.kind {
            ClientErrorKind::NoManager | ClientErrorKind::Lost | ClientErrorKind::Protocol => 3,
            ClientErrorKind::Refused(RefusalCode::Version) => 3,
            ClientErrorKind::Refused(RefusalCode::NotFound | RefusalCode::Invalid) => 2,
            ClientErrorKind::Refused(_) => 1,
        };
        Failure { code, message: error.message, hint: error.hint }
    }
}

impl Context {
    /// The configuration file.
    pub fn config_path(&self) -> PathBuf {
        match &self.global.config {
            Some(path) => self.cwd.join(path),
            None => self.home.config(),
        }
    }

    /// The configuration; its faults are told once.
    pub fn settings(&self) -> crate::config::Loaded {
        crate::config::load(&self.config_path())
    }

    /// The running manager.
    ///
    /// # Errors
    /// When none runs or it cannot be reached.
    pub fn manager(&self) -> Result<SocketClient, ClientError> {
        let deadline = Instant::now() + HANDED_OVER;
        loop {
            let paths = SocketPaths::find(&self.home.path).ok_or_else(ClientError::no_manager)?;
            match SocketClient::connect(&paths.control()) {
                // It left before it was asked anything.
                Err(error) if error.kind == ClientErrorKind::Lost && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                other => return other,
            }
        }
    }

    /// The running manager, started in the background when none runs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn manager_or_start(&self) -> Result<SocketClient, Failure> {
        match self.manager() {
            Ok(client) => Ok(client),
            Err(error) if error.kind == ClientErrorKind::NoManager && is_apart(&self.env) => Err(ClientError::apart().into()),
            // It would end with the task, whose processes are swept.
            Err(error) if error.kind == ClientErrorKind::NoManager && self.env.contains_key("AIRX_ATTEMPT") => Err(Failure {
                hint: "from a terminal: `airx --daemon`; a task adds to its own job with `airx add`".to_owned(),
                ..Failure::from(ClientError { message: "no manager runs, and a task starts none".to_owned(), ..error })
            }),
            Err(error) if error.kind == ClientErrorKind::NoManager => {
                let started = super::daemon::start_background(self)?;
                print::note(&format!(
                    "started a manager in the background (pid {}); `airx stop` ends it, what runs goes on",
                    started.pid
                ));
                self.manager().map_err(Failure::from)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Asks for a change that carries a key. A manager that leaves meanwhile hands over to another, which is asked again: the
    /// same key is answered with what was done already.
    ///
    /// # Errors
    /// [`ClientError`]; that of the first manager when no other comes.
    pub fn ask(&self, client: &mut SocketClient, command: &Command) -> Result<Done, ClientError> {
        let asked = client.manager.pid;
        let error = match client.command(command.clone()) {
            Err(error) if is_gone(error.kind) => error,
            answer => return answer,
        };
        let begun = Instant::now();
        while begun.elapsed() < HANDED_OVER {
            match self.manager() {
                Ok(other) if other.manager.pid != asked => {
                    *client = other;
                    return client.command(command.clone());
                }
                // It is still there, and means what it says.
                Ok(_) if error.kind != ClientErrorKind::Lost && begun.elapsed() > LEAVING => return Err(error),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        Err(error)
    }

    /// Whoever can answer queries: the manager, else the store alone.
    ///
    /// # Errors
    /// When a manager runs but cannot be reached.
    pub fn reader(&self) -> Result<Box<dyn Client>, Failure> {
        match self.manager() {
            Ok(client) => Ok(Box::new(client)),
            // The store is the manager's, too.
            Err(error) if error.kind == ClientErrorKind::NoManager && is_apart(&self.env) => Err(ClientError::apart().into()),
            Err(error) if error.kind == ClientErrorKind::NoManager => {
                print::note("no manager runs: this is what the store holds (`airx --daemon` starts one)");
                Ok(Box::new(Offline::new(self.services.reader(&self.home))))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether standard error gets JSON.
    pub fn is_json(&self) -> bool {
        matches!(self.global.output, Format::Json | Format::Jsonl)
    }

    /// Prints warnings about a file.
    pub fn warn(&self, warnings: &[Diagnostic]) {
        for warning in warnings {
            print::note(&format!("warning: {warning}"));
        }
    }
}

/// Whether the manager may have left without doing it.
fn is_gone(kind: ClientErrorKind) -> bool {
    matches!(kind, ClientErrorKind::Lost | ClientErrorKind::Refused(RefusalCode::Unavailable))
}
