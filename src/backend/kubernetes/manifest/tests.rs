use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::model::ids::{AttemptId, JobId, TaskIdx};
use crate::model::kubernetes::{PodEnv, PodWorkspace};
use crate::model::pod::PodOrder;
use crate::model::spec::Resources;
use crate::model::time::Utc;

fn order(argv: &[&str]) -> LaunchOrder {
    let spec = json!({
        "mark": "0a1b2c3d-1-0-1", "argv": argv, "cwd": "/workspace", "stdin": "null", "output": "pipes", "timeout_ms": 60_000,
        "grace_ms": 5_000, "stop": "term", "output_limit": 1_000,
    });
    LaunchOrder {
        attempt: AttemptId { job: JobId(1), task: TaskIdx(0), number: 1 },
        dir: PathBuf::from("/home/jobs/j.1/t.1"),
        spec: serde_json::from_value(spec).unwrap(),
        env: vec![("ODD".to_owned(), "$(HOME) $X".to_owned()), ("OF_BOTH".to_owned(), "task".to_owned())],
        prompt: None,
        place: crate::manager::ports::Place::Process,
    }
}

fn made(settings: KubernetesSettings, order: &LaunchOrder) -> Value {
    let resources = Resources { memory: Some(64 << 20), cpus: Some(0.5), pids: None };
    let place = PodPlace { settings: Arc::new(settings), job: "j.1".into(), task: "fix/2".into(), resources, nonce: "n".into() };
    let mut record = Record::of(order, &place, is_reduced(&place.settings), Utc(0));
    record.pod_grace_ms = grace_ms(order, &place.settings);
    manifest(order, &place, "0a1b2c3d", &record).unwrap()
}

