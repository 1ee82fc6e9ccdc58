//! The reading side of `outbox/`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::directory::read;
use super::ending::keep;
use crate::model::attempt::{MAX_OUTBOX_BYTES, MAX_OUTBOX_TOTAL, OutboxBody, OutboxItem};
use crate::model::change::TaskResult;
use crate::model::result::sound;
use crate::os;

/// Most files that are looked at; the writing side stops there as well.
const MAX_FILES: usize = 10_000;
/// Most results that are compared with their schema at once.
const MAX_CHECKS: usize = 10;
/// Most names that are looked at, whatever they are: a task may put anything into its outbox.
const MAX_NAMES: usize = 50_000;

/// Says whether a value fits a schema, and why it does not.
pub type Check<'a> = &'a dyn Fn(&Value, &Value) -> Result<(), String>;

/// What results must fit.
#[derive(Clone, Copy)]
pub struct Schema<'a> {
    /// The schema; none when any value will do.
    pub schema: Option<&'a Value>,
    /// By what that is found out.
    pub check: Check<'a>,
}

/// Items numbered above `after`, in order, and remarks about files that could not be used (set aside as `*.bad`). Large results
/// are put into files of the directory `results`; those that do not fit become refusals.
pub fn take(dir: &Path, after: u32, results: &Path, fits: Schema<'_>) -> (Vec<OutboxItem>, Vec<String>) {
    // Most attempts have none. A link in its place leads out of what is the task's: it is as good as none.
    let Ok(held) = os::Held::open(&dir.join("outbox")) else { return (Vec::new(), Vec::new()) };
    let outbox = held.path();
    let Ok(entries) = fs::read_dir(&outbox) else { return (Vec::new(), Vec::new()) };
    let mut names: Vec<(u32, String)> = entries
        .take(MAX_NAMES)
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|name| name.ends_with(".json"))
        .filter_map(|name| Some((name.split_once('-')?.0.parse().ok()?, name)))
        .filter(|(seq, _)| *seq > after)
        .collect();
    names.sort();
    let mut notes = Vec::new();
    if names.len() > MAX_FILES {
        notes.push(format!("the outbox holds {} files; those after the first {MAX_FILES} were not read", names.len()));
        names.truncate(MAX_FILES);
    }
    let mut items = Vec::with_capacity(names.len());
    let mut total = 0;
    for (seq, name) in names {
        let path = outbox.join(&name);
        let text = read(&path, MAX_OUTBOX_BYTES);
        total += text.as_ref().map_or(0, |bytes| bytes.len() as u64);
        if total > MAX_OUTBOX_TOTAL {
            notes.push(format!("the outbox holds more than {MAX_OUTBOX_TOTAL} bytes; {name} and what follows it were not read"));
            break;
        }
        match text.and_then(|bytes| Ok(serde_json::from_slice::<OutboxItem>(&bytes)?)) {
            Ok(item) if item.seq == seq => items.push(item),
            other => {
                let why = other.map_or_else(|e| e.to_string(), |item| format!("its number is {} inside", item.seq));
                notes.push(format!("outbox/{name} cannot be used: {why}"));
                // If even that fails it is noted again the next time.
                let _ = fs::rename(&path, outbox.join(format!("{name}.bad")));
            }
        }
    }
    refuse_unfit(&mut items, fits);
    (items.into_iter().map(|item| stored(item, results)).collect(), notes)
}

/// A task that asks by `airx result` has its value looked at there; this is for who writes into its outbox itself. The last value
/// counts, so it alone is looked at, and those before only when it does not fit.
fn refuse_unfit(items: &mut [OutboxItem], fits: Schema<'_>) {
    for item in items.iter_mut() {
        if let OutboxBody::Result(value) = &item.body
            && let Err(why) = sound(value)
        {
            item.body = OutboxBody::Unfit(why);
        }
    }
    let Some(schema) = fits.schema else { return };
    let mut checks = 0;
    for item in items.iter_mut().rev() {
        let OutboxBody::Result(value) = &item.body else { continue };
        checks += 1;
        let verdict = match checks {
            0..=MAX_CHECKS => (fits.check)(schema, value),
            _ => Err("too many results after it did not fit their schema".to_owned()),
        };
        match verdict {
            Ok(()) => return,
            Err(why) => item.body = OutboxBody::Unfit(why),
        }
    }
}

