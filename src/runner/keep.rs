//! What is kept of the workspace when a command has ended: its artifacts, and the file that is its result. Copied here, in the
//! command's own sandbox and before the exit record, so that it is the same wherever an attempt lives.
//!
//! The task owns both directories. Nothing outside of the workspace is read and nothing outside of the attempt's directory is
//! written, whatever links lie there; what is no regular file is left alone.

mod copy;
mod own;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Dir, FileType};

use crate::model::artifact::{
    Artifact, ArtifactSpec, MAX_DEPTH, MAX_FILES, Manifest, Missing, PATIENCE_MS, Part, Pattern, parse,
};
use crate::model::spec::Artifacts;
use crate::os;
use crate::os::beneath::{self, Links};

pub use copy::result;

/// Most entries of directories that are looked at.
const MAX_LOOKED: u32 = 100_000;
/// Files of one kind of trouble that are named in remarks.
const MAX_NAMED: usize = 3;

/// What was kept.
#[derive(Debug, Default)]
pub struct Kept {
    /// The list.
    pub manifest: Manifest,
    /// What a person should know.
    pub notes: Vec<String>,
    /// The first path that had to be there and was not.
    pub missing: Option<String>,
}

/// Keeps the artifacts of the workspace `cwd` in the directory `dir`. Ends early when `is_hurried` says so.
pub fn artifacts(wanted: &Artifacts, cwd: &Path, dir: &Path, is_hurried: &dyn Fn() -> bool) -> Kept {
    let mut kept = Kept::default();
    let opened = File::open(cwd).and_then(|root| Ok((OwnedFd::from(root), copy::Place::make(dir)?)));
    let (root, place) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            kept.notes.push(format!("no artifacts were kept: {error}"));
            return kept;
        }
    };
    let until = os::now().mono.0.saturating_add(PATIENCE_MS);
    let own = own::Own::of(&root, dir);
    let mut keeper = Keeper {
        root,
        place,
        left: wanted.max_bytes,
        looked: 0,
        until,
        is_hurried,
        own,
        names: BTreeMap::new(),
        kept: false,
        unkept: None,
        odd: None,
        files: Vec::new(),
        trouble: Trouble::default(),
        stopped: None,
    };
    for artifact in &wanted.files {
        let Ok(pattern) = parse(&artifact.path) else { continue };
        // There is no time left; but without what has to be there the attempt has failed.
        if keeper.stopped.is_some() && artifact.missing != Missing::Fails {
            continue;
        }
        let found = keeper.find(artifact, &pattern);
        match artifact.missing {
            Missing::Noted if !found && keeper.stopped.is_none() => {
                kept.notes.push(format!("there is no artifact {}", artifact.path));
            }
            Missing::Fails if kept.missing.is_none() => kept.missing = keeper.lacks(&artifact.path),
            _ => {}
        }
    }
    kept.notes.extend(keeper.trouble.told(keeper.stopped.as_deref()));
    keeper.files.sort_by(|one, other| one.name.cmp(&other.name));
    kept.manifest = Manifest { files: keeper.files };
    if let Err(error) = copy::write_manifest(dir, &kept.manifest) {
        kept.notes.push(format!("the list of the artifacts could not be written, so they are not known: {error}"));
    }
    kept
}

/// Why files are not kept: said of many, and of one.
type Why = (&'static str, &'static str);

const OUTSIDE: Why =
    ("since they cannot be read or lead out of the workspace", "it cannot be read or leads out of the workspace");
const DANGLING: Why = ("since they are links that lead nowhere", "it is a link that leads nowhere");
const IRREGULAR: Why = ("since they are no regular files", "it is no regular file");
const UNNAMED: Why =
    ("since their names are too long, or hold control characters", "its name is too long, or holds control characters");
const UNREADABLE: Why = ("since they cannot be read", "it cannot be read");
const OWN: Why = ("since they belong to airx itself, not to the task", "it belongs to airx itself");
const UNSTORED: Why = ("since they are no files of a disk", "it is no file of a disk");
const LARGE: Why = ("since all together have more bytes than `max_bytes`", "all together have more bytes than `max_bytes`");
const CLASH: Why = ("since another artifact has this name", "another artifact has this name");
const FAILED: Why = ("since they could not be copied", "it could not be copied");

