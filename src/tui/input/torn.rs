//! Keys whose escape sequence came in two pieces. A slow link may cut it after the escape character; what reads the terminal
//! then tells the escape key and some letters. An escape key is held for a moment, and put together with what follows at once.

use std::time::{Duration, Instant};

use crate::config::keymap::{Chord, Key};

/// How long an escape key is held: longer than two pieces of one sequence are apart, shorter than a person notices.
const MOMENT: Duration = Duration::from_millis(40);
/// Longest rest of a sequence.
const LONGEST: usize = 6;

/// The keys that are held.
#[derive(Debug, Default)]
pub struct Torn {
    held: Vec<Chord>,
    since: Option<Instant>,
}

impl Torn {
    /// Takes a key; those that can be acted upon now.
    pub fn take(&mut self, chord: Chord, now: Instant) -> Vec<Chord> {
        let mut ready = self.due(now);
        let is_plain = !chord.ctrl && !chord.alt;
        match (self.held.len(), chord.key) {
            (0, Key::Esc) if is_plain => {
                self.held.push(chord);
                self.since = Some(now);
            }
            (0, _) => ready.push(chord),
            (1, Key::Char('[' | 'O')) if is_plain => self.held.push(chord),
            (2..=LONGEST, Key::Char('0'..='9' | ';')) if is_plain => self.held.push(chord),
            (2..=LONGEST, Key::Char(end)) if is_plain => match key(&self.held[2..], end) {
                Some(key) => {
                    self.release();
                    ready.push(key);
                }
                None => {
                    ready.append(&mut self.release());
                    ready.push(chord);
                }
            },
            _ => {
                ready.append(&mut self.release());
                ready.extend(self.take(chord, now));
            }
        }
        ready
    }

    /// What was held long enough: it was what it seemed to be.
    pub fn due(&mut self, now: Instant) -> Vec<Chord> {
        if self.since.is_some_and(|since| now.duration_since(since) >= MOMENT) { self.release() } else { Vec::new() }
    }

    /// When to look again.
    pub fn patience(&self, now: Instant) -> Option<Duration> {
        self.since.map(|since| MOMENT.saturating_sub(now.duration_since(since)))
    }

    fn release(&mut self) -> Vec<Chord> {
        self.since = None;
        std::mem::take(&mut self.held)
    }
}

/// The key of a sequence (ECMA-48, and what xterm sends): its numbers and its last character.
fn key(numbers: &[Chord], end: char) -> Option<Chord> {
    let text: String = numbers.iter().filter_map(|chord| if let Key::Char(c) = chord.key { Some(c) } else { None }).collect();
    let (first, modifier) = text.split_once(';').unwrap_or((&text, ""));
    let key = match (end, first) {
        ('A', _) => Key::Up,
        ('B', _) => Key::Down,
        ('C', _) => Key::Right,
        ('D', _) => Key::Left,
        ('H', _) | ('~', "1" | "7") => Key::Home,
        ('F', _) | ('~', "4" | "8") => Key::End,
        ('Z', "") => Key::BackTab,
        ('~', "2") => Key::Insert,
        ('~', "3") => Key::Delete,
        ('~', "5") => Key::PageUp,
        ('~', "6") => Key::PageDown,
        _ => return None,
    };
    // One more than the sum of shift 1, alt 2 and control 4.
    let bits = modifier.parse::<u8>().unwrap_or(1).saturating_sub(1);
    Some(Chord::new(key, bits & 4 != 0, bits & 2 != 0, bits & 1 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[(u64, &str)]) -> String {
        let (mut torn, start, mut keys) = (Torn::default(), Instant::now(), Vec::new());
        for (at, chord) in pieces {
            let now = start + Duration::from_millis(*at);
            keys.extend(torn.take(chord.parse().unwrap(), now));
        }
        keys.extend(torn.due(start + Duration::from_secs(9)));
        keys.iter().map(Chord::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_sequence_in_two_pieces_is_one_key_and_everything_else_stays_what_it_was() {
        assert_eq!(told(&[(0, "esc"), (5, "["), (5, "B")]), "down");
        assert_eq!(told(&[(0, "esc"), (5, "O"), (5, "A"), (6, "j")]), "up j");
        assert_eq!(told(&[(0, "esc"), (5, "["), (5, "6"), (5, "~")]), "page-down");
        assert_eq!(told(&[(0, "esc"), (5, "["), (5, "1"), (5, ";"), (5, "5"), (5, "C")]), "ctrl-right");
        assert_eq!(told(&[(0, "esc")]), "esc");
        assert_eq!(told(&[(0, "esc"), (100, "["), (100, "B")]), "esc [ B");
        assert_eq!(told(&[(0, "esc"), (1, "esc"), (2, "j")]), "esc esc j");
        assert_eq!(told(&[(0, "esc"), (1, "["), (1, "x")]), "esc [ x");
        assert_eq!(told(&[(0, "["), (0, "B")]), "[ B");
    }
}
