//! `workspace`: what a pod works on, since nothing of the manager's machine is there.

use super::{names, volumes};
use crate::config::docker::{LEFT_OUT, image};
use crate::config::load::Reader;
use crate::config::value::shown;
use crate::model::kubernetes::{DEFAULT_GIT_IMAGE, PodWorkspace};
use crate::model::yaml::{Node, Value};

/// Most commits that can be asked for.
const MAX_DEPTH: u32 = 1_000_000;
/// Longest address.
const MAX_URL: usize = 2_048;
const FORMS: &str = "write empty, { size: 10g }, { git: URL, ref: BRANCH } or { claim: NAME, path: DIRECTORY }";

/// What the workspace is; none when it is wrong.
pub(super) fn workspace(reader: &mut Reader, node: &Node) -> Option<PodWorkspace> {
    if node.text() == Some("empty") {
        return Some(PodWorkspace::Empty { bytes: None });
    }
    let Value::Map(written) = &node.value else {
        reader.fault(node, format!("workspace is {}, which it cannot be", shown(node)), &format!("{FORMS}{LEFT_OUT}"));
        return None;
    };
    let before = reader.faults();
    let has = |name: &str| written.iter().any(|(key, _)| key.text() == Some(name));
    let workspace = match (has("git"), has("claim")) {
        (true, _) => git(reader, node),
        (false, true) => claim(reader, node),
        (false, false) => {
            let entries = reader.entries_or(node, "a workspace", &["size"], |key| misplaced(key, "an empty workspace"));
            let bytes = entries.first().and_then(|(key, size)| reader.bound(size, key));
            Some(PodWorkspace::Empty { bytes })
        }
    };
    workspace.filter(|_| reader.faults() == before)
}

/// What is wrong with a key that workspaces of another kind have.
fn misplaced(key: &str, kind: &str) -> (String, Option<String>) {
    let is_known = ["size", "git", "ref", "depth", "image", "secret", "claim", "path"].contains(&key);
    (format!("{kind} has no key `{key}`"), is_known.then(|| format!("{FORMS}{LEFT_OUT}")))
}

fn claim(reader: &mut Reader, node: &Node) -> Option<PodWorkspace> {
    let (mut name, mut path) = (None, None);
    for (key, value) in reader.entries_or(node, "a claim", &["claim", "path"], |key| misplaced(key, "a workspace on a claim")) {
        match key {
            "claim" => name = names::object(reader, value, key, LEFT_OUT),
            _ => path = volumes::below(reader, value),
        }
    }
    Some(PodWorkspace::Claim { name: name?, path })
}

fn git(reader: &mut Reader, node: &Node) -> Option<PodWorkspace> {
    let (mut from, mut reference, mut depth, mut secret) = (None, None, None, None);
    let mut cloner = Some(DEFAULT_GIT_IMAGE.to_owned());
    let keys = ["git", "ref", "depth", "image", "secret"];
    for (key, value) in reader.entries_or(node, "a workspace from git", &keys, |key| misplaced(key, "a workspace from git")) {
        match key {
            "git" => from = url(reader, value),
            "ref" => reference = branch(reader, value),
            "depth" => depth = reader.whole(value, MAX_DEPTH),
            "image" => cloner = image::image(reader, value, "the image that clones", LEFT_OUT),
            _ => secret = names::object(reader, value, key, LEFT_OUT),
        }
    }
    Some(PodWorkspace::Git { url: from?, reference, image: cloner?, depth, secret })
}

/// Where a repository is. One with a password is not quoted.
fn url(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = node.text().unwrap_or_default();
    let user = text.split_once("://").and_then(|(scheme, rest)| {
        let (user, _) = rest.split(['/', '?', '#']).next()?.rsplit_once('@')?;
        Some((scheme, user))
    });
    // A name alone in https is a token more often than not.
    if user.is_some_and(|(scheme, user)| scheme != "ssh" || user.contains(':')) {
        let why = "a password or token stands in the repository's address, and would be in each pod's definition".to_owned();
        let hint = format!(
            "take it out, put it into a Secret of the cluster as `username` and `password`, or `token`, and write secret: NAME{LEFT_OUT}"
        );
        reader.fault(node, why, &hint);
        return None;
    }
    let is_plain = !text.is_empty() && text.len() <= MAX_URL && text.chars().all(|c| !c.is_whitespace() && !c.is_control());
    let is_url = is_plain
        && match text.split_once("://") {
            Some(("https", rest)) => is_place(rest),
            Some(("ssh", rest)) => {
                is_place(rest.split_once('@').filter(|(user, _)| is_user(user)).map_or(rest, |(_, rest)| rest))
            }
            Some(_) => false,
            None => text.split_once('@').is_some_and(|(user, rest)| is_user(user) && is_remote(rest)),
        };
    if !is_url {
        let hint = format!("write https://HOST/PATH, ssh://git@HOST/PATH or git@HOST:PATH{LEFT_OUT}");
        reader.fault(node, format!("{} is no address of a repository", shown(node)), &hint);
    }
    is_url.then(|| text.to_owned())
}

