//! Where the sockets are: in a short, private directory, whatever the home (a socket's path has at most 107 bytes).

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The file in the home that tells clients the directory, since their environment may differ from the manager's.
const POINTER: &str = "sockets";

/// A manager's sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketPaths {
    /// The private directory.
    pub directory: PathBuf,
}

impl SocketPaths {
    /// Where the manager of `home` makes its sockets: under the user's runtime directory, else under `/tmp`.
    pub fn choose(home: &Path, runtime: Option<&Path>, uid: u32) -> SocketPaths {
        let digest: String =
            Sha256::digest(home.as_os_str().as_encoded_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let base = match runtime {
            // Room for `/airx/DIGEST/task/task.sock`.
            Some(runtime) if runtime.is_absolute() && runtime.as_os_str().len() <= 70 => runtime.join("airx"),
            _ => PathBuf::from(format!("/tmp/airx-{uid}")),
        };
        SocketPaths { directory: base.join(digest) }
    }

    /// Where a running manager of `home` said that its sockets are.
    pub fn find(home: &Path) -> Option<SocketPaths> {
        let text = std::fs::read_to_string(home.join(POINTER)).ok()?;
        let directory = PathBuf::from(text.trim_end_matches('\n'));
        directory.is_absolute().then_some(SocketPaths { directory })
    }

    /// Everything a person's client asks.
    pub fn control(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    /// The directory that runners see; nothing else is in it, so that it can be mounted.
    pub fn task_directory(&self) -> PathBuf {
        self.directory.join("task")
    }

    /// What running tasks ask.
    pub fn task(&self) -> PathBuf {
        self.task_directory().join("task.sock")
    }

    /// Makes the directories, private to `uid`, and tells clients of `home` where they are.
    ///
    /// # Errors
    /// When a directory exists but is a link, another user's, or open to others; or cannot be made.
    pub fn create(&self, home: &Path, uid: u32) -> io::Result<()> {
        let parent = self.directory.parent().unwrap_or(Path::new("/"));
        private(parent, uid, 0o077)?;
        private(&self.directory, uid, 0o077)?;
        private(&self.task_directory(), uid, if uid == 0 { 0o066 } else { 0o077 })?;
        if uid == 0 {
            // Seen from a container of another user; on this machine nobody else gets past those above.
            std::fs::set_permissions(self.task_directory(), std::fs::Permissions::from_mode(0o711))?;
        }
        let pointer = home.join(POINTER);
        let partial = home.join("sockets.partial");
        match std::fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&partial)?;
        writeln!(file, "{}", self.directory.display())?;
        std::fs::rename(partial, pointer)
    }

    /// Removes the sockets.
    pub fn remove(&self, home: &Path) {
        for path in [self.control(), self.task(), home.join(POINTER)] {
            // One that is gone already is as good.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Makes a directory that is `uid`'s alone: others have none of these rights.
fn private(directory: &Path, uid: u32, others: u32) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = std::fs::symlink_metadata(directory)?;
    if !found.is_dir() || found.uid() != uid || found.mode() & others != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} is not a directory that only its owner can use: remove it, or chmod 700 it", directory.display()),
        ));
    }
    Ok(())
}
