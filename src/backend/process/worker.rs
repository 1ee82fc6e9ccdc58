//! The thread that starts runners, waits for their ends and tells what they left.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::ended::Ended;
use super::live::{Facts, Live, Watch};
use super::sweep::{self, Vanished};
use super::{Command, Settings};
use crate::backend::attempt::desk::Desk;
use crate::backend::attempt::directory::{self, Lock};
use crate::backend::attempt::{ending, inbox};
use crate::manager::ports::{ClaudeCli, LaunchOrder, ReportSink};
use crate::model::attempt::RunnerInfo;
use crate::model::exit_file::ExitFile;
use crate::model::ids::AttemptId;
use crate::model::report::{ExitFinding, Report};
use crate::model::time::Mono;
use crate::os;
use crate::os::spawn::{Spawn, spawn};

/// Between two looks at what no pidfd tells: locks, a runner that has not said who it is, an unfinished sweep.
const LOOK_MS: u64 = 100;
/// Longest wait for `runner.json` of a runner whose lock is held; after that only its lock is watched.
const INFO_MS: u64 = 5000;
/// Marks the command queue among the events.
const WAKE: u64 = 0;

pub struct Worker {
    sink: ReportSink,
    desk: Desk,
    ended: Ended,
    queue: Receiver<Command>,
    wake: Arc<OwnedFd>,
    epoll: OwnedFd,
    exe_path: CString,
    exe_identity: Option<(u64, u64)>,
    /// Kept open for [`Worker::exe_path`].
    _exe: File,
    null: File,
    subreaper: bool,
    boot_id: String,
    pid_namespace: u64,
    live: HashMap<AttemptId, Live>,
    tokens: HashMap<u64, AttemptId>,
    last_token: u64,
}

