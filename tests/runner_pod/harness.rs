//! A pod's container, as far as its first process can tell: an order in the environment, a directory, and three streams.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says so by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown, fchown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use airx::model::attempt::{ExitRecord, RunnerSpec};
use airx::model::exit_file::{ExitFile, decode};
use airx::model::pod::{LineReader, PodOrder, Taken, VERSION};
use airx::model::relay::{Frame, Kind};
use airx::os;
use rustix::process::Signal;

use crate::runner_support::{AIRX, wait_for};

pub const NONCE: &str = "airx-5f0c2a9d";
/// A user that is nobody's, for tests that run as root, from whom nothing can be hidden.
const OTHER: u32 = 54_321;

/// An order for `spec`; AIRX_DIR is added where the directory is known.
pub fn order(spec: &RunnerSpec) -> PodOrder {
    let env = [("AIRX_ATTEMPT", spec.mark.as_str()), ("AIRX_JOB", "job.1"), ("AIRX_TASK", "task")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    PodOrder { version: VERSION, nonce: NONCE.to_owned(), spec: spec.clone(), env, prompt: None }
}

/// Where a pod runs.
pub struct Place {
    home: tempfile::TempDir,
    /// The attempt's directory, which is not there yet.
    pub dir: PathBuf,
    program: PathBuf,
    user: Option<u32>,
    before: Vec<&'static str>,
}

impl Place {
    pub fn new() -> Place {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("attempt");
        Place { home, dir, program: AIRX.into(), user: None, before: Vec::new() }
    }

    /// Of a user that has no rights beyond its own, whoever runs the test.
    pub fn of_another_user() -> Place {
        let mut place = Place::new();
        if os::uid() == 0 {
            // The build's own directory may be shut to others.
            place.program = place.home.path().join("airx");
            fs::copy(AIRX, &place.program).unwrap();
            fs::set_permissions(&place.program, fs::Permissions::from_mode(0o755)).unwrap();
            fs::set_permissions(place.home.path(), fs::Permissions::from_mode(0o755)).unwrap();
            chown(place.home.path(), Some(OTHER), Some(OTHER)).unwrap();
            place.user = Some(OTHER);
        }
        place
    }

    /// With a pid namespace of its own; none where none can be made.
    pub fn first_of_a_namespace() -> Option<Place> {
        let mut place = Place::new();
        place.before = vec!["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
        if os::uid() != 0 {
            place.before.extend(["--user", "--map-root-user"]);
        }
        let mut probe = Command::new(place.before[0]);
        let probed = probe.args(&place.before[1..]).arg("true").stderr(Stdio::null()).status();
        probed.is_ok_and(|status| status.success()).then_some(place)
    }

    pub fn command(&self, order: &PodOrder) -> Command {
        let mut order = order.clone();
        order.env.push(("AIRX_DIR".to_owned(), self.dir.display().to_string()));
        let mut words = self.before.iter().map(PathBuf::from).chain([self.program.clone()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg("pod").arg(&self.dir).env_clear().current_dir("/");
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").envs(order.variables().unwrap());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }
}

/// Dropped, its pod's output is read on.
struct Listening(Option<Arc<()>>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.take();
    }
}

#[derive(Default)]
struct Heard {
    frames: Vec<Frame>,
    strange: Vec<String>,
    lost: u64,
}

/// Its first process. A test that fails leaves none behind.
struct First(Child);

impl Drop for First {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            os::signal_pid(self.0.id(), Signal::USR1);
        }
    }
}

/// One that runs.
pub struct Pod {
    place: Place,
    child: First,
    stdin: Mutex<Option<std::process::ChildStdin>>,
    heard: Arc<Mutex<Heard>>,
    reader: Option<JoinHandle<()>>,
    errors: Option<JoinHandle<String>>,
    deaf: Arc<Mutex<bool>>,
    hold: Arc<Mutex<Weak<()>>>,
}

impl Pod {
    pub fn start(order: &PodOrder) -> Pod {
        let place = Place::new();
        Pod::of(place.command(order), place)
    }

    pub fn of(mut command: Command, place: Place) -> Pod {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A program that was just copied may be open for writing still, in a process that another test forks at this moment.
        let is_busy = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ExecutableFileBusy;
        let mut child = wait_for("the program's file", || match piped.spawn() {
            Err(error) if is_busy(&error) => None,
            other => Some(other.unwrap()),
        });
        if let Some(user) = place.user {
            // As a container runtime does it.
            fchown(child.stdin.as_ref().unwrap(), Some(user), None).unwrap();
            fchown(child.stdout.as_ref().unwrap(), Some(user), None).unwrap();
            fchown(child.stderr.as_ref().unwrap(), Some(user), None).unwrap();
        }
        let (heard, deaf) = (Arc::new(Mutex::new(Heard::default())), Arc::new(Mutex::new(false)));
        let (out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let hold = Arc::new(Mutex::new(Weak::new()));
        let (kept, is_deaf, held) = (heard.clone(), deaf.clone(), hold.clone());
        let reader = std::thread::spawn(move || {
            let mut lines = LineReader::new(NONCE);
            for line in BufReader::new(out).split(b'\n') {
                let (line, mut heard) = (line.unwrap(), kept.lock().unwrap());
                match lines.take(&line) {
                    Taken::Frame(frame) => heard.frames.push(frame),
                    Taken::Strange => heard.strange.push(String::from_utf8_lossy(&line).into_owned()),
                    Taken::Nothing => {}
                }
                heard.lost = lines.lost();
                drop(heard);
                while held.lock().unwrap().upgrade().is_some() {
                    std::thread::sleep(Duration::from_millis(2));
                }
                if *is_deaf.lock().unwrap() {
                    return;
                }
            }
        });
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).unwrap();
            text
        });
        let stdin = Mutex::new(child.stdin.take());
        Pod { place, child: First(child), stdin, heard, reader: Some(reader), errors: Some(errors), deaf, hold }
    }

    pub fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Writes to its standard input.
    pub fn say(&mut self, bytes: &[u8]) {
        self.stdin.lock().unwrap().as_ref().unwrap().write_all(bytes).unwrap();
    }

    /// Ends its standard input.
    pub fn hang_up(&self) {
        self.stdin.lock().unwrap().take();
    }

    /// Takes nothing more of its standard output than the pipe holds, until the answer is dropped.
    pub fn stop_listening(&self) -> impl Drop + use<> {
        let guard = Arc::new(());
        *self.hold.lock().unwrap() = Arc::downgrade(&guard);
        Listening(Some(guard))
    }

    /// The attempt's directory.
    pub fn dir(&self) -> PathBuf {
        self.place.dir.clone()
    }

    /// Lets its standard output break with the next line.
    pub fn deafen(self) -> Pod {
        *self.deaf.lock().unwrap() = true;
        self
    }

    pub fn has(&self, name: &str) -> bool {
        self.heard.lock().unwrap().frames.iter().any(|frame| frame.name == name)
    }

    /// A file as far as it has come.
    pub fn text(&self, name: &str) -> String {
        let files = files(&self.heard.lock().unwrap().frames);
        String::from_utf8_lossy(files.get(name).map_or(&[][..], Vec::as_slice)).into_owned()
    }

    /// Whether TERM no longer ends it.
    pub fn holds_signals(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap_or_default();
        u64::from_str_radix(blocked, 16).unwrap_or(0) & (1 << 14) != 0
    }

    /// Processor time it has used so far.
    pub fn cpu_ticks(&self) -> u64 {
        std::thread::sleep(Duration::from_millis(600));
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    pub fn finish(self) -> Told {
        self.finish_keeping().0
    }

    /// To its end; with the place for another container.
    pub fn finish_keeping(mut self) -> (Told, Place) {
        let status = wait_for("the pod's end", || self.child.0.try_wait().unwrap());
        self.reader.take().unwrap().join().unwrap();
        let stderr = self.errors.take().unwrap().join().unwrap();
        let heard = std::mem::take(&mut *self.heard.lock().unwrap());
        let Heard { frames, strange, lost } = heard;
        let files = files(&frames);
        let dir_exists = self.place.dir.exists();
        (Told { code: status.code(), frames, files, strange, lost, stderr, dir_exists }, self.place)
    }
}

/// All that a pod has told.
pub struct Told {
    pub code: Option<i32>,
    pub frames: Vec<Frame>,
    pub files: BTreeMap<String, Vec<u8>>,
    /// Lines of its output that are none of the first process's.
    pub strange: Vec<String>,
    pub lost: u64,
    pub stderr: String,
    pub dir_exists: bool,
}

impl Told {
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.files.get(name).map_or(&[][..], Vec::as_slice)).into_owned()
    }

    /// Of frames, in their order.
    pub fn names(&self) -> Vec<&str> {
        self.frames.iter().map(|frame| frame.name.as_str()).collect()
    }

    pub fn record(&self) -> ExitRecord {
        let Some(ExitFile::Complete(record)) = self.files.get("exit.json").map(|bytes| decode(bytes)) else {
            panic!("no record: {} {}", self.stderr, self.text("runner.log"))
        };
        *record
    }
}

/// Files as a manager would put them together: parts follow each other.
fn files(frames: &[Frame]) -> BTreeMap<String, Vec<u8>> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for frame in frames {
        let file = files.entry(frame.name.clone()).or_default();
        match frame.kind {
            Kind::Whole => file.clone_from(&frame.content),
            Kind::Part => {
                assert_eq!(file.len() as u64, frame.offset, "{} has a hole", frame.name);
                file.extend_from_slice(&frame.content);
            }
            Kind::Beat => panic!("no beats: the log would grow by them alone"),
        }
    }
    files
}
