//! Where a home is, and what lies in it.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The directory that makes a project's home.
const PROJECT: &str = ".air-executor";

/// A home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Its directory, absolute.
    pub path: PathBuf,
}

/// A home, and what a person should know about how it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The home; it need not exist.
    pub home: Home,
    /// Lines to be told.
    pub notices: Vec<String>,
}

/// Why there is no home.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Neither variables nor the platform tell where it could be.
    #[error("no home: neither HOME nor XDG_DATA_HOME is set")]
    Unknown,
    /// It lies on a network file system, whose locks and crashes SQLite cannot rely on.
    #[error("{0} lies on a network file system, where neither locks nor the database are safe: choose a local disk with --home")]
    Network(String),
    /// Somebody else's, or open to others.
    #[error("{0} {1}")]
    Unsafe(String, &'static str),
    /// It cannot be made.
    #[error("cannot make {path}: {cause}")]
    Io {
        /// What.
        path: String,
        /// Why.
        cause: io::Error,
    },
}

impl Home {
    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path.join("airx.db")
    }

    /// The lock that a manager holds.
    pub fn lock(&self) -> PathBuf {
        self.path.join("manager.lock")
    }

    /// The configuration.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.yaml")
    }

    /// Attempt directories.
    pub fn jobs(&self) -> PathBuf {
        self.path.join("jobs")
    }

    /// Large results.
    pub fn results(&self) -> PathBuf {
        self.path.join("results")
    }

    /// Where copies of airx itself are kept for containers.
    pub fn programs(&self) -> PathBuf {
        self.path.join("programs")
    }

    /// Logs of the manager.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Daily copies of the database.
    pub fn backups(&self) -> PathBuf {
        self.path.join("backup")
    }

    /// Finds the home: `--home`, AIRX_HOME, that of the task this runs in, a registered project directory at or above `cwd`, the platform's data directory.
    ///
    /// # Errors
    /// [`HomeError::Unknown`] when nothing tells where it could be.
    pub fn discover(flag: Option<&Path>, env: &BTreeMap<String, String>, cwd: &Path) -> Result<Found, HomeError> {
        let variable = |name: &str| env.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let mut notices = Vec::new();
        let path = match flag.map(Path::to_owned).or_else(|| variable("AIRX_HOME")) {
            Some(path) => cwd.join(path),
            None => match own(env).or_else(|| project(env, cwd, &mut notices)) {
                Some(path) => path,
                None => data_directory(env).filter(|path| path.is_absolute()).ok_or(HomeError::Unknown)?,
            },
        };
        // One home has one name, whatever links lead to it.
        let path = path.canonicalize().unwrap_or(path);
        Ok(Found { home: Home { path }, notices })
    }

    /// Makes what is missing of it, private to the caller.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn create(&self) -> Result<(), HomeError> {
        let io = |path: &Path, cause: io::Error| HomeError::Io { path: path.display().to_string(), cause };
        if let Some(parent) = self.path.parent() {
            std::fs::create_dir_all(parent).map_err(|cause| io(parent, cause))?;
        }
        for directory in [self.path.clone(), self.jobs(), self.results(), self.logs(), self.backups()] {
            match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
                Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(io(&directory, cause)),
                _ => {}
            }
        }
        let shown = || self.path.display().to_string();
        let data = std::fs::metadata(&self.path).map_err(|cause| io(&self.path, cause))?;
        if data.uid() != rustix::process::getuid().as_raw() {
            return Err(HomeError::Unsafe(shown(), "belongs to another user: choose a home of your own with --home"));
        }
        if data.mode() & 0o022 != 0 {
            return Err(HomeError::Unsafe(shown(), "can be written by others: chmod 700 it"));
        }
        if is_network(&self.path) {
            return Err(HomeError::Network(shown()));
        }
        Ok(())
    }
}

/// `f_type` of network file systems, from statfs(2).
fn is_network(path: &Path) -> bool {
    const NETWORK: [u64; 8] = [
        0x6969,      // NFS
        0x517b,      // SMB
        0xff53_4d42, // CIFS
        0xfe53_4d42, // SMB2
        0x0102_1997, // 9P
        0x5346_414f, // AFS
        0x00c3_6400, // Ceph
        0x7461_636f, // OCFS2
    ];
    const FUSE: u64 = 0x6573_5546;
    match rustix::fs::statfs(path).map(|found| (found.f_type as u64) & 0xffff_ffff) {
        Ok(FUSE) => is_network_fuse(path),
        Ok(kind) => NETWORK.contains(&kind),
        Err(_) => false,
    }
}

