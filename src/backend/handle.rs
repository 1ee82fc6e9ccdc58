//! The handle to a thread that watches over attempts on an engine or in a cluster: it takes commands, and tells reports.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use crate::manager::ports::{Backend, LaunchOrder};
use crate::model::ids::AttemptId;

/// Commands waiting for the thread. More are dropped: whatever a command would have done, the next inspection finds
/// undone, and the manager asks again.
const QUEUE: usize = 16_384;

/// What the manager wants, as [`Backend`] has it.
pub enum Command {
    /// See [`Backend::launch`].
    Launch(Box<LaunchOrder>),
    /// See [`Backend::stop`].
    Stop(AttemptId, bool),
    /// See [`Backend::inspect`].
    Inspect(Vec<(AttemptId, PathBuf)>, BTreeSet<String>),
    /// See [`Backend::intake`].
    Intake(AttemptId, u32),
    /// See [`Backend::put`].
    Put(AttemptId, String, Vec<u8>),
    /// See [`Backend::forget`].
    Forget(AttemptId),
}

/// The commands of one thread.
pub type Commands = mpsc::Receiver<Command>;

/// The handle to one thread. Dropping it ends the thread and harms no attempt.
pub struct Handle {
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Starts a thread on which `run` works, with others (`blocking` at most) for what waits. `what` names it in the log.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start<F: Future<Output = ()>>(
        what: String,
        blocking: usize,
        run: impl FnOnce(Commands) -> F + Send + 'static,
    ) -> io::Result<Handle> {
        let (commands, queue) = mpsc::channel(QUEUE);
        let work = move || {
            // Fails only when the system has no descriptors left: then nothing can be reached anyway, and the next manager tries.
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(blocking).build()
            else {
                tracing::error!("no runtime can be made for {what}");
                return;
            };
            tokio::task::LocalSet::new().block_on(&runtime, run(queue));
            // What still packs or unpacks for a container is of no use to anybody any more.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("containers".into()).spawn(work)?;
        Ok(Handle { commands, thread: Some(thread) })
    }

    /// The thread, for whoever must know that it has done all it was told before it ends.
    pub fn thread(&mut self) -> Option<JoinHandle<()>> {
        self.thread.take()
    }

    fn send(&self, command: Command) {
        // Full or ended: see QUEUE.
        let _ = self.commands.try_send(command);
    }
}

impl Backend for Handle {
    fn launch(&mut self, order: LaunchOrder) {
        self.send(Command::Launch(Box::new(order)));
    }

    fn stop(&mut self, attempt: AttemptId, kill: bool) {
        self.send(Command::Stop(attempt, kill));
    }

    fn inspect(&mut self, attempts: Vec<(AttemptId, PathBuf)>, set_aside: &BTreeSet<String>) {
        self.send(Command::Inspect(attempts, set_aside.clone()));
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
