//! `airx artifacts`, and a task's result as it is: what attempts left beside their output.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::api::client::Client;
use crate::model::artifact::{Artifact, is_kept_name};
use crate::model::ids::Address;
use crate::model::message::{Answer, ArtifactsView, OutputPiece, Query};
use crate::os::beneath;

use super::args::{ArtifactsArgs, Format};
use super::context::{Context, Failure};
use super::print::{self, Cell, Ink, cell};
use super::read::{all_tasks, now, unexpected};

/// Bytes asked for at a time.
const PIECE: u32 = 512 * 1024;
/// Digits of a checksum that are shown to people.
const DIGITS: usize = 12;
/// Largest result that is put together before it is printed.
const MAX_RESULT: u64 = 128 << 20;

/// A file of a task's attempt.
#[derive(Serialize)]
struct Row {
    task: String,
    attempt: u32,
    #[serde(flatten)]
    file: Artifact,
    path: PathBuf,
}

pub(super) fn artifacts(context: &Context, args: &ArtifactsArgs) -> Result<(), Failure> {
    let (address, name) = meant(args)?;
    let mut client = context.reader()?;
    let client = client.as_mut();
    let rows = match &address.task {
        Some(_) => of_task(client, &address, args.attempt)?,
        None if args.attempt.is_some() => {
            return Err(Failure::input("attempts are a task's", format!("write {address}/TASK --attempt N")));
        }
        None => {
            let mut rows = Vec::new();
            for task in all_tasks(client, &address.job)?.into_iter().filter(|task| task.attempts > 0) {
                rows.extend(of_task(client, &Address { job: address.job.clone(), task: Some(task.id) }, None)?);
            }
            rows
        }
    };
    match (name, &args.to) {
        (None, None) => {
            print::out(&listed(context, &address, &rows));
            Ok(())
        }
        (None, Some(to)) => {
            let all: Vec<&Row> = rows.iter().collect();
            copy(context, client, &address, &all, &context.cwd.join(to), args.force)
        }
        (Some(name), to) => {
            let row = rows.iter().find(|row| row.file.name == name).ok_or_else(|| none_such(&address, &name, &rows))?;
            match to {
                Some(to) => copy(context, client, &address, &[row], &context.cwd.join(to), args.force),
                None => print_one(client, &address, row),
            }
        }
    }
}

/// `JOB/TASK NAME`, `JOB TASK`, or `JOB TASK NAME`.
fn meant(args: &ArtifactsArgs) -> Result<(Address, Option<String>), Failure> {
    let address = super::parse_address(&args.target)?;
    match (address.task.is_some(), args.words.as_slice()) {
        (_, []) => Ok((address, None)),
        (true, [name]) => Ok((address, Some(name.clone()))),
        (false, [task]) => Ok((super::parse_address(&format!("{}/{task}", args.target))?, None)),
        (false, [task, name]) => Ok((super::parse_address(&format!("{}/{task}", args.target))?, Some(name.clone()))),
        _ => Err(Failure::input("these are too many words", "airx artifacts JOB/TASK NAME")),
    }
}

fn of_task(client: &mut dyn Client, address: &Address, attempt: Option<u32>) -> Result<Vec<Row>, Failure> {
    let mut rows: Vec<Row> = Vec::new();
    let mut wanted = attempt;
    loop {
        let from = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let query = Query::Artifacts { task: address.clone(), attempt: wanted, from };
        let Answer::Artifacts(view) = client.query(query)?.body else { return Err(unexpected()) };
        let ArtifactsView { attempt, dir, count, files } = *view;
        let task = address.task.clone().unwrap_or_default();
        let is_over = files.is_empty();
        rows.extend(files.into_iter().map(|file| Row { task: task.clone(), attempt, path: dir.join(&file.name), file }));
        if is_over || rows.len() >= count as usize {
            return Ok(rows);
        }
        // Another attempt may have come meanwhile.
        wanted = Some(attempt);
    }
}

fn listed(context: &Context, address: &Address, rows: &[Row]) -> String {
    let row = |row: &Row, digits: usize| -> Vec<Cell> {
        let size = if digits == DIGITS { print::bytes(row.file.bytes) } else { row.file.bytes.to_string() };
        let at = if digits == DIGITS { context.printer.time(row.file.at, now()) } else { row.file.at.0.to_string() };
        vec![
            row.task.clone().into(),
            row.attempt.to_string().into(),
            cell(print::harmless(&row.file.name, 500), Ink::Bold),
            size.into(),
            at.into(),
            cell(row.file.sha256.get(..digits).unwrap_or_default(), Ink::Dim),
        ]
    };
    match context.global.output {
        Format::Json => print::value(context.global.output, &rows),
        Format::Jsonl => rows.iter().map(print::json_line).collect(),
        Format::Plain => print::plain(&rows.iter().map(|file| row(file, 64)).collect::<Vec<_>>()),
        Format::Table if rows.is_empty() => {
            format!("nothing was kept of {address}: a task says by `artifacts:` what is to be kept of its workspace\n")
        }
        Format::Table => {
            let rows: Vec<Vec<Cell>> = rows.iter().map(|file| row(file, DIGITS)).collect();
            print::table(&context.printer, &["task", "try", "name", "size", "changed", "sha256"], &rows)
        }
    }
}