/// FUSE carries local file systems too (encrypted ones, say): the mount's own type tells.
fn is_network_fuse(path: &Path) -> bool {
    const NETWORK: [&str; 8] = ["sshfs", "rclone", "s3fs", "gcsfuse", "glusterfs", "ceph", "davfs", "curlftpfs"];
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let around = fields.filter(|(at, _)| path.starts_with(at)).max_by_key(|(at, _)| at.len());
    around.is_none_or(|(_, kind)| NETWORK.iter().any(|name| kind.contains(name)))
}

/// Inside a running task: the home that it belongs to, so that it reaches no other one by chance.
fn own(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let attempt = env.get("AIRX_DIR").map(Path::new).filter(|path| path.is_absolute())?;
    attempt.ancestors().nth(3).filter(|home| home.join("jobs").is_dir()).map(Path::to_owned)
}

fn data_directory(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(target_os = "linux") {
        let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
        if let Some(data) = data {
            return Some(data.join("airx"));
        }
    }
    directories::ProjectDirs::from("", "", "airx").map(|found| found.data_dir().to_owned())
}

/// The list of project homes that the user has registered.
fn registry(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(config.join("airx").join("projects"))
}

/// A project's home at or above `cwd`. A cloned repository must not choose which programs run: it counts only when the
/// user registered it, and owns it.
fn project(env: &BTreeMap<String, String>, cwd: &Path, notices: &mut Vec<String>) -> Option<PathBuf> {
    let found = cwd.ancestors().map(|above| above.join(PROJECT)).find(|path| path.is_dir())?.canonicalize().ok()?;
    let list = registry(env).and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let is_registered = list.lines().any(|line| Path::new(line) == found);
    let is_own = std::fs::metadata(&found).is_ok_and(|data| data.uid() == rustix::process::getuid().as_raw());
    match (is_registered, is_own) {
        (true, true) => return Some(found),
        (false, _) => notices.push(format!(
            "{} is ignored: you have not registered it (`airx init --project` in its directory does)",
            found.display()
        )),
        (true, false) => notices.push(format!("{} is ignored: it belongs to another user", found.display())),
    }
    None
}

/// Registers a project's home for this user.
///
/// # Errors
/// [`HomeError`] when the list cannot be written.
pub fn register(home: &Path, env: &BTreeMap<String, String>) -> Result<(), HomeError> {
    let list = registry(env).ok_or(HomeError::Unknown)?;
    let io = |cause: io::Error| HomeError::Io { path: list.display().to_string(), cause };
    let home = home.canonicalize().map_err(io)?;
    let known = std::fs::read_to_string(&list).unwrap_or_default();
    if known.lines().any(|line| Path::new(line) == home) {
        return Ok(());
    }
    if let Some(directory) = list.parent() {
        std::fs::create_dir_all(directory).map_err(io)?;
    }
    std::fs::write(&list, format!("{known}{}\n", home.display())).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(home: &Path) -> BTreeMap<String, String> {
        BTreeMap::from([("HOME".to_owned(), home.display().to_string())])
    }

    #[test]
    fn the_flag_goes_before_the_variable_before_the_platform() {
        let cwd = Path::new("/nowhere");
        let mut env = env(Path::new("/users/ann"));
        assert_eq!(Home::discover(None, &env, cwd).unwrap().home.path, Path::new("/users/ann/.local/share/airx"));
        env.insert("AIRX_HOME".to_owned(), "there".to_owned());
        assert_eq!(Home::discover(None, &env, cwd).unwrap().home.path, Path::new("/nowhere/there"));
        assert_eq!(Home::discover(Some(Path::new("/x")), &env, cwd).unwrap().home.path, Path::new("/x"));
    }

    #[test]
    fn a_project_counts_only_when_its_user_registered_it() {
        let directory = tempfile::tempdir().unwrap();
        let user = directory.path().join("user");
        let below = directory.path().join("repo/src");
        let project = directory.path().join("repo").join(PROJECT);
        std::fs::create_dir_all(&below).unwrap();
        std::fs::create_dir_all(&project).unwrap();
        let env = env(&user);
        let found = Home::discover(None, &env, &below).unwrap();
        assert!(found.notices[0].contains("is ignored"), "{found:?}");
        assert_eq!(found.home.path, user.join(".local/share/airx"));
        register(&project, &env).unwrap();
        register(&project, &env).unwrap();
        let found = Home::discover(None, &env, &below).unwrap();
        assert_eq!((found.home.path, found.notices), (project.canonicalize().unwrap(), Vec::new()));
    }

    #[test]
    fn a_home_is_made_private_and_one_open_to_others_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let home = Home { path: directory.path().join("a/b") };
        home.create().unwrap();
        assert_eq!(std::fs::metadata(&home.path).unwrap().mode() & 0o777, 0o700);
        std::fs::set_permissions(&home.path, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(home.create(), Err(HomeError::Unsafe(..))));
    }
}
