//! What a terminal is sent, as bytes that it takes for a notification and nothing else.

use crate::model::diagnostic::harmless;

use super::Ring;

/// Longest title or text, in characters: terminals cut longer ones, or refuse them.
const MAX: usize = 200;

/// The sequence for a terminal, seen through tmux when `in_tmux`. Whatever stands in the words, no control character comes out
/// of them. OSC 9 is iTerm2's, OSC 777 urxvt's (its `notify` extension); tmux passes neither on by itself, so they travel in its
/// DCS passthrough, which needs `set -g allow-passthrough on`. A bell is tmux's own business.
pub fn signal(ring: Ring, title: &str, text: &str, in_tmux: bool) -> String {
    let sequence = match ring {
        Ring::Bell => return "\x07".to_owned(),
        // `9;4;…` would be ConEmu's progress bar: a text does not begin with a digit.
        Ring::Osc9 => format!("\x1b]9;{}\x07", line(text).trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')),
        // `;` separates the fields.
        Ring::Osc777 => format!("\x1b]777;notify;{};{}\x07", line(title).replace(';', ","), line(text)),
    };
    if in_tmux { format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b")) } else { sequence }
}

fn line(text: &str) -> String {
    harmless(text.replace('\n', " ")).chars().take(MAX).collect()
}
