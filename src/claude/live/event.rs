//! The events that matter while a run goes on, read for the fields that are needed and leniently where it is safe.

use serde::Deserialize;
use serde_json::Value;

use super::super::json::{Length, Loose, Object, UpTo, count};
use super::super::spending::Usage;
use super::super::todo::{Created, Input, Todo};

/// Content blocks of one line that are looked at; the CLI writes one.
const MAX_BLOCKS: usize = 64;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Init {
    pub(super) session_id: Loose,
    #[serde(rename = "apiKeySource")]
    pub(super) api_key_source: Loose,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Errors {
    pub(super) error: Loose,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Assistant {
    pub(super) message: Object<Message>,
    pub(super) parent_tool_use_id: Loose,
    pub(super) error: Loose,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    pub(super) id: Loose,
    pub(super) model: Loose,
    pub(super) usage: Object<MessageUsage>,
    pub(super) content: UpTo<MAX_BLOCKS, Object<Block>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct MessageUsage {
    pub(super) input_tokens: Loose,
    pub(super) cache_read_input_tokens: Loose,
    pub(super) cache_creation_input_tokens: Loose,
    pub(super) output_tokens: Loose,
}

impl MessageUsage {
    pub(super) fn tokens(&self) -> Usage {
        Usage {
            input: count(&self.input_tokens),
            cache_read: count(&self.cache_read_input_tokens),
            cache_write: count(&self.cache_creation_input_tokens),
            output: count(&self.output_tokens),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Block {
    pub(super) name: Loose,
    pub(super) text: Length,
    pub(super) thinking: Length,
    pub(super) input: Length,
}

impl Block {
    pub(super) fn characters(&self) -> u64 {
        self.text.0.saturating_add(self.thinking.0).saturating_add(self.input.0)
    }

    pub(super) fn is_todo(&self) -> bool {
        self.name.text().is_some_and(Todo::is_tool)
    }
}

/// An `assistant` line, for its calls.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Calls {
    pub(super) message: Object<Content<Call>>,
}

#[derive(Deserialize)]
#[serde(default, bound(deserialize = "T: Deserialize<'de> + Default"))]
pub(super) struct Content<T> {
    pub(super) content: UpTo<MAX_BLOCKS, Object<T>>,
}

impl<T> Default for Content<T> {
    fn default() -> Self {
        Content { content: UpTo::default() }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Call {
    pub(super) id: Loose,
    pub(super) name: Loose,
    pub(super) input: Object<Input>,
}

/// A `user` line, for the results of calls.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Results {
    pub(super) message: Object<Content<CallResult>>,
    pub(super) tool_use_result: Object<Created>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct CallResult {
    pub(super) tool_use_id: Loose,
    pub(super) is_error: Loose,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ResultLine {
    pub(super) total_cost_usd: Loose,
    #[serde(rename = "modelUsage")]
    pub(super) model_usage: UpTo<64, Object<ModelUsage>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ModelUsage {
    pub(super) input_tokens: Loose,
    pub(super) output_tokens: Loose,
    pub(super) cache_read_input_tokens: Loose,
    pub(super) cache_creation_input_tokens: Loose,
}

impl ModelUsage {
    pub(super) fn input(&self) -> u64 {
        let parts = [&self.input_tokens, &self.cache_read_input_tokens, &self.cache_creation_input_tokens];
        parts.into_iter().map(count).fold(0, u64::saturating_add)
    }
}

#[derive(Deserialize)]
pub(super) struct ControlRequest {
    pub(super) request_id: Loose,
    pub(super) request: PermissionRequest,
}

/// Read strictly: what a person decides about must be exactly what was asked.
#[derive(Deserialize)]
pub(super) struct PermissionRequest {
    pub(super) subtype: String,
    pub(super) tool_name: String,
    #[serde(default)]
    pub(super) input: Value,
    #[serde(default)]
    pub(super) permission_suggestions: Value,
}
