//! A recording as a script: what happens to a pod, when, and whether it was the recorder's own doing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

/// What happens to one pod.
pub struct Script {
    /// By itself.
    pub life: Vec<Entry>,
    /// After the recorder's own DELETE.
    pub ending: Vec<Entry>,
    /// When that was.
    pub deleted_at: f64,
    /// The recorder removed a pod that was running or waiting, with grace 0.
    pub is_forced: bool,
    pub steps: usize,
}

/// Something at a time, in seconds from the POST on.
#[derive(Debug, Clone)]
pub struct Entry {
    pub at: f64,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    Step(Arc<Step>),
    Line(Vec<u8>),
    LogEnd,
    /// Followers are sent away and logs cannot be had, or they can be had again.
    LogsAway(bool),
    /// The API server is away, then forbids everything.
    Outage {
        down: f64,
        forbidden: f64,
    },
    Event(Value),
}

/// One change of the pod as it was told.
#[derive(Debug)]
pub struct Step {
    pub number: usize,
    pub status: Value,
    pub node: Option<String>,
    pub grace: Option<u64>,
    pub is_gone: bool,
    /// Its status is that of the step before.
    pub is_repeat: bool,
    pub times: Vec<Time>,
}

/// A time in a status: so long before the step in which it was first told.
#[derive(Debug)]
pub struct Time {
    pub pointer: String,
    pub step: usize,
    pub before: f64,
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kubernetes")
}

/// A file of a recording; none when it has none.
pub fn file(scenario: &str, name: &str) -> Option<Vec<u8>> {
    std::fs::read(fixtures().join(scenario).join(name)).ok()
}

pub fn json(scenario: &str, name: &str) -> Value {
    let bytes = file(scenario, name).unwrap_or_else(|| panic!("no recording {scenario}/{name}"));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{scenario}/{name}: {error}"))
}

/// The recorded watch: times and lines.
pub fn watched(scenario: &str) -> Vec<(f64, Value)> {
    let bytes = file(scenario, "watch.ndjson").unwrap_or_default();
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap_or_else(|error| panic!("{scenario}: {error}")));
    read.map(|line| (line["t"].as_f64().unwrap_or_default(), line)).collect()
}

/// Its changes of one pod, by the end of its name; of the only one there is without.
pub fn changes(scenario: &str, pod: Option<&str>) -> Vec<(f64, Value)> {
    let is_asked = |object: &Value| {
        let name = object["metadata"]["name"].as_str();
        object["kind"] == "Pod" && name.is_some_and(|name| pod.is_none_or(|pod| name.ends_with(&format!("{scenario}-{pod}"))))
    };
    let lines = watched(scenario).into_iter().map(|(at, line)| (at, line["line"].clone()));
    lines.filter(|(_, event)| is_asked(&event["object"]) && event["type"] != "BOOKMARK").collect()
}

impl Script {
    /// Of a scenario and one of its pods; read once.
    pub fn of(scenario: &str, pod: Option<&str>, by_somebody: bool) -> Arc<Script> {
        type Read = BTreeMap<(String, Option<String>, bool), Arc<Script>>;
        static READ: OnceLock<Mutex<Read>> = OnceLock::new();
        let mut read = READ.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let key = (scenario.to_owned(), pod.map(str::to_owned), by_somebody);
        read.entry(key).or_insert_with(|| Arc::new(Script::read(scenario, pod, by_somebody))).clone()
    }

