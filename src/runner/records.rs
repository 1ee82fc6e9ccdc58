//! The runner's files besides the output: `spec.json`, `runner.json`, `exit.json`. All relative to the attempt
//! directory, which is the runner's own.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use super::RunnerError;
use crate::model::attempt::{ExitRecord, RunnerInfo, RunnerSpec};
use crate::model::exit_file::{self, EXIT_FILE_BYTES};
use crate::model::time::Utc;
use crate::os;

pub fn read_spec() -> Result<RunnerSpec, RunnerError> {
    let text = std::fs::read("spec.json").map_err(|e| RunnerError::new("read spec.json", e))?;
    serde_json::from_slice(&text).map_err(|e| RunnerError::new("understand spec.json", e))
}

/// Says who runs the attempt.
pub fn write_info(mark: &str, at: Utc, boot_id: &str, cgroup: Option<PathBuf>) -> Result<(), RunnerError> {
    let info = RunnerInfo {
        mark: mark.to_owned(),
        pid: std::process::id(),
        start_ticks: os::proc::own_start_ticks(),
        boot_id: boot_id.to_owned(),
        pid_ns: os::pid_namespace(),
        at,
        cgroup,
    };
    let fail = |e: io::Error| RunnerError::new("write runner.json", e);
    let text = serde_json::to_vec(&info).map_err(|e| fail(e.into()))?;
    let file = create("runner.json.new", false).map_err(fail)?;
    file.write_all_at(&text, 0).map_err(fail)?;
    rustix::fs::rename("runner.json.new", "runner.json").map_err(|e| fail(e.into()))
}

/// Creates a file that only its owner can read. The task owns this directory too: what it put in the file's place must neither
/// be followed nor keep the runner waiting.
pub fn create(name: &str, append: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = if append { options.append(true) } else { options.write(true).truncate(true) };
    os::create_regular(name.as_ref(), options)
}

/// Opens a file that a stream is copied into, for appending. Wherever a link in its place leads, its task could write too; a fifo there
/// is an error instead of a wait.
pub fn create_output(name: &str) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(libc::O_NONBLOCK).open(name)
}

/// `exit.json`, its place on the disk taken.
pub struct ExitFile(File);

impl ExitFile {
    /// Reserves it.
    pub fn reserve() -> Result<ExitFile, RunnerError> {
        let fail = |e: io::Error| RunnerError::new("reserve exit.json", e);
        let file = create("exit.json", false).map_err(fail)?;
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, EXIT_FILE_BYTES as u64) {
            Ok(()) => {}
            // File systems without reservation (some network and overlay ones).
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                file.write_all_at(&[0; EXIT_FILE_BYTES], 0).map_err(fail)?
            }
            Err(e) => return Err(fail(e.into())),
        }
        Ok(ExitFile(file))
    }

    /// Writes the record, once.
    pub fn write(self, record: &ExitRecord) -> Result<(), RunnerError> {
        self.0.write_all_at(&exit_file::encode(record), 0).map_err(|e| RunnerError::new("write exit.json", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn what_a_task_puts_in_a_files_place_neither_leads_elsewhere_nor_keeps_the_runner_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let (fifo, link, other) = (dir.path().join("fifo"), dir.path().join("link"), dir.path().join("other"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        std::fs::write(&other, "mine").unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        let (told, tells) = channel();
        std::thread::spawn(move || {
            for (path, append) in [(&fifo, false), (&fifo, true), (&link, false)] {
                told.send(create(path.to_str().unwrap(), append).is_err()).unwrap();
            }
        });
        for what in ["a fifo", "a fifo to append to", "a link"] {
            assert!(tells.recv_timeout(Duration::from_secs(10)).expect("no wait for a reader"), "{what} is no file to write to");
        }
        assert_eq!(std::fs::read(&other).unwrap(), b"mine");
    }
}
