//! Logins to registries, as `docker login` leaves them in its configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;

use crate::backend::attempt::directory::read;

/// Largest configuration of the docker command line that is read, in bytes.
const MAX_CONFIG: u64 = 1 << 20;
/// How Docker's own registry is called there.
const HUB: &str = "https://index.docker.io/v1/";

/// Where logins are looked up.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    /// The docker command line's `config.json`.
    pub config: Option<PathBuf>,
}

impl Registries {
    /// By `DOCKER_CONFIG`, else below HOME.
    pub fn find(env: &BTreeMap<String, String>) -> Registries {
        let known = |name: &str| env.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let directory = known("DOCKER_CONFIG").or_else(|| known("HOME").map(|home| home.join(".docker")));
        Registries { config: directory.map(|directory| directory.join("config.json")) }
    }

    /// The login for the registry of an image, when there is one that is written there. Logins that a helper program keeps are
    /// not asked for.
    pub fn login(&self, image: &str) -> Option<DockerCredentials> {
        let config: serde_json::Value = serde_json::from_slice(&read(self.config.as_ref()?, MAX_CONFIG).ok()?).ok()?;
        let host = host(image);
        let entry = config.get("auths")?.get(host)?;
        let decoded = STANDARD.decode(entry.get("auth")?.as_str()?).ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some(DockerCredentials {
            username: Some(user.to_owned()),
            password: Some(password.to_owned()),
            serveraddress: Some(host.to_owned()),
            ..DockerCredentials::default()
        })
    }
}

/// The registry that an image names: what comes before the first slash, when it looks like a host.
fn host(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => HUB,
    }
}

/// The image with a tag: without one, an engine would pull all there are.
pub fn tagged(image: &str) -> String {
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    if name.contains(':') || image.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_found_by_the_images_registry() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".docker")).unwrap();
        let text =
            r#"{"auths":{"reg.example:5000":{"auth":"YW5uOnM6M2NyZXQ="},"https://index.docker.io/v1/":{"auth":"Ym9iOng="}}}"#;
        std::fs::write(home.path().join(".docker/config.json"), text).unwrap();
        let registries = Registries::find(&BTreeMap::from([("HOME".to_owned(), home.path().display().to_string())]));
        let login = |image: &str| registries.login(image).map(|login| (login.username.unwrap(), login.password.unwrap()));
        assert_eq!(login("reg.example:5000/team/x:1"), Some(("ann".to_owned(), "s:3cret".to_owned())));
        assert_eq!(login("team/x"), Some(("bob".to_owned(), "x".to_owned())));
        assert_eq!(login("other.example/x"), None);
        assert!(Registries::default().login("x").is_none());
    }

    #[test]
    fn an_image_without_a_tag_is_the_latest() {
        assert_eq!(tagged("reg.example:5000/x"), "reg.example:5000/x:latest");
        for full in ["x:1", "reg:5000/a/x:1", "x@sha256:00"] {
            assert_eq!(tagged(full), full);
        }
    }
}
