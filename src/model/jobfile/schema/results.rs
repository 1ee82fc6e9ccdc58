//! `result` and `artifacts` as types.

use schemars::JsonSchema;

use super::Duration;
use crate::model::result::ResultKind;

/// What becomes the task's result.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
pub(in crate::model::jobfile) enum ResultEntry {
    /// From standard output.
    Word(ResultKind),
    /// With a schema, or from a file.
    Full(ResultFields),
}

/// What becomes the task's result.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
pub(in crate::model::jobfile) struct ResultFields {
    /// How it becomes a value; json when there is a schema.
    kind: Option<ResultKind>,
    /// A file of the workspace that it is read from, instead of standard output.
    file: Option<String>,
    /// A JSON Schema that the value must fit.
    schema: Option<serde_json::Value>,
    /// A file with a JSON Schema, relative to this file.
    schema_file: Option<String>,
}

/// What is kept of the workspace.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
pub(in crate::model::jobfile) enum ArtifactsEntry {
    /// One path.
    One(String),
    /// A list.
    List(Vec<ArtifactEntry>),
    /// With a bound.
    Full(ArtifactsFields),
}

/// What is kept of the workspace, with a bound.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
pub(in crate::model::jobfile) struct ArtifactsFields {
    /// What is kept.
    files: Vec<ArtifactEntry>,
    /// Most bytes together; default 1g.
    max_bytes: Option<Duration>,
}

/// An artifact.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
pub(in crate::model::jobfile) enum ArtifactEntry {
    /// A file, a directory or a pattern.
    Path(String),
    /// With a name of its own.
    Full(ArtifactFields),
}

/// An artifact with a name of its own.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
pub(in crate::model::jobfile) struct ArtifactFields {
    /// A file, a directory or a pattern of the workspace, such as `target/criterion/**`.
    path: String,
    /// What takes the place of the path's fixed part.
    name: Option<String>,
    /// Whether the attempt fails when there is nothing such; default false, which is a remark on it.
    required: Option<bool>,
    /// Whether it is fine when there is nothing such, without a remark; default false.
    optional: Option<bool>,
}
