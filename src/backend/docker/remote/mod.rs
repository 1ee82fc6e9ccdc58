//! What goes to and comes from a container by the engine's archive calls, where nothing can be mounted.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use bollard::Docker;
use bollard::query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryFutureExt, stream};
use tar::{Archive, Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::engine::Engine;
use super::fault::{Fault, Stage};
use super::launch::Obstacle;
use super::plan::{Plan, ROOM};
use crate::manager::ports::{CONTAINER_ATTEMPT, CONTAINER_WORKSPACE, LaunchOrder};
use crate::os;

/// Bytes of one piece of an upload, and how many may wait.
const PIECE: usize = 256 << 10;
const PIECES: usize = 16;
/// Largest file of an image that is looked into, in bytes.
const MAX_LOOKUP: u64 = 1 << 20;
/// Most entries that are taken from an attempt's directory.
const MAX_ENTRIES: usize = 60_000;
/// Deepest directory of a workspace.
const MAX_DEPTH: usize = 200;
/// Files of an attempt's directory that are taken from a container.
const FILES: &[&str] = &["out", "err", "index", "gate.log", "runner.json", "runner.log", "live.json", "exit.json", "tree"];

/// The numbers of a user that the pool names, looked up in the image.
///
/// # Errors
/// When the image does not know it.
pub async fn user_in_image(docker: &Docker, name: &str, user: &str) -> Result<(u32, u32), Obstacle> {
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    let at = Obstacle::at(Stage::Create, user);
    let passwd = small_file(docker, name, "/etc/passwd").await.map_err(&at)?;
    let groups = if group.is_empty() { String::new() } else { small_file(docker, name, "/etc/group").await.map_err(&at)? };
    numbers(user, group, &passwd, &groups)
        .ok_or_else(|| Obstacle::never(format!("the image knows no user {user}, which the pool names: give numbers, UID:GID")))
}

fn numbers(user: &str, group: &str, passwd: &str, groups: &str) -> Option<(u32, u32)> {
    let entry = |text: &str, name: &str| {
        text.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>()).find(|fields| fields[0] == name)
    };
    let (uid, gid) = match (user.parse(), entry(passwd, user)) {
        (_, Some(fields)) => (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?),
        (Ok(uid), None) => (uid, 0),
        (Err(_), None) => return None,
    };
    match (group, group.parse()) {
        ("", _) => Some((uid, gid)),
        (_, Ok(gid)) => Some((uid, gid)),
        (name, Err(_)) => Some((uid, entry(groups, name)?.get(2)?.parse().ok()?)),
    }
}

async fn small_file(docker: &Docker, name: &str, path: &str) -> Result<String, Fault> {
    let options = DownloadFromContainerOptions { path: path.to_owned() };
    let mut stream = Box::pin(docker.download_from_container(name, Some(options)));
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() as u64 > MAX_LOOKUP {
            break;
        }
    }
    let mut text = String::new();
    let unreadable = |e: io::Error| Fault::Refused { status: 0, message: format!("{path} cannot be read: {e}") };
    for entry in Archive::new(&bytes[..]).entries().map_err(unreadable)? {
        entry.map_err(unreadable)?.take(MAX_LOOKUP).read_to_string(&mut text).map_err(unreadable)?;
    }
    Ok(text)
}

/// Puts our program and the attempt's directory into a container that shares nothing with us.
///
/// # Errors
/// What the engine or the system says.
pub async fn upload(
    engine: &Engine,
    docker: &Docker,
    name: &str,
    order: &LaunchOrder,
    plan: &Plan,
    owner: (u32, u32),
) -> Result<(), Obstacle> {
    let (program, dir) = (engine.side.program.clone(), order.dir.clone());
    let has_config = plan.record.claude;
    let pack = move |tar: &mut Builder<Pieces>| -> io::Result<()> {
        directory(tar, Path::new("bin"), (0, 0), 0o755)?;
        file(tar, Path::new("bin/airx"), &program, (0, 0), Some(0o755))?;
        directory(tar, Path::new("attempt"), owner, 0o700)?;
        for part in ["outbox", "inbox"] {
            directory(tar, &Path::new("attempt").join(part), owner, 0o700)?;
        }
        for part in ["spec.json", "prompt", "lock"] {
            if dir.join(part).is_file() {
                file(tar, &Path::new("attempt").join(part), &dir.join(part), owner, Some(0o600))?;
            }
        }
        if has_config {
            directory(tar, Path::new("claude"), owner, 0o700)?;
        }
        Ok(())
    };
    send(docker, name, ROOM, pack).await
}

