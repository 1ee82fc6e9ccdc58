//! JSON read leniently and within bounds: a transcript's fields may change their type in another version, and its lines
//! may be as long as the output limit allows.

use std::fmt;
use std::io::{self, Read};

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::text::clip;

/// Longest text kept of any field.
pub(super) const MAX_TEXT: usize = 16 * 1024;
/// Longest single string or number in a line that is read as a stream.
const MAX_TOKEN: usize = 8 << 20;
/// Most denials kept.
pub(super) const MAX_DENIALS: usize = 100;

/// Any JSON value, of which only scalars are kept, and at most [`MAX_TEXT`] of a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Loose {
    /// Absent or null.
    #[default]
    Nothing,
    Bool(bool),
    Number(f64),
    Text(String),
    /// A list or an object.
    Nested,
}

impl Loose {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Loose::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Loose::Number(number) => Some(*number),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Loose, E> {
        Ok(Loose::Bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "counts and times far below 2^53")]
    fn visit_i64<E>(self, value: i64) -> Result<Loose, E> {
        Ok(Loose::Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "counts and times far below 2^53")]
    fn visit_u64<E>(self, value: u64) -> Result<Loose, E> {
        Ok(Loose::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Loose, E> {
        Ok(Loose::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Loose, E> {
        Ok(Loose::Text(clip(value, MAX_TEXT).to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose::Nested)
    }
}

/// A whole line, with invalid UTF-8 replaced if that is what makes it unreadable.
pub(super) fn parse<T: for<'de> Deserialize<'de>>(line: &[u8]) -> Option<T> {
    match serde_json::from_slice(line) {
        Ok(value) => Some(value),
        Err(_) if std::str::from_utf8(line).is_err() => serde_json::from_str(&String::from_utf8_lossy(line)).ok(),
        Err(_) => None,
    }
}

/// A count that no run reaches, and dollars that none costs: what says more is no report but a fault, and adding it up would
/// hold all other runs for a budget that nobody has spent.
const MOST_COUNTED: f64 = 1e12;
const MOST_DOLLARS: f64 = 1e6;

/// A number as a count: rounded, 0 when it is none, negative or more than there can be.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the bounds are checked")]
pub(super) fn count(value: &Loose) -> u64 {
    value.number().filter(|number| (0.0..=MOST_COUNTED).contains(number)).unwrap_or(0.0).round() as u64
}

/// Dollars; none where that is no number, negative or more than a run can cost.
pub(super) fn dollars(number: Option<f64>) -> Option<f64> {
    number.filter(|usd| (0.0..=MOST_DOLLARS).contains(usd))
}

/// A list (or the values of an object) of which at most `N` items are kept. Anything else is an empty one.
#[derive(Debug)]
pub(super) struct UpTo<const N: usize, T>(pub(super) Vec<T>);

impl<const N: usize, T> Default for UpTo<N, T> {
    fn default() -> Self {
        UpTo(Vec::new())
    }
}

impl<'de, const N: usize, T: Deserialize<'de>> Deserialize<'de> for UpTo<N, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UpToVisitor::<N, T>(std::marker::PhantomData))
    }
}

struct UpToVisitor<const N: usize, T>(std::marker::PhantomData<T>);

impl<'de, const N: usize, T: Deserialize<'de>> Visitor<'de> for UpToVisitor<N, T> {
    type Value = UpTo<N, T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(UpTo::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(UpTo::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(UpTo::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(UpTo::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(UpTo::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(UpTo::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < N {
            match seq.next_element()? {
                Some(item) => items.push(item),
                None => return Ok(UpTo(items)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(UpTo(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < N {
            match map.next_entry::<IgnoredAny, T>()? {
                Some((_, item)) => items.push(item),
                None => return Ok(UpTo(items)),
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(UpTo(items))
    }
}

/// An object read as a `T`, or `T`'s default when it is no object.
#[derive(Debug, Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor::<T>(std::marker::PhantomData))
    }
}

struct ObjectVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Object::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// How many characters the texts in any JSON value have, the names of fields included; other scalars count one each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Length(pub(super) u64);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LengthVisitor)
    }
}

struct LengthVisitor;

impl<'de> Visitor<'de> for LengthVisitor {
    type Value = Length;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Length, E> {
        Ok(Length(0))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Length, E> {
        Ok(Length(1))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Length, E> {
        Ok(Length(1))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Length, E> {
        Ok(Length(1))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Length, E> {
        Ok(Length(1))
    }

    fn visit_str<E>(self, value: &str) -> Result<Length, E> {
        Ok(Length(value.chars().count() as u64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Length, A::Error> {
        let mut length = 0u64;
        while let Some(Length(more)) = seq.next_element()? {
            length = length.saturating_add(more);
        }
        Ok(Length(length))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Length, A::Error> {
        let mut length = 0u64;
        while let Some((Length(name), Length(value))) = map.next_entry()? {
            length = length.saturating_add(name).saturating_add(value);
        }
        Ok(Length(length))
    }
}

/// Passes bytes of JSON on until a single string or number grows past 8 MiB (`serde_json` holds one token in memory).
pub(super) struct BoundedTokens<R> {
    inner: R,
    in_string: bool,
    escaped: bool,
    token: usize,
}

impl<R: Read> BoundedTokens<R> {
    pub(super) fn new(inner: R) -> Self {
        BoundedTokens { inner, in_string: false, escaped: false, token: 0 }
    }

    fn see(&mut self, byte: u8) {
        self.token += 1;
        if self.in_string {
            self.in_string = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
        } else if byte == b'"' {
            self.in_string = true;
            self.token = 0;
        } else if b"{}[]:,".contains(&byte) {
            self.token = 0;
        }
    }
}

impl<R: Read> Read for BoundedTokens<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        for byte in &buffer[..read] {
            self.see(*byte);
            if self.token > MAX_TOKEN {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a token of more than 8 MiB"));
            }
        }
        Ok(read)
    }
}
