//! Reading a file that a person wrote, the configuration or one that it names.

use std::io::ErrorKind;
use std::path::Path;

use crate::model::diagnostic::place_of;

/// Largest file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Why a file cannot be read.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) why: String,
    pub(super) hint: &'static str,
}

/// A file's text; none when there is no such file.
///
/// # Errors
/// When it is none that can be read, and where.
pub(super) fn text(path: &Path, what: &str) -> Result<Option<String>, Unread> {
    let unread = |why: String, hint| Err(Unread { line: 1, column: 1, why, hint });
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        // Opening a pipe would wait for its writer, and a device may never end.
        Ok(data) if !data.is_file() => return unread(format!("{what} is no regular file"), "name a regular file, or remove it"),
        Ok(data) if data.len() > MAX_FILE => {
            let why = format!("{what} has {} bytes, more than 1 MiB", data.len());
            return unread(why, "take out what does not belong there");
        }
        _ => {}
    }
    match std::fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => Ok(Some(text)),
        Ok(Err(error)) => {
            let at = error.utf8_error().valid_up_to();
            let (line, column) = place_of(&String::from_utf8_lossy(&error.as_bytes()[..at]), at);
            Err(Unread { line, column, why: "this is no UTF-8 text".to_owned(), hint: "save the file as UTF-8" })
        }
        Err(error) => unread(format!("{what} cannot be read: {error}"), "let whoever runs airx read it"),
    }
}
