//! `exit.json` as bytes: one block of fixed size, valid JSON, with a checksum, so that a half-written one is known.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::attempt::{End, ExitRecord};

/// Size of the file, reserved at launch so that a full disk cannot prevent the record.
pub const EXIT_FILE_BYTES: usize = 4096;

/// What the file holds.
#[derive(Debug, Clone, PartialEq)]
pub enum ExitFile {
    /// The record, checksum right.
    Complete(Box<ExitRecord>),
    /// Nothing was written yet.
    Empty,
    /// Something else than a whole record.
    Torn,
}

#[derive(Deserialize)]
struct File<'a> {
    checksum: &'a str,
    #[serde(borrow)]
    record: &'a RawValue,
}

/// The file's content: always [`EXIT_FILE_BYTES`] long. Notes and explanations that do not fit are cut.
pub fn encode(record: &ExitRecord) -> Vec<u8> {
    let mut record = record.clone();
    loop {
        // Numbers and strings always become JSON; an empty record would be found torn, not taken for a success.
        let json = serde_json::to_string(&record).unwrap_or_default();
        let mut bytes = format!("{{\"checksum\":\"{:016x}\",\"record\":{json}}}", checksum(json.as_bytes())).into_bytes();
        if bytes.len() < EXIT_FILE_BYTES || !shorten(&mut record) {
            bytes.resize(EXIT_FILE_BYTES - 1, b' ');
            bytes.push(b'\n');
            return bytes;
        }
    }
}

/// Reads it back.
pub fn decode(bytes: &[u8]) -> ExitFile {
    if bytes.iter().all(|b| *b == 0) {
        return ExitFile::Empty;
    }
    let Ok(file) = serde_json::from_slice::<File<'_>>(bytes) else { return ExitFile::Torn };
    if file.checksum != format!("{:016x}", checksum(file.record.get().as_bytes())) {
        return ExitFile::Torn;
    }
    serde_json::from_str(file.record.get()).map_or(ExitFile::Torn, ExitFile::Complete)
}

/// Drops the last note, else halves the longest explanation; false when nothing is left to cut.
fn shorten(record: &mut ExitRecord) -> bool {
    if record.notes.pop().is_some() {
        return true;
    }
    let gate = record.gate.as_mut().map(|g| &mut g.end);
    if record.missing.as_ref().is_some_and(|missing| missing.len() > 500) {
        record.missing = Some("…".to_owned());
        return true;
    }
    let texts = [Some(&mut record.end), gate].into_iter().flatten().filter_map(|end| match end {
        End::NotStarted { why, .. } => Some(why),
        _ => None,
    });
    let longest = texts.chain([&mut record.mark]).max_by_key(|t| t.len());
    longest.filter(|t| !t.is_empty()).is_some_and(|text| {
        let half = (0..=text.len() / 2).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(half);
        true
    })
}

/// FNV-1a, 64 bits: finds torn blocks; it is no defence against intent, and need not be.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Utc;

    fn record() -> ExitRecord {
        ExitRecord {
            mark: "home-1-2-3".into(),
            boot_id: "boot".into(),
            started: Utc(1),
            ended: Utc(2),
            elapsed_ms: 1,
            end: End::Exited(0),
            stopped: None,
            gate: None,
            round: None,
            tree: None,
            missing: None,
            spent: None,
            leftovers: 0,
            out_bytes: 5,
            err_bytes: 0,
            cpu_ms: 1,
            max_rss_kib: 2,
            notes: vec!["a note".into()],
        }
    }

    #[test]
    fn a_record_reads_back_as_written_and_is_json() {
        let bytes = encode(&record());
        assert_eq!(bytes.len(), EXIT_FILE_BYTES);
        assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
        assert_eq!(decode(&bytes), ExitFile::Complete(Box::new(record())));
    }

    #[test]
    fn a_reserved_block_is_empty_and_every_torn_one_is_known() {
        assert_eq!(decode(&[]), ExitFile::Empty);
        assert_eq!(decode(&[0; EXIT_FILE_BYTES]), ExitFile::Empty);
        let whole = encode(&record());
        for keep in [1, 20, 100, 300] {
            let mut torn = vec![0; EXIT_FILE_BYTES];
            torn[..keep].copy_from_slice(&whole[..keep]);
            assert_eq!(decode(&torn), ExitFile::Torn, "{keep} bytes");
        }
        let mut other = whole;
        let digit = other.iter().rposition(|b| *b == b'5').unwrap();
        other[digit] = b'6';
        assert_eq!(decode(&other), ExitFile::Torn);
    }

    #[test]
    fn notes_and_explanations_that_do_not_fit_are_cut() {
        let mut long = record();
        long.notes = (0..100).map(|i| format!("{i} {}", "\"é\u{1}".repeat(40))).collect();
        long.end = End::NotStarted { errno: 2, why: "\u{1}ü".repeat(9000) };
        let ExitFile::Complete(read) = decode(&encode(&long)) else { panic!("not complete") };
        assert_eq!(read.mark, long.mark);
        assert!(matches!(read.end, End::NotStarted { errno: 2, ref why } if !why.is_empty()));
    }
}