    fn read(scenario: &str, pod: Option<&str>, by_somebody: bool) -> Script {
        let log_only = file(scenario, "watch.ndjson").is_none();
        // Recordings of logs alone have the series of a plain success.
        let series = if log_only { "limitrange-defaults" } else { scenario };
        let exchange = json(series, "exchange.json");
        let changes = changes(series, pod);
        assert!(!changes.is_empty(), "{scenario} tells of no pod {pod:?}");
        let posted = request(&exchange, "POST").unwrap_or(changes[0].0 - 0.01);
        let first = changes.iter().position(|(_, event)| !event["object"]["metadata"]["deletionTimestamp"].is_null());
        let own = first.filter(|first| is_own(&exchange, changes[*first].0, &changes[*first].1["object"]));
        let mut deleted_at = own.map(|first| request(&exchange, "DELETE").unwrap_or(changes[first].0 - 0.01));
        let start = start(series, &exchange);
        let mut entries = steps(&changes, start);
        if log_only {
            let later = own_log(scenario, &mut entries);
            deleted_at = deleted_at.map(|at| at + later);
        } else {
            log(scenario, pod, &exchange, start, &mut entries);
        }
        events(series, &changes[0].1["object"], start, &mut entries);
        if exchange["timeline"].is_array() {
            outages(scenario, &exchange, &mut entries);
        }
        entries.sort_by(|one, other| one.at.total_cmp(&other.at));
        let is_forced = own.is_some_and(|first| {
            let pod = &changes[first].1["object"];
            let is_over = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
            pod["metadata"]["deletionGracePeriodSeconds"] == 0 && !is_over && !pod["spec"]["nodeName"].is_null()
        });
        let split = deleted_at.filter(|_| !by_somebody).unwrap_or(f64::INFINITY);
        let is_life = |entry: &Entry| match &entry.what {
            What::Step(step) => own.is_none_or(|first| step.number < first) || by_somebody,
            _ => entry.at < split,
        };
        let (mut life, mut ending): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(is_life);
        for entry in life.iter_mut().chain(&mut ending) {
            entry.at -= posted;
        }
        Script { life, ending, deleted_at: deleted_at.unwrap_or_default() - posted, is_forced, steps: changes.len() }
    }

    /// Whether it says itself when its log ends.
    pub fn has_log_end(&self) -> bool {
        self.life.iter().chain(&self.ending).any(|entry| matches!(entry.what, What::LogEnd))
    }
}

/// When the recorder sent its first request of this method.
pub fn request(exchange: &Value, method: &str) -> Option<f64> {
    let mut all = exchange["requests"].as_array().into_iter().flatten();
    let found = all.find(|request| request["method"] == method && request["status"].as_u64().is_some_and(|status| status < 300));
    found.and_then(|request| request["t"].as_f64())
}

/// Whether the recorder's own DELETE led to this change, the first with a deletion. It was sent before, and everybody else who
/// deletes pods says so in a condition first. (Where the requests are not recorded the condition alone decides.)
pub fn is_own(exchange: &Value, at: f64, object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let is_disrupted = conditions.into_iter().any(|condition| condition["type"] == "DisruptionTarget");
    let was_asked = exchange["requests"].is_null() || request(exchange, "DELETE").is_some_and(|sent| sent <= at);
    was_asked && !is_disrupted
}

/// What the clock said when the recording began. Where it is not told, a line of a log is taken: when it was written and read.
fn start(scenario: &str, exchange: &Value) -> Timestamp {
    if let Some(start) = exchange["start"].as_str().and_then(|text| text.parse().ok()) {
        return start;
    }
    let log = &exchange["logs"]["log-before"];
    let (last, read) = (log["last"].as_str().unwrap_or_default(), log["last_read_t"].as_f64().unwrap_or_default());
    let written = stamped(last.as_bytes()).unwrap_or_else(|| panic!("{scenario}: no clock")).0;
    moved(written, -read)
}

/// A time so many seconds later.
pub fn moved(time: Timestamp, seconds: f64) -> Timestamp {
    let nanos = time.as_nanosecond() + (seconds * 1e9) as i128;
    Timestamp::from_nanosecond(nanos).unwrap_or(time)
}

fn since(start: Timestamp, time: Timestamp) -> f64 {
    (time.as_nanosecond() - start.as_nanosecond()) as f64 / 1e9
}