fn is_user(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// A host, also with a port. It begins like a name, so that no program takes it for an option.
fn is_host(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

/// `HOST/PATH`.
fn is_place(text: &str) -> bool {
    text.split_once('/').is_some_and(|(host, path)| is_host(host) && !path.is_empty())
}

/// `HOST:PATH`.
fn is_remote(text: &str) -> bool {
    text.split_once(':').is_some_and(|(host, path)| is_host(host) && !path.is_empty() && !path.starts_with('-'))
}

/// A branch, a tag or a commit, by the rules of git for names.
fn branch(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = node.text().unwrap_or_default();
    let is_inner = |c: char| !c.is_whitespace() && !c.is_control() && !"~^:?*[\\".contains(c);
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let is_name = text.len() <= 255 && text.chars().all(is_inner) && !text.contains("..") && !text.contains("@{");
    let is_ref = is_name && text.split('/').all(is_part) && !text.ends_with('.') && !text.starts_with('-');
    if !is_ref {
        let hint = format!("write the name of a branch or tag, or a commit; none begins with `-`{LEFT_OUT}");
        reader.fault(node, format!("{} is no ref", shown(node)), &hint);
    }
    is_ref.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::config::load::tests::loaded;
    use crate::model::settings::PoolBackend;

    fn is_taken(workspace: &str) -> bool {
        let text = format!("pools:\n  box: {{ backend: kubernetes, image: a, workspace: {{ {workspace} }} }}\n");
        let loaded = loaded(&text);
        let told = format!("{:?}", loaded.faults);
        assert!(!told.contains("hunter2"), "{told}");
        let pool = loaded.settings.pools.get("box");
        assert_eq!(pool.is_some(), loaded.faults.is_empty(), "{workspace}");
        pool.is_some_and(|pool| matches!(pool.backend, PoolBackend::Kubernetes(_)))
    }

    #[test]
    fn repositories_are_named_without_passwords_and_options() {
        for url in [
            "https://example.com/a.git",
            "https://example.com:8443/a/b",
            "ssh://git@example.com/a",
            "ssh://example.com:22/a",
            "ssh://git@[::1]:22/a",
            "git@example.com:a/b.git",
            "deploy@host:a",
        ] {
            assert!(is_taken(&format!("git: \"{url}\"")), "{url}");
        }
        for url in [
            "",
            "http://example.com/a",
            "file:///a",
            "/srv/a",
            "../a",
            "git://example.com/a",
            "ext::sh -c x",
            "https://example.com",
            "https:///a",
            "https://me:hunter2@example.com/a",
            "https://hunter2@example.com/a",
            "ssh://git:hunter2@example.com/a",
            "http://git:hunter2@example.com/a",
            "ssh://-oProxyCommand=x/a",
            "ssh://git@-oProxyCommand=x/a",
            "-oProxyCommand@host:a",
            "git@-o:a",
            "git@host:-a",
            "git@host",
            "https://example.com/a b",
        ] {
            assert!(!is_taken(&format!("git: \"{url}\"")), "{url}");
        }
        for name in ["main", "v1.2", "feature/x", "0123456", "refs/tags/a", "a@b", "ä"] {
            assert!(is_taken(&format!("git: \"https://x/y\", ref: \"{name}\"")), "{name}");
        }
        for name in
            ["", "-x", "--upload-pack=x", "a b", "a..b", "a^", "a:b", "/a", "a/", "a//b", ".a", "a.lock", "a.", "@{1}", "a\\\\b"]
        {
            assert!(!is_taken(&format!("git: \"https://x/y\", ref: \"{name}\"")), "{name}");
        }
    }
}