/// Puts the task's workspace, or an empty one, into a container.
///
/// # Errors
/// What the engine or the system says.
pub async fn fill_workspace(
    docker: &Docker,
    name: &str,
    plan: &Plan,
    hidden: Vec<PathBuf>,
    owner: (u32, u32),
) -> Result<(), Obstacle> {
    let source = plan.record.workspace.clone();
    let pack = move |tar: &mut Builder<Pieces>| match source {
        Some(source) => tree(tar, &source, Path::new("."), owner, &hidden, 0),
        None => directory(tar, Path::new("."), owner, 0o755),
    };
    send(docker, name, CONTAINER_WORKSPACE, pack).await
}

/// Puts one file into the inbox of a container.
///
/// # Errors
/// What the engine says.
pub async fn put(docker: &Docker, container: &str, name: String, content: Vec<u8>, owner: (u32, u32)) -> Result<(), Obstacle> {
    let pack = move |tar: &mut Builder<Pieces>| {
        let mut header = header(EntryType::Regular, owner, 0o600);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, Path::new("inbox").join(&name), &content[..])
    };
    send(docker, container, CONTAINER_ATTEMPT, pack).await
}

async fn send(
    docker: &Docker,
    name: &str,
    path: &str,
    pack: impl FnOnce(&mut Builder<Pieces>) -> io::Result<()> + Send + 'static,
) -> Result<(), Obstacle> {
    let (sender, receiver) = mpsc::channel(PIECES);
    let packing = tokio::task::spawn_blocking(move || {
        let mut tar = Builder::new(Pieces { sender, bytes: Vec::with_capacity(PIECE) });
        tar.follow_symlinks(false);
        pack(&mut tar)?;
        tar.into_inner()?.flush()
    });
    let options = UploadToContainerOptions { path: path.to_owned(), ..Default::default() };
    let sent = docker.upload_to_container(name, Some(options), bollard::body_stream(pieces(receiver))).map_err(Fault::from).await;
    // Packing fails too when nobody takes the pieces any more: what the engine said comes first.
    sent.map_err(Obstacle::at(Stage::Upload, name))?;
    match packing.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Obstacle::never(format!("what the container needs could not be read: {error}"))),
        Err(_) => Err(Obstacle::never("packing for the container failed")),
    }
}

fn pieces(receiver: mpsc::Receiver<Bytes>) -> impl Stream<Item = Bytes> + Send + 'static {
    stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|piece| (piece, receiver)) })
}