/// Where the file cannot be written, the value itself is kept: it is bounded, and lost it would be gone.
fn stored(mut item: OutboxItem, results: &Path) -> OutboxItem {
    if let OutboxBody::Result(value) = &item.body
        && let Ok(result @ TaskResult::File { .. }) = keep(value.clone(), results)
    {
        item.body = OutboxBody::Stored(result);
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::Progress;

    const ANY: Schema<'_> = Schema { schema: None, check: &|_, _| Err("nobody asks".to_owned()) };

    #[test]
    fn bad_files_are_set_aside_and_the_rest_comes_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = dir.path().join("outbox");
        fs::create_dir(&outbox).unwrap();
        let item = |seq| OutboxItem { seq, key: format!("#{seq}"), body: OutboxBody::Progress(Progress::default()) };
        for seq in [10, 2, 1] {
            fs::write(outbox.join(format!("{seq:06}-x.json")), serde_json::to_vec(&item(seq)).unwrap()).unwrap();
        }
        fs::write(outbox.join("000003-torn.json"), "{\"seq\":3").unwrap();
        fs::write(outbox.join("000004-lies.json"), serde_json::to_vec(&item(9)).unwrap()).unwrap();
        fs::write(outbox.join(".5.new"), "{").unwrap();
        let (items, notes) = take(dir.path(), 1, dir.path(), ANY);
        assert_eq!(items, [item(2), item(10)]);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(outbox.join("000003-torn.json.bad").exists());
        assert_eq!(take(dir.path(), 0, dir.path(), ANY), (vec![item(1), item(2), item(10)], vec![]));
    }

    #[test]
    fn what_is_no_file_is_neither_waited_for_nor_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = dir.path().join("outbox");
        fs::create_dir_all(outbox.join("000003-dir.json")).unwrap();
        // Opened like a file, a fifo without a writer would stop the thread that watches all runners.
        rustix::fs::mkfifoat(rustix::fs::CWD, outbox.join("000001-fifo.json"), rustix::fs::Mode::RWXU).unwrap();
        std::os::unix::fs::symlink("/dev/zero", outbox.join("000002-link.json")).unwrap();
        let (items, notes) = take(dir.path(), 0, dir.path(), ANY);
        assert_eq!((items, notes.len()), (vec![], 3));
        assert_eq!(take(dir.path(), 0, dir.path(), ANY), (vec![], vec![]), "set aside, they are not looked at again");
    }

    #[test]
    fn a_link_in_the_place_of_the_outbox_leads_nowhere() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(other.path().join("000001-x.json"), "somebody else's").unwrap();
        std::os::unix::fs::symlink(other.path(), dir.path().join("outbox")).unwrap();
        assert_eq!(take(dir.path(), 0, dir.path(), ANY), (vec![], vec![]));
        assert!(other.path().join("000001-x.json").exists(), "nothing there is set aside");
    }

    #[test]
    fn an_outbox_larger_than_its_bound_is_not_read_into_memory() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = dir.path().join("outbox");
        fs::create_dir(&outbox).unwrap();
        let text = "x".repeat(1 << 19);
        for seq in 1..=70 {
            let body = OutboxBody::Result(Value::String(text.clone()));
            let item = OutboxItem { seq, key: format!("#{seq}"), body };
            fs::write(outbox.join(format!("{seq:06}-x.json")), serde_json::to_vec(&item).unwrap()).unwrap();
        }
        let (items, notes) = take(dir.path(), 0, dir.path(), ANY);
        assert!(items.len() < 64 && items.len() > 60, "{}", items.len());
        assert!(notes[0].contains("holds more than"), "{notes:?}");
    }

    #[test]
    fn a_large_result_lies_in_a_file_by_its_hash_and_no_task_can_name_one() {
        let dir = tempfile::tempdir().unwrap();
        let (outbox, results) = (dir.path().join("outbox"), dir.path().join("results"));
        fs::create_dir(&outbox).unwrap();
        let write = |seq: u32, text: &str| fs::write(outbox.join(format!("{seq:06}-x.json")), text).unwrap();
        let result = |length: usize| OutboxBody::Result(Value::String("x".repeat(length)));
        for (seq, length) in [(1, 10), (2, 300 * 1024)] {
            let item = OutboxItem { seq, key: format!("#{seq}"), body: result(length) };
            write(seq, &serde_json::to_string(&item).unwrap());
        }
        write(3, r##"{"seq":3,"key":"#3","body":{"stored":{"file":{"sha256":"00","bytes":1}}}}"##);
        let (items, notes) = take(dir.path(), 0, &results, ANY);
        assert_eq!(items[0].body, result(10));
        let OutboxBody::Stored(TaskResult::File { sha256, bytes }) = &items[1].body else { panic!("{:?}", items[1].body) };
        assert_eq!(fs::read(results.join(sha256)).unwrap().len() as u64, *bytes);
        assert_eq!((items.len(), notes.len()), (2, 1), "{notes:?}");
    }

    #[test]
    fn of_results_that_must_fit_the_last_one_that_does_counts() {
        let results = |values: &[u64]| {
            let item = |(n, value): (usize, &u64)| OutboxItem {
                seq: u32::try_from(n).unwrap(),
                key: String::new(),
                body: OutboxBody::Result((*value).into()),
            };
            values.iter().enumerate().map(item).collect::<Vec<_>>()
        };
        let asked = std::cell::Cell::new(0);
        let check = |_: &Value, value: &Value| {
            asked.set(asked.get() + 1);
            if value == 1 { Ok(()) } else { Err("not 1".to_owned()) }
        };
        let schema = Value::Bool(true);
        let refused = |values: &[u64]| {
            asked.set(0);
            let mut items = results(values);
            refuse_unfit(&mut items, Schema { schema: Some(&schema), check: &check });
            let unfit: Vec<bool> = items.iter().map(|item| matches!(item.body, OutboxBody::Unfit(_))).collect();
            (unfit, asked.get())
        };
        assert_eq!(refused(&[0, 1]), (vec![false, false], 1), "the last one counts");
        assert_eq!(refused(&[1, 0]), (vec![false, true], 2));
        assert_eq!(refused(&[0; 50]), (vec![true; 50], MAX_CHECKS), "a flood of them is no work");
    }
}
