//! Collects a [`ClaudeReport`] from the lines of a transcript.

use std::io::Read;

use jiff::tz::TimeZone;
use memchr::memmem;
use serde::Deserialize;

use super::banner;
use super::json::{Loose, MAX_DENIALS, MAX_TEXT, UpTo, count, dollars, parse};
use super::kind::Kind;
use super::text::clip;
use super::window::{self, RateLimit};
use crate::model::report::{ClaudeLimit, ClaudeReport, ClaudeResult, LimitKind};
use crate::model::time::Utc;

/// Longest name kept: a model, a tool, a session.
const MAX_NAME: usize = 200;
/// Longest `assistant` line that is kept as a possible last one.
const MAX_LAST: usize = 256 * 1024;
/// How the CLI begins to say that the session to be resumed is not there.
const SESSION_GONE: &str = "No conversation found with session ID";

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResultLine {
    subtype: Loose,
    is_error: Loose,
    api_error_status: Loose,
    num_turns: Loose,
    result: Loose,
    errors: UpTo<1, Loose>,
    stop_reason: Loose,
    session_id: Loose,
    total_cost_usd: Loose,
    #[serde(rename = "modelUsage")]
    model_usage: UpTo<64, Usage>,
    permission_denials: UpTo<MAX_DENIALS, Denial>,
    structured_output: Loose,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Usage {
    input_tokens: Loose,
    output_tokens: Loose,
    cache_read_input_tokens: Loose,
    cache_creation_input_tokens: Loose,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Denial {
    tool_name: Loose,
    tool_use_id: Loose,
}

/// `system/init`, `system/api_retry` and `system/model_fallback`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct SystemLine {
    session_id: Loose,
    model: Loose,
    fallback_model: Loose,
    error: Loose,
    #[serde(rename = "apiKeySource")]
    api_key_source: Loose,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AssistantLine {
    message: Message,
    parent_tool_use_id: Loose,
    error: Loose,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    model: Loose,
    content: UpTo<16, Content>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content {
    text: Loose,
}

/// What has been seen so far.
pub(super) struct Collector {
    /// When the transcript was written, and the zone of who wrote it: for times in words.
    now: Utc,
    zone: TimeZone,
    report: ClaudeReport,
    /// `tool_use_id` of the denials already counted: it is not known whether a later result repeats earlier ones.
    denied: Vec<String>,
    /// The last main-thread `assistant` line with text; parsed only if no result gives the final text.
    last_text: Vec<u8>,
    /// Where the line stands that is being read: its first byte, and its length.
    place: (u64, u64),
}

impl Collector {
    /// Nothing seen yet. `now` is when the transcript was last written, `zone` the zone of who wrote it.
    pub(super) fn new(now: Utc, zone: &TimeZone) -> Collector {
        Collector {
            now,
            zone: zone.clone(),
            report: ClaudeReport::default(),
            denied: Vec::new(),
            last_text: Vec::new(),
            place: (0, 0),
        }
    }

    /// Tells where the next line stands.
    pub(super) fn at(&mut self, start: u64, length: u64) {
        self.place = (start, length);
    }

    /// Takes one line, at most [`super::lines::MAX_LINE`] long.
    pub(super) fn line(&mut self, line: &[u8]) {
        match Kind::of(line) {
            Kind::Other | Kind::User | Kind::ControlRequest => {}
            Kind::Assistant => self.assistant(line),
            Kind::Result => {
                if let Some(result) = parse(line) {
                    self.result(result);
                }
            }
            Kind::Init => {
                // A further turn begins: what an earlier result said is not final.
                self.report.result = None;
                let init: SystemLine = parse(line).unwrap_or_default();
                set(&mut self.report.facts.session, &init.session_id);
                set(&mut self.report.facts.model, &init.model);
                self.report.facts.pays_by_key = init.api_key_source.text().is_some_and(|source| source != "none");
            }
            Kind::Retry => {
                let retry: SystemLine = parse(line).unwrap_or_default();
                set(&mut self.report.api_error, &retry.error);
            }
            Kind::Fallback => {
                let fallback: SystemLine = parse(line).unwrap_or_default();
                set(&mut self.report.facts.model, &fallback.fallback_model);
            }
            Kind::RateLimit => self.rate_limit(&parse(line).unwrap_or_default()),
        }
    }

    /// Takes a result line that does not fit in memory.
    pub(super) fn long_result(&mut self, line: impl Read) {
        match serde_json::from_reader(line) {
            Ok(result) => self.result(result),
            Err(_) => self.unfinished(),
        }
    }

    /// Takes the first bytes of any other line that does not fit in memory.
    pub(super) fn long_line(&mut self, head: &[u8]) {
        if head.starts_with(b"{\"type\":\"assistant\"") {
            self.answered();
        }
    }

    /// The transcript goes on in a way that could not be read: no result in it is final.
    pub(super) fn unfinished(&mut self) {
        self.report.result = None;
    }

    /// The end.
    pub(super) fn finish(mut self) -> ClaudeReport {
        if self.report.facts.text.is_none() {
            let last: AssistantLine = parse(&self.last_text).unwrap_or_default();
            let texts: Vec<&str> = last.message.content.0.iter().filter_map(|block| block.text.text()).collect();
            self.report.facts.text = (!texts.is_empty()).then(|| clip(&texts.join("\n"), MAX_TEXT).to_owned());
        }
        self.report
    }

    fn assistant(&mut self, line: &[u8]) {
        if memmem::find(line, b"\"<synthetic>\"").is_some() {
            let line: AssistantLine = parse(line).unwrap_or_default();
            if line.message.model.text() == Some("<synthetic>") {
                return self.synthetic(&line);
            }
        }
        self.answered();
        let main = memmem::find(line, b"\"parent_tool_use_id\":null").is_some();
        if main && line.len() <= MAX_LAST && memmem::find(line, b"\"content\":[{\"type\":\"text\"").is_some() {
            self.last_text.clear();
            self.last_text.extend_from_slice(line);
        }
    }

    /// The model answered: earlier trouble is overcome.
    fn answered(&mut self) {
        self.report.limited = None;
        self.report.api_error = None;
    }

    /// A message that the CLI wrote itself, for an API error.
    fn synthetic(&mut self, line: &AssistantLine) {
        // After retries for overload the message itself says no more than `server_error`.
        let overloaded = self.report.api_error.as_deref() == Some("overloaded") && line.error.text() == Some("server_error");
        if !overloaded {
            set(&mut self.report.api_error, &line.error);
        }
        if line.parent_tool_use_id == Loose::Nothing {
            line.message.content.0.iter().filter_map(|block| block.text.text()).for_each(|text| self.banner(text));
        }
    }

    /// What the provider itself says about a limit; the CLI's words only fill in what it leaves out.
    fn rate_limit(&mut self, line: &RateLimit) {
        let window = line.window();
        if window.is_rejected {
            self.report.limited = Some(ClaudeLimit { kind: window::kind(&window), resets_at: window.resets_at });
        } else if line.is_allowed() {
            self.report.limited = None;
        }
        window.put_in(&mut self.report.facts.windows);
    }

    /// Takes a text of the CLI's own that may say that a limit is reached.
    fn banner(&mut self, text: &str) {
        let Some(banner) = banner::parse(text, self.now, &self.zone) else { return };
        let limit = self.report.limited.get_or_insert_default();
        if limit.kind == LimitKind::Unknown {
            limit.kind = banner.kind;
        }
        limit.resets_at = limit.resets_at.or(banner.resets_at);
    }

    fn result(&mut self, line: ResultLine) {
        let facts = &mut self.report.facts;
        set(&mut facts.session, &line.session_id);
        facts.cost_microusd = count(&Loose::Number(dollars(line.total_cost_usd.number()).unwrap_or(0.0) * 1e6));
        let usage = &line.model_usage.0;
        facts.output_tokens = usage.iter().map(|model| count(&model.output_tokens)).fold(0, u64::saturating_add);
        facts.input_tokens = usage
            .iter()
            .flat_map(|model| [&model.input_tokens, &model.cache_read_input_tokens, &model.cache_creation_input_tokens])
            .map(count)
            .fold(0, u64::saturating_add);
        facts.turns = facts.turns.saturating_add(u32::try_from(count(&line.num_turns)).unwrap_or(u32::MAX));
        facts.text = line.result.text().map(str::to_owned);
        for denial in &line.permission_denials.0 {
            let id = denial.tool_use_id.text().map(|id| clip(id, MAX_NAME).to_owned());
            if facts.denials.len() >= MAX_DENIALS || id.as_ref().is_some_and(|id| self.denied.contains(id)) {
                continue;
            }
            facts.denials.push(clip(denial.tool_name.text().unwrap_or("?"), MAX_NAME).to_owned());
            self.denied.extend(id);
        }
        let text = line.result.text().or_else(|| line.errors.0.first().and_then(Loose::text));
        let is_error = line.is_error != Loose::Bool(false);
        if let Some(text) = text.filter(|_| is_error) {
            self.banner(text);
            self.report.session_gone = text.starts_with(SESSION_GONE);
        }
        self.report.result = Some(ClaudeResult {
            subtype: clip(line.subtype.text().unwrap_or_default(), MAX_NAME).to_owned(),
            is_error,
            api_error_status: u16::try_from(count(&line.api_error_status)).ok().filter(|status| *status > 0),
            text: text.map(str::to_owned),
            stop_reason: line.stop_reason.text().map(|reason| clip(reason, MAX_NAME).to_owned()),
            structured: line.structured_output != Loose::Nothing,
            line: self.place,
        });
    }
}

fn set(field: &mut Option<String>, value: &Loose) {
    if let Some(text) = value.text() {
        *field = Some(clip(text, MAX_NAME).to_owned());
    }
}
