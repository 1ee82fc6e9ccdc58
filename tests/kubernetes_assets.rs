//! The files of `assets/kubernetes`: that they are read, fit together, and give the manager the rights that it uses and no others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use airx::backend::kubernetes::survey::rights::{ATTACH, EXCESS, NEEDED, OPTIONAL, Right};
use airx::model::kubernetes::{IN_CLUSTER, KubernetesSettings};
use airx::model::settings::{PoolBackend, Settings};
use airx::model::yaml;
use serde_json::Value;

const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/kubernetes");
const API: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/backend/kubernetes/api.rs");

fn text(file: &str) -> String {
    std::fs::read_to_string(Path::new(ASSETS).join(file)).unwrap_or_else(|why| panic!("{file}: {why}"))
}

/// The objects of a file.
fn objects(file: &str) -> Vec<Value> {
    let text = text(file);
    let one = |part: &str| {
        let parsed = yaml::parse(part);
        assert!(parsed.faults.is_empty(), "{file}: {:?}", parsed.faults);
        parsed.root.unwrap_or_else(|| panic!("{file} has an empty part")).to_json()
    };
    text.split("\n---\n").map(one).collect()
}

/// The one object of this kind.
fn the(file: &str, kind: &str) -> Value {
    let mut found: Vec<Value> = objects(file).into_iter().filter(|object| object["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind} in {file}");
    found.remove(0)
}

fn files() -> BTreeSet<String> {
    let entries = std::fs::read_dir(ASSETS).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.filter(|name| name.ends_with(".yaml")).collect()
}

type Verb = (String, String);

fn given(file: &str) -> BTreeSet<Verb> {
    let role = the(file, "Role");
    let words = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut all = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        assert_eq!(words(&rule["apiGroups"]), [""], "{rule}");
        for resource in words(&rule["resources"]) {
            all.extend(words(&rule["verbs"]).into_iter().map(|verb| (resource.clone(), verb)));
        }
    }
    all
}

fn named(rights: &[&[Right]]) -> BTreeSet<Verb> {
    let name = |right: &Right| {
        let slash = if right.subresource.is_empty() { "" } else { "/" };
        (format!("{}{slash}{}", right.resource, right.subresource), right.verb.to_owned())
    };
    rights.iter().flat_map(|some| some.iter().map(name)).collect()
}

/// The pool of pods of a configuration.
fn pool(settings: &Settings, name: &str) -> KubernetesSettings {
    match &settings.pools[name].backend {
        PoolBackend::Kubernetes(pods) => (**pods).clone(),
        other => panic!("{other:?}"),
    }
}

fn configuration(text: &str, beside: &[&str]) -> Settings {
    let home = tempfile::tempdir().unwrap();
    for file in beside {
        std::fs::copy(Path::new(ASSETS).join(file), home.path().join(file)).unwrap();
    }
    let path: PathBuf = home.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    let loaded = airx::config::load(&path);
    assert!(loaded.faults.is_empty(), "{:?}", loaded.faults);
    loaded.settings
}

