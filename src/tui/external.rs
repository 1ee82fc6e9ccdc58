//! Programs that take the terminal for a while, and the one that takes copied text.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Longest text that comes back from an editor, in bytes: what a job file may have.
const MAX: u64 = 8 << 20;
/// Longest text that a terminal is handed by OSC 52, in bytes; many take no more.
pub const MAX_OSC52: usize = 74_994;

type Env = BTreeMap<String, String>;

/// The command of the first of these variables that is set.
fn chosen<'a>(env: &'a Env, names: &[&str], otherwise: &'a str) -> &'a str {
    names.iter().find_map(|name| env.get(*name).map(String::as_str).filter(|text| !text.trim().is_empty())).unwrap_or(otherwise)
}

/// Shows a file in `$PAGER`.
///
/// # Errors
/// In words.
pub fn page(env: &Env, file: &Path) -> Result<(), String> {
    // Colours of the output are passed on; `less` shows other control characters as text.
    let pager = chosen(env, &["AIRX_PAGER", "PAGER"], "less -R");
    run(pager, file).map(drop)
}

/// Lets `$EDITOR` have a text; what became of it, none when it ended with a failure.
///
/// # Errors
/// In words.
pub fn edit(env: &Env, directory: &Path, text: &str, ending: &str, number: u64) -> Result<Option<String>, String> {
    let editor = chosen(env, &["AIRX_EDITOR", "VISUAL", "EDITOR"], "vi");
    let file = directory.join(format!("edit-{}-{number}{ending}", std::process::id()));
    let told = |error: io::Error| format!("{}: {error}", file.display());
    write(&file, text).map_err(told)?;
    let result = run(editor, &file).and_then(|is_good| {
        if !is_good {
            return Ok(None);
        }
        let mut edited = String::new();
        File::open(&file).and_then(|file| file.take(MAX + 1).read_to_string(&mut edited)).map_err(told)?;
        if edited.len() as u64 > MAX {
            Err(format!("{}: more than the 8 MiB a job file may have", file.display()))
        } else {
            Ok(Some(edited))
        }
    });
    // A text that could not be taken back stays where it is: nothing typed is lost.
    if result.is_ok() {
        let _ = std::fs::remove_file(&file);
    }
    result
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    let _ = std::fs::remove_file(file);
    File::options().write(true).create_new(true).mode(0o600).open(file)?.write_all(text.as_bytes())
}

/// The variables hold shell text, as everywhere; the file is an argument and never part of that text. The shell in between
/// outlives the keys that are meant for the program, which itself gets them as ever.
fn run(command: &str, file: &Path) -> Result<bool, String> {
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("trap : INT QUIT; {command} \"$1\""))
        .arg("sh")
        .arg(file)
        .stdin(Stdio::inherit())
        .status()
        .map_err(|error| format!("cannot start `{command}`: {error}"))?;
    match status.code() {
        Some(126 | 127) => Err(format!("`{command}` cannot be started")),
        code => Ok(code == Some(0)),
    }
}

/// Gives a text to tmux; whether it took it.
pub fn copy_to_tmux(env: &Env, text: &str) -> bool {
    if env.get("TMUX").is_none_or(String::is_empty) {
        return false;
    }
    // -w passes it on to the clipboard of the terminal outside; older ones do not know it.
    [&["load-buffer", "-w", "-"][..], &["load-buffer", "-"]].into_iter().any(|args| feed("tmux", args, text).unwrap_or(false))
}

fn feed(program: &str, args: &[&str], text: &str) -> io::Result<bool> {
    let mut child = Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes())?;
    }
    Ok(child.wait()?.success())
}

/// A line on the terminal while it is not ours.
pub fn say(line: &str) {
    // Nobody to tell that the terminal is gone.
    let _ = writeln!(io::stdout(), "{line}");
}

/// A directory for files of this kind below the home.
///
/// # Errors
/// What the file system says.
pub fn scratch(home: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let directory = home.join("scratch");
    match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(directory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_editor_gives_back_what_it_made_of_the_text_and_a_failing_one_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let env = |editor: &str| Env::from([("EDITOR".to_owned(), editor.to_owned())]);
        let edit = |editor: &str| edit(&env(editor), home.path(), "one\n", ".yaml", 1);
        assert_eq!(edit("sed -i s/one/two/"), Ok(Some("two\n".to_owned())));
        assert_eq!(edit("false"), Ok(None));
        assert!(edit("/nowhere/editor").unwrap_err().contains("cannot be started"));
    }
}