fn steps(changes: &[(f64, Value)], start: Timestamp) -> Vec<Entry> {
    let mut told: BTreeMap<String, (String, usize, f64)> = BTreeMap::new();
    let mut entries = Vec::new();
    for (number, (at, event)) in changes.iter().enumerate() {
        let object = &event["object"];
        let mut now = Vec::new();
        times(&object["status"], "", "", &mut now);
        let mut of_step = Vec::new();
        for (place, pointer, text) in now {
            let Ok(time) = text.parse::<Timestamp>() else { continue };
            if time.as_second() < 86_400 {
                continue;
            }
            let before = (at - since(start, time)).max(0.0);
            let known = told.get(&place).filter(|(old, ..)| *old == text).map(|(_, step, before)| (*step, *before));
            let (step, before) = known.unwrap_or((number, before));
            told.insert(place, (text, step, before));
            of_step.push(Time { pointer, step, before });
        }
        let step = Step {
            number,
            status: object["status"].clone(),
            node: object["spec"]["nodeName"].as_str().map(str::to_owned),
            grace: object["metadata"]["deletionGracePeriodSeconds"].as_u64(),
            is_gone: event["type"] == "DELETED",
            is_repeat: number > 0 && changes[number - 1].1["object"]["status"] == object["status"],
            times: of_step,
        };
        entries.push(Entry { at: *at, what: What::Step(Arc::new(step)) });
    }
    entries
}

/// All times in a value: by place (lists by what their entries are called), by pointer, and as text.
fn times(value: &Value, place: &str, pointer: &str, found: &mut Vec<(String, String, String)>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                times(value, &format!("{place}/{key}"), &format!("{pointer}/{key}"), found);
            }
        }
        Value::Array(all) => {
            for (at, value) in all.iter().enumerate() {
                let name = ["type", "name"].iter().find_map(|key| value.get(*key)?.as_str()).unwrap_or("?");
                times(value, &format!("{place}/{name}"), &format!("{pointer}/{at}"), found);
            }
        }
        Value::String(text) if text.len() == 20 && text.ends_with('Z') => {
            found.push((place.to_owned(), pointer.to_owned(), text.clone()));
        }
        _ => {}
    }
}

/// A line of a log with its time, and the rest.
pub fn stamped(line: &[u8]) -> Option<(Timestamp, &[u8])> {
    let blank = line.iter().position(|byte| *byte == b' ')?;
    let time = std::str::from_utf8(&line[..blank]).ok()?.parse().ok()?;
    Some((time, &line[blank + 1..]))
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = (Timestamp, Vec<u8>)> {
    bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| stamped(line).map(|(at, text)| (at, text.to_vec())))
}

fn log(scenario: &str, pod: Option<&str>, exchange: &Value, start: Timestamp, entries: &mut Vec<Entry>) {
    let mut all: BTreeMap<Timestamp, Vec<u8>> = BTreeMap::new();
    let is_asked = |target: &Value| {
        let target = target.as_str().unwrap_or_default();
        pod.is_none_or(|pod| target.contains(&format!("{scenario}-{pod}/log")))
    };
    for (name, of) in exchange["logs"].as_object().into_iter().flatten() {
        if is_asked(&of["target"]) {
            all.extend(lines(&file(scenario, &format!("{name}.txt")).unwrap_or_default()));
        }
        if of["end"] == "clean"
            && let Some(at) = of["end_t"].as_f64()
        {
            entries.push(Entry { at, what: What::LogEnd });
        }
    }
    for name in ["log-after", "log-of-the-pod-that-ended-meanwhile", "log-of-the-killed-pod", "log-of-the-finished-pod"] {
        let Some(bytes) = file(scenario, &format!("{name}.response.json")).filter(|_| pod.is_some()) else { continue };
        let response: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if is_asked(&response["request"]["target"]) {
            all.extend(lines(response["body"].as_str().unwrap_or_default().as_bytes()));
        }
    }
    fill_ticks(&mut all);
    entries.extend(all.into_iter().map(|(at, text)| Entry { at: since(start, at), what: What::Line(text) }));
}

