//! Names of users. A static program cannot load what the C library asks a directory service with, so the system's own file is
//! read, and whom it does not have `getent` is asked about.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Largest file of users that is read, in bytes.
const MOST: u64 = 16 << 20;
/// Longest wait for `getent`.
const PATIENCE: Duration = Duration::from_secs(5);

/// The login name of a user; one that the system does not know has its number in its place.
pub fn name(uid: u32) -> String {
    listed(Path::new("/etc/passwd"), uid).or_else(|| asked(uid)).unwrap_or_else(|| uid.to_string())
}

/// As the system's file of users has it.
fn listed(file: &Path, uid: u32) -> Option<String> {
    use std::io::Read;
    let mut text = Vec::new();
    super::open_regular(file).ok()?.take(MOST).read_to_end(&mut text).ok()?;
    String::from_utf8_lossy(&text).lines().find_map(|line| entry(line, uid))
}

/// The name in a line `NAME:PASSWORD:UID:…`, when it is this user's.
fn entry(line: &str, uid: u32) -> Option<String> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
    (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
}

/// As a directory service has it.
fn asked(uid: u32) -> Option<String> {
    let mut command = Command::new("getent");
    command.args(["passwd", &uid.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let until = Instant::now() + PATIENCE;
    // One line never fills the pipe.
    while child.try_wait().ok()?.is_none() {
        if Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().find_map(|line| entry(line, uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_name_or_at_least_a_number() {
        assert_eq!(name(0), "root");
        assert_eq!(name(4_123_456_789), "4123456789");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("passwd");
        std::fs::write(&file, "# who\nroot:x:0:0::/root:/bin/sh\n:x:7::\nbroken\nann:x:1007:100:Ann:/home/ann:\n").unwrap();
        assert_eq!(listed(&file, 1007).as_deref(), Some("ann"));
        assert_eq!((listed(&file, 7), listed(&file, 8)), (None, None));
    }
}
