//! Keymaps from files: read, checked, laid over one another.

use std::collections::{BTreeMap, HashMap};

use super::{Binding, Chord, Keymap, Known, sequence_text};
use crate::config::layers::{Family, Faults, Layer, inside, place, quoted, words};
use crate::model::diagnostic::Diagnostic;
use crate::model::yaml::{Node, Value};

/// Longest sequence; nobody remembers more.
const MAX_CHORDS: usize = 4;
/// The scope whose actions may be bound anywhere.
const GLOBAL: &str = "global";
/// A scope that others share: its actions may be bound in each of them alone.
const SHARED: (&str, [&str; 3]) = ("task", ["tree", "pane", "graph"]);

/// A keymap by name, with all that is wrong; what is right holds regardless.
///
/// A user's file builds on its `base`, else on the embedded map of the same name, else on `default`.
pub fn load(
    name: &str,
    embedded: &[(&str, &str)],
    user: Option<(&str /*file*/, &str /*text*/)>,
    known: &Known,
) -> (Keymap, Vec<Diagnostic>) {
    let mut faults = Faults::default();
    let family = Family { kind: "keymap", default: "default", embedded };
    let mut table = Table::default();
    for layer in family.layers(name, user, &mut faults) {
        let lines = read(&layer, known, &mut faults);
        table.lay(&layer.file, lines, &mut faults);
    }
    let mut entries: Vec<_> = table.entries.into_iter().collect();
    entries.sort_by_key(|(_, entry)| entry.order);
    lost_to_terminals(&entries, &mut faults);
    let bindings = entries.into_iter().map(|((scope, keys), entry)| Binding { scope, keys, action: entry.action });
    (Keymap { bindings: bindings.collect() }, faults.into_sorted())
}

/// A line of a file that is right in itself.
struct Line {
    scope: &'static str,
    keys: Vec<Chord>,
    /// None unbinds.
    action: Option<&'static str>,
    at: (u32, u32),
}

fn read(layer: &Layer, known: &Known, faults: &mut Faults) -> Vec<Line> {
    let file = layer.file.as_str();
    let mut seen: HashMap<&str, u32> = HashMap::new();
    let mut lines = Vec::new();
    for (key, value) in &layer.entries {
        let name = key.text().unwrap_or_default();
        let Some(scope) = known.scopes.iter().find(|scope| **scope == name) else {
            let names = known.scopes.iter().copied().chain(["base"]);
            let hint = faults.near(name, names, &format!("scopes are {}", known.scopes.join(", ")));
            faults.add(file, place(key), format!("no scope is called {}", quoted(name)), hint);
            continue;
        };
        if let Some(first) = seen.insert(scope, key.line) {
            faults.add(file, place(key), format!("the scope `{scope}` is already given on line {first}"), "write them as one");
        }
        match &value.value {
            Value::Map(entries) => {
                for (keys, action) in entries {
                    lines.extend(read_line(file, scope, keys, action, known, faults));
                }
            }
            Value::Null => {}
            Value::Scalar { .. } | Value::List(_) => {
                let message = format!("a scope is a mapping of keys to actions, but this is {}", value.kind());
                faults.add(file, place(value), message, "write for example `\"x\": export` below it");
            }
        }
    }
    lines
}

fn read_line(file: &str, scope: &'static str, keys: &Node, action: &Node, known: &Known, faults: &mut Faults) -> Option<Line> {
    // Both are read before either is given up, so that both faults are told.
    let sequence = read_keys(file, keys, faults);
    let action = read_action(file, scope, action, known, faults);
    Some(Line { scope, keys: sequence?, action: action?, at: place(keys) })
}

fn read_keys(file: &str, node: &Node, faults: &mut Faults) -> Option<Vec<Chord>> {
    let Some(text) = node.text().filter(|text| !text.trim().is_empty()) else {
        faults.add(
            file,
            place(node),
            format!("keys are text, but this is {}", node.kind()),
            "put them in quotes: `\"x\"`, `\"space\"`",
        );
        return None;
    };
    let mut chords = Vec::new();
    let mut wrong = false;
    for (count, (offset, word)) in words(text).enumerate() {
        if count >= MAX_CHORDS {
            let message = format!("{} is longer than {MAX_CHORDS} chords", quoted(text));
            faults.add(file, place(node), message, "bind something shorter; the palette has every action");
            return None;
        }
        match word.parse::<Chord>() {
            Ok(chord) => chords.push(chord),
            Err(fault) => {
                wrong = true;
                faults.add(file, inside(node, offset), fault.message, fault.hint);
            }
        }
    }
    (!wrong).then_some(chords)
}

/// The action; an inner none unbinds.
fn read_action(file: &str, scope: &str, node: &Node, known: &Known, faults: &mut Faults) -> Option<Option<&'static str>> {
    let Some(name) = node.text() else {
        let message = format!("an action's name is needed, but this is {}", node.kind());
        faults.add(file, place(node), message, "`none` unbinds");
        return None;
    };
    if name == "none" {
        return Some(None);
    }
    let Some((action, home)) = known.actions.iter().find(|(action, _)| *action == name) else {
        let names = known.actions.iter().map(|(action, _)| *action).chain(["none"]);
        let hint = faults.near(name, names, "the palette lists all actions");
        faults.add(file, place(node), format!("no action is called {}", quoted(name)), hint);
        return None;
    };
    let shared = *home == SHARED.0 && SHARED.1.contains(&scope);
    if *home != scope && *home != GLOBAL && !shared {
        let message = format!("`{action}` means nothing in the scope `{scope}`");
        faults.add(file, place(node), message, format!("bind it in the scope `{home}`"));
        return None;
    }
    Some(Some(action))
}

