//! The tools of `airx mcp`: what they take, what they are said to do, and what they do. Nothing here knows the protocol.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::cli::attempt::{Asked, Attempt};
use crate::cli::context::Failure;
use crate::cli::print;
use crate::cli::read::reason;
use crate::model::attempt::{ASK_KEY, AddedTask, OutboxBody, Progress};
use crate::model::ids::is_name;
use crate::model::message::TaskView;
use crate::model::question::{MAX_QUESTION, Question, QuestionBody};
use crate::model::spec::{Action, ClaudeSpec};

use super::question::{self, Asking};

/// What a tool answers; an error says what to do instead.
pub(super) type Said = Result<String, String>;

/// Tasks in a list unless more are asked for.
const PAGE: u32 = 100;
/// Needs that are named of each, and characters that say why it waits or failed.
const NAMED_NEEDS: usize = 20;
/// See [`NAMED_NEEDS`].
const MAX_WHY: usize = 200;
/// Most tasks in a list: what the manager gives at once.
const MAX_PAGE: u32 = crate::api::wire::MAX_OWN_TASKS;

/// What the model is told of the server as a whole.
pub(super) const INSTRUCTIONS: &str = "You run as one task of a job that airx runs unattended. With these tools you can queue \
    further tasks of the same job (they run after or beside you, each on its own; you do not wait for them here), see the job's \
    tasks, set your task's result for tasks that need yours, tell how far you are, and ask a person. When queueing is refused, \
    do not repeat it: go on with what there is.";

/// A tool as a client sees it.
pub(super) struct Described {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub text: &'static str,
    /// JSON Schema of its arguments.
    pub schema: Map<String, Value>,
}

/// The names of [`all`].
pub(super) const NAMES: [&str; 5] = ["queue_task", "list_tasks", "set_result", "report_progress", "ask_human"];

/// All tools.
pub(super) fn all() -> Vec<Described> {
    let texts = [
        "Queue a further task of this job: either `prompt` (another Claude run), or `command`, or `run`. It starts once the tasks \
         it needs have completed and there is room; you do not wait for it. What a prompt leaves open (model, permission_mode, \
         allowed_tools) is yours; more than yours is refused. Answers with the task's address.",
        "List the tasks of this job with their state, why they wait or failed, and what they need. Long lists come in pages: ask again with \
         `from` set to the answer's `next`.",
        "Set the result of your own task, any JSON value; tasks of the job file that need yours can use it. The last one counts.",
        "Tell the people who watch how far you are.",
        "Ask a person and wait for the answer, which may take hours. Ask only what you cannot decide by yourself.",
    ];
    let schemas =
        [schema::<QueueTask>(), schema::<ListTasks>(), schema::<SetResult>(), schema::<ReportProgress>(), schema::<AskHuman>()];
    let described = NAMES.into_iter().zip(texts).zip(schemas);
    described.map(|((name, text), schema)| Described { name, text, schema }).collect()
}

