//! What a server makes of a posted pod: its faults, or the pod with all that is filled in.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::refusal::{Cause, Refusal, bad_request, invalid};
use super::status::stamp;

/// Fields of a pod's spec; others are dropped with a warning.
const SPEC: &[&str] = &[
    "activeDeadlineSeconds",
    "affinity",
    "automountServiceAccountToken",
    "containers",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "ephemeralContainers",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "hostname",
    "hostnameOverride",
    "imagePullSecrets",
    "initContainers",
    "nodeName",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "resourceClaims",
    "resources",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "schedulingGates",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
    "workloadRef",
];

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Takes out fields that no server knows; their names.
pub fn drop_unknown(pod: &mut Value) -> Vec<String> {
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return Vec::new() };
    let unknown: Vec<String> = spec.keys().filter(|key| !SPEC.contains(&key.as_str())).cloned().collect();
    spec.retain(|key, _| SPEC.contains(&key.as_str()));
    unknown.into_iter().map(|key| format!("spec.{key}")).collect()
}

/// What is wrong with a posted pod.
pub fn check(pod: &Value, namespace: &str) -> Result<(), Refusal> {
    if pod["kind"] != "Pod" || pod["apiVersion"] != "v1" {
        let kind = pod["kind"].as_str().unwrap_or_default();
        let message = format!(
            "{kind} in version \"v1\" cannot be handled as a Pod: converting (v1.{kind}) to (core.Pod): unknown conversion"
        );
        return Err(bad_request(message));
    }
    if pod["metadata"]["namespace"].as_str().is_some_and(|other| other != namespace) {
        return Err(bad_request("the namespace of the provided object does not match the namespace sent on the request"));
    }
    let containers = |list: &str| pod["spec"][list].as_array().cloned().unwrap_or_default();
    let all = containers("containers").into_iter().chain(containers("initContainers"));
    let quantities = all.flat_map(|container| {
        let of = |list: &str| container["resources"][list].as_object().cloned().unwrap_or_default();
        of("limits").into_iter().chain(of("requests")).map(|(_, quantity)| quantity)
    });
    for quantity in quantities {
        if quantity.as_str().is_some_and(|text| !is_quantity(text)) {
            let rule = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
            return Err(bad_request(format!("Pod in version \"v1\" cannot be handled as a Pod: {rule}")));
        }
    }
    let causes = causes(pod);
    if causes.is_empty() { Ok(()) } else { Err(invalid("Pod", pod["metadata"]["name"].as_str().unwrap_or_default(), &causes)) }
}

fn causes(pod: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut wrong = |reason, field: String, message: String| causes.push(Cause { reason, field, message });
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    if name.len() > 253 {
        let message = format!("Invalid value: \"{name}\": must be no more than 253 characters");
        wrong("FieldValueInvalid", "metadata.name".to_owned(), message);
    } else if !name.split('.').all(is_label) {
        wrong("FieldValueInvalid", "metadata.name".to_owned(), format!("Invalid value: \"{name}\": {SUBDOMAIN}"));
    }
    for (_, value) in pod["metadata"]["labels"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        if value.len() > 63 {
            let message = format!("Invalid value: \"{value}\": must be no more than 63 characters");
            wrong("FieldValueInvalid", "metadata.labels".to_owned(), message);
        } else if !is_label_value(value) {
            wrong("FieldValueInvalid", "metadata.labels".to_owned(), format!("Invalid value: \"{value}\": {VALUE}"));
        }
    }
    let annotations = pod["metadata"]["annotations"].as_object().into_iter().flatten();
    let size: usize = annotations.map(|(key, value)| key.len() + value.as_str().unwrap_or_default().len()).sum();
    if size > 262_144 {
        let message = "Too long: may not be more than 262144 bytes".to_owned();
        wrong("FieldValueTooLong", "metadata.annotations".to_owned(), message);
    }
    if pod["spec"]["containers"].as_array().is_none_or(Vec::is_empty) {
        wrong("FieldValueRequired", "spec.containers".to_owned(), "Required value".to_owned());
    }
    let volumes: Vec<&str> =
        pod["spec"]["volumes"].as_array().into_iter().flatten().filter_map(|it| it["name"].as_str()).collect();
    for list in ["initContainers", "containers"] {
        for (number, container) in pod["spec"][list].as_array().into_iter().flatten().enumerate() {
            let field = format!("spec.{list}[{number}]");
            let name = container["name"].as_str().unwrap_or_default();
            if name.is_empty() || name.len() > 63 || !is_label(name) {
                wrong("FieldValueInvalid", format!("{field}.name"), format!("Invalid value: \"{name}\": {LABEL}"));
            }
            if container["image"].as_str().unwrap_or_default().is_empty() {
                wrong("FieldValueRequired", format!("{field}.image"), "Required value".to_owned());
            }
            for (at, mount) in container["volumeMounts"].as_array().into_iter().flatten().enumerate() {
                let name = mount["name"].as_str().unwrap_or_default();
                if !volumes.contains(&name) {
                    wrong("FieldValueNotFound", format!("{field}.volumeMounts[{at}].name"), format!("Not found: \"{name}\""));
                }
            }
        }
    }
    if let Some(seconds) = pod["spec"]["activeDeadlineSeconds"].as_i64().filter(|seconds| *seconds < 1) {
        let message = format!("Invalid value: {seconds}: must be between 1 and 2147483647, inclusive");
        wrong("FieldValueInvalid", "spec.activeDeadlineSeconds".to_owned(), message);
    }
    causes
}

