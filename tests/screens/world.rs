//! What a manager would know: jobs with their tasks, attempts and output, and its answers to what a screen asks.

#[path = "world/claude.rs"]
mod claude;

use std::collections::BTreeMap;
use std::path::PathBuf;

use airx::api::client::{ClientError, ClientErrorKind};
use airx::model::artifact::{ArtifactFacts, NamedArtifact};
use airx::model::attempt::Progress;
use airx::model::change::{AttemptFacts, Change, ClaudeFacts, Event, Seq};
use airx::model::ids::{Address, AttemptId, JobId, JobName, TaskIdx};
use airx::model::message::{
    AttemptView, EventView, JobDetail, JobView, MappingView, OutputPiece, OutputStream, OverviewView, PoolView, RefusalCode,
    TaskDetail, TaskView,
};
use airx::model::question::QuestionView;
use airx::model::spec::{Action, ClaudeSpec, Items, JobSpec, Mapping, OnFailure, Source, TaskDefaults, TaskSpec};
use airx::model::state::{Counts, FailCause, Hold, Outcome, SkipReason, TaskState};
use airx::model::time::Utc;
use airx::tui::data::sync::{Incoming, OutputKey, Request};

pub use claude::window;

/// 2023-11-14 22:13:20 UTC: the time at which every test begins.
pub const NOON: Utc = Utc(1_700_000_000_000);

pub const SECOND: u64 = 1_000;
pub const MINUTE: u64 = 60_000;
pub const HOUR: u64 = 3_600_000;

pub fn ago(millis: u64) -> Utc {
    NOON.plus(-i64::try_from(millis).unwrap())
}

/// The files of an attempt.
#[derive(Debug, Clone, Default)]
pub struct Files {
    pub out: Vec<u8>,
    pub err: Vec<u8>,
    pub index: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Task {
    pub view: TaskView,
    pub spec: TaskSpec,
    pub attempts: Vec<AttemptView>,
    pub files: BTreeMap<u32, Files>,
}

/// A task that waits for its turn, to be told more about.
pub fn task(id: &str) -> Task {
    Task {
        view: TaskView {
            item: None,
            instances: None,
            idx: 0,
            id: id.to_owned(),
            state: TaskState::Queued,
            why: None,
            attempts: 0,
            outcome: None,
            started: None,
            updated: ago(10 * MINUTE),
            elapsed_ms: None,
            cost_microusd: 0,
            progress: None,
            run: None,
            parent: None,
            needs: Vec::new(),
            pool: None,
            is_claude: false,
            mapping: None,
            is_finally: false,
        },
        spec: TaskSpec::new(id, Action::Run(format!("./{}.sh", id.replace('/', "-")))),
        attempts: Vec::new(),
        files: BTreeMap::new(),
    }
}

impl Task {
    fn attempt(&mut self, outcome: Option<Outcome>, for_ms: u64) {
        self.view.attempts += 1;
        let number = self.view.attempts;
        let over = outcome.is_some();
        let start = if over { ago(10 * MINUTE + for_ms) } else { ago(for_ms) };
        let end = start.plus(i64::try_from(for_ms).unwrap());
        let facts = over.then(|| AttemptFacts {
            started: Some(start),
            ended: Some(end),
            elapsed_ms: for_ms,
            cpu_ms: for_ms / 2,
            max_rss_kib: 20 << 10,
            ..AttemptFacts::default()
        });
        self.attempts.push(AttemptView {
            number,
            pool: "local".to_owned(),
            opened: start,
            closed: over.then_some(end),
            outcome: outcome.clone(),
            facts,
            session: None,
            dir: PathBuf::from(format!("/home/ann/.airx/attempts/{}/{number}", self.view.id.replace('/', "-"))),
        });
        self.view.started = Some(start);
        self.view.elapsed_ms = over.then_some(for_ms);
        self.view.outcome = outcome.or(self.view.outcome.take());
        self.files.insert(number, Files::default());
    }

    pub fn kept(mut self, names: &[&str]) -> Task {
        let named = names.iter().map(|name| NamedArtifact { name: (*name).to_owned(), bytes: 1_024 });
        let count = u32::try_from(names.len()).unwrap();
        let facts = ArtifactFacts { count, bytes: u64::from(count) * 1_024, named: named.collect() };
        self.attempts.last_mut().and_then(|attempt| attempt.facts.as_mut()).unwrap().artifacts = Some(facts);
        self
    }

