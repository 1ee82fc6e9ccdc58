//! What an attempt left beside its output: artifacts, and a task's result.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use rusqlite::{OptionalExtension, params};

use crate::manager::launch::attempt_directory;
use crate::model::artifact::{DIRECTORY, MANIFEST, MAX_MANIFEST, Manifest, is_kept_name};
use crate::model::change::TaskResult;
use crate::model::ids::Address;
use crate::model::message::{ArtifactsView, OutputPiece, Refusal, RefusalCode};
use crate::os;
use crate::os::beneath::{self, Links};

use super::output::MAX_PIECE;
use super::queries::{Located, MAX_PAGE_BYTES, Queries, decode};
use super::reader::unreadable;

/// Attempts that are looked through for the newest with artifacts.
const MAX_LOOKED: u32 = 100;

impl Queries<'_> {
    /// What was kept of an attempt's workspace; none is the newest that has some.
    pub fn artifacts(&self, address: &Address, attempt: Option<u32>, from: u32) -> Result<ArtifactsView, Refusal> {
        let found = self.located(address, attempt)?;
        let directory = |number: u32| attempt_directory(self.home, &found.view.name.to_string(), &found.id, number);
        let oldest = if attempt.is_some() { found.number } else { found.number.saturating_sub(MAX_LOOKED).max(1) };
        let listed = (oldest..=found.number).rev().find_map(|number| Some((number, manifest(&directory(number))?)));
        let (number, manifest) = listed.unwrap_or((found.number, Manifest::default()));
        let mut bytes = 0;
        let files = manifest.files.iter().skip(from as usize).take_while(|file| {
            bytes += super::writer::json(file).len();
            bytes <= MAX_PAGE_BYTES
        });
        Ok(ArtifactsView {
            attempt: number,
            dir: directory(number).join(DIRECTORY),
            count: u32::try_from(manifest.files.len()).unwrap_or(u32::MAX),
            files: files.cloned().collect(),
        })
    }

    /// A piece of an artifact.
    pub fn artifact(&self, address: &Address, attempt: u32, name: &str, offset: u64, limit: u32) -> Result<OutputPiece, Refusal> {
        let Located { view, id, number, .. } = self.located(address, Some(attempt))?;
        let directory = attempt_directory(self.home, &view.name.to_string(), &id, number);
        let is_known = is_kept_name(name)
            && manifest(&directory).is_some_and(|manifest| manifest.files.iter().any(|file| file.name == name));
        if !is_known {
            return Err(Refusal {
                code: RefusalCode::NotFound,
                message: format!("attempt {number} of {address} has no artifact `{name}`"),
                hint: format!("`airx artifacts {address}` lists them"),
            });
        }
        let open = || -> io::Result<File> {
            let root = beneath::open(File::open(&directory)?, DIRECTORY, Links::None)?;
            let file = File::from(beneath::open(&root, name, Links::None)?);
            if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
        };
        let piece = open().and_then(|file| piece(file, offset, limit)).map_err(|error| Refusal {
            code: RefusalCode::Unavailable,
            message: format!("cannot read the artifact {name} in {}: {error}", directory.display()),
            hint: String::new(),
        })?;
        Ok(OutputPiece { attempt: number, offset, data: piece.0, size: piece.1, over: true })
    }

    /// A piece of a task's result, as JSON.
    pub fn result(&self, address: &Address, offset: u64, limit: u32) -> Result<OutputPiece, Refusal> {
        let found = self.located(address, None)?;
        let text: Option<String> = self
            .db
            .prepare_cached("SELECT result FROM task WHERE job = ?1 AND idx = ?2")
            .and_then(|mut statement| statement.query_row(params![found.view.id, found.idx], |row| row.get(0)).optional())
            .map_err(|e| unreadable(&e))?
            .flatten();
        let Some(text) = text else {
            return Err(Refusal {
                code: RefusalCode::NotFound,
                message: format!("{address} has no result"),
                hint: "a task that says `result:`, or sets one by `airx result`, has one once it has completed".to_owned(),
            });
        };
        let (data, size) = match decode::<TaskResult>(&text, || format!("the result of {address}"))? {
            TaskResult::Inline(value) => {
                let json = value.to_string().into_bytes();
                let part = json.iter().skip(usize::try_from(offset).unwrap_or(usize::MAX)).take(limit.min(MAX_PIECE) as usize);
                (part.copied().collect(), json.len() as u64)
            }
            TaskResult::File { sha256, .. } => {
                let place = self.home.join("results").join(sha256);
                os::open_regular(&place).and_then(|file| piece(file, offset, limit)).map_err(|error| Refusal {
                    code: RefusalCode::Unavailable,
                    message: format!("cannot read the result in {}: {error}", place.display()),
                    hint: String::new(),
                })?
            }
        };
        Ok(OutputPiece { attempt: found.number, offset, data, size, over: true })
    }
}

fn manifest(directory: &Path) -> Option<Manifest> {
    let mut json = Vec::new();
    os::open_regular(&directory.join(MANIFEST)).ok()?.take(MAX_MANIFEST).read_to_end(&mut json).ok()?;
    Some(Manifest::read(&json))
}

fn piece(mut file: File, offset: u64, limit: u32) -> io::Result<(Vec<u8>, u64)> {
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(offset))?;
    let mut data = Vec::new();
    file.take(u64::from(limit.min(MAX_PIECE))).read_to_end(&mut data)?;
    Ok((data, size))
}
