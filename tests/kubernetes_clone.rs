//! The clone of a repository into a pod's workspace: the very script and variables of the init container, taken from the pod that was
//! asked for, and run here.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/kubernetes/mod.rs"]
mod kubernetes;
#[path = "support/pods.rs"]
mod pods;

use std::path::Path;
use std::process::{Command, Output};

use airx::model::kubernetes::{KubernetesSettings, PodWorkspace};
use kubernetes::{Replay, Server};
use pods::{Bench, reduced};
use serde_json::Value;

/// The init container that a pool with this reference makes.
fn clone_of(reference: Option<&str>, depth: Option<u32>) -> Value {
    let mut bench = Bench::new(Server::replay(Replay::of("success").quick()));
    let workspace = PodWorkspace::Git {
        url: "https://example.com/shop.git".to_owned(),
        reference: reference.map(str::to_owned),
        image: "git".to_owned(),
        depth,
        secret: Some("git-login".to_owned()),
    };
    let attempt = bench.launch(&KubernetesSettings { workspace, ..reduced() });
    bench.end(attempt);
    let pod = bench.server.pod(&Bench::pod(attempt)).expect("it is deleted only when it is forgotten");
    let init = pod["spec"]["initContainers"].as_array().unwrap();
    init.iter().find(|one| one["name"] == "airx-clone").unwrap().clone()
}

/// As Kubernetes hands it over.
fn expanded(text: &Value) -> String {
    text.as_str().unwrap().replace("$$", "$")
}

/// Runs it with the repository in the place of the address.
fn run(clone: &Value, place: &Path, more: &[(&str, &str)], script: &str) -> Output {
    let workspace = place.join("workspace").display().to_string();
    let mut command = Command::new("sh");
    command.args(["-c", &script.replace("/workspace", &workspace)]).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    for variable in clone["env"].as_array().unwrap().iter().filter(|variable| variable["value"].is_string()) {
        let (name, value) = (variable["name"].as_str().unwrap(), expanded(&variable["value"]));
        let value = match name {
            "AIRX_GIT_URL" => format!("file://{}", place.join("repo").display()),
            "HOME" => place.display().to_string(),
            _ => value.replace("/workspace", &workspace),
        };
        command.env(name, value);
    }
    command.envs(more.iter().copied()).output().unwrap()
}

fn git(place: &Path, line: &str) -> String {
    let mut command = Command::new("git");
    command.args(line.split(' ')).current_dir(place).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", place);
    let names = ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"];
    let output = command.envs(names.map(|name| (name, "airx"))).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with a commit on `main` and an older one on the branch `old` with the tag `v1`.
fn repository(place: &Path) -> String {
    let repo = place.join("repo");
    std::fs::create_dir_all(&repo).unwrap();
    git(&repo, "init -q -b main .");
    std::fs::write(repo.join("file"), "one\n").unwrap();
    git(&repo, "add file");
    git(&repo, "commit -qm one");
    git(&repo, "branch old");
    git(&repo, "tag v1");
    let first = git(&repo, "rev-parse HEAD");
    std::fs::write(repo.join("file"), "two\n").unwrap();
    git(&repo, "commit -qam two");
    git(&repo, "config uploadpack.allowAnySHA1InWant true");
    first
}

fn workspace(place: &Path) {
    let workspace = place.join("workspace");
    let _ = std::fs::remove_dir_all(&workspace);
    std::fs::create_dir_all(&workspace).unwrap();
}

#[test]
fn any_reference_is_cloned_and_one_that_is_not_there_is_told() {
    let place = tempfile::tempdir().unwrap();
    let first = repository(place.path());
    let cases = [
        (None, None, "two\n"),
        (Some("main"), Some(1), "two\n"),
        (Some("old"), None, "one\n"),
        (Some("v1"), Some(1), "one\n"),
        (Some(first.as_str()), None, "one\n"),
    ];
    for (reference, depth, content) in cases {
        workspace(place.path());
        let clone = clone_of(reference, depth);
        let output = run(&clone, place.path(), &[], &expanded(&clone["command"][2]));
        assert!(output.status.success(), "{reference:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(std::fs::read_to_string(place.path().join("workspace/file")).unwrap(), content, "{reference:?}");
    }
    for reference in ["no-such-branch", "$(touch /workspace/pwned)"] {
        workspace(place.path());
        let clone = clone_of(Some(reference), None);
        let output = run(&clone, place.path(), &[], &expanded(&clone["command"][2]));
        assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("fatal"), "{output:?}");
        assert!(!place.path().join("workspace/pwned").exists());
    }
}

#[test]
fn credentials_come_by_variables_and_stay_nowhere() {
    let place = tempfile::tempdir().unwrap();
    repository(place.path());
    let clone = clone_of(None, None);
    let secrets: Vec<&str> =
        clone["env"].as_array().unwrap().iter().filter_map(|it| it["valueFrom"]["secretKeyRef"]["key"].as_str()).collect();
    assert_eq!(secrets, ["username", "password", "token"]);
    let script = expanded(&clone["command"][2]);
    // What git would send to a server that asks, by the same helper.
    let ask = script.replace(
        "git init -q .",
        "printf 'protocol=https\\nhost=example.com\\n\\n' | git -c credential.helper=\"$helper\" credential fill; git init -q .",
    );
    let told = |more: &[(&str, &str)]| {
        workspace(place.path());
        let output = run(&clone, place.path(), more, &ask);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let config = std::fs::read_to_string(place.path().join("workspace/.git/config")).unwrap();
        assert!(!config.contains("dummy") && !config.contains("helper"), "{config}");
        String::from_utf8(output.stdout).unwrap()
    };
    let with_token = told(&[("GIT_TOKEN", "dummy token")]);
    assert!(with_token.contains("username=x-access-token\npassword=dummy token\n"), "{with_token}");
    let with_password = told(&[("GIT_USERNAME", "ann"), ("GIT_PASSWORD", "dummy")]);
    assert!(with_password.contains("username=ann\npassword=dummy\n"), "{with_password}");
}