/// Puts in the ticks between two that were recorded.
fn fill_ticks(all: &mut BTreeMap<Timestamp, Vec<u8>>) {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.strip_prefix("tick ")?.trim_end().parse::<u32>().ok();
    let ticks: Vec<(Timestamp, u32)> = all.iter().filter_map(|(at, text)| number(text).map(|number| (*at, number))).collect();
    for pair in ticks.windows(2) {
        let ((from, first), (to, last)) = (pair[0], pair[1]);
        for number in first + 1..last {
            let share = f64::from(number - first) / f64::from(last - first);
            all.insert(moved(from, since(from, to) * share), format!("tick {number}\n").into_bytes());
        }
    }
}

/// The lines of a recording of a log alone, put where a plain success runs; what follows waits for the last of them, so long.
fn own_log(scenario: &str, entries: &mut Vec<Entry>) -> f64 {
    let find = |entries: &[Entry], word: &str| {
        let mut all = entries.iter().filter_map(|entry| match &entry.what {
            What::Step(step) => Some((entry.at, step)),
            _ => None,
        });
        all.find(|(_, step)| !step.status["containerStatuses"][0]["state"][word].is_null()).map_or(0.0, |(at, _)| at)
    };
    let (running, ended) = (find(entries, "running"), find(entries, "terminated"));
    let lines: Vec<(Timestamp, Vec<u8>)> = lines(&file(scenario, "log.txt").unwrap_or_default()).collect();
    let first = lines.first().map_or(Timestamp::UNIX_EPOCH, |(at, _)| *at);
    let own: Vec<Entry> =
        lines.into_iter().map(|(at, text)| Entry { at: running + 0.05 + since(first, at), what: What::Line(text) }).collect();
    let last = own.last().map_or(running, |entry| entry.at);
    let more = (last + 0.1 - ended).max(0.0);
    for entry in entries.iter_mut().filter(|entry| entry.at >= ended) {
        entry.at += more;
    }
    entries.push(Entry { at: ended + more, what: What::LogEnd });
    entries.extend(own);
    more
}

fn events(scenario: &str, pod: &Value, start: Timestamp, entries: &mut Vec<Entry>) {
    let Some(bytes) = file(scenario, "events.json") else { return };
    let list: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let uid = &pod["metadata"]["uid"];
    let all = list["body"]["items"].as_array().into_iter().flatten();
    for event in all.filter(|event| event["involvedObject"]["uid"] == *uid) {
        let time = ["eventTime", "lastTimestamp", "firstTimestamp"].iter().find_map(|key| event[*key].as_str()?.parse().ok());
        if let Some(time) = time {
            entries.push(Entry { at: since(start, time), what: What::Event(event.clone()) });
        }
    }
}

/// What happened to the API server and to the node, from the recorder's own marks.
fn outages(scenario: &str, exchange: &Value, entries: &mut Vec<Entry>) {
    let mut down = None;
    for mark in exchange["timeline"].as_array().into_iter().flatten() {
        let (at, what) = (mark["t"].as_f64().unwrap_or_default(), mark["what"].as_str().unwrap_or_default());
        if what.contains("kube-apiserver killed") {
            down = Some(at);
        } else if what.contains("kubelet killed") || what.contains("node is taken down") {
            entries.push(Entry { at, what: What::LogsAway(true) });
        } else if what.contains("node is Ready") {
            entries.push(Entry { at, what: What::LogsAway(false) });
        }
    }
    let (mut forbidden, mut back) = (None, None);
    for (at, line) in watched(scenario) {
        if !line["client_error"].is_null() {
            down = down.or(Some(at));
        }
        match line["watch_open"]["status"].as_u64() {
            Some(403) => forbidden = Some(at),
            Some(200) if forbidden.is_some() => back = back.or(Some(at)),
            _ => {}
        }
    }
    if let (Some(down), Some(forbidden), Some(back)) = (down, forbidden, back) {
        entries.push(Entry { at: down, what: What::Outage { down: forbidden - down, forbidden: back - forbidden } });
    }
}