impl Worker {
    pub fn new(
        settings: Settings,
        exe: File,
        subreaper: bool,
        sink: ReportSink,
        claude: Arc<dyn ClaudeCli>,
        queue: Receiver<Command>,
        wake: Arc<OwnedFd>,
    ) -> io::Result<Worker> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &*wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let path = format!("/proc/self/fd/{}", exe.as_raw_fd());
        let exe_identity = sweep::identity(Path::new(&path));
        Ok(Worker {
            desk: Desk::new(settings.results, claude, sink.clone()),
            ended: Ended::default(),
            sink,
            queue,
            wake,
            epoll,
            exe_path: CString::new(path)?,
            exe_identity,
            _exe: exe,
            null: File::options().read(true).write(true).open("/dev/null")?,
            subreaper,
            boot_id: os::boot_id(),
            pid_namespace: os::pid_namespace(),
            live: HashMap::new(),
            tokens: HashMap::new(),
            last_token: WAKE,
        })
    }

    /// Runs until the handle is dropped.
    pub fn run(mut self) {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(64);
        let mut look_at = 0;
        loop {
            let watching = self.live.values().any(|l| !matches!(l.watch, Watch::Pidfd { .. }));
            let wait = Timespec { tv_sec: 0, tv_nsec: (LOOK_MS * 1_000_000).cast_signed() };
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), watching.then_some(&wait)) {
                Ok(_) | Err(Errno::INTR) => {}
                // Only a descriptor closed behind our back: nothing can be watched any more.
                Err(_) => return,
            }
            for event in &events {
                let token = event.data.u64();
                if token == WAKE {
                    // Commands are looked for anyway.
                    let _ = rustix::io::read(&*self.wake, &mut [0u8; 8]);
                } else if let Some(attempt) = self.tokens.remove(&token) {
                    self.ended(attempt);
                }
            }
            if !self.take_commands() {
                return;
            }
            let now = os::now().mono;
            if watching && now.0 >= look_at {
                look_at = now.0 + LOOK_MS / 2;
                self.look(now);
            }
        }
    }

    /// False when the handle is gone.
    fn take_commands(&mut self) -> bool {
        loop {
            match self.queue.try_recv() {
                Ok(Command::Launch(order)) => self.launch(*order),
                Ok(Command::Stop(attempt, kill)) => self.stop(attempt, kill),
                Ok(Command::Inspect(attempts, at)) => {
                    attempts.into_iter().for_each(|(attempt, dir)| self.inspect(attempt, dir, at));
                }
                Ok(Command::Intake(attempt, after)) => self.intake(attempt, Some(after)),
                Ok(Command::Put(attempt, name, content)) => self.put(attempt, &name, &content),
                Ok(Command::Forget(attempt)) => self.forget(attempt),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn launch(&mut self, order: LaunchOrder) {
        let attempt = order.attempt;
        if self.live.contains_key(&attempt) {
            return (self.sink)(Report::Started { attempt });
        }
        if let Some(report) = self.ended.report(attempt) {
            return report.into_iter().for_each(|report| (self.sink)(report));
        }
        match directory::lock(&order.dir) {
            Ok(Lock::Missing) => {}
            Ok(Lock::Held) => {
                self.adopt(attempt, order.dir, order.spec.into());
                return (self.sink)(Report::Started { attempt });
            }
            Ok(Lock::Free) => return self.over(attempt, Live::new(order.dir, order.spec.into(), Watch::Lock, None)),
            Err(e) => return self.launch_failed(attempt, &order.dir, &e),
        }
        let started = directory::prepare(&order, &self.boot_id).and_then(|lock| {
            self.spawn(&order, &lock).inspect_err(|_| directory::unprepare(&order.dir))
            // Our copy of the lock is closed here: from now on only the runner holds it.
        });
        match started {
            Ok(pid) => {
                let watch = self.watch(attempt, pid).unwrap_or(Watch::Lock);
                self.live.insert(attempt, Live::new(order.dir, order.spec.into(), watch, Some(pid)));
                (self.sink)(Report::Started { attempt });
            }
            Err(e) => self.launch_failed(attempt, &order.dir, &e),
        }
    }

    fn spawn(&self, order: &LaunchOrder, lock: &File) -> io::Result<u32> {
        let argv = [c"airx".to_owned(), c"run-task".to_owned(), CString::new(order.dir.as_os_str().as_bytes())?];
        let env: Result<Vec<CString>, _> =
            order.env.iter().map(|(name, value)| CString::new(format!("{name}={value}"))).collect();
        let request = Spawn {
            program: self.exe(),
            argv: &argv,
            env: Some(&env?),
            cwd: None,
            stdio: [lock.as_fd(), self.null.as_fd(), self.null.as_fd()],
            hold_stop: true,
        };
        spawn(&request)
    }

    fn exe(&self) -> &CStr {
        &self.exe_path
    }

    fn launch_failed(&self, attempt: AttemptId, dir: &Path, error: &io::Error) {
        let (why, transient) = directory::why_not(dir, error);
        (self.sink)(Report::LaunchFailed { attempt, why, transient });
    }

    /// Watches the process `pid`, which is known to be the runner.
    fn watch(&mut self, attempt: AttemptId, pid: u32) -> Option<Watch> {
        let fd = os::pidfd_open(pid).ok()?;
        self.last_token += 1;
        let token = self.last_token;
        epoll::add(&self.epoll, &fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN).ok()?;
        self.tokens.insert(token, attempt);
        Some(Watch::Pidfd { fd, pid, token })
    }

    /// Takes over a runner whose lock is held.
    fn adopt(&mut self, attempt: AttemptId, dir: PathBuf, facts: Facts) {
        let until = Mono(os::now().mono.0 + INFO_MS);
        let mut live = Live::new(dir, facts, Watch::Opening { until }, None);
        self.identify(attempt, &mut live);
        self.live.insert(attempt, live);
    }

    /// Goes from the lock to the process, once the runner has said who it is.
    fn identify(&mut self, attempt: AttemptId, live: &mut Live) {
        let Some(info) = directory::info(&live.dir) else { return };
        live.watch = Watch::Lock;
        if info.pid_ns != self.pid_namespace || info.boot_id != self.boot_id {
            return;
        }
        let Some(watch) = self.watch(attempt, info.pid) else { return };
        // Looked at after opening: the pidfd is of that very process, whatever becomes of the number now.
        if os::proc::process(info.pid).is_some_and(|p| p.start_ticks == info.start_ticks) {
            live.watch = watch;
        } else if let Watch::Pidfd { token, .. } = watch {
            self.tokens.remove(&token);
        }
        if let Some(kill) = live.asked.take() {
            live.signal(kill);
        }
    }

    fn inspect(&mut self, attempt: AttemptId, dir: PathBuf, asked_at: Mono) {
        if let Some(live) = self.live.get(&attempt) {
            if !matches!(live.watch, Watch::Sweeping) {
                (self.sink)(Report::Live { attempt });
                self.intake(attempt, None);
            }
            return;
        }
        if let Some(answer) = self.ended.answer(attempt, asked_at) {
            return (self.sink)(answer);
        }
        match directory::lock(&dir) {
            Ok(Lock::Missing) => self.without_lock(attempt, dir),
            Ok(found) => {
                let mut notes = Vec::new();
                let facts = directory::spec(&dir).map_or_else(
                    |e| {
                        notes.push(format!("spec.json cannot be read: {e}"));
                        Facts { mark: String::new(), result: None, claude: false, artifacts: false }
                    },
                    Facts::from,
                );
                if found == Lock::Held {
                    self.adopt(attempt, dir, facts);
                    (self.sink)(Report::Live { attempt });
                    self.intake(attempt, None);
                } else {
                    let mut live = Live::new(dir, facts, Watch::Lock, None);
                    live.note(notes);
                    self.over(attempt, live);
                }
            }
            // Unreadable just now (no descriptors, a file system that hangs): the next inspection asks again.
            Err(_) => {}
        }
    }

    /// No lock: it was never started; unless something lives that was told of this very directory, which was removed
    /// since. That goes on under our eyes, or is swept.
    fn without_lock(&mut self, attempt: AttemptId, dir: PathBuf) {
        let Some(stray) = sweep::of_directory(&dir) else { return (self.sink)(Report::NeverStarted { attempt }) };
        let facts = Facts { mark: stray.mark, result: None, claude: false, artifacts: false };
        let mut live = Live::new(dir, facts, Watch::Sweeping, None);
        live.note(["its directory was removed while it ran".to_owned()]);
        match stray.runner.and_then(|pid| self.watch(attempt, pid)) {
            Some(watch) => {
                live.watch = watch;
                self.live.insert(attempt, live);
                (self.sink)(Report::Live { attempt });
            }
            None => self.over(attempt, live),
        }
    }

    /// Reports what is new in the outbox.
    fn intake(&mut self, attempt: AttemptId, asked: Option<u32>) {
        if let Some(live) = self.live.get(&attempt) {
            self.desk.news(live.source(attempt), asked);
        }
    }

    fn put(&mut self, attempt: AttemptId, name: &str, content: &[u8]) {
        let Some(live) = self.live.get_mut(&attempt) else { return };
        // Asked for again by the next manager, should this one not see it through.
        if let Err(error) = inbox::put(&live.dir, name, content, None) {
            live.note([format!("inbox/{name} could not be written: {error}")]);
        }
    }

    fn forget(&mut self, attempt: AttemptId) {
        self.ended.forget(attempt);
        if let Some(Live { watch: Watch::Pidfd { token, .. }, .. }) = self.live.remove(&attempt) {
            self.tokens.remove(&token);
        }
    }

    fn stop(&mut self, attempt: AttemptId, kill: bool) {
        let Some(live) = self.live.get_mut(&attempt) else { return };
        live.kills += u32::from(kill);
        live.signal(kill);
    }

    fn look(&mut self, now: Mono) {
        let attempts: Vec<AttemptId> =
            self.live.iter().filter(|(_, l)| !matches!(l.watch, Watch::Pidfd { .. })).map(|(attempt, _)| *attempt).collect();
        for attempt in attempts {
            let Some(mut live) = self.live.remove(&attempt) else { continue };
            let gone =
                matches!(live.watch, Watch::Sweeping) || matches!(directory::lock(&live.dir), Ok(Lock::Free | Lock::Missing));
            if gone {
                self.over(attempt, live);
                continue;
            }
            if let Watch::Opening { until } = live.watch {
                self.identify(attempt, &mut live);
                if matches!(live.watch, Watch::Opening { .. }) && now >= until {
                    live.watch = Watch::Lock;
                }
            }
            self.live.insert(attempt, live);
        }
    }

    fn ended(&mut self, attempt: AttemptId) {
        if let Some(live) = self.live.remove(&attempt) {
            self.over(attempt, live);
        }
    }

    /// The runner is gone: reads what it left, or sweeps what it left, and reports.
    fn over(&mut self, attempt: AttemptId, mut live: Live) {
        let info = directory::info(&live.dir);
        let exit = match ending::exit(&live.dir) {
            ExitFile::Complete(record) => {
                self.reap(&live, info.as_ref());
                ExitFinding::Record(record)
            }
            missing => {
                let rebooted = directory::rebooted(&live.dir, &self.boot_id);
                if !rebooted && !self.sweep(&mut live, info.as_ref()) {
                    self.live.insert(attempt, live);
                    return;
                }
                live.note(ending::runner_log(&live.dir));
                if missing == ExitFile::Torn {
                    live.note(["exit.json is torn".to_owned()]);
                }
                self.reap(&live, info.as_ref());
                ExitFinding::Missing { rebooted }
            }
        };
        self.ended.begin(attempt);
        let (sink, ended) = (self.sink.clone(), self.ended.clone());
        let tell = move |report: Report| {
            ended.told(&report, attempt, os::now().mono);
            sink(report);
        };
        self.desk.over(live.source(attempt), exit, live.notes.take(), Box::new(tell));
    }

    /// Waits for the runner's body, if it is a child of this process: started by this backend, or by an earlier one here.
    fn reap(&self, live: &Live, info: Option<&RunnerInfo>) {
        let adopted = info.filter(|i| i.pid_ns == self.pid_namespace && i.boot_id == self.boot_id).map(|i| i.pid);
        if let Some(pid) = live.child {
            os::reap(pid);
        } else if let Some(pid) = adopted
            && os::proc::process(pid).is_some_and(|p| p.is_zombie() && info.is_some_and(|i| i.start_ticks == p.start_ticks))
        {
            os::reap(pid);
        }
    }

    /// Whether nothing of the vanished runner is left.
    fn sweep(&mut self, live: &mut Live, info: Option<&RunnerInfo>) -> bool {
        let vanished = Vanished {
            mark: &live.facts.mark,
            cgroup: info.and_then(|i| i.cgroup.clone()),
            orphans_come_here: self.subreaper && live.child.is_some(),
            ours: [self.exe_identity, sweep::identity(Path::new("/proc/self/exe"))],
        };
        let swept = sweep::sweep(&vanished);
        if swept.clean || !matches!(live.watch, Watch::Sweeping) {
            live.note([swept.note]);
        }
        if !swept.clean {
            live.watch = Watch::Sweeping;
        }
        swept.clean
    }
}
