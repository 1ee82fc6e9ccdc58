//! Volumes of a pod as directories of this machine.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::kubernetes::store::Cluster;

/// Claims that are not there: the pod cannot be scheduled.
pub fn missing_claim(cluster: &Cluster, pod: &Value) -> Option<String> {
    let claims = cluster.state().claims.clone();
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let mut names = volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str());
    names.find(|name| !claims.contains_key(*name)).map(str::to_owned)
}

/// A secret of a volume that is not there: the pod waits for it.
pub fn missing_secret(cluster: &Cluster, pod: &Value) -> Option<(String, String)> {
    let state = cluster.state();
    let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.find_map(|volume| {
        let secret = &volume["secret"];
        let name = secret["secretName"].as_str()?;
        let is_there = state.secrets.contains_key(name) || secret["optional"] == true;
        (!is_there).then(|| (volume["name"].as_str().unwrap_or_default().to_owned(), name.to_owned()))
    })
}

/// Makes the pod's own volumes in its place.
pub fn prepare(cluster: &Cluster, pod: &Value, place: &Path) -> io::Result<()> {
    let group = pod["spec"]["securityContext"]["fsGroup"].as_u64().and_then(|group| u32::try_from(group).ok());
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        let directory = source(cluster, volume, place);
        if let Some(secret) = volume.get("secret") {
            fs::create_dir_all(&directory)?;
            write_secret(cluster, secret, &directory)?;
        } else if volume.get("emptyDir").is_some() {
            fs::create_dir_all(&directory)?;
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o777))?;
        }
        if let Some(group) = group.filter(|_| volume.get("hostPath").is_none()) {
            std::os::unix::fs::chown(&directory, None, Some(group))?;
            let mode = fs::metadata(&directory)?.permissions().mode() | 0o2070;
            fs::set_permissions(&directory, fs::Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

/// Where a volume lies.
fn source(cluster: &Cluster, volume: &Value, place: &Path) -> PathBuf {
    let claim = volume["persistentVolumeClaim"]["claimName"].as_str();
    if let Some(path) = claim.and_then(|name| cluster.state().claims.get(name).cloned()) {
        return path;
    }
    if let Some(path) = volume["hostPath"]["path"].as_str() {
        return PathBuf::from(path);
    }
    place.join("volumes").join(volume["name"].as_str().unwrap_or_default())
}

fn write_secret(cluster: &Cluster, secret: &Value, directory: &Path) -> io::Result<()> {
    let name = secret["secretName"].as_str().unwrap_or_default();
    let entries = cluster.state().secrets.get(name).cloned().unwrap_or_default();
    let mode = secret["defaultMode"].as_u64().and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o644);
    let items = secret["items"].as_array().cloned();
    for (key, value) in entries {
        let path = match &items {
            None => Some(key.clone()),
            Some(items) => {
                items.iter().find(|item| item["key"] == key.as_str()).and_then(|it| it["path"].as_str().map(str::to_owned))
            }
        };
        let Some(path) = path.map(|path| directory.join(path)) else { continue };
        fs::write(&path, value)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// What is mounted in a container, and the file of its last words.
pub fn binds(cluster: &Cluster, pod: &Value, container: &Value, place: &Path) -> io::Result<(Vec<String>, PathBuf)> {
    let mut binds = Vec::new();
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        let Some(volume) = volumes.find(|volume| volume["name"] == mount["name"]) else { continue };
        let mut directory = source(cluster, volume, place);
        if let Some(part) = mount["subPath"].as_str().filter(|part| !part.is_empty()) {
            directory = directory.join(part);
            if !directory.exists() {
                fs::create_dir_all(&directory)?;
                fs::set_permissions(&directory, fs::Permissions::from_mode(0o777))?;
            }
        }
        let mode = if mount["readOnly"] == true { "ro" } else { "rw" };
        binds.push(format!("{}:{}:{mode}", directory.display(), mount["mountPath"].as_str().unwrap_or_default()));
    }
    let words = place.join(format!("{}.message", container["name"].as_str().unwrap_or_default()));
    fs::write(&words, "")?;
    fs::set_permissions(&words, fs::Permissions::from_mode(0o666))?;
    let path = container["terminationMessagePath"].as_str().unwrap_or("/dev/termination-log");
    binds.push(format!("{}:{path}:rw", words.display()));
    Ok((binds, words))
}
