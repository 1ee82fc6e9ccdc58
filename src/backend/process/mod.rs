//! Runners as processes of this machine.
//!
//! One thread watches them all by pidfd. What it knows lies in the attempt directories and the process table, so a
//! backend that is started anew goes on where the last one stopped.

mod ended;
mod live;
mod sweep;
mod worker;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, eventfd};

use crate::manager::ports::{Backend, ClaudeCli, LaunchOrder, ReportSink};
use crate::model::ids::AttemptId;
use crate::model::time::Mono;
use crate::os;

/// Commands waiting for the thread. More are dropped: whatever a command would have done, the next inspection finds
/// undone, and the manager asks again.
const QUEUE: usize = 16_384;

/// What the backend needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The binary with `run-task`; none is the running one. Opened once, so replacing the file in mid-run harms nothing.
    pub exe: Option<PathBuf>,
    /// Where results too large for the database go, by hash.
    pub results: PathBuf,
}

enum Command {
    Launch(Box<LaunchOrder>),
    Stop(AttemptId, bool),
    /// And when it was asked for.
    Inspect(Vec<(AttemptId, PathBuf)>, Mono),
    Intake(AttemptId, u32),
    Put(AttemptId, String, Vec<u8>),
    Forget(AttemptId),
}

/// The handle that the manager holds. Dropping it ends the thread and harms no runner.
pub struct ProcessBackend {
    commands: Option<SyncSender<Command>>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl ProcessBackend {
    /// The thread, for whoever must know that it has done all it was told before it ends: it does so once the backend and
    /// the receiver of its reports are gone.
    pub fn thread(&mut self) -> Option<JoinHandle<()>> {
        self.thread.take()
    }

    /// Starts the thread. Makes this process the subreaper of its descendants, so that a vanished runner's processes
    /// are found.
    ///
    /// # Errors
    /// When the binary cannot be opened or the system refuses a descriptor or a thread.
    pub fn start(settings: Settings, sink: ReportSink, claude: Arc<dyn ClaudeCli>) -> io::Result<ProcessBackend> {
        let exe = File::open(settings.exe.as_deref().unwrap_or("/proc/self/exe".as_ref()))?;
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (commands, queue) = sync_channel(QUEUE);
        let reaper = os::become_subreaper().is_ok();
        let worker = worker::Worker::new(settings, exe, reaper, sink, claude, queue, wake.clone())?;
        let thread = std::thread::Builder::new().name("runners".into()).stack_size(512 * 1024).spawn(move || worker.run())?;
        Ok(ProcessBackend { commands: Some(commands), wake, thread: Some(thread) })
    }

    fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // Full or ended: see QUEUE.
            let _ = commands.try_send(command);
            self.wake();
        }
    }

    fn wake(&self) {
        // Fails only when the counter is full, and then the thread is awake.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
    }
}

impl Drop for ProcessBackend {
    fn drop(&mut self) {
        self.commands = None;
        self.wake();
    }
}

impl Backend for ProcessBackend {
    fn launch(&mut self, order: LaunchOrder) {
        self.send(Command::Launch(Box::new(order)));
    }

    fn stop(&mut self, attempt: AttemptId, kill: bool) {
        self.send(Command::Stop(attempt, kill));
    }

    fn inspect(&mut self, attempts: Vec<(AttemptId, PathBuf)>, _set_aside: &BTreeSet<String>) {
        self.send(Command::Inspect(attempts, os::now().mono));
    }

    fn intake(&mut self, attempt: AttemptId, after: u32) {
        self.send(Command::Intake(attempt, after));
    }

    fn put(&mut self, attempt: AttemptId, name: String, content: Vec<u8>) {
        self.send(Command::Put(attempt, name, content));
    }

    fn forget(&mut self, attempt: AttemptId) {
        self.send(Command::Forget(attempt));
    }
}