type Keys = (&'static str, Vec<Chord>);

/// What holds so far.
struct Entry {
    action: &'static str,
    file: String,
    at: (u32, u32),
    layer: usize,
    /// Its place among all.
    order: usize,
}

/// Ordered, so that a sequence stands right before those that begin with it.
#[derive(Default)]
struct Table {
    entries: BTreeMap<Keys, Entry>,
    layer: usize,
    order: usize,
}

impl Table {
    /// Lays a file's lines over what holds.
    fn lay(&mut self, file: &str, lines: Vec<Line>, faults: &mut Faults) {
        self.layer += 1;
        // What is unbound goes first: it may make room for what is bound, wherever in the file it stands.
        let (bound, unbound): (Vec<Line>, Vec<Line>) = lines.into_iter().partition(|line| line.action.is_some());
        let mut gone: HashMap<Keys, u32> = HashMap::new();
        for line in unbound {
            let Line { scope, keys, at, .. } = line;
            let text = sequence_text(&keys);
            let pair = (scope, keys);
            if let Some(first) = gone.get(&pair) {
                twice(file, at, &text, scope, *first, faults);
                continue;
            }
            if self.entries.remove(&pair).is_none() {
                let elsewhere = self.entries.keys().find(|(_, keys)| *keys == pair.1);
                let hint = elsewhere.map_or_else(|| "leave it out".to_owned(), |(other, _)| format!("it is bound in `{other}`"));
                faults.add(file, at, format!("`{text}` is not bound in `{scope}`, so `none` changes nothing"), hint);
            }
            gone.insert(pair, at.0);
        }
        for line in bound {
            match gone.get(&(line.scope, line.keys.clone())) {
                Some(first) => twice(file, line.at, &sequence_text(&line.keys), line.scope, *first, faults),
                None => self.bind(file, line, faults),
            }
        }
    }

    fn bind(&mut self, file: &str, line: Line, faults: &mut Faults) {
        let Line { scope, keys, action: Some(action), at } = line else { return };
        let text = sequence_text(&keys);
        let pair = (scope, keys);
        if let Some(other) = self.entries.get(&pair).filter(|other| other.layer == self.layer) {
            return twice(file, at, &text, scope, other.at.0, faults);
        }
        for other in self.conflicts(&pair) {
            let Some(entry) = self.entries.get(&other) else { continue };
            let other_text = sequence_text(&other.1);
            let (short, long) = if pair.1.len() < other.1.len() { (&text, &other_text) } else { (&other_text, &text) };
            let what = format!("`{short}` is the beginning of `{long}` in `{scope}`, so only one of them can hold");
            if entry.layer == self.layer {
                let message = format!("{what}: `{other_text}` on line {} does", entry.at.0);
                return faults.add(file, at, message, "leave one out");
            }
            let message = format!("{what}: `{other_text}` in {}, line {}, is dropped", entry.file, entry.at.0);
            faults.add(file, at, message, format!("write `\"{other_text}\": none` too, if that is meant"));
            self.entries.remove(&other);
        }
        self.order += 1;
        let entry = Entry { action, file: file.to_owned(), at, layer: self.layer, order: self.order };
        self.entries.insert(pair, entry);
    }

    /// Sequences that this one begins with, or that begin with it; of the latter in this very file one is enough.
    fn conflicts(&self, (scope, keys): &Keys) -> Vec<Keys> {
        let shorter = (1..keys.len()).filter_map(|length| keys.get(..length)).map(|part| (*scope, part.to_vec()));
        let mut found: Vec<Keys> = shorter.filter(|pair| self.entries.contains_key(pair)).collect();
        for (pair, entry) in self.entries.range((*scope, keys.clone())..) {
            if pair.0 != *scope || !pair.1.starts_with(keys) {
                break;
            }
            if pair.1.len() > keys.len() {
                found.push(pair.clone());
                if entry.layer == self.layer {
                    break;
                }
            }
        }
        // A conflict in this file ends the matter, so nothing of another file is dropped for it.
        found.sort_by_key(|pair| self.entries.get(pair).is_none_or(|entry| entry.layer != self.layer));
        found
    }
}

fn twice(file: &str, at: (u32, u32), text: &str, scope: &str, first: u32, faults: &mut Faults) {
    faults.add(file, at, format!("`{text}` is already given in `{scope}` on line {first}, which holds"), "leave one out");
}

/// Tells of actions that cannot be reached where all their keys are taken on the way.
fn lost_to_terminals(entries: &[(Keys, Entry)], faults: &mut Faults) {
    let mut by_action: BTreeMap<&str, Vec<&(Keys, Entry)>> = BTreeMap::new();
    for entry in entries {
        by_action.entry(entry.1.action).or_default().push(entry);
    }
    for (action, entries) in by_action {
        if !entries.iter().all(|((_, keys), _)| keys.iter().any(|chord| chord.is_taken())) {
            continue;
        }
        // The user's own line comes last.
        if let Some(((_, keys), entry)) = entries.last() {
            let message =
                format!("`{}` is the only key of `{action}`, and many terminals, tmux or screen take it", sequence_text(keys));
            faults.add(&entry.file, entry.at, message, format!("bind another key to `{action}` too"));
        }
    }
}
