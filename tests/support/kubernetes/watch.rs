//! Watches: what was there, then each change as it happens.

use std::io;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::faults::StreamFaults;
use super::http::{Connection, Request};
use super::pods::bad_version;
use super::refusal::{Cause, Refusal, invalid, too_old};
use super::selector::Selector;
use super::store::{Change, Cluster, State, What};

/// A watch waits no longer than this before it looks whether anybody is there.
const LOOK: Duration = Duration::from_millis(500);

/// What a request asks to be told.
pub struct Watch {
    selector: Selector,
    version: Option<u64>,
    has_bookmarks: bool,
    marks_initial: bool,
    time: Duration,
}

impl Watch {
    pub fn of(request: &Request, namespace: Option<&str>) -> Result<Watch, Refusal> {
        let selector = Selector::of(request, namespace)?;
        let version = match request.param("resourceVersion") {
            None | Some("" | "0") => None,
            Some(text) => Some(text.parse().map_err(|_| bad_version(text))?),
        };
        let is_initial = request.is_set("sendInitialEvents");
        if is_initial && request.param("resourceVersionMatch") != Some("NotOlderThan") {
            let message = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan".to_owned();
            let cause = Cause { reason: "FieldValueForbidden", field: "resourceVersionMatch".to_owned(), message };
            return Err(invalid("ListOptions.meta.k8s.io", "", &[cause]));
        }
        let has_bookmarks = request.is_set("allowWatchBookmarks");
        let seconds = request.param("timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(1800);
        let version = version.filter(|_| !is_initial);
        Ok(Watch {
            selector,
            version,
            has_bookmarks,
            marks_initial: is_initial && has_bookmarks,
            time: Duration::from_secs(seconds),
        })
    }

    /// Tells until time is up, the client goes, or something ends it. Whether the connection can go on.
    pub fn serve(&self, cluster: &Cluster, connection: &mut Connection, faults: &StreamFaults) -> io::Result<bool> {
        connection.framing = faults.framing;
        let start = Instant::now();
        let until = start + self.time;
        // What is there is looked at before the client hears that it watches.
        let state = cluster.state();
        let (version, oldest) = (state.version, state.oldest);
        let mut at = match self.version {
            None => state.history.len(),
            Some(asked) => state.history.partition_point(|change| change.version <= asked),
        };
        let initial = if self.version.is_none() { self.initial(&state) } else { Vec::new() };
        drop(state);
        connection.begin("application/json")?;
        let mut telling = Telling { connection, faults, told: 0, held: None };
        match self.version {
            _ if faults.is_silent => return telling.wait_out(cluster, until),
            Some(asked) if asked < oldest => {
                let error = json!({ "type": "ERROR", "object": too_old(asked, oldest) });
                telling.connection.send(format!("{error}\n").as_bytes())?;
                telling.connection.end()?;
                return Ok(true);
            }
            Some(asked) if asked > version => return telling.wait_out(cluster, until),
            _ => {}
        }
        if !telling.all(initial)? {
            return Ok(telling.faults.end.is_some_and(|(_, is_clean)| is_clean));
        }
        let mut state = cluster.state();
        let mut marks = self.marks(start, state.bookmarks);
        loop {
            let news: Vec<String> = state.history[at..].iter().filter_map(|change| self.told(change)).collect();
            at = state.history.len();
            let (version, has_ended, every) = (state.version, state.has_ended, state.bookmarks);
            drop(state);
            let has_news = !news.is_empty();
            if !telling.all(news)? {
                return Ok(telling.faults.end.is_some_and(|(_, is_clean)| is_clean));
            }
            let now = Instant::now();
            if now >= until || has_ended || telling.connection.is_gone() {
                telling.release()?;
                telling.connection.end()?;
                return Ok(true);
            }
            if marks.first().is_some_and(|mark| *mark <= now) {
                marks.remove(0);
                if marks.is_empty() || every < Duration::from_secs(60) {
                    marks = self.marks(now, every).into_iter().filter(|mark| *mark > now && *mark < until).collect();
                }
                telling.all(vec![bookmark(version, None)])?;
            }
            state = cluster.state();
            if !has_news && state.history.len() == at && !state.has_ended {
                let next = marks.first().map_or(until, |mark| (*mark).min(until));
                // What is held back to come later than its neighbour must not wait for ever.
                let longest = if telling.held.is_some() { Duration::from_millis(100) } else { LOOK };
                state = cluster.wait(state, next.saturating_duration_since(now).min(longest));
                if state.history.len() == at && telling.held.is_some() {
                    drop(state);
                    telling.release()?;
                    state = cluster.state();
                }
            }
        }
    }

    fn initial(&self, state: &State) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for ((namespace, name), pod) in &state.pods {
            if self.selector.fits(namespace, name, &pod.labels, &pod.object) {
                all.push(event(What::Added, &pod.object.to_string()));
            }
        }
        if self.marks_initial {
            all.push(bookmark(state.version, Some("true")));
        }
        all
    }