fn reduced() -> KubernetesSettings {
    KubernetesSettings { runner: RunnerMode::None, ..KubernetesSettings::of("busybox") }
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a Value> {
    container["env"].as_array().unwrap().iter().find(|variable| variable["name"] == name)
}

/// What the recorded pod that a `restricted` namespace accepted had.
#[test]
fn a_pod_is_hardened_as_restricted_wants_it() {
    let pod = made(reduced(), &order(&["sh", "-c", "echo $(date) $$"]));
    let (spec, main) = (&pod["spec"], &pod["spec"]["containers"][0]);
    assert_eq!(pod["metadata"]["name"], "airx-0a1b2c3d-1-0-1");
    assert_eq!(pod["metadata"]["labels"][names::INSTANCE], "0a1b2c3d");
    assert_eq!(pod["metadata"]["annotations"][names::TASK], "fix/2");
    assert_eq!((&spec["restartPolicy"], &spec["automountServiceAccountToken"]), (&json!("Never"), &json!(false)));
    assert_eq!(spec["terminationGracePeriodSeconds"], 5);
    let context = &spec["securityContext"];
    assert_eq!((&context["runAsNonRoot"], &context["seccompProfile"]["type"]), (&json!(true), &json!("RuntimeDefault")));
    let confined = &main["securityContext"];
    assert_eq!(confined["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!((&confined["allowPrivilegeEscalation"], &confined["readOnlyRootFilesystem"]), (&json!(false), &json!(true)));
    assert_eq!(main["resources"]["limits"], json!({ "memory": "67108864", "cpu": "500m" }));
}

/// The runner enforces limits to the second, and lets the clock stand still while a person is waited for; the cluster is there for
/// the case that the runner is not.
#[test]
fn a_clusters_own_deadline_is_a_last_resort_only() {
    let deadline = |pod: &Value| pod["spec"]["activeDeadlineSeconds"].as_u64();
    let handed = |pod: &Value| {
        let main = &pod["spec"]["containers"][0];
        let read = |name: &str| variable(main, name).and_then(|found| found["value"].as_str().map(str::to_owned));
        PodOrder::read(read).unwrap().spec.timeout_ms
    };
    let bounded = || KubernetesSettings { run_deadline_ms: Some(10_000), ..KubernetesSettings::of("x") };
    let mut own = order(&["true"]);
    let pod = made(bounded(), &own);
    assert_eq!(
        (handed(&pod), deadline(&pod)),
        (Some(60_000), Some(60 + 35 + 600 + 300)),
        "the task's own goes before the pool's"
    );
    own.spec.timeout_ms = None;
    assert_eq!(handed(&made(bounded(), &own)), Some(10_000));
    assert_eq!(deadline(&made(KubernetesSettings::of("x"), &own)), None);
    own.spec.timeout_ms = Some(u64::MAX);
    assert_eq!(deadline(&made(bounded(), &own)), Some(2_147_483_647), "more is refused");
    own.spec.stdin = Stdin::Stream;
    assert_eq!(deadline(&made(bounded(), &own)), None, "it may wait for a person");
}

#[test]
fn a_token_is_mounted_only_where_a_template_says_so() {
    let token = |said: Value| {
        let template = json!({ "spec": { "automountServiceAccountToken": said } });
        let settings = KubernetesSettings { template: Some(Arc::new(template)), ..reduced() };
        made(settings, &order(&["true"]))["spec"]["automountServiceAccountToken"].clone()
    };
    assert_eq!([token(json!(null)), token(json!(false)), token(json!(true))], [false, false, true]);
}

#[test]
fn no_dollar_of_a_task_is_kubernetes_to_expand() {
    let settings = KubernetesSettings {
        env: [
            ("OF_BOTH".to_owned(), PodEnv::Text("pool".to_owned())),
            ("KEY".to_owned(), PodEnv::Secret { name: "s".to_owned(), key: "k".to_owned() }),
        ]
        .into(),
        ..reduced()
    };
    let pod = made(settings, &order(&["sh", "-c", "echo $(date) $$"]));
    let main = &pod["spec"]["containers"][0];
    assert_eq!(main["command"], json!(["sh", "-c", "echo $$(date) $$$$"]));
    assert_eq!(variable(main, "ODD").unwrap()["value"], "$$(HOME) $$X");
    assert_eq!(variable(main, "OF_BOTH").unwrap()["value"], "task");
    assert_eq!(variable(main, "KEY").unwrap()["valueFrom"]["secretKeyRef"], json!({ "name": "s", "key": "k" }));
}

#[test]
fn a_runner_is_copied_in_and_handed_its_order() {
    let settings =
        KubernetesSettings { runner_image: Some("airx:1".to_owned()), attach: true, ..KubernetesSettings::of("busybox") };
    let pod = made(settings, &order(&["true"]));
    let (init, main) = (&pod["spec"]["initContainers"][0], &pod["spec"]["containers"][0]);
    assert_eq!((&init["image"], &init["command"]), (&json!("airx:1"), &json!(["/airx", "place", "/put"])));
    assert_eq!((&main["command"], &main["stdin"]), (&json!(["/airx/bin/airx", "pod", CONTAINER_ATTEMPT]), &json!(true)));
    assert_eq!(pod["spec"]["terminationGracePeriodSeconds"], 35);
    let handed =
        PodOrder::read(|name| variable(main, name).and_then(|found| found["value"].as_str().map(str::to_owned))).unwrap();
    assert_eq!((handed.nonce.as_str(), handed.env), ("n", order(&[]).env));
    assert_eq!(handed.spec.timeout_ms, Some(60_000));
}

#[test]
fn a_task_without_a_timeout_has_the_pools() {
    let settings = KubernetesSettings { run_deadline_ms: Some(90_000), ..KubernetesSettings::of("busybox") };
    let mut endless = order(&["true"]);
    endless.spec.timeout_ms = None;
    let pod = made(settings, &endless);
    let main = &pod["spec"]["containers"][0];
    let handed =
        PodOrder::read(|name| variable(main, name).and_then(|found| found["value"].as_str().map(str::to_owned))).unwrap();
    assert_eq!(handed.spec.timeout_ms, Some(90_000));
    // 90 s, the grace of 35, 600 for pulls, and what is beyond all of them.
    assert_eq!(pod["spec"]["activeDeadlineSeconds"], 1_025);
}

/// A request beyond a limit makes a pod that no cluster takes.
#[test]
fn what_prepares_a_pod_never_asks_for_more_than_its_limits() {
    let asked = [("memory".to_owned(), "512Mi".to_owned()), ("cpu".to_owned(), "2".to_owned())];
    let settings = KubernetesSettings {
        runner_image: Some("airx:1".to_owned()),
        requests: asked.into(),
        ..KubernetesSettings::of("busybox")
    };
    let pod = made(settings, &order(&["true"]));
    let resources = &pod["spec"]["initContainers"][0]["resources"];
    assert_eq!(resources["requests"], json!({ "memory": "32Mi", "cpu": "10m" }));
    assert_eq!(resources["limits"], json!({ "memory": "256Mi", "cpu": "1" }));
    assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"], json!({ "memory": "512Mi", "cpu": "2" }));
}

#[test]
fn what_a_pool_says_is_laid_over_its_template() {
    let template = json!({
        "metadata": { "labels": { "team": "a" }, "annotations": { "note": "b" } },
        "spec": {
            "tolerations": [{ "key": "gpu" }],
            "initContainers": [{ "name": "warm" }],
            "containers": [
                { "name": "proxy", "image": "p" },
                { "name": "main", "env": [{ "name": "T", "value": "t" }], "volumeMounts": [{ "name": "v", "mountPath": "/v" }] },
            ],
            "volumes": [{ "name": "v", "emptyDir": {} }],
            "securityContext": { "supplementalGroups": [5] },
        },
    });
    let settings = KubernetesSettings {
        template: Some(Arc::new(template)),
        tolerations: vec![json!({ "key": "spot" })],
        workspace: PodWorkspace::Git {
            url: "https://example.org/r.git".to_owned(),
            reference: Some("v1".to_owned()),
            image: "git".to_owned(),
            depth: Some(1),
            secret: Some("login".to_owned()),
        },
        ..reduced()
    };
    let pod = made(settings, &order(&["true"]));
    let spec = &pod["spec"];
    assert_eq!(pod["metadata"]["labels"]["team"], "a");
    assert_eq!(spec["tolerations"], json!([{ "key": "gpu" }, { "key": "spot" }]));
    assert_eq!(spec["securityContext"]["supplementalGroups"], json!([5]));
    let named = |list: &str| spec[list].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(named("containers"), ["main", "proxy"]);
    assert_eq!(named("initContainers"), ["airx-clone", "warm"]);
    assert_eq!(named("volumes"), ["v", "airx-tmp", "airx-workspace"]);
    assert_eq!(spec["containers"][0]["image"], "busybox");
    assert!(variable(&spec["containers"][0], "T").is_some());
    let clone = &spec["initContainers"][0];
    assert_eq!(variable(clone, "AIRX_GIT_REF").unwrap()["value"], "v1");
    assert_eq!(variable(clone, "GIT_PASSWORD").unwrap()["valueFrom"]["secretKeyRef"]["optional"], true);
    assert!(!clone["command"][2].as_str().unwrap().replace("$$", "").contains('$'));
}

#[test]
fn what_is_too_large_for_a_pod_is_refused_with_the_remedy() {
    let long = "x".repeat(200 << 10);
    let refused = |settings: KubernetesSettings, order: &LaunchOrder| {
        let place = PodPlace {
            settings: Arc::new(settings),
            job: "j.1".into(),
            task: "t".into(),
            resources: Resources::default(),
            nonce: "n".into(),
        };
        let record = Record::of(order, &place, true, Utc(0));
        manifest(order, &place, "0a1b2c3d", &record).unwrap_err()
    };
    assert!(refused(reduced(), &order(&["sh", "-c", &long])).contains("an argument"));
    let mut many = order(&["true"]);
    many.env = vec![("BIG".to_owned(), long.repeat(4))];
    assert!(refused(KubernetesSettings::of("x"), &many).contains("pass large values"));
}