fn is_label(text: &str) -> bool {
    let is_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_in = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    is_end(text.bytes().next()) && is_end(text.bytes().last()) && text.bytes().all(is_in)
}

fn is_label_value(text: &str) -> bool {
    let is_end = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    let is_in = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    is_end(text.bytes().next()) && is_end(text.bytes().last()) && text.bytes().all(is_in)
}

fn is_quantity(text: &str) -> bool {
    let number = text.trim_start_matches(['+', '-']);
    let unit = number.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let exponent = unit.trim_start_matches(|c: char| "eEinumkKMGTP".contains(c));
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    unit.len() < number.len() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The pod as the server keeps it.
pub fn complete(posted: &Value, namespace: &str, uid: &str) -> Value {
    let mut metadata = Map::new();
    let given = &posted["metadata"];
    metadata.insert("name".to_owned(), given["name"].clone());
    metadata.insert("namespace".to_owned(), json!(namespace));
    metadata.insert("uid".to_owned(), json!(uid));
    metadata.insert("resourceVersion".to_owned(), json!("0"));
    metadata.insert("generation".to_owned(), json!(1));
    metadata.insert("creationTimestamp".to_owned(), json!(stamp(Timestamp::now())));
    for key in ["labels", "annotations", "ownerReferences", "finalizers"] {
        if let Some(value) = given.get(key) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    let mut spec = posted["spec"].clone();
    for list in ["initContainers", "containers"] {
        each(&mut spec, list).for_each(container);
    }
    each(&mut spec, "volumes").for_each(volume);
    set(&mut spec, "restartPolicy", json!("Always"));
    set(&mut spec, "terminationGracePeriodSeconds", json!(30));
    set(&mut spec, "dnsPolicy", json!("ClusterFirst"));
    set(&mut spec, "serviceAccountName", json!("default"));
    let account = spec["serviceAccountName"].clone();
    set(&mut spec, "serviceAccount", account);
    set(&mut spec, "securityContext", json!({}));
    set(&mut spec, "schedulerName", json!("default-scheduler"));
    let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        if !tolerations.iter().any(|toleration| toleration["key"] == key) {
            tolerations.push(json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 }));
        }
    }
    spec["tolerations"] = json!(tolerations);
    set(&mut spec, "priority", json!(0));
    set(&mut spec, "enableServiceLinks", json!(true));
    set(&mut spec, "preemptionPolicy", json!("PreemptLowerPriority"));
    let status = json!({ "phase": "Pending", "qosClass": quality(&spec) });
    json!({ "kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": status })
}

/// The entries of a list, if it is there.
fn each<'a>(object: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

fn set(object: &mut Value, key: &str, value: Value) {
    if object[key].is_null() {
        object[key] = value;
    }
}

fn container(container: &mut Value) {
    set(container, "resources", json!({}));
    if let Some(limits) = container["resources"]["limits"].as_object().cloned() {
        for (name, limit) in limits {
            set(&mut container["resources"]["requests"], &name, limit);
        }
    }
    set(container, "terminationMessagePath", json!("/dev/termination-log"));
    set(container, "terminationMessagePolicy", json!("File"));
    let image = container["image"].as_str().unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    let is_newest = !image.contains('@') && (!last.contains(':') || last.ends_with(":latest"));
    set(container, "imagePullPolicy", json!(if is_newest { "Always" } else { "IfNotPresent" }));
    for variable in each(container, "env") {
        if let Some(field) = variable.get_mut("valueFrom").and_then(|from| from.get_mut("fieldRef")) {
            set(field, "apiVersion", json!("v1"));
        }
    }
}

fn volume(volume: &mut Value) {
    for (kind, key) in [("secret", "defaultMode"), ("configMap", "defaultMode")] {
        if volume.get(kind).is_some() {
            set(&mut volume[kind], key, json!(420));
        }
    }
}

fn quality(spec: &Value) -> &'static str {
    let containers: Vec<&Value> =
        ["containers", "initContainers"].iter().flat_map(|list| spec[*list].as_array().into_iter().flatten()).collect();
    let has_none = |container: &&Value| {
        let of = |list: &str| container["resources"][list].as_object().is_none_or(Map::is_empty);
        of("limits") && of("requests")
    };
    let is_full = |container: &&Value| {
        ["cpu", "memory"].iter().all(|name| {
            let limit = &container["resources"]["limits"][*name];
            !limit.is_null() && *limit == container["resources"]["requests"][*name]
        })
    };
    match () {
        () if containers.iter().all(has_none) => "BestEffort",
        () if containers.iter().all(is_full) => "Guaranteed",
        () => "Burstable",
    }
}