    pub fn needs(mut self, ids: &[&str]) -> Task {
        self.view.needs = ids.iter().map(|id| (*id).to_owned()).collect();
        self.spec.needs.clone_from(&self.view.needs);
        self
    }

    pub fn pending(mut self, needs: &[&str]) -> Task {
        self.view.state = TaskState::Pending;
        self.needs(needs)
    }

    pub fn starting(mut self) -> Task {
        self.attempt(None, 0);
        (self.view.started, self.view.state) = (None, TaskState::Starting { attempt: self.view.attempts });
        self
    }

    pub fn running(mut self, for_ms: u64) -> Task {
        self.attempt(None, for_ms);
        self.view.state = TaskState::Running { attempt: self.view.attempts };
        self
    }

    pub fn asking(mut self, for_ms: u64) -> Task {
        self.attempt(None, for_ms);
        self.view.state = TaskState::AwaitingInput { attempt: self.view.attempts };
        self
    }

    pub fn cancelling(mut self, for_ms: u64) -> Task {
        self.attempt(None, for_ms);
        self.view.state = TaskState::Cancelling { attempt: self.view.attempts, kill: false };
        self
    }

    pub fn completed(mut self, for_ms: u64) -> Task {
        self.attempt(Some(Outcome::Succeeded), for_ms);
        self.view.state = TaskState::Completed;
        self
    }

    /// An attempt that failed; the task is failed unless more is told after it.
    pub fn failed(mut self, outcome: Outcome) -> Task {
        self.attempt(Some(outcome), 71 * SECOND);
        self.view.state = TaskState::Failed;
        self
    }

    pub fn exited(self, code: i32) -> Task {
        self.failed(Outcome::Failed { cause: FailCause::Exit(code) })
    }

    pub fn cancelled(mut self) -> Task {
        self.attempt(Some(Outcome::Cancelled), 3 * SECOND);
        self.view.state = TaskState::Cancelled;
        self
    }

    pub fn held(mut self, hold: Hold) -> Task {
        self.view.state = TaskState::Held { hold };
        self
    }

    /// Its attempt that goes on ends like this, for good.
    pub fn over(mut self, outcome: Outcome) -> Task {
        self.view.attempts -= 1;
        self.attempts.pop();
        match outcome {
            Outcome::Succeeded => self.completed(SECOND),
            outcome => self.failed(outcome),
        }
    }

    /// In a state that needs no attempt.
    pub fn in_state(mut self, state: TaskState) -> Task {
        self.view.state = state;
        self
    }

    /// A mapped task over what `discover` found.
    pub fn each(mut self, max_parallel: Option<u32>) -> Task {
        self.view.mapping = Some(MappingView { max_parallel });
        self.spec.each = Some(Mapping { over: Items::From("tasks.discover.result".to_owned()), max_parallel });
        self
    }

    /// An instance of a mapped task for this item.
    pub fn of(mut self, parent: &str, item: &str) -> Task {
        self.view.parent = Some(parent.to_owned());
        self.view.item = Some(item.to_owned());
        self
    }

    /// Runs when everything else is over.
    pub fn finally(mut self) -> Task {
        (self.view.state, self.view.is_finally, self.spec.finally) = (TaskState::Pending, true, true);
        self
    }

    pub fn skipped(mut self) -> Task {
        self.view.state = TaskState::Skipped { why: SkipReason::Stopped };
        self
    }

    pub fn upstream_failed(mut self, needs: &[&str]) -> Task {
        self.view.state = TaskState::UpstreamFailed;
        self.needs(needs)
    }

    pub fn below(mut self, parent: &str) -> Task {
        self.view.parent = Some(parent.to_owned());
        self
    }

    pub fn pool(mut self, pool: &str) -> Task {
        self.view.pool = Some(pool.to_owned());
        self.spec.pool = Some(pool.to_owned());
        self
    }

    pub fn cost(mut self, microusd: u64) -> Task {
        self.view.cost_microusd = microusd;
        self
    }

    pub fn progress(mut self, done: u64, total: Option<u64>, text: &str) -> Task {
        let text = (!text.is_empty()).then(|| text.to_owned());
        self.view.progress =
            Some(serde_json::from_value::<Progress>(serde_json::json!({"done": done, "total": total, "text": text})).unwrap());
        self
    }