#[test]
fn every_file_is_read_and_is_applied_or_said_not_to_be() {
    let kustomization = text("kustomization.yaml");
    let applied = the("kustomization.yaml", "Kustomization");
    let applied: BTreeSet<String> =
        applied["resources"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    for file in files() {
        let all = objects(&file);
        let is_object = |object: &Value| object["apiVersion"].is_string() && object["kind"].is_string();
        assert!(all.iter().all(is_object), "{file}: {all:?}");
        let is_template = ["pod.yaml", "kustomization.yaml"].contains(&file.as_str());
        // Those that are left out can be put in by taking away a `#`.
        assert!(is_template || kustomization.contains(&format!("- {file}\n")), "{file}");
        assert!(text("README.md").contains(&format!("`{file}`")), "{file} is not explained");
    }
    assert!(applied.is_subset(&files()) && !applied.contains("role-attach.yaml"), "{applied:?}");
    // `airx doctor` and the README change the namespace by this text.
    let namespaced = files()
        .into_iter()
        .flat_map(|file| objects(&file))
        .filter(|object| !["Namespace", "Pod", "Kustomization"].contains(&object["kind"].as_str().unwrap()));
    assert!(namespaced.into_iter().all(|object| object["metadata"]["namespace"] == "airx"));
}

#[test]
fn the_role_gives_the_rights_that_doctor_looks_for_and_no_others() {
    assert_eq!(given("role.yaml"), named(&[NEEDED, OPTIONAL]));
    assert_eq!(given("role-attach.yaml"), named(&[ATTACH]));
    let all = named(&[NEEDED, OPTIONAL, ATTACH]);
    assert!(all.is_disjoint(&named(&[EXCESS])));
    for file in ["role.yaml", "role-attach.yaml"] {
        let (role, binding) = (the(file, "Role"), the(file, "RoleBinding"));
        assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
        assert_eq!(binding["subjects"][0]["name"], the("role.yaml", "ServiceAccount")["metadata"]["name"]);
    }
}

/// Each of these is a call in the one file that makes calls; what it does not do needs no right.
#[test]
fn the_rights_are_those_of_the_calls_that_are_made() {
    let api = std::fs::read_to_string(API).unwrap();
    let methods: BTreeSet<&str> =
        api.split("Method::").skip(1).filter_map(|rest| rest.split(|c: char| !c.is_ascii_uppercase()).next()).collect();
    let methods: Vec<&str> = methods.into_iter().filter(|method| !method.is_empty()).collect();
    assert_eq!(methods, ["DELETE", "GET", "POST"], "another method is another verb: see survey/rights.rs and role.yaml");
    for part in ["/pods", "/log?", "/attach?", "/events?", "watch=true"] {
        assert!(api.contains(part), "{part} is asked for no more: see survey/rights.rs and role.yaml");
    }
    for part in ["/exec", "/secrets", "/eviction", "/portforward", "/status?", "/configmaps", "/nodes"] {
        assert!(!api.contains(part), "{part} needs a right: see survey/rights.rs and role.yaml");
    }
}

#[test]
fn the_configuration_of_the_manager_has_no_fault_and_runs_nothing_beside_it() {
    let map = the("manager.yaml", "ConfigMap");
    let settings = configuration(map["data"]["config.yaml"].as_str().unwrap(), &[]);
    let pods = pool(&settings, "local");
    assert_eq!(pods.context.as_deref(), Some(IN_CLUSTER));
    assert_eq!(settings.pools.len(), 1, "a pool of processes would run tasks beside the manager's token");
    // The quota is that of the slots, and the manager.
    let quota = the("quota.yaml", "ResourceQuota");
    assert_eq!(quota["spec"]["hard"]["pods"], (settings.pools["local"].slots + 1).to_string());
}

#[test]
fn the_template_is_one_that_a_pool_takes() {
    let text = "pools:\n  pods: { backend: kubernetes, image: x, template: pod.yaml }\n";
    let template = pool(&configuration(text, &["pod.yaml"]), "pods").template.unwrap();
    assert_eq!(template["spec"]["containers"][0]["name"], "main");
}

/// As the level `restricted`, which the namespace enforces, wants it.
#[test]
fn the_managers_pod_is_shut_in_and_alone() {
    assert_eq!(the("namespace.yaml", "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    let deployment = the("manager.yaml", "Deployment");
    assert_eq!((&deployment["spec"]["replicas"], &deployment["spec"]["strategy"]["type"]), (&1.into(), &"Recreate".into()));
    let spec = &deployment["spec"]["template"]["spec"];
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let context = &spec["containers"][0]["securityContext"];
    assert_eq!((&context["allowPrivilegeEscalation"], &context["readOnlyRootFilesystem"]), (&false.into(), &true.into()));
    assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]));
    // The token is mounted here and nowhere else.
    assert_eq!(spec["automountServiceAccountToken"], true);
    let account = the("role.yaml", "ServiceAccount");
    assert_eq!(
        (&account["automountServiceAccountToken"], &account["metadata"]["name"]),
        (&false.into(), &spec["serviceAccountName"])
    );
    // The policy is for the pods of tasks, or the manager would not reach the API.
    let policy = the("network-policy.yaml", "NetworkPolicy");
    let key = policy["spec"]["podSelector"]["matchExpressions"][0]["key"].as_str().unwrap().to_owned();
    assert_eq!(key, "airx.dev/attempt");
    assert!(deployment["spec"]["template"]["metadata"]["labels"].get(&key).is_none());
    let outside = policy["spec"]["egress"][1]["to"][0]["ipBlock"]["except"].to_string();
    assert!(outside.contains("169.254.0.0/16") && outside.contains("10.0.0.0/8"), "{outside}");
}
