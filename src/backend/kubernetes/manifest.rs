//! What a pod is, decided purely from an order and its pool: hardened, so that it passes the Pod Security level `restricted`
//! (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>), and laid over the pool's template.

mod main;
mod merge;
#[cfg(test)]
mod tests;
mod workspace;

use serde_json::{Map, Value, json};

use self::merge::{append, lay};
use super::names;
use super::record::Record;
use crate::manager::ports::{CONTAINER_ATTEMPT, CONTAINER_BIN, CONTAINER_CLAUDE, CONTAINER_SCRATCH, LaunchOrder, PodPlace};
use crate::model::attempt::Stdin;
use crate::model::docker::{PullPolicy, RunnerMode};
use crate::model::kubernetes::{KubernetesSettings, PodVolume, VolumeSource};

/// Seconds beyond all deadlines after which the cluster itself ends a pod, should nobody else.
const LAST_RESORT_S: u64 = 300;
/// The longest of its deadlines that a cluster takes, in seconds.
const MAX_DEADLINE_S: u64 = i32::MAX as u64;
/// Seconds that a runner has, beyond its task's grace, to end what is left and to tell all of it.
const LAST_WORDS_S: u64 = 30;
/// Most bytes of a pod's definition: what a cluster's store takes, less what the server adds.
const MAX_POD: usize = 1_200_000;

/// Whether the order's pod has no runner of ours.
pub fn is_reduced(settings: &KubernetesSettings) -> bool {
    settings.runner == RunnerMode::None
}

/// Milliseconds between the request for the pod's end and its end.
pub fn grace_ms(order: &LaunchOrder, settings: &KubernetesSettings) -> u64 {
    let own = order.spec.grace_ms.max(1_000);
    // The runner asks, insists after its grace, and then tells what there is.
    let needed = if is_reduced(settings) { own } else { own + LAST_WORDS_S * 1_000 };
    needed.max(settings.grace_ms.unwrap_or(0))
}

/// The pod.
///
/// # Errors
/// Why there can be none, and what to do.
pub fn manifest(order: &LaunchOrder, place: &PodPlace, instance: &str, record: &Record) -> Result<Value, String> {
    let settings = &*place.settings;
    let mut pod = settings.template.as_deref().cloned().unwrap_or_else(|| json!({}));
    lay(&mut pod, json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata(place, instance, record) }));
    let spec = &mut pod["spec"];
    lay(spec, common(order, settings, record));
    // None is as good as nothing said, and that would mount it.
    if spec.get("automountServiceAccountToken").is_none_or(Value::is_null) {
        spec["automountServiceAccountToken"] = false.into();
    }
    append(spec, "tolerations", settings.tolerations.clone());
    append(spec, "imagePullSecrets", settings.pull_secrets.iter().map(|name| json!({ "name": name })).collect());
    append(spec, "volumes", volumes(settings));
    let own: Vec<Value> = place_runner(settings).into_iter().chain(workspace::clone(settings)).collect();
    let theirs = take_list(spec, "initContainers");
    append(spec, "initContainers", own.into_iter().chain(theirs).collect());
    let mut containers = take_list(spec, "containers");
    let under = containers.iter().position(|one| one["name"] == super::pod::MAIN).map(|place| containers.remove(place));
    let main = main::container(order, place, under.unwrap_or_else(|| json!({})))?;
    append(spec, "containers", std::iter::once(main).chain(containers).collect());
    match serde_json::to_vec(&pod) {
        Ok(bytes) if bytes.len() <= MAX_POD => Ok(pod),
        _ => Err(format!("its definition is larger than a cluster's store takes ({MAX_POD} bytes): {TOO_LARGE}")),
    }
}

/// What to do about it.
const TOO_LARGE: &str = "pass large values and prompts in files of the workspace or a volume";

fn metadata(place: &PodPlace, instance: &str, record: &Record) -> Value {
    let settings = &place.settings;
    let mut labels: Map<String, Value> =
        settings.labels.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    let own = [
        (names::MANAGED_BY, names::AIRX.to_owned()),
        (names::INSTANCE, instance.to_owned()),
        (names::JOB, names::label(&place.job)),
        (names::TASK, names::label(&place.task)),
        (names::ATTEMPT, record.mark.clone()),
    ];
    labels.extend(own.map(|(key, value)| (key.to_owned(), value.into())));
    let mut notes: Map<String, Value> =
        settings.annotations.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    // What labels cut.
    notes.insert(names::JOB.to_owned(), place.job.as_str().into());
    notes.insert(names::TASK.to_owned(), place.task.as_str().into());
    json!({ "name": names::pod(&record.mark), "labels": labels, "annotations": notes })
}

