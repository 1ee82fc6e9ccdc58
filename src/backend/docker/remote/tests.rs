//! A workspace on its way there and back.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use tar::{EntryType, Header};

use super::*;

fn packed(source: &Path, hidden: &[PathBuf]) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    tree(&mut tar, source, Path::new("workspace"), (1000, 1000), hidden)?;
    // As an engine names what is in a directory.
    let tar = tar.into_inner()?;
    let (mut read, mut back) = (tarball::Tarball::new(&*tar), Builder::new(Vec::new()));
    while let Some(item) = read.next()? {
        let mut content = Vec::new();
        Read::read_to_end(&mut read, &mut content)?;
        let mut header = pack::header(item.kind, (0, 0), item.mode);
        header.set_size(item.size);
        header.set_mtime(u64::try_from(item.mtime).unwrap());
        let path = item.path;
        match &item.link {
            Some(target) => back.append_link(&mut header, path, target)?,
            None => back.append_data(&mut header, path, &*content)?,
        }
    }
    back.into_inner()
}

/// An archive of entries: name, kind, and content or target.
fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(if *kind == EntryType::Directory { 0o755 } else { 0o6755 });
        header.set_mtime(1);
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        if is_link {
            header.as_gnu_mut().unwrap().linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        let content = if is_link { &b""[..] } else { content.as_bytes() };
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, content).unwrap();
    }
    tar.into_inner().unwrap()
}

#[test]
fn whatever_a_workspace_holds_arrives_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let (from, to) = (home.path().join("from"), home.path().join("to"));
    let odd = [&b"a\nb"[..], b"not \xff utf-8", b" ", b"\\", "ü".as_bytes(), &[b'x'; 255]];
    fs::create_dir_all(from.join(".git/objects")).unwrap();
    fs::create_dir_all(from.join("empty")).unwrap();
    fs::create_dir_all(from.join("home/jobs")).unwrap();
    fs::write(from.join("home/jobs/secret"), "of the manager").unwrap();
    for name in odd {
        fs::create_dir_all(from.join("odd").join(OsStr::from_bytes(name))).unwrap();
        fs::write(from.join("odd").join(OsStr::from_bytes(name)).join(OsStr::from_bytes(name)), name).unwrap();
    }
    let program = from.join("program");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(from.join("empty"), fs::Permissions::from_mode(0o555)).unwrap();
    symlink("nowhere/at all", from.join("dangling")).unwrap();
    symlink("/etc", from.join("absolute")).unwrap();
    fs::hard_link(&program, from.join("second")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, from.join("fifo"), rustix::fs::Mode::RWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();

    let hidden = [PathBuf::from("home")];
    let tar = packed(&from, &hidden).unwrap();
    assert_eq!(workspace::take(&tar[..], &to, &[], None).unwrap(), Vec::<String>::new());
    for name in odd {
        let path = to.join("odd").join(OsStr::from_bytes(name)).join(OsStr::from_bytes(name));
        assert_eq!(fs::read(path).unwrap(), name);
    }
    assert_eq!(fs::read_link(to.join("absolute")).unwrap(), Path::new("/etc"));
    assert_eq!(fs::read_link(to.join("dangling")).unwrap(), Path::new("nowhere/at all"));
    let mode = |path: &str| fs::metadata(to.join(path)).unwrap().mode() & 0o7777;
    assert_eq!((mode("program"), mode("second"), mode("empty")), (0o751, 0o751, 0o555));
    assert!(to.join(".git/objects").is_dir());
    for absent in ["home", "fifo", "socket"] {
        assert!(!to.join(absent).exists(), "{absent}");
    }

    // Taken once more nothing is touched, but for what has changed.
    fs::write(to.join("second"), "#!/bin/zh\n").unwrap();
    let before = [fs::metadata(to.join("program")).unwrap(), fs::metadata(to.join("odd/ü/ü")).unwrap()];
    assert_eq!(workspace::take(&tar[..], &to, &[], None).unwrap(), Vec::<String>::new());
    let after = [fs::metadata(to.join("program")).unwrap(), fs::metadata(to.join("odd/ü/ü")).unwrap()];
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()));
    }
    assert_eq!(fs::read_to_string(to.join("second")).unwrap(), "#!/bin/sh\n");
    assert!(fs::read_dir(&to).unwrap().flatten().all(|entry| !entry.file_name().as_bytes().starts_with(b".airx")));
}

#[test]
fn what_cannot_be_read_is_named() {
    let home = tempfile::tempdir().unwrap();
    let error = packed(&home.path().join("nowhere"), &[]).unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
    let mut deep = home.path().to_owned();
    for _ in 0..210 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    let error = packed(home.path(), &[]).unwrap_err().to_string();
    assert!(error.contains("d/d/d") && error.contains("too deep"), "{error}");
}