    /// A Claude run whose newest attempt wrote this transcript.
    pub fn claude(mut self, transcript: &[u8]) -> Task {
        self.view.is_claude = true;
        self.spec.action = Action::Claude(Box::new(ClaudeSpec {
            prompt: "Fix these warnings and touch nothing else.".to_owned(),
            model: Some("claude-opus-4-8".to_owned()),
            permission_mode: Some("acceptEdits".to_owned()),
            allowed_tools: vec!["Read".to_owned(), "Edit".to_owned(), "Bash(cargo *)".to_owned()],
            ..ClaudeSpec::default()
        }));
        let newest = self.view.attempts;
        self.files.entry(newest).or_default().out = transcript.to_owned();
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.session = Some("7605ea43-9d63-4dd7-9eec-cf2e38914930".to_owned());
            if let Some(facts) = &mut attempt.facts {
                facts.claude = Some(ClaudeFacts {
                    session: attempt.session.clone(),
                    model: Some("claude-opus-4-8".to_owned()),
                    cost_microusd: self.view.cost_microusd,
                    input_tokens: 12_000,
                    output_tokens: 800,
                    turns: 3,
                    ..ClaudeFacts::default()
                });
            }
        }
        self
    }

    /// What the newest attempt wrote: pieces of stdout and stderr in order, a minute apart from 30 minutes ago on.
    pub fn wrote(mut self, pieces: &[(bool, &str)]) -> Task {
        let files = self.files.entry(self.view.attempts).or_default();
        for (number, (is_err, text)) in pieces.iter().enumerate() {
            if *is_err { &mut files.err } else { &mut files.out }.extend_from_slice(text.as_bytes());
            let at = ago(30 * MINUTE - u64::try_from(number).unwrap() * MINUTE);
            files.index.extend_from_slice(&[u8::from(*is_err), 0, 0, 0]);
            files.index.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
            files.index.extend_from_slice(&at.0.to_le_bytes());
        }
        self
    }

    pub fn printed(self, text: &str) -> Task {
        self.wrote(&[(false, text)])
    }

    /// Changes the definition.
    pub fn with(mut self, change: impl FnOnce(&mut TaskSpec)) -> Task {
        change(&mut self.spec);
        self
    }
}

#[derive(Debug, Clone)]
pub struct Job {
    pub view: JobView,
    pub spec: JobSpec,
    pub tasks: Vec<Task>,
}

/// What the fake says to commands.
#[derive(Debug, Clone)]
pub enum Says {
    /// Done, at once.
    Done,
    /// Refused, with why and what to do.
    No(&'static str, &'static str),
    /// Nothing yet.
    Nothing,
}

#[derive(Debug, Clone)]
pub struct World {
    pub jobs: Vec<Job>,
    pub overview: OverviewView,
    pub seq: Seq,
    pub says: Says,
    /// Whether reading is answered at all.
    pub is_slow: bool,
    /// What waits for a person.
    pub questions: Vec<QuestionView>,
    last_question: u32,
}

pub fn world() -> World {
    let pools = vec![PoolView { name: "local".to_owned(), slots: 4, used: 0, unreachable: None }];
    let overview = OverviewView { manager: Some(77), pools, ..OverviewView::default() };
    World { jobs: Vec::new(), overview, seq: Seq(100), says: Says::Done, is_slow: false, questions: Vec::new(), last_question: 0 }
}

impl World {
    /// One more job, newer than those before, with its state and its counts made of its tasks.
    pub fn job(mut self, name: &str, tasks: Vec<Task>) -> World {
        self.add(name, tasks);
        self
    }

