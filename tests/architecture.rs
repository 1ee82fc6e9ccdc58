//! The direction of dependencies (DESIGN section 5), read off the sources.
#![allow(clippy::unwrap_used, reason = "a failing test says so by a panic")]

use std::path::{Path, PathBuf};

/// Who may name whom. `main` and `wiring` name everything; `os` is for everybody but the model.
const EDGES: &[(&str, &[&str])] = &[
    ("model", &["model"]),
    ("manager", &["manager", "model"]),
    ("store", &["store", "manager", "model", "os"]),
    ("backend", &["backend", "manager", "model", "os"]),
    ("runner", &["runner", "manager", "model", "os"]),
    ("notify", &["notify", "manager", "model", "os"]),
    ("claude", &["claude", "manager", "model"]),
    ("api", &["api", "manager", "model", "os"]),
    ("config", &["config", "model"]),
    ("cli", &["cli", "api", "config", "manager", "model", "os"]),
    ("tui", &["tui", "api", "config", "model", "os"]),
    ("os", &["os", "model"]),
];

/// Files over 400 lines, each with its reason.
const LONG: &[(&str, &str)] = &[
    ("src/backend/process/worker.rs", "one loop over commands, exits and adoption, whose order is the point"),
    ("src/model/runner.rs", "one state machine"),
    ("src/model/replay.rs", "one fold, an arm a change"),
    ("src/cli/print.rs", "how things are printed"),
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn all() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    sources(&root.join("src"), &mut found);
    let name = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
    found.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// Modules of this crate that a line of code names.
fn named(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or_default();
    let after = |part: &'static str| code.match_indices(part).map(move |(at, _)| &code[at + part.len()..]);
    let word = |text: &'_ str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    after("crate::").map(|rest| &rest[..word(rest)]).filter(|name| !name.is_empty()).collect()
}

#[test]
fn modules_name_only_whom_they_may() {
    let mut wrong = Vec::new();
    for (file, text) in all() {
        let module = file.trim_start_matches("src/").split(['/', '.']).next().unwrap().to_owned();
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == module) else { continue };
        for (number, line) in text.lines().enumerate() {
            for name in named(line).into_iter().filter(|name| EDGES.iter().any(|(known, _)| known == name)) {
                if !allowed.contains(&name) {
                    wrong.push(format!("{file}:{}: {module} names {name}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_model_touches_nothing_outside_of_itself() {
    const OUTSIDE: &[&str] =
        &["std::fs", "std::net", "std::process", "std::thread", "std::time", "std::env", "std::io::", "tokio", "rustix"];
    let mut wrong = Vec::new();
    let all = all();
    let is_test = |file: &str| {
        let (directory, name) = file.rsplit_once('/').unwrap_or_default();
        let line = format!("#[cfg(test)]\nmod {};", name.trim_end_matches(".rs"));
        let parents = [format!("{directory}/mod.rs"), format!("{directory}.rs")];
        all.iter().any(|(parent, text)| parents.contains(parent) && text.contains(&line))
    };
    for (file, text) in all.iter().filter(|(file, _)| file.starts_with("src/model/") && !is_test(file)) {
        for (number, line) in text.lines().enumerate().take_while(|(_, line)| !line.starts_with("mod tests")) {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(name) = OUTSIDE.iter().find(|name| code.contains(**name)) {
                wrong.push(format!("{file}:{}: {name}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stays_in_os() {
    for (file, text) in all().into_iter().filter(|(file, _)| !file.starts_with("src/os/")) {
        assert!(!text.contains("unsafe {") && !text.contains("unsafe fn"), "{file}");
    }
}

#[test]
fn long_files_have_a_reason() {
    for (file, text) in all() {
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = code.lines().count();
        let is_known = LONG.iter().any(|(name, _)| *name == file);
        assert!(lines <= 400 || is_known || file.ends_with("tests.rs"), "{file} has {lines} lines: look for the missing module");
    }
}

#[test]
fn every_example_job_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let blocks = readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    let mut jobs: Vec<(String, String)> =
        blocks.filter(|text| text.contains("tasks:")).map(|text| ("README.md".to_owned(), text)).collect();
    jobs.push(("assets/demo/job.yaml".to_owned(), std::fs::read_to_string(root.join("assets/demo/job.yaml")).unwrap()));
    assert!(jobs.len() > 1, "the README shows a job");
    for (name, text) in airx::tui::app::editor::TEMPLATES {
        jobs.push((format!("assets/templates/{name}.yaml"), (*text).to_owned()));
    }
    for entry in std::fs::read_dir(root.join("assets/examples")).unwrap().flatten() {
        let name = format!("assets/examples/{}", entry.file_name().to_str().unwrap());
        jobs.push((name, std::fs::read_to_string(entry.path()).unwrap()));
    }
    for (file, text) in jobs {
        let options = airx::model::jobfile::ParseOptions {
            file: &file,
            base: root,
            params: &[],
            environment: &std::collections::BTreeMap::new(),
            pools: None,
            claude_passed: &std::collections::BTreeMap::new(),
            // A job file that an example names is another one, with its name in the first line.
            read_file: &|path| {
                let name = path.file_name().unwrap().to_string_lossy();
                let found = readme.split("```yaml\n").skip(1).find(|block| block.starts_with(&format!("# {name}\n")));
                Ok(found.map_or("a prompt", |block| block.split("```").next().unwrap()).to_owned())
            },
        };
        let faults = airx::model::jobfile::parse(&text, &options)
            .map(drop)
            .map_err(|faults| airx::model::diagnostic::render(&faults, &text));
        assert_eq!(faults, Ok(()));
    }
}
