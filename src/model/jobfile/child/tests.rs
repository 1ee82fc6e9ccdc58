use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;

use crate::model::jobfile::{ParseOptions, Parsed, parse};
use crate::model::spec::{Action, SubJob};

/// As a file of this name is read that names no other one.
fn options(file: &str) -> ParseOptions<'_> {
    static NOTHING: BTreeMap<String, String> = BTreeMap::new();
    ParseOptions {
        file,
        base: Path::new("/repo"),
        params: &[],
        environment: &NOTHING,
        pools: None,
        claude_passed: &NOTHING,
        read_file: &|path| Err(format!("{} is not there", path.display())),
    }
}

/// Reads the first of these files; faults as `FILE:LINE:COLUMN: MESSAGE`.
fn read(files: &[(&str, &str)]) -> Result<Parsed, Vec<String>> {
    let all: BTreeMap<String, String> =
        files.iter().map(|(name, text)| (format!("/repo/{name}"), (*text).to_owned())).collect();
    let (name, text) = files[0];
    let read_file = |path: &Path| {
        all.get(&path.display().to_string()).cloned().ok_or_else(|| format!("{} is not there", path.display()))
    };
    parse(text, &ParseOptions { read_file: &read_file, ..options(name) }).map_err(|faults| {
        faults.iter().map(|fault| format!("{}:{}:{}: {}", fault.file, fault.line, fault.column, fault.message)).collect()
    })
}

fn faults(files: &[(&str, &str)]) -> Vec<String> {
    read(files).expect_err("it has faults")
}

fn child(parsed: &Parsed) -> &SubJob {
    match &parsed.submission.tasks[0].action {
        Action::Job(child) => child,
        other => panic!("{other:?}"),
    }
}

const SIMPLE: &str = "name: b\ntasks: [{ id: t, run: 'true' }]\n";

#[test]
fn a_job_file_is_read_with_what_it_names_and_paths_begin_where_each_lies() {
    let parsed = read(&[
        ("a.yaml", "name: a\ntasks: [{ id: t, job: { file: sub/b.yaml, params: { x: 1, y: ['{{ job.name }}'] } } }]\n"),
        ("sub/b.yaml", "name: b\nparams: { x: { description: needed }, y: [], z: 3 }\ntasks: [{ id: t, job: ../c.yaml }]\n"),
        ("c.yaml", SIMPLE),
    ])
    .unwrap();
    let b = child(&parsed);
    assert_eq!((b.file.as_str(), &b.params), ("sub/b.yaml", &[("x", json!(1)), ("y", json!(["{{ job.name }}"]))].map(|(k, v)| (k.to_owned(), v)).into()));
    assert_eq!(b.submission.job.workspace, Path::new("/repo/sub"));
    assert_eq!(b.submission.job.params["x"], json!(1), "what is known is known at once");
    assert_eq!(b.submission.job.params["y"], json!(null), "what is not is given at run time");
    assert_eq!((parsed.submission.all_tasks(), parsed.submission.nesting()), (3, 3));
}

#[test]
fn faults_of_a_child_are_told_where_they_are_and_where_it_is_named() {
    let told = faults(&[
        ("a.yaml", "name: a\ntasks:\n  - { id: t, job: sub/b.yaml }\n  - { id: u, job: sub/b.yaml }\n  - { id: v }\n"),
        ("sub/b.yaml", "name: b\ntasks:\n  - { id: t, run: '' }\n  - { id: t, run: 'true' }\n"),
    ]);
    assert_eq!(
        told,
        [
            "a.yaml:3:19: sub/b.yaml has 2 faults",
            "a.yaml:4:19: sub/b.yaml has 2 faults",
            "a.yaml:5:5: the task has nothing to do",
            "sub/b.yaml:3:19: the command is empty",
            "sub/b.yaml:4:11: the id `t` is taken, in line 3",
        ]
    );
}

#[test]
fn circles_are_named_and_nesting_has_a_bound() {
    let told = faults(&[
        ("a.yaml", "name: a\ntasks: [{ id: t, job: ./x/../b.yaml }]\n"),
        ("b.yaml", "name: b\ntasks: [{ id: t, job: a.yaml }]\n"),
    ]);
    assert_eq!(told[1], "b.yaml:2:23: the job files name each other in a circle: a.yaml -> b.yaml -> a.yaml");
    let own = faults(&[("a.yaml", "name: a\ntasks: [{ id: t, job: a.yaml }]\n")]);
    assert_eq!(own, ["a.yaml:2:23: the job files name each other in a circle: a.yaml -> a.yaml"]);
    let named: Vec<(String, String)> = (0..12)
        .map(|n| (format!("{n}.yaml"), format!("name: n\ntasks: [{{ id: t, job: {}.yaml }}]\n", n + 1)))
        .collect();
    let files: Vec<(&str, &str)> = named.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(faults(&files).contains(&"9.yaml:2:23: sub-flows are nested more than 10 deep".to_owned()));
}

