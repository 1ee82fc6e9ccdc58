//! From a container's spec to what the engine is asked for.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::kubernetes::store::{Cluster, Key};

/// Why a container cannot be made now: the reason and message of `waiting`.
pub type Waiting = (&'static str, String);

/// The container's environment, in its order.
pub fn environment(cluster: &Cluster, key: &Key, pod: &Value, container: &Value) -> Result<Vec<(String, String)>, Waiting> {
    let secrets = cluster.state().secrets.clone();
    let wrong = |message: String| ("CreateContainerConfigError", message);
    let mut all: Vec<(String, String)> = Vec::new();
    let list = |name: &str| container[name].as_array().cloned().unwrap_or_default();
    for from in list("envFrom") {
        let name = from["secretRef"]["name"].as_str().unwrap_or_default();
        let Some(secret) = secrets.get(name) else { return Err(wrong(format!("secret \"{name}\" not found"))) };
        all.extend(secret.iter().map(|(key, value)| (key.clone(), String::from_utf8_lossy(value).into_owned())));
    }
    for variable in list("env") {
        let name = variable["name"].as_str().unwrap_or_default().to_owned();
        let from = &variable["valueFrom"];
        let value = if let Some(reference) = from.get("secretKeyRef") {
            let (secret, entry) = (reference["name"].as_str().unwrap_or_default(), reference["key"].as_str().unwrap_or_default());
            match secrets.get(secret).map(|secret| secret.get(entry)) {
                Some(Some(value)) => String::from_utf8_lossy(value).into_owned(),
                _ if reference["optional"] == true => continue,
                Some(None) => return Err(wrong(format!("couldn't find key {entry} in Secret {}/{secret}", key.namespace))),
                None => return Err(wrong(format!("secret \"{secret}\" not found"))),
            }
        } else if let Some(reference) = from.get("configMapKeyRef") {
            return Err(wrong(format!("configmap {} not found", reference["name"])));
        } else if let Some(path) = from["fieldRef"]["fieldPath"].as_str() {
            field(pod, path)
        } else {
            let known: BTreeMap<&str, &str> = all.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            expanded(variable["value"].as_str().unwrap_or_default(), &known)
        };
        all.retain(|(known, _)| *known != name);
        all.push((name, value));
    }
    Ok(all)
}

fn field(pod: &Value, path: &str) -> String {
    if let Some((base, rest)) = path.split_once("['") {
        let entry = rest.trim_end_matches("']");
        return base.split('.').fold(pod, |value, key| &value[key])[entry].as_str().unwrap_or_default().to_owned();
    }
    path.split('.').fold(pod, |value, key| &value[key]).as_str().unwrap_or_default().to_owned()
}

/// `$(NAME)` is replaced where the name is known, and `$$` is a `$`.
pub fn expanded(text: &str, known: &BTreeMap<&str, &str>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match known.get(name) {
                Some(value) => result.push_str(value),
                None => result.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            result.push('$');
        }
    }
    result + rest
}

/// Who it runs as: from the container's security context, then the pod's.
pub fn secured<'a>(pod: &'a Value, container: &'a Value, field: &str) -> &'a Value {
    let own = &container["securityContext"][field];
    if own.is_null() { &pod["spec"]["securityContext"][field] } else { own }
}

/// What `POST /containers/create` is sent.
pub fn asked(pod: &Value, container: &Value, environment: &[(String, String)], binds: &[String], label: &str) -> Value {
    let known: BTreeMap<&str, &str> = environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let words = |list: &str| -> Option<Vec<String>> {
        let list = container[list].as_array()?;
        Some(list.iter().map(|word| expanded(word.as_str().unwrap_or_default(), &known)).collect())
    };
    let own = &container["securityContext"];
    let capabilities = |list: &str| own["capabilities"][list].clone();
    let user = match (secured(pod, container, "runAsUser").as_u64(), secured(pod, container, "runAsGroup").as_u64()) {
        (Some(user), group) => format!("{user}:{}", group.unwrap_or(0)),
        (None, Some(group)) => format!("0:{group}"),
        (None, None) => String::new(),
    };
    let security = &pod["spec"]["securityContext"];
    let mut groups: Vec<String> = security["fsGroup"].as_u64().iter().map(u64::to_string).collect();
    groups.extend(security["supplementalGroups"].as_array().into_iter().flatten().map(Value::to_string));
    let limits = &container["resources"]["limits"];
    let memory = limits["memory"].as_str().map_or(0.0, quantity) as i64;
    let cpus = (limits["cpu"].as_str().map_or_else(|| limits["cpu"].as_f64().unwrap_or(0.0), quantity) * 1e9) as i64;
    let options: Vec<&str> = if own["allowPrivilegeEscalation"] == false { vec!["no-new-privileges"] } else { Vec::new() };
    let has_stdin = container["stdin"] == true;
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let network = pod["metadata"]["annotations"]["airx.test/network"].as_str().unwrap_or("none");
    let mut asked = json!({
        "Image": container["image"], "Env": environment.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(),
        "User": user, "Hostname": name.chars().take(63).collect::<String>(),
        "OpenStdin": has_stdin, "StdinOnce": container["stdinOnce"] == true, "AttachStdin": has_stdin,
        "AttachStdout": true, "AttachStderr": true, "Labels": { super::LABEL: label },
        "HostConfig": {
            "Binds": binds, "NetworkMode": network, "LogConfig": { "Type": "none" },
            "ReadonlyRootfs": own["readOnlyRootFilesystem"] == true,
            "CapDrop": capabilities("drop"), "CapAdd": capabilities("add"), "GroupAdd": groups, "SecurityOpt": options,
            "Memory": memory, "MemorySwap": memory, "NanoCpus": cpus,
            // There PID 1 is somebody else, so that signals end what has no handler for them.
            "Init": pod["spec"]["shareProcessNamespace"] == true,
        },
    });
    if let Some(command) = words("command") {
        asked["Entrypoint"] = json!(command);
    }
    if let Some(args) = words("args") {
        asked["Cmd"] = json!(args);
    }
    if let Some(directory) = container["workingDir"].as_str() {
        asked["WorkingDir"] = json!(directory);
    }
    asked
}

/// A quantity as a number.
pub fn quantity(text: &str) -> f64 {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "m" => 0.001,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        _ => 1.0,
    };
    number.parse::<f64>().unwrap_or_default() * factor
}
