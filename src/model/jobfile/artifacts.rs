//! `artifacts:` of a task.

use crate::model::artifact::{ArtifactSpec, DEFAULT_BYTES, MAX_PATTERNS, Missing, is_kept_name, parse};
use crate::model::spec::Artifacts;
use crate::model::yaml::{Node, Value};

use super::keys;
use super::read::Reader;

/// The definition: a list, one path alone, or a mapping with a bound.
pub(super) fn artifacts(reader: &mut Reader<'_>, node: &Node) -> Option<Artifacts> {
    let is_whole = matches!(&node.value, Value::Map(entries) if entries.iter().any(|(key, _)| key.text() == Some("files")));
    let (list, max_bytes) = if is_whole {
        let fields = reader.fields(node, "artifacts", keys::ARTIFACTS)?;
        (fields.get("files")?, fields.get("max_bytes").and_then(|node| reader.size(node, 1)).unwrap_or(DEFAULT_BYTES))
    } else {
        (node, DEFAULT_BYTES)
    };
    let items = match &list.value {
        Value::List(items) => items.as_slice(),
        Value::Scalar { .. } | Value::Map(_) => std::slice::from_ref(list),
        Value::Null => &[],
    };
    if items.is_empty() {
        reader.fault(list, "artifacts names nothing".to_owned(), "name files of the workspace: [report.html, \"out/**\"]");
    }
    if let Some(node) = items.get(MAX_PATTERNS) {
        reader.fault(node, format!("there are more than {MAX_PATTERNS} artifacts"), "use patterns: out/*.html");
    }
    let mut files: Vec<ArtifactSpec> = Vec::new();
    for item in items.iter().take(MAX_PATTERNS) {
        let Some(file) = artifact(reader, item) else { continue };
        let clash = literal(&file).and_then(|(path, name)| {
            let is_other = |before: &&ArtifactSpec| literal(before).is_some_and(|(its, named)| named == name && its != path);
            Some((files.iter().find(is_other)?.path.clone(), name))
        });
        if let Some((before, name)) = clash {
            let message = format!("`{before}` and `{}` would both be kept as `{name}`", file.path);
            reader.fault(item, message, "give them different names; the path of a directory ends with `/`");
        }
        files.push(file);
    }
    Some(Artifacts { files, max_bytes })
}

/// Path and name of what is one file, as far as its path tells.
fn literal(file: &ArtifactSpec) -> Option<(Vec<String>, String)> {
    let pattern = parse(&file.path).ok().filter(|pattern| pattern.parts.is_empty() && !file.path.ends_with('/'))?;
    let name = pattern.name_of(file.name.as_deref(), &[])?;
    Some((pattern.fixed, name))
}

fn artifact(reader: &mut Reader<'_>, node: &Node) -> Option<ArtifactSpec> {
    if !matches!(node.value, Value::Map(_)) {
        return Some(ArtifactSpec { path: path(reader, node)?, name: None, missing: Missing::Noted });
    }
    let fields = reader.fields(node, "an artifact", keys::ARTIFACT)?;
    let Some(place) = fields.get("path") else {
        reader.fault(node, "an artifact needs `path`".to_owned(), "name a file, a directory or a pattern of the workspace");
        return None;
    };
    let path = path(reader, place);
    let name = fields.get("name").and_then(|node| {
        let text = reader.text(node)?;
        reader.literal(node, "name");
        if !is_kept_name(&text) {
            reader.fault(node, format!("nothing can be kept as `{text}`"), "write a name, or names with `/` between them");
            return None;
        }
        Some(text)
    });
    let mut flag = |key: &str| fields.get(key).and_then(|node| super::repeat::boolean(reader, node, key)).unwrap_or(false);
    let missing = match (flag("required"), flag("optional")) {
        (true, false) => Missing::Fails,
        (false, true) => Missing::Fine,
        (false, false) => Missing::Noted,
        (true, true) => {
            let at = fields.key("optional").unwrap_or(node);
            reader.fault(at, "`required` and `optional` at once".to_owned(), "keep one of them");
            Missing::Noted
        }
    };
    Some(ArtifactSpec { path: path?, name, missing })
}

fn path(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    reader.literal(node, "artifacts");
    match parse(&text) {
        Ok(_) => Some(text),
        Err(fault) => {
            reader.fault(node, fault.message, fault.hint);
            None
        }
    }
}
