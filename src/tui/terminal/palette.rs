//! Colours for terminals that have sixteen: crossterm writes the sixteen as the first of 256 (`38;5;4`), which such a terminal
//! may take for something else; they have codes of their own (ECMA-48, and aixterm's for the bright ones).

use std::io::{self, Write};

/// Longest sequence that is looked into; the longest that sets colours has some twenty bytes.
const LONGEST: usize = 64;

/// Passes everything on, colours in the form that the terminal knows.
#[derive(Debug)]
pub struct Palette<W> {
    inner: W,
    is_sixteen: bool,
    /// A sequence that has begun and not ended.
    open: Vec<u8>,
}

impl<W: Write> Palette<W> {
    /// For a terminal of sixteen colours, or of more.
    pub fn new(inner: W, is_sixteen: bool) -> Palette<W> {
        Palette { inner, is_sixteen, open: Vec::new() }
    }

    fn take(&mut self, byte: u8) -> io::Result<()> {
        match (self.open.len(), byte) {
            (0, 0x1b) => self.open.push(byte),
            (0, _) => return self.inner.write_all(&[byte]),
            (1, b'[') => self.open.push(byte),
            (2..LONGEST, b'0'..=b'9' | b';') => self.open.push(byte),
            (2..LONGEST, b'm') => {
                let parameters = std::mem::take(&mut self.open).split_off(2);
                let parameters = String::from_utf8_lossy(&parameters).into_owned();
                return write!(self.inner, "\x1b[{}m", sixteen(&parameters));
            }
            // Not of this kind.
            _ => {
                let open = std::mem::take(&mut self.open);
                self.inner.write_all(&open)?;
                if byte == 0x1b {
                    self.open.push(byte);
                } else {
                    self.inner.write_all(&[byte])?;
                }
            }
        }
        Ok(())
    }
}

impl<W: Write> Write for Palette<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_sixteen {
            return self.inner.write(bytes);
        }
        bytes.iter().try_for_each(|byte| self.take(*byte))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let open = std::mem::take(&mut self.open);
        self.inner.write_all(&open)?;
        self.inner.flush()
    }
}

/// The parameters with `38;5;N` and `48;5;N` of the sixteen as codes of their own.
fn sixteen(parameters: &str) -> String {
    let mut numbers = parameters.split(';').peekable();
    let mut out: Vec<String> = Vec::new();
    while let Some(number) = numbers.next() {
        let base = match number {
            "38" => 30,
            "48" => 40,
            other => {
                out.push(other.to_owned());
                continue;
            }
        };
        let mut rest = numbers.clone();
        match (rest.next(), rest.next().and_then(|color| color.parse::<u16>().ok())) {
            (Some("5"), Some(color)) if color < 16 => {
                out.push((if color < 8 { base + color } else { base + 60 + color - 8 }).to_string());
                numbers = rest;
            }
            _ => out.push(number.to_owned()),
        }
    }
    out.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&str], is_sixteen: bool) -> String {
        let mut palette = Palette::new(Vec::new(), is_sixteen);
        pieces.iter().for_each(|piece| palette.write_all(piece.as_bytes()).unwrap());
        palette.flush().unwrap();
        String::from_utf8(palette.inner).unwrap()
    }

    #[test]
    fn the_sixteen_have_their_own_codes_however_the_text_comes_in_pieces() {
        let text = "a\x1b[38;5;4mb\x1b[38;5;8;48;5;1m漢\x1b[1;38;5;12;49m\x1b[2J\x1b[?2026h\x1b[38;5;200mc\x1b[0m\x1b]52;c;x\x07";
        let wanted = "a\x1b[34mb\x1b[90;41m漢\x1b[1;94;49m\x1b[2J\x1b[?2026h\x1b[38;5;200mc\x1b[0m\x1b]52;c;x\x07";
        assert_eq!(told(&[text], true), wanted);
        let letters: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(told(&letters.iter().map(String::as_str).collect::<Vec<_>>(), true), wanted);
        assert_eq!(told(&[text], false), text);
        assert_eq!(told(&["\x1b", "\x1b[38", ";5;1"], true), "\x1b\x1b[38;5;1", "what has no end is passed on as it is");
    }
}