/// What is of the pod as a whole.
fn common(order: &LaunchOrder, settings: &KubernetesSettings, record: &Record) -> Value {
    let mut spec = json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": record.pod_grace_ms.div_ceil(1_000),
        "enableServiceLinks": false,
        "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
    });
    // The cluster does not know that the clock of a task that waits for a person stands still.
    let waits = order.spec.stdin == Stdin::Stream;
    if let Some(timeout_ms) = order.spec.timeout_ms.or(settings.run_deadline_ms).filter(|_| !waits) {
        let gates = [&order.spec.gate, &order.spec.round].into_iter().flatten().map(|gate| gate.timeout_ms).sum::<u64>();
        let all = [timeout_ms, gates, record.pod_grace_ms, settings.pull_deadline_ms]
            .iter()
            .fold(0_u64, |sum, ms| sum.saturating_add(*ms));
        spec["activeDeadlineSeconds"] = (all / 1_000).saturating_add(LAST_RESORT_S).min(MAX_DEADLINE_S).into();
    }
    let context = &mut spec["securityContext"];
    if let Some((uid, gid)) = settings.user {
        context["runAsUser"] = uid.into();
        context["runAsGroup"] = gid.into();
        context["fsGroup"] = gid.into();
        context["runAsNonRoot"] = (uid != 0).into();
    }
    if !settings.node_selector.is_empty() {
        spec["nodeSelector"] = json!(settings.node_selector);
    }
    let said = [
        ("serviceAccountName", &settings.service_account),
        ("priorityClassName", &settings.priority_class),
        ("runtimeClassName", &settings.runtime_class),
    ];
    for (key, value) in said {
        if let Some(value) = value {
            spec[key] = value.as_str().into();
        }
    }
    if let Some(affinity) = &settings.affinity {
        spec["affinity"] = affinity.clone();
    }
    spec
}

fn take_list(spec: &mut Value, key: &str) -> Vec<Value> {
    match spec.get_mut(key).map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn pull_policy(pull: PullPolicy) -> &'static str {
    match pull {
        PullPolicy::Missing => "IfNotPresent",
        PullPolicy::Always => "Always",
        PullPolicy::Never => "Never",
    }
}

/// What keeps any container of ours in its bounds.
fn confined(read_only: bool) -> Value {
    json!({ "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": read_only, "capabilities": { "drop": ["ALL"] } })
}

/// Puts our program where the task's container finds it.
fn place_runner(settings: &KubernetesSettings) -> Option<Value> {
    let image = settings.runner_image.as_ref().filter(|_| !is_reduced(settings))?;
    Some(json!({
        "name": "airx-runner",
        "image": image,
        "imagePullPolicy": pull_policy(settings.pull),
        "command": ["/airx", "place", PUT],
        "securityContext": confined(true),
        "volumeMounts": [{ "name": BIN, "mountPath": PUT }],
        "resources": small(settings),
    }))
}

/// Where a quota wants limits of each container. What the pool asks for is the task's: more than these limits would be refused.
fn small(settings: &KubernetesSettings) -> Value {
    if settings.requests.is_empty() {
        json!({})
    } else {
        json!({ "requests": { "memory": "32Mi", "cpu": "10m" }, "limits": { "memory": "256Mi", "cpu": "1" } })
    }
}

/// Where the image with our program has no file of its own.
const PUT: &str = "/put";
const BIN: &str = "airx-bin";
const ATTEMPT: &str = "airx-attempt";
const CLAUDE: &str = "airx-claude";
const SCRATCH: &str = "airx-tmp";

fn volumes(settings: &KubernetesSettings) -> Vec<Value> {
    let empty = |name: &str| json!({ "name": name, "emptyDir": {} });
    let mut all = vec![empty(SCRATCH)];
    if !is_reduced(settings) {
        all.extend([empty(ATTEMPT), empty(CLAUDE)]);
        all.extend(settings.runner_image.is_some().then(|| empty(BIN)));
    }
    all.push(workspace::volume(settings));
    all.extend(settings.volumes.iter().enumerate().map(|(number, volume)| volume_of(number, volume)));
    all
}

fn name_of(number: usize) -> String {
    format!("airx-volume-{number}")
}

fn volume_of(number: usize, volume: &PodVolume) -> Value {
    let mut all = json!({ "name": name_of(number) });
    match &volume.source {
        VolumeSource::Claim(name) => {
            all["persistentVolumeClaim"] = json!({ "claimName": name, "readOnly": volume.read_only });
        }
        VolumeSource::Secret(name) => all["secret"] = json!({ "secretName": name }),
        VolumeSource::ConfigMap(name) => all["configMap"] = json!({ "name": name }),
        VolumeSource::Empty { bytes, memory } => {
            let mut empty = json!({});
            if let Some(bytes) = bytes {
                empty["sizeLimit"] = bytes.to_string().into();
            }
            if *memory {
                empty["medium"] = "Memory".into();
            }
            all["emptyDir"] = empty;
        }
    }
    all
}

/// Where all of it is in the task's container.
fn mounts(settings: &KubernetesSettings) -> Vec<Value> {
    let mount = |name: &str, path: &str| json!({ "name": name, "mountPath": path });
    // A pool may want its own scratch space, such as one in memory.
    let has_scratch = settings.volumes.iter().any(|volume| volume.target.as_os_str() == CONTAINER_SCRATCH);
    let mut all: Vec<Value> = (!has_scratch).then(|| mount(SCRATCH, CONTAINER_SCRATCH)).into_iter().collect();
    if !is_reduced(settings) {
        all.extend([mount(ATTEMPT, CONTAINER_ATTEMPT), mount(CLAUDE, CONTAINER_CLAUDE)]);
        if settings.runner_image.is_some() {
            all.push(json!({ "name": BIN, "mountPath": CONTAINER_BIN, "readOnly": true }));
        }
    }
    all.push(workspace::mount(settings));
    for (number, volume) in settings.volumes.iter().enumerate() {
        let mut mounted = mount(&name_of(number), &volume.target.display().to_string());
        mounted["readOnly"] = volume.read_only.into();
        if let Some(path) = &volume.path {
            mounted["subPath"] = path.as_str().into();
        }
        all.push(mounted);
    }
    all
}

/// Kubernetes expands `$(NAME)` in commands, arguments and values of variables, and makes `$` of `$$`:
/// <https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}