#[test]
fn what_comes_back_leads_nowhere_else() {
    let home = tempfile::tempdir().unwrap();
    let (work, other) = (home.path().join("w"), home.path().join("other"));
    fs::create_dir_all(work.join("home")).unwrap();
    fs::create_dir_all(&other).unwrap();
    fs::write(work.join("home/secret"), "of the manager").unwrap();
    fs::write(other.join("victim"), "as it was").unwrap();
    symlink(&other, work.join("here")).unwrap();
    symlink(other.join("victim"), work.join("file")).unwrap();
    let other = other.to_str().unwrap();
    let tar = archive(&[
        ("workspace", EntryType::Directory, ""),
        ("workspace/link", EntryType::Symlink, other),
        ("workspace/link/pwned", EntryType::Regular, "x"),
        ("workspace/here/pwned", EntryType::Regular, "x"),
        ("workspace/../../pwned", EntryType::Regular, "x"),
        ("/workspace/../pwned", EntryType::Regular, "x"),
        ("/pwned", EntryType::Regular, "x"),
        ("workspace/a/../../pwned", EntryType::Regular, "x"),
        ("workspace/file", EntryType::Regular, "new"),
        ("workspace/home/secret", EntryType::Regular, "forged"),
        ("workspace/home/pwned", EntryType::Regular, "x"),
        ("workspace/stolen", EntryType::Link, "workspace/home/secret"),
        ("workspace/stolen2", EntryType::Link, "workspace/link/victim"),
        ("workspace/stolen3", EntryType::Link, "../../other/victim"),
        ("workspace/device", EntryType::Char, ""),
        ("workspace/good", EntryType::Regular, "good"),
        ("workspace/better", EntryType::Link, "workspace/good"),
    ]);
    let left = workspace::take(&tar[..], &work, &[PathBuf::from("home")], None).unwrap();
    assert!(left.iter().any(|left| left.contains("lead out")), "{left:?}");
    let mut found: Vec<_> = fs::read_dir(&work).unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect();
    found.sort();
    assert_eq!(found, ["better", "file", "good", "here", "home", "link"]);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
    assert_eq!(fs::read_dir(other).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(Path::new(other).join("victim")).unwrap(), "as it was");
    assert_eq!(fs::read_to_string(work.join("file")).unwrap(), "new", "the link is replaced, not followed");
    assert_eq!(fs::read_to_string(work.join("home/secret")).unwrap(), "of the manager");
    assert_eq!(fs::read_dir(work.join("home")).unwrap().count(), 1);
    let good = fs::metadata(work.join("good")).unwrap();
    assert_eq!((good.mode() & 0o7777, good.mtime(), good.nlink()), (0o755, 1, 2));
}

#[test]
fn a_directory_and_a_file_take_each_others_place_where_nothing_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let work = home.path();
    fs::write(work.join("was a file"), "x").unwrap();
    fs::create_dir(work.join("was empty")).unwrap();
    fs::create_dir(work.join("full")).unwrap();
    fs::write(work.join("full/kept"), "x").unwrap();
    let tar = archive(&[
        ("workspace/was a file", EntryType::Directory, ""),
        ("workspace/was a file/in it", EntryType::Regular, "new"),
        ("workspace/was empty", EntryType::Regular, "new"),
        ("workspace/full", EntryType::Regular, "new"),
    ]);
    let left = workspace::take(&tar[..], work, &[], None).unwrap();
    assert_eq!(left, ["workspace/full: a directory that is not empty is in its place"]);
    assert_eq!(fs::read_to_string(work.join("was a file/in it")).unwrap(), "new");
    assert_eq!(fs::read_to_string(work.join("was empty")).unwrap(), "new");
    assert!(work.join("full/kept").exists());
    let cut = workspace::take(&tar[..tar.len() - 1024], work, &[], None).unwrap_err();
    assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof, "one that is cut off is never a whole one");
}

#[test]
fn an_archive_that_would_fill_the_disk_is_given_up() {
    let copied = |size: u64, has_room: bool| {
        let mut kept = Vec::new();
        copy_with_room(&mut io::repeat(0).take(size), &mut kept, 10, || has_room).map(|()| kept.len())
    };
    assert_eq!((copied(25, true).unwrap(), copied(9, false).unwrap()), (25, 9));
    assert_eq!(copied(25, false).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
}

#[test]
fn what_was_changed_on_this_side_meanwhile_is_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str, seconds: u64| {
        fs::write(dir.path().join(name), "ours").unwrap();
        let file = File::options().append(true).open(dir.path().join(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
    };
    at("edited", 2_000);
    at("both", 2_000);
    at("old", 500);
    let mut tar = Builder::new(Vec::new());
    for (name, mtime) in [("edited", 900), ("both", 3_000), ("old", 3_000)] {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_mtime(mtime);
        header.set_size(6);
        tar.append_data(&mut header, format!("workspace/{name}"), &b"theirs"[..]).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let left = workspace::take(&tar[..], dir.path(), &[], Some(Utc(1_000_000))).unwrap();
    let text = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!([text("edited"), text("both"), text("old")], ["ours", "ours", "theirs"]);
    assert!(left.len() == 1 && left[0].starts_with("workspace/both: it was changed here"), "{left:?}");
}
