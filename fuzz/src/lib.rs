//! What must hold for any bytes. Each target takes the first byte as the size of the pieces in which the rest is read.

use airx::claude::banner;
use airx::claude::conversation::Conversation;
use airx::claude::live::Live;
use airx::claude::render::Renderer;
use airx::claude::transcript as reader;
use airx::model::conversation::Transcript;
use airx::model::live::{Sign, Watch};
use airx::model::time::Utc;
use jiff::tz::TimeZone;

/// Readers of a whole transcript: the report, the conversation and the printed text are the same whatever the pieces are,
/// and nothing printed is obeyed by a terminal.
pub fn transcript(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else { return };
    reader::read_bytes(bytes, Utc(0), &TimeZone::UTC);
    let pieces = || bytes.chunks(usize::from(*size).max(1));
    let (mut whole, mut parts) = (Conversation::new(), Conversation::new());
    whole.push(bytes);
    pieces().for_each(|piece| parts.push(piece));
    whole.finish();
    parts.finish();
    assert_eq!(whole.blocks(), parts.blocks());
    assert_eq!((whole.todo(), whole.turns()), (parts.todo(), parts.turns()));
    let (mut text, mut other) = (String::new(), String::new());
    let (mut at_once, mut by_pieces) = (Renderer::new(), Renderer::new());
    at_once.push(bytes, &mut text);
    pieces().for_each(|piece| by_pieces.push(piece, &mut other));
    at_once.finish(&mut text);
    by_pieces.finish(&mut other);
    assert_eq!(text, other);
    assert!(text.chars().all(|character| character == '\n' || !character.is_control()));
}

/// The watch over a transcript that grows: the signs are the same whatever the pieces are, and keys can name files.
pub fn live(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let whole = Live::new().push(bytes);
    let mut live = Live::new();
    let parts: Vec<Sign> = bytes.chunks(usize::from(*size).max(1)).flat_map(|piece| live.push(piece)).collect();
    assert_eq!(whole, parts);
    for sign in &whole {
        if let Sign::Asks(question) = sign {
            let key = &question.key;
            assert!(
                (1..=100).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            );
        }
    }
}

/// The sentence about a usage limit; the first eight bytes are the time at which it is read.
pub fn banner(bytes: &[u8]) {
    let Some((now, text)) = bytes.split_first_chunk() else { return };
    let now = Utc(i64::from_le_bytes(*now));
    let text = String::from_utf8_lossy(text);
    for zone in ["UTC", "Europe/Berlin", "America/New_York"] {
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        for opening in ["", "You've hit your limit · resets ", "Claude AI usage limit reached|"] {
            let _ = banner::parse(&format!("{opening}{text}"), now, &zone);
        }
    }
}