/// What could not be kept, by its reason.
#[derive(Debug, Default)]
struct Trouble(Vec<(&'static str, Vec<String>, usize)>);

impl Trouble {
    fn of(&mut self, why: &'static str, name: String) {
        match self.0.iter_mut().find(|(known, _, _)| *known == why) {
            Some((_, names, count)) => {
                *count += 1;
                if names.len() < MAX_NAMED {
                    names.push(name);
                }
            }
            None => self.0.push((why, vec![name], 1)),
        }
    }

    fn told(self, stopped: Option<&str>) -> Vec<String> {
        let lines = self.0.into_iter().map(|(why, names, count)| {
            let more = if count > names.len() { format!(" and {} more", count - names.len()) } else { String::new() };
            format!("not kept as artifacts, {why}: {}{more}", names.join(", "))
        });
        lines.chain(stopped.map(|why| format!("no more artifacts were kept: {why}"))).collect()
    }
}

struct Keeper<'a> {
    root: OwnedFd,
    place: copy::Place,
    left: u64,
    looked: u32,
    until: u64,
    is_hurried: &'a dyn Fn() -> bool,
    own: own::Own,
    /// What each name stands for.
    names: BTreeMap<String, String>,
    /// Whether anything of the present entry was kept.
    kept: bool,
    /// Why a file of it was not, the first one.
    unkept: Option<String>,
    /// The same of what is no file that could be kept.
    odd: Option<&'static str>,
    files: Vec<Artifact>,
    trouble: Trouble,
    stopped: Option<String>,
}

/// Where the search is: the entry of the file, and the directory below its fixed part.
struct At<'p> {
    artifact: &'p ArtifactSpec,
    pattern: &'p Pattern,
    below: Vec<String>,
}

