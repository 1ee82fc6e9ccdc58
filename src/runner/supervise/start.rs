//! Starting the command, the condition and the gate with their files.

use std::cell::Cell;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::{GATE_LOG_LIMIT, LOOK_MS, Supervisor, Talk};
use crate::model::attempt::{End, GateSpec, MAX_JSON_RESULT, MAX_RESULT, OutputMode, Stdin};
use crate::model::spec::ResultKind;
use crate::model::time::Mono;
use crate::os;
use crate::runner::copy::Copier;
use crate::runner::follow::{self, Follower};
use crate::runner::keep;
use crate::runner::launch::{self, start};
use crate::runner::records::create;

impl Supervisor {
    pub(super) fn spawn_command(&mut self) -> Result<(), End> {
        let cannot = |e: Errno| {
            launch::failed(e, format!("the runner could not prepare the command's files: {}", std::io::Error::from(e)))
        };
        let io = |e: std::io::Error| Errno::from_io_error(&e).unwrap_or(Errno::IO);
        let (stdin, talk) = self.stdin().map_err(|e| cannot(io(e)))?;
        let (err_read, err_write) = pipe_with(PipeFlags::CLOEXEC).map_err(cannot)?;
        let mut pipes = Vec::with_capacity(2);
        let out_write: OwnedFd = match self.spec.output {
            OutputMode::Pipes => {
                let (out_read, out_write) = pipe_with(PipeFlags::CLOEXEC).map_err(cannot)?;
                pipes.push(("out", out_read));
                out_write
            }
            OutputMode::File => {
                let file = create("out", true).map_err(|e| cannot(io(e)))?;
                let copy = file.try_clone().map_err(|e| cannot(io(e)))?;
                self.own_file = Some((copy, Mono(os::now().mono.0 + self.look_ms())));
                if self.spec.claude {
                    let transcript = File::open("out").map_err(|e| cannot(io(e)))?;
                    let (pipe, first) = talk.unzip();
                    let seal = (self.spec.seal.clone(), self.spec.mark.clone());
                    let watch = (self.make_watch)();
                    self.follower =
                        Some(Follower::new(transcript, watch, self.spec.allowance, pipe, first.unwrap_or_default(), seal));
                }
                file.into()
            }
        };
        pipes.push(("err", err_read));
        self.copier = Copier::new(pipes, self.spec.output_limit, self.spec.output == OutputMode::Pipes);
        let stdio = [stdin.as_fd(), out_write.as_fd(), err_write.as_fd()];
        let pid = start(&self.spec.argv, &self.spec.cwd, stdio, self.cgroup.as_ref())?;
        self.main = Some(pid);
        if self.spec.contained {
            // Both share the container's memory: should it run out, the task is to go, and its runner to tell of it.
            os::prefer_for_oom(pid);
        }
        Ok(())
    }

    /// What the command reads, and for a conversation the pipe to it with what is said first.
    fn stdin(&self) -> std::io::Result<(OwnedFd, Option<Talk>)> {
        Ok(match self.spec.stdin {
            Stdin::Null => (File::open("/dev/null")?.into(), None),
            Stdin::Prompt => (File::open("prompt")?.into(), None),
            Stdin::Stream => {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
                // Only our end: the command may expect to wait.
                rustix::io::ioctl_fionbio(&write, true)?;
                (read, Some((write, std::fs::read("prompt")?)))
            }
        })
    }

    /// Keeps what is to be kept of the workspace of a command that has run; the first artifact that had to be there and was not.
    pub(super) fn keep(&mut self) -> Option<String> {
        if matches!(self.machine.end(), None | Some(End::NotStarted { .. })) {
            return None;
        }
        let here = Path::new(".");
        let is_success = self.machine.end() == Some(&End::Exited(0)) && self.machine.stopped().is_none();
        let is_told = Cell::new(false);
        let is_hurried = || {
            // Whoever insists does not want to wait for this.
            is_told.set(is_told.get() || os::signal::told(&self.signals).kill);
            is_told.get()
        };
        let mut notes = Vec::new();
        if let Some((kind, file)) = self.spec.result.as_ref().and_then(|result| Some((result.kind, result.file.as_ref()?)))
            && is_success
        {
            let most = if kind == ResultKind::Json { MAX_JSON_RESULT } else { MAX_RESULT };
            notes.extend(keep::result(file, &self.spec.cwd, here, most, &is_hurried));
        }
        let wanted = self.spec.artifacts.as_ref();
        let kept = wanted.map(|wanted| keep::artifacts(wanted, &self.spec.cwd, here, &is_hurried)).unwrap_or_default();
        self.notes.extend(notes.into_iter().chain(kept.notes));
        kept.missing
    }

    pub(super) fn look_ms(&self) -> u64 {
        if self.spec.claude { follow::LOOK_MS } else { LOOK_MS }
    }

    /// Starts the condition or the gate.
    pub(super) fn spawn_shell(&mut self, shell: Option<GateSpec>) -> Result<(), End> {
        let Some(gate) = shell else { return Err(launch::failed(Errno::INVAL, "there is nothing to run".into())) };
        let cannot = |e: Errno| {
            launch::failed(e, format!("the runner could not prepare the files of its own command: {}", std::io::Error::from(e)))
        };
        if self.own_file.is_some() || self.machine.round().is_none() {
            self.kept = self.kept_output();
        }
        self.own_file = None;
        self.follower.iter_mut().for_each(Follower::finish);
        self.notes.extend(self.copier.take_notes());
        let stdin = File::open("/dev/null").map_err(|e| cannot(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(cannot)?;
        self.copier = Copier::new(vec![("gate.log", read)], GATE_LOG_LIMIT, false);
        self.draining = false;
        self.main = Some(start(&gate.argv, &self.spec.cwd, [stdin.as_fd(), write.as_fd(), write.as_fd()], self.cgroup.as_ref())?);
        Ok(())
    }
}
