//! The list of things to do, as the main thread keeps it with its tools.
//!
//! `TodoWrite` writes the whole list at once. `TaskCreate` and `TaskUpdate`, which have replaced it (seen with 2.1.197), add
//! and change one item; an item's number is told only by the result of the call that created it.

use serde::Deserialize;

use super::json::{Loose, Object, UpTo};
use super::text::clip;
use crate::model::conversation::TodoState;

/// Most items kept.
const MAX_ITEMS: usize = 200;
/// Longest text of an item, and longest id.
const MAX_WORDS: usize = 500;

/// The list.
#[derive(Debug, Default)]
pub(super) struct Todo {
    items: Vec<Item>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// How far it is.
    pub(super) state: TodoState,
    /// What is to be done.
    pub(super) text: String,
    /// The same as something going on ("Writing tests"); may be empty.
    doing: String,
    key: Key,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    /// Of a list that is written as a whole.
    None,
    /// Created by this call, whose result has not come.
    Call(String),
    /// The number by which it is changed.
    Task(String),
}

/// The input of any of the tools.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Input {
    todos: UpTo<MAX_ITEMS, Object<Entry>>,
    subject: Loose,
    #[serde(rename = "activeForm")]
    active_form: Loose,
    #[serde(rename = "taskId")]
    task_id: Loose,
    status: Loose,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    content: Loose,
    status: Loose,
    #[serde(rename = "activeForm")]
    active_form: Loose,
}

/// The structured result (`tool_use_result`) of `TaskCreate`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Created {
    task: Object<Task>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Task {
    id: Loose,
}

impl Todo {
    /// Whether a tool of this name changes the list.
    pub(super) fn is_tool(name: &str) -> bool {
        matches!(name, "TodoWrite" | "TaskCreate" | "TaskUpdate")
    }

    /// Takes a call of such a tool.
    pub(super) fn call(&mut self, name: &str, call: &str, input: &Input) {
        match name {
            "TodoWrite" => self.items = input.todos.0.iter().map(|Object(entry)| entry.item()).collect(),
            "TaskCreate" if self.items.len() < MAX_ITEMS => self.items.push(Item {
                state: TodoState::Pending,
                text: words(&input.subject),
                doing: words(&input.active_form),
                key: Key::Call(clip(call, MAX_WORDS).to_owned()),
            }),
            "TaskUpdate" => self.update(input),
            _ => {}
        }
    }

    fn update(&mut self, input: &Input) {
        let key = Key::Task(id(&input.task_id));
        let Some(at) = self.items.iter().position(|item| item.key == key) else { return };
        if input.status.text() == Some("deleted") {
            self.items.remove(at);
            return;
        }
        let item = &mut self.items[at];
        if let Some(status) = input.status.text() {
            item.state = state(status);
        }
        if input.subject.text().is_some() {
            item.text = words(&input.subject);
        }
        if input.active_form.text().is_some() {
            item.doing = words(&input.active_form);
        }
    }

    /// Whether the result of a call is waited for.
    pub(super) fn waits(&self) -> bool {
        self.items.iter().any(|item| matches!(item.key, Key::Call(_)))
    }

    /// Takes the result of a call; those of other tools change nothing.
    pub(super) fn result(&mut self, call: &str, is_error: bool, created: &Created) {
        let key = Key::Call(clip(call, MAX_WORDS).to_owned());
        let Some(at) = self.items.iter().position(|item| item.key == key) else { return };
        if is_error {
            self.items.remove(at);
        } else {
            self.items[at].key = Key::Task(id(&created.task.0.id));
        }
    }

    /// The list in order.
    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// How many are done, and the active one in words.
    pub(super) fn progress(&self) -> (usize, &str) {
        let done = self.items.iter().filter(|item| item.state == TodoState::Done).count();
        let active = self.items.iter().find(|item| item.state == TodoState::Active);
        (done, active.map_or("", |item| if item.doing.is_empty() { &item.text } else { &item.doing }))
    }
}

impl Entry {
    fn item(&self) -> Item {
        Item {
            state: state(self.status.text().unwrap_or_default()),
            text: words(&self.content),
            doing: words(&self.active_form),
            key: Key::None,
        }
    }
}

fn state(status: &str) -> TodoState {
    match status {
        "completed" => TodoState::Done,
        "in_progress" => TodoState::Active,
        _ => TodoState::Pending,
    }
}

fn words(value: &Loose) -> String {
    clip(value.text().unwrap_or_default(), MAX_WORDS).to_owned()
}

/// Numbers are texts as a rule, but a model may write them bare.
fn id(value: &Loose) -> String {
    match value {
        Loose::Number(number) => number.to_string(),
        _ => words(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(todo: &mut Todo, name: &str, id: &str, input: serde_json::Value) {
        todo.call(name, id, &serde_json::from_value(input).expect("an input"));
    }

    fn created(number: &str) -> Created {
        serde_json::from_value(json!({"task": {"id": number, "subject": "s"}})).expect("a result")
    }

    #[test]
    fn a_list_written_as_a_whole_replaces_the_one_before() {
        let mut todo = Todo::default();
        call(&mut todo, "TodoWrite", "a", json!({"todos": [{"content": "old", "status": "pending"}]}));
        let items = json!([
            {"content": "Read", "status": "completed", "activeForm": "Reading"},
            {"content": "Write", "status": "in_progress", "activeForm": "Writing"},
            "no object",
        ]);
        call(&mut todo, "TodoWrite", "b", json!({"todos": items}));
        assert_eq!(todo.progress(), (1, "Writing"));
        assert_eq!(todo.items().len(), 3);
        assert!(!todo.waits());
    }

    #[test]
    fn items_created_one_by_one_are_changed_by_the_number_of_their_result() {
        let mut todo = Todo::default();
        call(&mut todo, "TaskCreate", "a", json!({"subject": "Read"}));
        call(&mut todo, "TaskCreate", "b", json!({"subject": "Write", "activeForm": "Writing"}));
        call(&mut todo, "TaskCreate", "c", json!({"subject": "refused"}));
        assert!(todo.waits());
        todo.result("b", false, &created("2"));
        todo.result("a", false, &created("1"));
        todo.result("c", true, &Created::default());
        assert!(!todo.waits());
        call(&mut todo, "TaskUpdate", "d", json!({"taskId": 2, "status": "in_progress"}));
        call(&mut todo, "TaskUpdate", "e", json!({"taskId": "1", "status": "completed"}));
        call(&mut todo, "TaskUpdate", "f", json!({"taskId": "7", "status": "completed"}));
        assert_eq!((todo.items().len(), todo.progress()), (2, (1, "Writing")));
        call(&mut todo, "TaskUpdate", "g", json!({"taskId": "2", "status": "deleted"}));
        assert_eq!((todo.items().len(), todo.progress()), (1, (1, "")));
    }

    #[test]
    fn the_list_has_a_bound() {
        let mut todo = Todo::default();
        for number in 0..2 * MAX_ITEMS {
            call(&mut todo, "TaskCreate", &number.to_string(), json!({"subject": "x".repeat(2 * MAX_WORDS)}));
        }
        assert_eq!(todo.items().len(), MAX_ITEMS);
        assert!(todo.items().iter().all(|item| item.text.len() == MAX_WORDS));
    }
}