impl Keeper<'_> {
    /// Whether there is anything that is meant.
    fn find(&mut self, artifact: &ArtifactSpec, pattern: &Pattern) -> bool {
        (self.kept, self.unkept, self.odd) = (false, None, None);
        let fixed = if pattern.fixed.is_empty() { ".".to_owned() } else { pattern.fixed.join("/") };
        let opened = beneath::open(&self.root, &fixed, Links::Inside);
        let mut at = At { artifact, pattern, below: Vec::new() };
        let base = match opened {
            Ok(base) => base,
            Err(error) if is_missing(&error) => return false,
            Err(_) => return self.is_odd(OUTSIDE, artifact.path.clone(), true),
        };
        match rustix::fs::fstat(&base).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::Directory) if pattern.parts.is_empty() => self.whole(&mut at),
            Ok(FileType::Directory) => self.walk(&mut at, &pattern.parts),
            _ if !pattern.parts.is_empty() => false,
            _ => self.file(&at),
        }
    }

    /// What to say of an entry that has to be kept and is not, or not all of it.
    fn lacks(&self, path: &str) -> Option<String> {
        match (&self.unkept, self.odd) {
            (Some(why), _) => Some(format!("{path} ({why})")),
            _ if self.kept => None,
            (None, Some(why)) => Some(format!("{path} ({why})")),
            (None, None) => Some(path.to_owned()),
        }
    }

    /// What is there and is no file that could be kept.
    fn is_odd(&mut self, why: Why, path: String, is_meant: bool) -> bool {
        self.odd.get_or_insert(why.1);
        self.trouble.of(why.0, path);
        is_meant
    }

    /// A file that is meant, and is not kept.
    fn is_unkept(&mut self, why: Why, path: String) {
        self.unkept.get_or_insert_with(|| why.1.to_owned());
        self.trouble.of(why.0, path);
    }

    /// Whether nothing more is kept, which this entry lacks then.
    fn is_stopped(&mut self) -> bool {
        let Some(why) = &self.stopped else { return false };
        self.unkept.get_or_insert_with(|| why.clone());
        true
    }

    /// Everything below.
    fn whole(&mut self, at: &mut At<'_>) -> bool {
        let mut found = false;
        for (name, kind) in self.entries(at) {
            at.below.push(name);
            found |= match kind {
                FileType::Directory => self.whole(at),
                _ => self.file(at),
            };
            at.below.pop();
        }
        found
    }

    fn walk(&mut self, at: &mut At<'_>, parts: &[Part]) -> bool {
        let Some((part, rest)) = parts.split_first() else { return false };
        let is_any = *part == Part::Any;
        let mut found = is_any && !rest.is_empty() && self.walk(at, rest);
        for (name, kind) in self.entries(at) {
            if !part.fits(&name) {
                continue;
            }
            at.below.push(name);
            found |= match kind {
                FileType::Directory if is_any => self.walk(at, parts),
                FileType::Directory if rest.is_empty() => self.whole(at),
                FileType::Directory => self.walk(at, rest),
                _ if rest.is_empty() => self.file(at),
                _ => false,
            };
            at.below.pop();
        }
        found
    }

    /// What a directory holds, by name. A name that is no text is none that can be kept.
    fn entries(&mut self, at: &At<'_>) -> Vec<(String, FileType)> {
        if self.is_stopped() || at.below.len() >= MAX_DEPTH {
            return Vec::new();
        }
        let opened = self.directory(at);
        let Ok((dir, read)) = opened.and_then(|dir| Ok((Dir::read_from(&dir)?, dir))).map(|(read, dir)| (dir, read)) else {
            self.is_unkept(UNREADABLE, path_of(at));
            return Vec::new();
        };
        if let Some(why) = self.foreign(&dir) {
            self.is_odd(why, path_of(at), false);
            return Vec::new();
        }
        let mut entries = Vec::new();
        for entry in read.flatten() {
            let Ok(name) = entry.file_name().to_str() else { continue };
            if matches!(name, "." | "..") {
                continue;
            }
            self.looked += 1;
            if self.looked > MAX_LOOKED {
                self.stop(&format!("there are more than {MAX_LOOKED} files to look through; name them nearer"));
                break;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => beneath::kind(&dir, name).unwrap_or(FileType::Unknown),
                known => known,
            };
            entries.push((name.to_owned(), kind));
        }
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        self.check_time();
        entries
    }

    /// The fixed part may go by links of the workspace; what is found below is gone through without any.
    fn directory(&self, at: &At<'_>) -> io::Result<OwnedFd> {
        let fixed = if at.pattern.fixed.is_empty() { ".".to_owned() } else { at.pattern.fixed.join("/") };
        let base = beneath::open(&self.root, &fixed, Links::Inside)?;
        if at.below.is_empty() { Ok(base) } else { beneath::open(&base, &at.below.join("/"), Links::None) }
    }

    /// Why something is none of the task's.
    fn foreign(&self, opened: &OwnedFd) -> Option<Why> {
        let why = self.own.has(opened).then_some(OWN);
        why.or_else(|| own::is_without_storage(opened).then_some(UNSTORED))
    }

    /// Keeps a file; whether it is one that is meant, kept or not.
    fn file(&mut self, at: &At<'_>) -> bool {
        let path = path_of(at);
        let source = match beneath::open(&self.root, &path, Links::Inside) {
            Ok(source) => source,
            Err(error) if is_missing(&error) => return self.is_odd(DANGLING, path, false),
            Err(_) => return self.is_odd(OUTSIDE, path, true),
        };
        if let Some(why) = self.foreign(&source) {
            return self.is_odd(why, path, true);
        }
        let source = File::from(source);
        let Ok(data) = source.metadata() else { return false };
        if !data.is_file() {
            return self.is_odd(IRREGULAR, path, false);
        }
        let Some(name) = at.pattern.name_of(at.artifact.name.as_deref(), &at.below) else {
            self.is_unkept(UNNAMED, path);
            return true;
        };
        match self.names.get(&name) {
            Some(before) if *before == path => self.kept = true,
            Some(_) => self.is_unkept(CLASH, path),
            None => self.copy(&source, path, name),
        }
        true
    }

    fn copy(&mut self, source: &File, path: String, name: String) {
        self.check_time();
        if self.stopped.is_none() && self.files.len() >= MAX_FILES {
            self.stop(&format!("there are {MAX_FILES}, the most of one attempt"));
        }
        if self.is_stopped() {
            return;
        }
        let (until, is_hurried) = (self.until, self.is_hurried);
        let goes_on = || os::now().mono.0 < until && !is_hurried();
        match self.place.copy(source, &name, self.left, &goes_on) {
            Ok(artifact) => {
                self.left = self.left.saturating_sub(artifact.bytes);
                self.files.push(artifact);
                self.names.insert(name, path);
                self.kept = true;
            }
            Err(copy::Stop::TooLarge) => self.is_unkept(LARGE, path),
            Err(copy::Stop::Clash) => self.is_unkept(CLASH, path),
            Err(copy::Stop::Time) => self.stop(copy::TOO_LONG),
            Err(copy::Stop::Full(error)) => self.stop(&format!("{error}")),
            Err(copy::Stop::Other) => self.is_unkept(FAILED, path),
        }
        self.is_stopped();
    }

    fn stop(&mut self, why: &str) {
        self.stopped.get_or_insert_with(|| why.to_owned());
    }

    fn check_time(&mut self) {
        if os::now().mono.0 >= self.until || (self.is_hurried)() {
            self.stop(copy::TOO_LONG);
        }
    }
}

fn path_of(at: &At<'_>) -> String {
    at.pattern.fixed.iter().chain(&at.below).map(String::as_str).collect::<Vec<_>>().join("/")
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