    pub fn add(&mut self, name: &str, mut tasks: Vec<Task>) {
        let id = u32::try_from(self.jobs.len() + 1).unwrap();
        let number = 1 + u32::try_from(self.jobs.iter().filter(|job| job.view.name.name == name).count()).unwrap();
        for (idx, task) in tasks.iter_mut().enumerate() {
            task.view.idx = u32::try_from(idx).unwrap();
        }
        let text = format!("name: {name}\ntasks:\n  - {{ id: one, run: ./one.sh }}\n");
        let spec = JobSpec {
            name: name.to_owned(),
            description: None,
            pool: "local".to_owned(),
            workspace: PathBuf::from("/home/ann/shop"),
            max_parallel: 1,
            priority: 0,
            max_added: None,
            on_failure: OnFailure::Continue,
            params: BTreeMap::new(),
            env: BTreeMap::new(),
            passed_env: BTreeMap::new(),
            claude_env: BTreeMap::new(),
            budget: None,
            added_defaults: TaskDefaults::default(),
            scheduled: None,
            source: Some(Source {
                text,
                file: format!("{name}.yaml"),
                base: PathBuf::from("/home/ann/shop"),
                params: Vec::new(),
            }),
        };
        let view = JobView {
            id,
            name: JobName { name: name.to_owned(), number },
            state: Counts::default().job_state(),
            paused: false,
            stopped: false,
            priority: 0,
            tasks: Counts::default(),
            submitted: ago(HOUR),
            updated: ago(5 * MINUTE),
            cost_microusd: 0,
            mapped: None,
        };
        self.jobs.push(Job { view, spec, tasks });
        self.count(self.jobs.len() - 1);
    }

    /// Tells more about the newest job.
    pub fn with(mut self, change: impl FnOnce(&mut Job)) -> World {
        change(self.jobs.last_mut().unwrap());
        self
    }

    pub fn warning(mut self, text: &str) -> World {
        self.overview.warnings.push(text.to_owned());
        self
    }

    fn count(&mut self, job: usize) {
        let job = &mut self.jobs[job];
        (job.view.tasks, job.view.mapped) = (Counts::default(), None);
        job.tasks.iter().for_each(|task| job.view.tasks.add(task.view.state.kind()));
        for place in 0..job.tasks.len() {
            let id = Some(job.tasks[place].view.id.clone());
            if job.tasks[place].view.mapping.is_none() {
                continue;
            }
            let mut instances = Counts::default();
            let of_now = |task: &&Task| task.view.parent == id && task.view.item.is_some();
            job.tasks.iter().filter(of_now).for_each(|task| instances.add(task.view.state.kind()));
            let view = &mut job.tasks[place].view;
            view.instances = (instances.total() > 0).then_some(instances);
            if instances.total() > 0 && !matches!(view.state, TaskState::Pending | TaskState::Queued | TaskState::Skipped { .. })
            {
                job.view.mapped.get_or_insert_default().add(view.state.kind());
            }
        }
        job.view.state = job.view.tasks.job_state();
        job.view.cost_microusd = job.tasks.iter().map(|task| task.view.cost_microusd).sum();
    }

    /// Everything, as after a connection was made.
    pub fn reset(&self) -> Incoming {
        let jobs = self.jobs.iter().map(|job| job.view.clone()).collect();
        Incoming::Reset { overview: Box::new(self.overview.clone()), jobs, seq: self.seq, more: false }
    }

    /// A task goes on to what `next` makes of it; the news of that.
    pub fn moves(&mut self, job: u32, id: &str, next: impl FnOnce(Task) -> Task) -> Incoming {
        let place = self.jobs[job as usize - 1].tasks.iter().position(|task| task.view.id == id).unwrap();
        let before = self.jobs[job as usize - 1].tasks[place].clone();
        let after = next(before.clone());
        let attempt = AttemptId { job: JobId(job), task: TaskIdx(u32::try_from(place).unwrap()), number: after.view.attempts };
        let mut changes = Vec::new();
        if after.view.attempts > before.view.attempts {
            changes.push(Change::AttemptOpened { attempt, pool: "local".to_owned(), session: None, resumes: false });
            changes.push(Change::AttemptStarted { attempt });
        }
        match after.attempts.last() {
            Some(AttemptView { outcome: Some(outcome), facts: Some(facts), .. }) => changes.push(Change::AttemptClosed {
                attempt,
                outcome: outcome.clone(),
                facts: Box::new(facts.clone()),
                state: after.view.state.clone(),
            }),
            _ => changes.push(Change::TaskMoved { job: JobId(job), task: attempt.task, state: after.view.state.clone() }),
        }
        self.jobs[job as usize - 1].tasks[place] = after;
        self.count(job as usize - 1);
        self.news(job, changes)
    }