/// Writes into a channel, piece by piece.
struct Pieces {
    sender: mpsc::Sender<Bytes>,
    bytes: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(bytes.into()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

fn header(kind: EntryType, (uid, gid): (u32, u32), mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_uid(uid.into());
    header.set_gid(if gid == u32::MAX { 0 } else { gid.into() });
    header.set_mode(mode);
    header.set_size(0);
    header
}

fn directory(tar: &mut Builder<Pieces>, path: &Path, owner: (u32, u32), mode: u32) -> io::Result<()> {
    tar.append_data(&mut header(EntryType::Directory, owner, mode), path, io::empty())
}

fn file(tar: &mut Builder<Pieces>, path: &Path, source: &Path, owner: (u32, u32), mode: Option<u32>) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let source = File::open(source)?;
    let data = source.metadata()?;
    let mut header = header(EntryType::Regular, owner, mode.unwrap_or(data.mode() & 0o777));
    header.set_size(data.len());
    header.set_mtime(u64::try_from(data.mtime()).unwrap_or(0));
    // One that grows or shrinks meanwhile must not shift what follows it.
    tar.append_data(&mut header, path, source.chain(io::repeat(0)).take(data.len()))
}

/// A directory with all below it; what is neither file, directory nor link is left out.
fn tree(
    tar: &mut Builder<Pieces>,
    source: &Path,
    path: &Path,
    owner: (u32, u32),
    hidden: &[PathBuf],
    depth: usize,
) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    if depth > MAX_DEPTH {
        return Err(io::Error::other(format!("{} is too deep", source.display())));
    }
    directory(tar, path, owner, fs::metadata(source)?.mode() & 0o777)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let (from, to, kind) = (entry.path(), path.join(entry.file_name()), entry.file_type()?);
        if hidden.iter().any(|hidden| Path::new(".").join(hidden) == to) {
            continue;
        }
        if kind.is_dir() {
            tree(tar, &from, &to, owner, hidden, depth + 1)?;
        } else if kind.is_symlink() {
            tar.append_link(&mut header(EntryType::Symlink, owner, 0o777), &to, fs::read_link(&from)?)?;
        } else if kind.is_file() {
            match file(tar, &to, &from, owner, None) {
                // Gone since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
    }
    Ok(())
}

/// Takes what the attempt's directory in the container holds at `part` of it (all of it: an empty path) into `dir`.
///
/// # Errors
/// What the engine says; nothing there is no error.
pub async fn fetch(docker: &Docker, name: &str, dir: &Path, part: &str) -> Result<(), Fault> {
    let from = Path::new(CONTAINER_ATTEMPT).join(part).display().to_string();
    let Some(spool) = download(docker, name, &from, dir).await? else { return Ok(()) };
    let dir = dir.to_owned();
    let unpacked = tokio::task::spawn_blocking(move || take_attempt(&spool.0, &dir));
    match unpacked.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            Err(Fault::Refused { status: 0, message: format!("what came from the container cannot be kept: {error}") })
        }
        Err(_) => Err(Fault::Refused { status: 0, message: "what came from the container cannot be unpacked".to_owned() }),
    }
}

/// Takes the workspace back. Files that the task removed stay on this side.
///
/// # Errors
/// What the engine or the system says.
pub async fn fetch_workspace(docker: &Docker, name: &str, dir: &Path, workspace: &Path) -> Result<(), Fault> {
    let Some(spool) = download(docker, name, CONTAINER_WORKSPACE, dir).await? else { return Ok(()) };
    let workspace = workspace.to_owned();
    let unpacked = tokio::task::spawn_blocking(move || take_workspace(&spool.0, &workspace));
    let failed = |why: String| Fault::Refused { status: 0, message: why };
    match unpacked.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failed(format!("the workspace could not be copied back: {error}"))),
        Err(_) => Err(failed("the workspace could not be copied back".to_owned())),
    }
}

/// A file that is removed when it is let go of.
struct Spool(PathBuf);

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Downloads into a file beside the attempt's directory; none when there is nothing.
async fn download(docker: &Docker, name: &str, from: &str, dir: &Path) -> Result<Option<Spool>, Fault> {
    let mut place = dir.as_os_str().to_owned();
    place.push(format!(".{}.tar", os::random_hex(4)));
    let spool = Spool(place.into());
    let kept = |error: io::Error| Fault::Refused { status: 0, message: format!("{}: {error}", spool.0.display()) };
    let mut file = File::options().write(true).create_new(true).open(&spool.0).map_err(kept)?;
    let options = DownloadFromContainerOptions { path: from.to_owned() };
    let mut stream = Box::pin(docker.download_from_container(name, Some(options)));
    while let Some(piece) = stream.next().await {
        match piece.map_err(Fault::from) {
            Ok(piece) => file.write_all(&piece).map_err(kept)?,
            Err(fault) if fault.is_missing() => return Ok(None),
            Err(fault) => return Err(fault),
        }
    }
    Ok(Some(spool))
}

/// Only files of known names, and the outbox: the container is not trusted.
fn take_attempt(tar: &Path, dir: &Path) -> io::Result<()> {
    for entry in Archive::new(File::open(tar)?).entries()?.take(MAX_ENTRIES) {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if entry.header().entry_type() != EntryType::Regular || path.components().any(|part| part == Component::ParentDir) {
            continue;
        }
        let names: Vec<&str> = path.iter().filter_map(|part| part.to_str()).filter(|part| *part != "attempt").collect();
        let target = match names.as_slice() {
            [name] if FILES.contains(name) => dir.join(name),
            ["outbox", name] if name.ends_with(".json") => dir.join("outbox").join(name),
            _ => continue,
        };
        let mut new = target.clone().into_os_string();
        new.push(".part");
        let mut file = File::create(&new)?;
        io::copy(&mut entry, &mut file)?;
        fs::rename(new, target)?;
    }
    Ok(())
}

