//! Durations and sizes as people write them.

/// Milliseconds of `30m`, `1h30m`, `10s`, `500ms`, `2d`; a plain number is seconds.
///
/// # Errors
/// What is wrong, with the accepted forms.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is no duration: write 500ms, 10s, 30m, 1h30m or 2d");
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(1_000).ok_or_else(bad);
    }
    let (mut total, mut rest) = (0u64, text);
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
        let after = &rest[digits..];
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let factor = match &after[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        total = number.checked_mul(factor).and_then(|part| total.checked_add(part)).ok_or_else(bad)?;
        rest = &after[letters..];
    }
    Ok(total)
}

/// A duration as [`parse_duration`] reads it, its two largest units.
pub fn duration_words(millis: u64) -> String {
    const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let (mut words, mut rest) = (Vec::new(), millis);
    for (unit, size) in UNITS.into_iter().filter(|(_, size)| millis >= *size) {
        if rest >= size && words.len() < 2 {
            words.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if words.is_empty() { "0s".to_owned() } else { words.concat() }
}

/// Bytes of `512m`, `2g`, `1GiB` (powers of 1024), `10GB` (powers of 1000), or a plain number.
///
/// # Errors
/// What is wrong, with the accepted forms.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is no size: write 64k, 512m, 2g, 1GiB or 10GB");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().map_err(|_| bad())?;
    let factor: u64 = match &text[digits..] {
        "" | "b" | "B" => 1,
        "k" | "K" | "KiB" => 1 << 10,
        "m" | "M" | "MiB" => 1 << 20,
        "g" | "G" | "GiB" => 1 << 30,
        "t" | "T" | "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(bad()),
    };
    number.checked_mul(factor).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["500ms", "2s", "1m30s", "2h", "1d12h", "36d"] {
            assert_eq!(duration_words(parse_duration(text).unwrap()), text);
        }
        assert_eq!(duration_words(0), "0s");
        assert_eq!(duration_words(86_400_000 + 3_600_000 + 60_000), "1d1h", "more would not help");
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in
            [("500ms", 500), ("10s", 10_000), ("30m", 1_800_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("7", 7_000)]
        {
            assert_eq!(parse_duration(text), Ok(millis), "{text}");
        }
        for text in ["", "m", "10", "1x", "1h 30m", "-1s", "1.5h", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(parse_duration(text).is_ok(), text == "10", "{text}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [("64k", 65_536), ("512m", 536_870_912), ("2g", 2_147_483_648), ("10GB", 10_000_000_000), ("9", 9)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "g", "1.5g", "-1", "1 g", "99999999999999999999", "20000000TiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
