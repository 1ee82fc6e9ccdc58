//! What the gate wrote at which an earlier attempt ended.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::model::core::Launch;
use crate::model::template::GateView;

use super::{Composer, OpenFile, attempt_directory};

/// What the runner writes it to, in the attempt's directory.
const LOG: &str = "gate.log";
/// Most of it that a template is told, in bytes: the end, which says what was wrong.
const MOST: u64 = 16 << 10;

impl Composer {
    /// What the templates of a task see of its gate; none for a task without one.
    pub(super) fn gate(&self, launch: &Launch) -> Option<GateView> {
        launch.task.accept.as_ref()?;
        let Some(number) = launch.gated else { return Some(GateView::default()) };
        let dir = attempt_directory(&self.home, &launch.name.to_string(), &launch.id, number);
        Some(GateView { output: end_of(&dir.join(LOG), self.open), attempt: Some(number) })
    }
}

/// The end of a file that the task could write to as well; nothing when it is not there any more, or no file.
fn end_of(path: &Path, open: OpenFile) -> String {
    let read = || -> std::io::Result<(bool, Vec<u8>)> {
        let mut file = open(path)?;
        let from = file.metadata()?.len().saturating_sub(MOST);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        Ok((from > 0, bytes))
    };
    let (is_cut, bytes) = read().unwrap_or_default();
    // It may begin within a character.
    let within = if is_cut { bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count() } else { 0 };
    // What carries it, an argument or a variable, cannot hold a NUL.
    String::from_utf8_lossy(&bytes[within..]).replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(LOG), bytes).unwrap();
        end_of(&dir.path().join(LOG), |path| std::fs::File::open(path))
    }

    #[test]
    fn the_end_of_a_log_is_told_as_text_that_every_carrier_takes() {
        assert_eq!(told(b"a\x1b[31mred\n\0\xff"), "a\u{1b}[31mred\n\u{fffd}\u{fffd}");
        let long = "é".repeat(MOST as usize) + "x";
        let shown = told(long.as_bytes());
        assert!(shown.len() < MOST as usize && shown.starts_with('é') && shown.ends_with("éx"), "{}", shown.len());
        assert_eq!(end_of(Path::new("/nowhere/gate.log"), |path| std::fs::File::open(path)), "");
    }
}