#[test]
fn parameters_are_compared_with_those_of_the_child() {
    let b = ("b.yaml", "name: b\nparams: { where: { description: needed }, what: x }\ntasks: [{ id: t, run: 'echo {{ params.where }}' }]\n");
    let with = |params: &str| {
        let text = format!("name: a\ntasks:\n  - {{ id: s, run: echo, result: text }}\n  - id: t\n    needs: [s]\n    job:\n      file: b.yaml\n      params: {{ {params} }}\n");
        read(&[("a.yaml", &text), b]).map(drop)
    };
    assert_eq!(with("where: '{{ tasks.s.result }}'"), Ok(()));
    assert_eq!(with("what: y"), Err(vec!["a.yaml:7:13: the parameter `where` of b.yaml has no default and no value".to_owned()]));
    assert_eq!(with("where: 1, wat: 2"), Err(vec!["a.yaml:8:26: b.yaml has no parameter `wat`".to_owned()]));
    let wrong = with("where: ['x {{ tasks.no.result }}']").unwrap_err();
    assert_eq!(wrong, ["a.yaml:8:27: there is no task `no`"]);
}

#[test]
fn what_a_child_does_itself_is_not_said_of_its_task() {
    let told = faults(&[
        ("a.yaml", "name: a\ntasks:\n  - { id: t, job: b.yaml, env: { A: b }, result: text, timeout: 3s }\n  - { id: u, job: b.yaml, run: 'true' }\n"),
        ("b.yaml", SIMPLE),
    ]);
    assert_eq!(
        told,
        [
            "a.yaml:3:27: `env` belongs to a task that runs something itself",
            "a.yaml:3:42: `result` belongs to a task that runs something itself",
            "a.yaml:3:56: `timeout` belongs to a task that runs something itself",
            "a.yaml:4:27: the task has run and job at once",
        ]
    );
}

#[test]
fn files_that_cannot_be_read_or_have_times_of_their_own_are_refused() {
    let one = |job: &str, b: &str| faults(&[("a.yaml", &format!("name: a\ntasks: [{{ id: t, job: {job} }}]\n")), ("b.yaml", b)]);
    assert_eq!(one("c.yaml", SIMPLE), ["a.yaml:2:23: the job file cannot be read: /repo/c.yaml is not there"]);
    assert_eq!(one("'{{ params.x }}.yaml'", SIMPLE), ["a.yaml:2:23: the job file is read before anything runs: it holds no expression"]);
    assert_eq!(one("{ params: {} }", SIMPLE), ["a.yaml:2:23: job needs `file`"]);
    let scheduled = one("b.yaml", "name: b\nschedule: '0 3 * * *'\ntasks: [{ id: t, run: 'true' }]\n");
    assert_eq!(scheduled[1], "b.yaml:2:1: a job that another one runs has no `schedule` of its own");
}

#[test]
fn a_child_without_a_result_is_told_where_one_is_named_and_one_with_faults_is_not_said_to_have_none() {
    let a = "name: a\ntasks:\n  - { id: t, job: b.yaml }\n  - { id: u, needs: [t], run: 'echo {{ tasks.t.result }}' }\n";
    let of = |b: &str| {
        let options = ParseOptions { read_file: &|_| Ok(b.to_owned()), ..options("a.yaml") };
        parse(a, &options).expect_err("it has faults")
    };
    let none = of(SIMPLE);
    assert_eq!(none.iter().map(|fault| fault.message.as_str()).collect::<Vec<_>>(), ["the task `t` has no result"]);
    assert!(none[0].hint.starts_with("write `result: TASK` beside `name` in b.yaml"), "{}", none[0].hint);
    let faulty = of("name: b\nresult: t\ntasks: [{ id: t, runs: 'true', result: text }]\n");
    assert!(faulty.iter().all(|fault| !fault.message.contains("has no result")), "{faulty:?}");
}

#[test]
fn a_result_is_that_of_a_task_that_has_one() {
    let with = |result: &str, tasks: &str| read(&[("a.yaml", &format!("name: a\nresult: {result}\ntasks: [{tasks}]\n")), ("b.yaml", SIMPLE), ("c.yaml", "name: c\nresult: t\ntasks: [{ id: t, run: 'true', result: text }]\n")]).map(drop);
    assert_eq!(with("t", "{ id: t, run: 'true', result: json }"), Ok(()));
    assert_eq!(with("t", "{ id: t, job: c.yaml }"), Ok(()), "that of a child counts");
    assert_eq!(with("t", "{ id: t, job: b.yaml }"), Err(vec!["a.yaml:2:9: the task `t` has no result".to_owned()]));
    assert_eq!(with("x", "{ id: t, run: 'true' }"), Err(vec!["a.yaml:2:9: there is no task `x`".to_owned()]));
    let mapped = with("t", "{ id: t, for_each: [1], run: 'true', result: text }");
    assert_eq!(mapped, Err(vec!["a.yaml:2:9: the task `t` has a result for each of its instances".to_owned()]));
}

#[test]
fn all_tasks_together_have_a_bound_and_a_file_that_is_named_often_is_read_once() {
    let ten = |job: &str| (0..10).map(|n| format!("{{ id: t{n}, job: {job} }}")).collect::<Vec<_>>().join(", ");
    let named: Vec<(String, String)> =
        (0..6).map(|n| (format!("{n}.yaml"), format!("name: n\ntasks: [{}]\n", ten(&format!("{}.yaml", n + 1))))).collect();
    let mut files: Vec<(&str, &str)> = named.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(("6.yaml", SIMPLE));
    let told = faults(&files);
    assert!(told.iter().any(|fault| fault.ends_with("the job and its sub-flows have more than 100000 tasks in all")), "{told:?}");
    assert!(read(&files[2..]).is_ok());
}