    /// A task that another one queues at run time.
    pub fn adds(&mut self, job: u32, mut task: Task) -> Incoming {
        let parent = task.view.parent.clone().and_then(|parent| self.place(job, &parent));
        let place = u32::try_from(self.jobs[job as usize - 1].tasks.len()).unwrap();
        task.view.idx = place;
        let change = Change::TaskAdded {
            job: JobId(job),
            task: TaskIdx(place),
            spec: std::sync::Arc::new(task.spec.clone()),
            origin: Some(airx::model::change::Origin {
                parent: parent.map(TaskIdx),
                key: "k".to_owned(),
                depth: 1,
                digest: String::new(),
            }),
            state: task.view.state.clone(),
        };
        self.jobs[job as usize - 1].tasks.push(task);
        self.count(job as usize - 1);
        self.news(job, vec![change])
    }

    /// A mapped task's list becomes known, or is another one: what there is begins anew, the rest comes behind all other tasks.
    pub fn expands(&mut self, job: u32, id: &str, items: &[&str]) -> Incoming {
        let parent = self.place(job, id).unwrap();
        let tasks = &mut self.jobs[job as usize - 1].tasks;
        let known = tasks.iter().filter(|task| task.view.parent.as_deref() == Some(id)).count();
        for (number, task) in tasks.iter_mut().filter(|task| task.view.parent.as_deref() == Some(id)).enumerate() {
            let item = items.get(number).map(|item| (*item).to_owned());
            task.view.state = if item.is_some() { TaskState::Queued } else { TaskState::Skipped { why: SkipReason::Gone } };
            task.view.item = item;
        }
        for (number, item) in items.iter().enumerate().skip(known) {
            let idx = u32::try_from(tasks.len()).unwrap();
            let mut new = task(&format!("{id}/{number}")).of(id, item);
            new.view.idx = idx;
            tasks.push(new);
        }
        tasks[parent as usize].view.state = TaskState::Mapped { instances: u32::try_from(items.len()).unwrap() };
        self.count(job as usize - 1);
        let items = std::sync::Arc::new(items.iter().map(|item| (*item).into()).collect());
        self.news(job, vec![Change::TaskExpanded { job: JobId(job), task: TaskIdx(parent), items }])
    }

    fn place(&self, job: u32, id: &str) -> Option<u32> {
        let found = self.jobs.get(job as usize - 1)?.tasks.iter().position(|task| task.view.id == id)?;
        u32::try_from(found).ok()
    }

    fn news(&mut self, job: u32, changes: Vec<Change>) -> Incoming {
        let mut events = Vec::new();
        for change in changes {
            self.seq = Seq(self.seq.0 + 1);
            let rows = &self.jobs[job as usize - 1];
            let task = change.task().and_then(|place| Some(rows.tasks.get(place.0 as usize)?.view.id.clone()));
            let name = Some(rows.view.name.clone());
            events.push(EventView { seq: self.seq, job: name, task, event: Event { at: NOON, change } });
        }
        let jobs = vec![self.jobs[job as usize - 1].view.clone()];
        Incoming::Changes { events, jobs, overview: Box::new(self.overview.clone()), seq: self.seq }
    }

    /// The news of a job that was just added.
    pub fn submitted(&mut self, name: &str, tasks: Vec<Task>) -> Incoming {
        self.add(name, tasks);
        let job = u32::try_from(self.jobs.len()).unwrap();
        self.news(job, Vec::new())
    }

    fn find(&self, address: &Address) -> Option<(&Job, Option<&Task>)> {
        let job = self.jobs.iter().rev().find(|job| {
            job.view.name.name == address.job.name && address.job.number.is_none_or(|number| number == job.view.name.number)
        })?;
        match &address.task {
            None => Some((job, None)),
            Some(id) => Some((job, Some(job.tasks.iter().find(|task| task.view.id == *id)?))),
        }
    }