fn none_such(address: &Address, name: &str, rows: &[Row]) -> Failure {
    let hint = match crate::model::diagnostic::nearest(name, rows.iter().map(|row| row.file.name.as_str())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("`airx artifacts {address}` lists them"),
    };
    Failure::input(format!("{address} has no artifact `{name}`"), hint)
}

/// Reads an artifact piece by piece.
fn read(
    client: &mut dyn Client,
    job: &Address,
    row: &Row,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let task = Address { job: job.job.clone(), task: Some(row.task.clone()) };
    let (mut offset, mut digest) = (0, Sha256::new());
    loop {
        let (task, name) = (task.clone(), row.file.name.clone());
        let query = Query::Artifact { task, attempt: row.attempt, name, offset, limit: PIECE };
        let Answer::Output(OutputPiece { data, .. }) = client.query(query)?.body else { return Err(unexpected()) };
        if data.is_empty() {
            break;
        }
        offset += data.len() as u64;
        digest.update(&data);
        take(&data)?;
    }
    let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found == row.file.sha256 {
        return Ok(());
    }
    Err(Failure::failed(
        format!("the artifact {} is not as it was kept: somebody has changed {}", row.file.name, row.path.display()),
        "",
    ))
}

fn print_one(client: &mut dyn Client, address: &Address, row: &Row) -> Result<(), Failure> {
    let mut is_first = true;
    read(client, address, row, |piece| {
        let is_text = std::str::from_utf8(&piece[..piece.len().min(8 << 10)]).map_or_else(|e| e.error_len().is_none(), |_| true);
        if std::mem::take(&mut is_first) && (!is_text || piece.contains(&0)) && io::stdout().is_terminal() {
            print::note(&format!("{} is no text: `--to DIR` writes it into a file", row.file.name));
        }
        print::out_bytes(piece);
        Ok(())
    })
}

/// Copies files below a directory; nothing is written over unless that is forced.
fn copy(
    context: &Context,
    client: &mut dyn Client,
    address: &Address,
    rows: &[&Row],
    to: &Path,
    force: bool,
) -> Result<(), Failure> {
    let cannot = |what: &Path, error: &io::Error| Failure::failed(format!("cannot write {}: {error}", what.display()), "");
    // Of a whole job each task has a directory.
    let name_of = |row: &Row| match address.task {
        Some(_) => row.file.name.clone(),
        // An instance `fix/2` has its own beside `fix`, whose artifacts may have any names; no task's id has a dot.
        None => format!("{}/{}", row.task.replace('/', "."), row.file.name),
    };
    if let Some(row) = rows.iter().find(|row| !is_kept_name(&row.file.name)) {
        return Err(Failure::failed(format!("the manager named an artifact that can have no file: {:?}", row.file.name), ""));
    }
    let there = rows.iter().map(|row| to.join(name_of(row))).find(|path| path.symlink_metadata().is_ok());
    if let Some(path) = there.filter(|_| !force) {
        return Err(Failure::failed(
            format!("{} is there already, and nothing was written", path.display()),
            "choose another directory, or write over it with --force",
        ));
    }
    std::fs::create_dir_all(to).map_err(|error| cannot(to, &error))?;
    let root = File::open(to).map_err(|error| cannot(to, &error))?;
    for row in rows {
        let name = name_of(row);
        let path = to.join(&name);
        let mut file = beneath::create(&root, &name, force).map_err(|error| cannot(&path, &error))?;
        let copied = read(client, address, row, |piece| file.write_all(piece).map_err(|error| cannot(&path, &error)));
        if let Err(failure) = copied {
            // Half of it, or something else than was kept, must not be taken for it.
            let _ = beneath::remove(&root, &name);
            return Err(failure);
        }
        if context.printer.for_people() {
            print::out(&format!("{}\n", path.display()));
        }
    }
    if context.is_json() {
        let paths: Vec<PathBuf> = rows.iter().map(|row| to.join(name_of(row))).collect();
        print::out(&print::value(context.global.output, &paths));
    }
    Ok(())
}

/// A task's result: text as it is, everything else as JSON.
pub(super) fn result(context: &Context, address: &Address) -> Result<(), Failure> {
    if address.task.is_none() {
        return Err(Failure::input(format!("`{address}` names a job, not a task"), format!("write {address}/TASK --result")));
    }
    let mut client = context.reader()?;
    let mut json = Vec::new();
    loop {
        let query = Query::Result { task: address.clone(), offset: json.len() as u64, limit: PIECE };
        let Answer::Output(OutputPiece { data, size, .. }) = client.query(query)?.body else { return Err(unexpected()) };
        let is_over = data.is_empty();
        json.extend(data);
        if is_over || json.len() as u64 >= size {
            break;
        }
        if json.len() as u64 > MAX_RESULT {
            return Err(Failure::failed("the result is larger than any can be", ""));
        }
    }
    if !context.is_json()
        && let Ok(Value::String(text)) = serde_json::from_slice(&json)
    {
        print::out_bytes(text.as_bytes());
        // A prompt must not stand behind it; in a pipe it is as it is.
        if context.printer.is_terminal && !text.ends_with('\n') {
            print::out("\n");
        }
        return Ok(());
    }
    json.push(b'\n');
    print::out_bytes(&json);
    Ok(())
}