fn schema<T: JsonSchema>() -> Map<String, Value> {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    let mut object = schema.as_object_mut().map(std::mem::take).unwrap_or_default();
    object.remove("title");
    object
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QueueTask {
    /// The new task's id, unique in the job: letters, digits, `_` and `-`. Without it one is made up.
    id: Option<String>,
    /// Ids of tasks of this job that must complete first.
    #[serde(default)]
    needs: Vec<String>,
    /// What another Claude run should do. It knows nothing of this conversation.
    prompt: Option<String>,
    /// A program and its arguments, run without a shell.
    command: Option<Vec<String>>,
    /// A shell script.
    run: Option<String>,
    /// With `prompt`: the model.
    model: Option<String>,
    /// With `prompt`: plan, default, dontAsk, acceptEdits, auto or bypassPermissions, at most your own.
    permission_mode: Option<String>,
    /// With `prompt`: tool rules such as `Read` or `Bash(cargo *)`, within your own.
    #[serde(default)]
    allowed_tools: Vec<String>,
    /// With `prompt`: most turns, at least 1.
    max_turns: Option<u32>,
    /// With `prompt`: whether it gets these tools too.
    #[serde(default)]
    subtasks: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListTasks {
    /// Where to begin; default 0, the job's first task.
    from: Option<u32>,
    /// At most so many, 1 to 500; default 100.
    limit: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetResult {
    /// The result: any JSON value.
    value: Value,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReportProgress {
    /// Done so far.
    done: u64,
    /// Out of how many, when that is known; at least 1.
    total: Option<u64>,
    /// In words, at most 200 characters.
    text: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AskHuman {
    /// The question, with all that one must know to answer it.
    question: String,
    /// Answers to choose from; any other is possible too.
    #[serde(default)]
    options: Vec<String>,
}

/// The tools at work.
pub(super) struct Tools {
    attempt: Attempt,
    /// By what answers of a person are known; else why there can be none.
    seal: Result<String, String>,
    /// How often each definition without an id was queued by this process.
    queued: Mutex<HashMap<String, u32>>,
}

impl Tools {
    pub fn new(attempt: Attempt) -> Tools {
        let seal = question::public_seal(&attempt.directory).map_err(|error| error.to_string());
        Tools { attempt, seal, queued: Mutex::new(HashMap::new()) }
    }

    /// Does what one of the tools but `ask_human` does. May block for some seconds.
    pub fn call(&self, name: &str, arguments: Map<String, Value>) -> Said {
        match name {
            "queue_task" => self.queue_task(parse(arguments)?),
            "list_tasks" => self.list_tasks(&parse(arguments)?),
            "set_result" => {
                let SetResult { value } = parse(arguments)?;
                self.put(OutboxBody::Result(value), None, |_| "the result is set".to_owned())
            }
            "report_progress" => self.report_progress(parse(arguments)?),
            other => Err(format!("there is no tool `{other}`")),
        }
    }

    fn queue_task(&self, asked: QueueTask) -> Said {
        let task = added(asked)?;
        let queue = |task: AddedTask, key: &str| {
            self.put(OutboxBody::Add(Box::new(task)), Some(key), |taken| {
                taken.task.map_or_else(|| "queued".to_owned(), |address| format!("queued {address}"))
            })
        };
        if let Some(id) = task.id.clone() {
            return queue(task, &id);
        }
        let hash = hash(&task);
        let count = self.count(&hash, |count| *count += 1);
        // The colon keeps it apart from every id, and makes the manager derive a short one.
        let said = queue(task, &format!("mcp:{hash}:{count}"));
        if said.is_err() {
            self.count(&hash, |count| *count = count.saturating_sub(1));
        }
        said
    }

    /// How often this definition was queued without an id, after a change of that number.
    fn count(&self, hash: &str, change: impl FnOnce(&mut u32)) -> u32 {
        let mut queued = self.queued.lock().unwrap_or_else(PoisonError::into_inner);
        let count = queued.entry(hash.to_owned()).or_insert(0);
        change(count);
        let count = *count;
        if count == 0 {
            queued.remove(hash);
        }
        count
    }

    fn list_tasks(&self, asked: &ListTasks) -> Said {
        let limit = asked.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
        let from = asked.from.unwrap_or(0);
        let tell = |error: crate::api::client::ClientError| words(&Failure::from(error));
        let tasks = self.attempt.tasks(from, limit).map_err(tell)?;
        let next = tasks.last().map(|task| task.idx.saturating_add(1));
        let next = match next {
            Some(next) if !self.attempt.tasks(next, 1).map_err(tell)?.is_empty() => Some(next),
            _ => None,
        };
        let mut answer = json!({ "job": self.attempt.job, "you": self.attempt.task });
        answer["tasks"] = tasks.iter().map(row).collect();
        if let Some(next) = next {
            answer["next"] = next.into();
        }
        Ok(answer.to_string())
    }

    fn report_progress(&self, asked: ReportProgress) -> Said {
        if asked.total == Some(0) {
            return Err("total is 0: leave it out where it is not known".to_owned());
        }
        let ReportProgress { done, total, text } = asked;
        let text = text.filter(|text| !text.is_empty());
        self.put(OutboxBody::Progress(Progress { done, total, text }), None, |_| "noted".to_owned())
    }

    /// Asks a person. May block for some seconds, not until the answer comes.
    pub fn ask(&self, arguments: Map<String, Value>) -> Result<Asking, String> {
        let AskHuman { question, options } = parse(arguments)?;
        if question.trim().is_empty() {
            return Err("the question is empty".to_owned());
        }
        let public = self.seal.clone().map_err(|why| format!("nobody can answer here: {why}"))?;
        let key = format!("{ASK_KEY}{}", crate::os::random_hex(8));
        let question = Question { key: key.clone(), body: QuestionBody::Words { text: question, options } };
        if serde_json::to_string(&question).map_or(0, |text| text.len()) > MAX_QUESTION {
            return Err(format!("the question is longer than {MAX_QUESTION} bytes: write the rest into a file and name it"));
        }
        let waiting = question::waiting(&self.attempt.directory);
        self.put(OutboxBody::Ask(Box::new(question)), Some(&key), |_| String::new())?;
        let (directory, mark) = (self.attempt.directory.clone(), self.attempt.mark().to_owned());
        Ok(Asking { key, directory, mark, public, _waiting: waiting })
    }

    fn put(&self, body: OutboxBody, key: Option<&str>, done: impl FnOnce(crate::model::core::Taken) -> String) -> Said {
        match self.attempt.ask(body, key).map_err(|failure| words(&failure))? {
            Asked::Taken(taken) => Ok(done(taken)),
            Asked::Apart(_) => Ok("noted; airx takes it in without an answer: do not repeat it".to_owned()),
            Asked::Later(_) => {
                Ok("noted; airx cannot be asked from here now and takes it in as soon as it can: do not repeat it".to_owned())
            }
        }
    }
}

/// What a definition without an id is known by, together with how many of the same went before. Told by their number alone, a
/// run that is resumed or begun anew would name its first task like the first one of the attempt before, whatever it was.
fn hash(task: &AddedTask) -> String {
    use sha2::{Digest, Sha256};
    let text = serde_json::to_string(task).unwrap_or_default();
    Sha256::digest(text.as_bytes()).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

fn parse<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| format!("the arguments do not fit: {error}"))
}

/// The request as a task, as far as that can be told without the job.
fn added(asked: QueueTask) -> Result<AddedTask, String> {
    if let Some(id) = asked.id.as_deref().filter(|id| !is_name(id)) {
        return Err(format!("`{id}` is no task id: use 1 to 100 letters, digits, `_` and `-`"));
    }
    let QueueTask { id, needs, prompt, command, run, model, permission_mode, allowed_tools, max_turns, subtasks } = asked;
    let of_claude = model.is_some() || permission_mode.is_some() || !allowed_tools.is_empty() || max_turns.is_some() || subtasks;
    let action = match (prompt, command, run) {
        (Some(prompt), None, None) => Action::Claude(Box::new(ClaudeSpec {
            prompt,
            literal: true,
            model: model.filter(|model| !model.is_empty()),
            permission_mode,
            allowed_tools,
            max_turns,
            subtasks,
            ..ClaudeSpec::default()
        })),
        (None, Some(_), None) | (None, None, Some(_)) if of_claude => {
            return Err("model, permission_mode, allowed_tools, max_turns and subtasks go with `prompt` only".to_owned());
        }
        (None, Some(words), None) => {
            let (program, args) = words.split_first().ok_or("the command is empty")?;
            Action::Command { program: program.clone(), args: args.to_vec() }
        }
        (None, None, Some(script)) => Action::Run(script),
        _ => return Err("say what the task does by exactly one of `prompt`, `command` and `run`".to_owned()),
    };
    Ok(AddedTask { id, needs, action })
}

fn row(task: &TaskView) -> Value {
    let mut row = json!({ "id": task.id, "state": task.state.kind().word() });
    let why = print::harmless(&reason(task), MAX_WHY);
    if !why.is_empty() {
        row["why"] = why.into();
    }
    if !task.needs.is_empty() {
        row["needs"] = task.needs.iter().take(NAMED_NEEDS).map(String::as_str).collect();
    }
    if task.needs.len() > NAMED_NEEDS {
        row["further_needs"] = (task.needs.len() - NAMED_NEEDS).into();
    }
    row
}

fn words(failure: &Failure) -> String {
    if failure.hint.is_empty() { failure.message.clone() } else { format!("{} ({})", failure.message, failure.hint) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(arguments: Value) -> Result<AddedTask, String> {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        added(parse(arguments)?)
    }

    #[test]
    fn every_tool_is_described_with_a_schema_that_stands_alone() {
        for tool in all() {
            let text = serde_json::to_string(&tool.schema).unwrap();
            assert_eq!(tool.schema["type"], "object", "{text}");
            assert_eq!(tool.schema["additionalProperties"], false, "{text}");
            assert!(!text.contains("$ref") && !tool.text.is_empty(), "{text}");
            let properties = tool.schema["properties"].as_object().unwrap();
            assert!(properties.values().all(|property| property["description"].is_string()), "{text}");
        }
    }

    #[test]
    fn a_task_says_what_it_does_in_one_way() {
        let claude = |value| match task(value).unwrap().action {
            Action::Claude(claude) => *claude,
            other => panic!("{other:?}"),
        };
        let spec =
            claude(json!({ "prompt": "do", "model": "opus", "allowed_tools": ["Read"], "max_turns": 3, "subtasks": true }));
        assert!(spec.literal && spec.subtasks, "{spec:?}");
        assert_eq!((spec.model.as_deref(), spec.max_turns), (Some("opus"), Some(3)));
        let command = task(json!({ "id": "x", "needs": ["a"], "command": ["echo", "{{ x }}"] })).unwrap();
        assert_eq!(command.action, Action::Command { program: "echo".to_owned(), args: vec!["{{ x }}".to_owned()] });
        assert_eq!((command.id.as_deref(), command.needs.len()), (Some("x"), 1));
        for (arguments, why) in [
            (json!({}), "exactly one"),
            (json!({ "prompt": "x", "run": "x" }), "exactly one"),
            (json!({ "command": [] }), "empty"),
            (json!({ "run": "x", "model": "opus" }), "go with `prompt`"),
            (json!({ "id": "a b", "run": "x" }), "no task id"),
            (json!({ "prompt": 3 }), "do not fit"),
            (json!({ "prompt": "x", "auth": "env:SECRET" }), "unknown field `auth`"),
        ] {
            let refused = task(arguments.clone()).unwrap_err();
            assert!(refused.contains(why), "{arguments}: {refused}");
        }
    }
}
