//! A notice in words, and in a notifier's templates.

use serde_json::Value;

use crate::model::change::Seq;
use crate::model::diagnostic::harmless;
use crate::model::template::{Insertion, RenderError, render_names};

use super::{Kind, Notice, Notifier, Webhook};

/// Names that the templates of notifiers know.
pub const NAMES: [&str; 10] = ["event", "job", "task", "outcome", "reason", "cost", "count", "title", "text", "home"];
/// Longest value in a notice, in characters.
const MAX_VALUE: usize = 4_000;

/// A notice ready to be told: every value by its name, as one line that no terminal obeys.
#[derive(Debug, Clone, PartialEq)]
pub struct Words {
    names: Vec<(&'static str, Value)>,
}

impl Words {
    /// What `notifier` tells about `notice` of the home at this path.
    ///
    /// # Errors
    /// [`RenderError`] when the notifier's own title or text cannot be rendered.
    pub fn new(notifier: &Notifier, notice: &Notice, home: &str) -> Result<Words, RenderError> {
        let line = |text: &str| Value::from(clean(text));
        let cost = f64::from(u32::try_from(notice.cost_microusd / 100).unwrap_or(u32::MAX)) / 10_000.0;
        let names = vec![
            ("event", line(notice.kind.word())),
            ("job", line(&notice.job)),
            ("task", line(&notice.task)),
            ("outcome", line(&notice.outcome)),
            ("reason", line(&notice.reason)),
            ("cost", Value::from(cost)),
            ("count", Value::from(notice.count)),
            ("title", line(&title(notice))),
            ("text", line(&text(notice))),
            ("home", line(home)),
        ];
        let mut words = Words { names };
        let own = |words: &Words, template: &Option<String>| template.as_ref().map(|text| words.render(text)).transpose();
        let (title, text) = (own(&words, &notifier.title)?, own(&words, &notifier.text)?);
        for (name, value) in [("title", title), ("text", text)] {
            if let (Some(value), Some(entry)) = (value, words.names.iter_mut().find(|(known, _)| *known == name)) {
                entry.1 = line(&value);
            }
        }
        Ok(words)
    }

    /// A template with these values.
    ///
    /// # Errors
    /// [`RenderError`] when an expression is wrong or names something that is not there.
    pub fn render(&self, template: &str) -> Result<String, RenderError> {
        render_names(template, &self.names, Insertion::Plain)
    }

    /// The body of a request.
    ///
    /// # Errors
    /// As [`Words::render`].
    pub fn body(&self, webhook: &Webhook) -> Result<String, RenderError> {
        match &webhook.body {
            None => {
                Ok(Value::Object(self.names.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
                    .to_string())
            }
            Some(template) if webhook.is_json() => render_names(template, &self.names, Insertion::Json),
            Some(template) => self.render(template),
        }
    }

    /// What a command finds in its environment: each name in capitals after `AIRX_`.
    pub fn variables(&self) -> Vec<(String, String)> {
        self.names.iter().map(|(name, value)| (format!("AIRX_{}", name.to_ascii_uppercase()), plain(value))).collect()
    }

    /// The value of one of [`NAMES`]; empty for any other.
    pub fn get(&self, name: &str) -> String {
        self.names.iter().find(|(known, _)| *known == name).map_or_else(String::new, |(_, value)| plain(value))
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn clean(text: &str) -> String {
    let mut line = harmless(text.replace('\n', " "));
    if let Some((end, _)) = line.char_indices().nth(MAX_VALUE) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// A notice to try a notifier with: its values hold what breaks JSON that is put together carelessly.
pub fn sample(kind: Kind) -> Notice {
    Notice {
        seq: Seq(1),
        kind,
        count: 1,
        job: "test.1".to_owned(),
        jobs: 1,
        task: "notify".to_owned(),
        outcome: "failed".to_owned(),
        reason: "only a test, with \"quotes\" and a \\".to_owned(),
        cost_microusd: 1_230_000,
    }
}

/// The heading when a notifier has no template of its own.
pub fn title(notice: &Notice) -> String {
    let what = match notice.kind {
        Kind::Question => "a question waits",
        Kind::Limited => "usage limit",
        Kind::Auth => "a login is needed",
        Kind::Budget => "budget exceeded",
        Kind::Failed => "task failed",
        Kind::Completed => "task completed",
        Kind::JobFailed => "job failed",
        Kind::JobCancelled => "job cancelled",
        Kind::JobCompleted => "job completed",
    };
    format!("airx: {what}")
}

/// The line when a notifier has no template of its own. It never begins with `-`, so that no program takes it for an option.
pub fn text(notice: &Notice) -> String {
    let Notice { count, job, task, reason, .. } = notice;
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let many = |what: &str| match notice.jobs {
        0 => format!("{count} {what}"),
        1 => format!("{count} {what} in {job}"),
        jobs => format!("{count} {what} in {jobs} jobs"),
    };
    match (notice.kind, count) {
        (Kind::Question, 0 | 1) => format!("task {job}/{task} asks{because}"),
        (Kind::Question, _) => many("questions wait"),
        (Kind::Limited | Kind::Auth, 0 | 1) => format!("tasks wait{because}"),
        (Kind::Limited, _) => many("usage limits were reached"),
        (Kind::Auth, _) => many("logins are needed"),
        (Kind::Budget, 0 | 1) => format!("task {job}/{task} was stopped{because}"),
        (Kind::Budget, _) => many("tasks were stopped by their budget"),
        (Kind::Failed, 0 | 1) => format!("task {job}/{task} failed{because}"),
        (Kind::Failed, _) => many("tasks failed"),
        (Kind::Completed, 0 | 1) => format!("task {job}/{task} completed"),
        (Kind::Completed, _) => many("tasks completed"),
        (Kind::JobFailed | Kind::JobCancelled | Kind::JobCompleted, 0 | 1) => format!("job {job} {}{because}", notice.outcome),
        (Kind::JobFailed | Kind::JobCancelled | Kind::JobCompleted, _) => format!("{count} jobs {}", notice.outcome),
    }
}

/// The host of an address, without what may be secret in it.
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// What is wrong with a notifier's templates, by trying them; each with the name of its key.
pub fn faults(notifier: &Notifier) -> Vec<(&'static str, String)> {
    use super::Means;
    let mut faults = Vec::new();
    let bare = Notifier { title: None, text: None, ..notifier.clone() };
    let Ok(words) = Words::new(&bare, &sample(Kind::Failed), "/home") else { return faults };
    let mut keyed: Vec<(&'static str, &String)> = Vec::new();
    keyed.extend(notifier.title.iter().map(|template| ("title", template)));
    keyed.extend(notifier.text.iter().map(|template| ("text", template)));
    match &notifier.means {
        Means::Command(argv) => keyed.extend(argv.iter().map(|template| ("command", template))),
        Means::Webhook(webhook) => keyed.extend(webhook.body.iter().map(|template| ("body", template))),
        Means::Run(_) | Means::Terminal(_) => {}
    }
    faults.extend(keyed.into_iter().filter_map(|(key, template)| Some((key, words.render(template).err()?.message))));
    if let Means::Webhook(webhook) = &notifier.means
        && webhook.is_json()
        && let Ok(body) = words.body(webhook)
        && let Err(error) = serde_json::from_str::<Value>(&body)
    {
        faults.push(("body", format!("with its values the body is no JSON: {error}")));
    }
    faults
}
