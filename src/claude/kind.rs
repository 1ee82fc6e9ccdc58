//! What an event is, told from the first bytes of its line.

use serde::Deserialize;

use super::json::{Loose, parse};

/// What a line is, as far as it matters to those who read only what decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Result,
    Init,
    Retry,
    Fallback,
    RateLimit,
    Assistant,
    User,
    ControlRequest,
    Other,
}

impl Kind {
    /// By the line's first bytes in the form that the CLI writes, else by parsing.
    pub(super) fn of(line: &[u8]) -> Kind {
        Kind::of_head(line).unwrap_or_else(|| Kind::parsed(line))
    }

    /// By the line's first bytes alone; none when they are not in the form that the CLI writes.
    pub(super) fn of_head(line: &[u8]) -> Option<Kind> {
        let rest = line.strip_prefix(b"{\"type\":\"")?;
        if let Some(rest) = rest.strip_prefix(b"system\",\"subtype\":\"") {
            return rest.split(|byte| *byte == b'"').next().map(Kind::of_system);
        }
        let known = [
            (&b"assistant\""[..], Kind::Assistant),
            (b"user\"", Kind::User),
            (b"stream_event\"", Kind::Other),
            (b"result\"", Kind::Result),
            (b"rate_limit_event\"", Kind::RateLimit),
            (b"control_request\"", Kind::ControlRequest),
            (b"control_response\"", Kind::Other),
        ];
        known.iter().find(|(name, _)| rest.starts_with(name)).map(|(_, kind)| *kind)
    }

    fn of_system(subtype: &[u8]) -> Kind {
        match subtype {
            b"init" => Kind::Init,
            b"api_retry" => Kind::Retry,
            b"model_fallback" => Kind::Fallback,
            _ => Kind::Other,
        }
    }

    fn parsed(line: &[u8]) -> Kind {
        if line.trim_ascii_start().first() != Some(&b'{') {
            return Kind::Other;
        }
        let head: Head = parse(line).unwrap_or_default();
        match (head.r#type.text(), head.subtype.text()) {
            (Some("assistant"), _) => Kind::Assistant,
            (Some("user"), _) => Kind::User,
            (Some("result"), _) => Kind::Result,
            (Some("rate_limit_event"), _) => Kind::RateLimit,
            (Some("control_request"), _) => Kind::ControlRequest,
            (Some("system"), Some(subtype)) => Kind::of_system(subtype.as_bytes()),
            _ => Kind::Other,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Head {
    r#type: Loose,
    subtype: Loose,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_known_by_its_first_bytes_or_else_by_its_fields() {
        assert_eq!(Kind::of_head(br#"{"type":"system","subtype":"api_retry","att"#), Some(Kind::Retry));
        assert_eq!(Kind::of_head(br#"{"type":"user","message":{"#), Some(Kind::User));
        assert_eq!(Kind::of_head(br#"{ "type":"user"}"#), None);
        assert_eq!(Kind::of(br#"{ "session":1, "type" : "result" }"#), Kind::Result);
        assert_eq!(Kind::of(b"not json"), Kind::Other);
    }
}