    /// The answer to what is asked.
    pub fn answer(&self, request: Request) -> Option<Incoming> {
        if self.is_slow {
            return None;
        }
        Some(match request {
            Request::Tasks { job: (id, _), from } => {
                let tasks = self.jobs[id as usize - 1].tasks.iter().skip(from as usize).take(1_000).map(|task| task.view.clone());
                Incoming::Tasks { job: id, from, tasks: tasks.collect(), seq: self.seq }
            }
            Request::Job(id, _) => {
                let job = &self.jobs[id as usize - 1];
                Incoming::Job(
                    id,
                    Ok(Box::new(JobDetail { job: job.view.clone(), spec: job.spec.clone(), params_set: Vec::new() })),
                )
            }
            Request::Task(address) => {
                let found = match self.find(&address) {
                    Some((job, Some(task))) => Ok(Box::new(TaskDetail {
                        job: job.view.name.clone(),
                        task: task.view.clone(),
                        spec: task.spec.clone(),
                        item: task.view.item.clone().map(|item| serde_json::from_str(&item).unwrap_or(item.into())),
                        by_hand: None,
                        attempts: task.attempts.clone(),
                        result: None,
                        approval: self.approval(&job.view.name, &task.view.id),
                    })),
                    _ => Err(refused(RefusalCode::NotFound, "no such task", "")),
                };
                Incoming::Task(address, found)
            }
            Request::Events(address, place) => {
                let events = self.events(&address, place);
                Incoming::Events(address, Ok(events))
            }
            Request::Questions => Incoming::Questions(Ok(self.questions.clone())),
            Request::Output(key, limit) => {
                let piece = self.piece(&key, limit);
                Incoming::Output(key, piece)
            }
        })
    }

    /// A short life story, made of what is known.
    fn events(&self, address: &Address, place: Option<u32>) -> Vec<EventView> {
        let Some((job, _)) = self.find(address) else { return Vec::new() };
        let mut events = Vec::new();
        let mut add = |task: Option<&Task>, at: Utc, change: Change| {
            let seq = Seq(u64::try_from(events.len()).unwrap() + 1);
            let (name, task) = (Some(job.view.name.clone()), task.map(|task| task.view.id.clone()));
            events.push(EventView { seq, job: name, task, event: Event { at, change } });
        };
        if place.is_none() {
            let spec = std::sync::Arc::new(job.spec.clone());
            add(
                None,
                job.view.submitted,
                Change::JobSubmitted { job: JobId(job.view.id), name: job.view.name.clone(), spec, key: None },
            );
        }
        for task in job.tasks.iter().filter(|task| place.is_none_or(|place| place == task.view.idx)) {
            for view in &task.attempts {
                let attempt = AttemptId { job: JobId(job.view.id), task: TaskIdx(task.view.idx), number: view.number };
                add(
                    Some(task),
                    view.opened,
                    Change::AttemptOpened { attempt, pool: view.pool.clone(), session: None, resumes: false },
                );
                add(Some(task), view.opened, Change::AttemptStarted { attempt });
                if let (Some(at), Some(outcome)) = (view.closed, &view.outcome) {
                    let facts = Box::new(view.facts.clone().unwrap_or_default());
                    add(
                        Some(task),
                        at,
                        Change::AttemptClosed { attempt, outcome: outcome.clone(), facts, state: task.view.state.clone() },
                    );
                }
            }
            let state = task.view.state.clone();
            add(
                Some(task),
                task.view.updated,
                Change::TaskMoved { job: JobId(job.view.id), task: TaskIdx(task.view.idx), state },
            );
        }
        events
    }

    fn piece(&self, key: &OutputKey, limit: u32) -> Result<OutputPiece, ClientError> {
        let gone = || refused(RefusalCode::NotFound, "the output is not there any more", "");
        let Some((_, Some(task))) = self.find(&key.task) else { return Err(gone()) };
        let files = task.files.get(&key.attempt).ok_or_else(gone)?;
        let file = match key.stream {
            OutputStream::Out => &files.out,
            OutputStream::Err => &files.err,
            OutputStream::Index => &files.index,
            OutputStream::Gate => return Err(gone()),
        };
        let start = usize::try_from(key.offset).unwrap().min(file.len());
        let end = (start + limit as usize).min(file.len());
        let over = task.attempts.iter().any(|attempt| attempt.number == key.attempt && attempt.outcome.is_some());
        let size = u64::try_from(file.len()).unwrap();
        Ok(OutputPiece { attempt: key.attempt, offset: key.offset, data: file[start..end].to_vec(), size, over })
    }
}

pub fn refused(code: RefusalCode, message: &str, hint: &str) -> ClientError {
    ClientError { kind: ClientErrorKind::Refused(code), message: message.to_owned(), hint: hint.to_owned() }
}

pub fn lost() -> ClientError {
    let cause = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    ClientError::lost("waiting for news", &cause)
}