fn take_workspace(tar: &Path, workspace: &Path) -> io::Result<()> {
    let mut archive = Archive::new(File::open(tar)?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path: PathBuf = entry.path()?.components().skip(1).collect();
        let kind = entry.header().entry_type();
        if path.as_os_str().is_empty() || !matches!(kind, EntryType::Regular | EntryType::Directory | EntryType::Symlink) {
            continue;
        }
        entry.set_preserve_permissions(false);
        let renamed = workspace.join(&path);
        if !is_within(workspace, &path) {
            continue;
        }
        entry.unpack(renamed)?;
    }
    Ok(())
}

/// Whether no part of the way there leads elsewhere by a link.
fn is_within(root: &Path, path: &Path) -> bool {
    let mut at = root.to_owned();
    let parts: Vec<Component<'_>> = path.components().collect();
    parts.iter().enumerate().all(|(number, part)| {
        let Component::Normal(name) = part else { return false };
        at.push(name);
        number + 1 == parts.len() || !at.is_symlink()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(entries: &[(&str, EntryType, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tar");
        let mut tar = Builder::new(File::create(&path).unwrap());
        for (name, kind, content) in entries {
            let mut header = header(*kind, (0, 0), 0o644);
            let raw = header.as_gnu_mut().unwrap();
            raw.name[..name.len()].copy_from_slice(name.as_bytes());
            if *kind == EntryType::Symlink {
                header.set_link_name(content).unwrap();
                header.set_cksum();
                tar.append(&header, io::empty()).unwrap();
            } else {
                header.set_size(content.len() as u64);
                header.set_cksum();
                tar.append(&header, content.as_bytes()).unwrap();
            }
        }
        tar.finish().unwrap();
        (dir, path)
    }

    #[test]
    fn of_an_attempt_only_what_is_known_comes_back() {
        let (_keep, tar) = tar_of(&[
            ("attempt/out", EntryType::Regular, "hello"),
            ("attempt/outbox/000001-a.json", EntryType::Regular, "{}"),
            ("attempt/outbox/../../evil.json", EntryType::Regular, "x"),
            ("attempt/spec.json", EntryType::Regular, "forged"),
            ("attempt/err", EntryType::Symlink, "/etc/passwd"),
        ]);
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("outbox")).unwrap();
        take_attempt(&tar, dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("out")).unwrap(), b"hello");
        assert!(dir.path().join("outbox/000001-a.json").exists());
        assert!(!dir.path().join("spec.json").exists() && !dir.path().join("err").exists());
        assert!(!dir.path().parent().unwrap().join("evil.json").exists());
    }

    #[test]
    fn a_workspace_that_comes_back_leads_nowhere_else() {
        let (_keep, tar) = tar_of(&[
            ("workspace/a/b.txt", EntryType::Regular, "b"),
            ("workspace/link", EntryType::Symlink, "/tmp"),
            ("workspace/link/pwned-by-airx-test", EntryType::Regular, "x"),
            ("workspace/../../up", EntryType::Regular, "x"),
        ]);
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("w/a")).unwrap();
        take_workspace(&tar, &dir.path().join("w")).unwrap();
        assert_eq!(fs::read(dir.path().join("w/a/b.txt")).unwrap(), b"b");
        assert!(!Path::new("/tmp/pwned-by-airx-test").exists() && !dir.path().join("up").exists());
    }

    #[test]
    fn a_user_is_looked_up_in_the_image() {
        let (passwd, group) = ("root:x:0:0::/:/bin/sh\nann:x:1000:100::/home/ann:/bin/sh\n", "dev:x:50:ann\n");
        assert_eq!(numbers("ann", "", passwd, ""), Some((1000, 100)));
        assert_eq!(numbers("ann", "dev", passwd, group), Some((1000, 50)));
        assert_eq!(numbers("ann", "7", passwd, group), Some((1000, 7)));
        assert_eq!(numbers("12", "dev", passwd, group), Some((12, 50)));
        assert_eq!(numbers("bob", "", passwd, group), None);
    }
}
