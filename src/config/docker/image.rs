//! Names of images: `[REGISTRY/]NAME[:TAG][@DIGEST]`.

use crate::model::yaml::Node;

use crate::config::load::Reader;

/// Longest name without tag and digest, as registries have it.
const MAX_NAME: usize = 255;

/// The name of an image; `what` names the key, and `fate` is what becomes of the rest when it is none.
pub(in crate::config) fn image(reader: &mut Reader, node: &Node, what: &str, fate: &str) -> Option<String> {
    let why = match node.text() {
        Some(text) => match wrong(text) {
            None => return Some(text.to_owned()),
            Some(why) => why,
        },
        None => format!("{what} is {}, not text", node.kind()),
    };
    let hint = format!("write [REGISTRY/]NAME[:TAG][@DIGEST], such as registry.example:5000/team/runner:1{fate}");
    reader.fault(node, why, &hint);
    None
}

/// Why this cannot name an image. Roughly the grammar of registries: what passes may still be nowhere.
fn wrong(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("the image's name is empty".to_owned());
    }
    if text.contains(char::is_whitespace) {
        return Some("an image's name has no spaces".to_owned());
    }
    if text.contains("://") {
        return Some("an image's name is no address: it has no scheme".to_owned());
    }
    let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    if let Some(digest) = digest.filter(|digest| !is_digest(digest)) {
        return Some(format!("`{}` is no digest: it is sha256: and 64 hexadecimal digits", cut(digest)));
    }
    // A colon before the last slash belongs to the registry's port.
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[last..].find(':') {
        Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
        None => (rest, None),
    };
    if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
        return Some(format!("`{}` is no tag: it has 1 to 128 letters, digits, `_`, `.` and `-`", cut(tag)));
    }
    wrong_name(name)
}

fn wrong_name(name: &str) -> Option<String> {
    if name.len() > MAX_NAME {
        return Some(format!("the image's name has more than {MAX_NAME} characters"));
    }
    let repository = match name.split_once('/') {
        Some((registry, rest)) if registry == "localhost" || registry.contains(['.', ':']) => {
            if !is_registry(registry) {
                return Some(format!("`{}` is no registry: it is HOST or HOST:PORT", cut(registry)));
            }
            rest
        }
        _ => name,
    };
    for part in repository.split('/') {
        if part.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Some(format!("`{}` has capital letters, which an image's name never has", cut(part)));
        }
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        if !(part.bytes().all(is_inner) && is_edge(part.as_bytes().first()) && is_edge(part.as_bytes().last())) {
            return Some(format!("`{}` is no part of an image's name", cut(part)));
        }
    }
    None
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte) || (is_bracketed && b":[]".contains(&byte));
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    !host.is_empty() && host.bytes().all(is_host) && port.is_none_or(is_port)
}

fn is_tag(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(is_inner) && !text.starts_with(['.', '-'])
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, digits)) = text.split_once(':') else { return false };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    digits.len() == length && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_the_names_that_registries_give_them() {
        let digest = format!("alpine@sha256:{}", "0a".repeat(32));
        for name in [
            "alpine",
            "alpine:3.20",
            "library/alpine",
            "localhost/airx-runner",
            "localhost:5000/a/b-c_d.e:1_x.Y",
            "registry.example/team/runner",
            "Registry.Example/team/runner",
            "[::1]:5000/runner",
            "10.0.0.1/runner:1",
            &digest,
            &digest.replace('@', ":3.20@"),
            &format!("sha256:{}", "0a".repeat(32)),
        ] {
            assert_eq!(wrong(name), None, "{name}");
        }
        for name in [
            "",
            " alpine",
            "a b",
            "Alpine",
            "team/Runner",
            "/alpine",
            "alpine/",
            "a//b",
            "-alpine",
            "alpine-",
            "alpine:",
            "alpine:-x",
            "alpine:a/b:",
            "alpine@",
            "alpine@sha256:12",
            "alpine@md5:00",
            "a@b@c",
            "https://registry.example/a",
            "ünïx",
            "a$b",
            "{{image}}",
            "registry.example:port/a",
            ".example/a:1/b",
            &"a".repeat(256),
            &format!("a:{}", "1".repeat(129)),
        ] {
            assert!(wrong(name).is_some(), "{name}");
        }
    }
}