    /// A change as this selector sees it.
    fn told(&self, change: &Change) -> Option<String> {
        let fits = |labels| self.selector.fits_labels(&change.namespace, &change.name, labels);
        let what = match (change.what, fits(&change.before), fits(&change.after)) {
            (What::Added, _, true) => What::Added,
            (What::Modified, true, true) => What::Modified,
            (What::Modified, false, true) => What::Added,
            (What::Modified, true, false) | (What::Deleted, true, _) => What::Deleted,
            _ => return None,
        };
        Some(event(what, &change.text))
    }

    /// When bookmarks are due.
    fn marks(&self, from: Instant, every: Duration) -> Vec<Instant> {
        if !self.has_bookmarks {
            return Vec::new();
        }
        let mut marks = vec![from + every];
        if self.time >= Duration::from_secs(5) {
            marks.extend([2, 1].map(|before| from + self.time - Duration::from_secs(before)));
        }
        marks.sort();
        marks
    }
}

fn event(what: What, object: &str) -> String {
    format!("{{\"type\":\"{}\",\"object\":{object}}}\n", what.word())
}

fn bookmark(version: u64, is_end_of_initial: Option<&str>) -> String {
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if let Some(word) = is_end_of_initial {
        metadata["annotations"] = json!({ "k8s.io/initial-events-end": word });
    }
    let mut object =
        json!({ "kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": { "containers": null }, "status": {} });
    object["spec"]["containers"] = Value::Null;
    format!("{}\n", json!({ "type": "BOOKMARK", "object": object }))
}

/// Events on their way to a client, with what is to go wrong with them.
struct Telling<'a> {
    connection: &'a mut Connection,
    faults: &'a StreamFaults,
    told: usize,
    held: Option<String>,
}

impl Telling<'_> {
    /// Whether the stream goes on.
    fn all(&mut self, events: Vec<String>) -> io::Result<bool> {
        for event in events {
            if self.faults.end.is_some_and(|(after, _)| self.told >= after) {
                break;
            }
            if let Some(late) = self.faults.late {
                std::thread::sleep(late);
            }
            match self.held.take() {
                None if self.faults.is_swapped => self.held = Some(event),
                Some(before) => {
                    self.one(&event)?;
                    self.one(&before)?;
                }
                None => self.one(&event)?,
            }
            self.told += 1;
        }
        self.connection.flush()?;
        let Some((after, is_clean)) = self.faults.end else { return Ok(true) };
        if self.told < after {
            return Ok(true);
        }
        self.release()?;
        if is_clean {
            self.connection.end()?
        } else {
            self.connection.cut()
        }
        Ok(false)
    }

    fn one(&mut self, event: &str) -> io::Result<()> {
        self.connection.send(event.as_bytes())?;
        if self.faults.is_twice { self.connection.send(event.as_bytes()) } else { Ok(()) }
    }

    /// Sends what is held back.
    fn release(&mut self) -> io::Result<()> {
        match self.held.take() {
            Some(event) => self.one(&event).and_then(|()| self.connection.flush()),
            None => Ok(()),
        }
    }

    fn wait_out(&mut self, cluster: &Cluster, until: Instant) -> io::Result<bool> {
        while Instant::now() < until && !self.connection.is_gone() && !cluster.state().has_ended {
            cluster.pause(LOOK.min(until.saturating_duration_since(Instant::now())));
        }
        self.connection.end()?;
        Ok(true)
    }
}
