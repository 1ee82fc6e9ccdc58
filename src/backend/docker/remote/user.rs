//! The user that a pool names, as the image knows it.

use std::io::{self, Read};

use bollard::Docker;
use bollard::query_parameters::DownloadFromContainerOptions;
use futures_util::StreamExt;

use super::tarball::Tarball;
use crate::backend::docker::fault::{Fault, Stage};
use crate::backend::docker::launch::Obstacle;

/// Largest file of an image that is looked into, in bytes.
const MAX_LOOKUP: u64 = 1 << 20;
/// Links that are followed to it.
const MAX_LINKS: u32 = 5;

/// The numbers of a user that the pool names, looked up in the image.
///
/// # Errors
/// When the image does not know it.
pub async fn user_in_image(docker: &Docker, name: &str, user: &str) -> Result<(u32, u32), Obstacle> {
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    let at = Obstacle::at(Stage::Create, user);
    let passwd = small_file(docker, name, "/etc/passwd").await.map_err(&at)?;
    let groups = if group.is_empty() { String::new() } else { small_file(docker, name, "/etc/group").await.map_err(&at)? };
    numbers(user, group, &passwd, &groups).ok_or_else(|| {
        let of_group = if group.is_empty() { String::new() } else { format!(", or no group {group}") };
        Obstacle::never(format!("the image knows no user {user}{of_group}, which the pool names: give numbers, UID:GID"))
    })
}

fn numbers(user: &str, group: &str, passwd: &str, groups: &str) -> Option<(u32, u32)> {
    let entry = |text: &str, name: &str| {
        text.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>()).find(|fields| fields[0] == name)
    };
    let (uid, gid) = match (user.parse(), entry(passwd, user)) {
        (_, Some(fields)) => (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?),
        (Ok(uid), None) => (uid, 0),
        (Err(_), None) => return None,
    };
    match (group, group.parse()) {
        ("", _) => Some((uid, gid)),
        (_, Ok(gid)) => Some((uid, gid)),
        (name, Err(_)) => Some((uid, entry(groups, name)?.get(2)?.parse().ok()?)),
    }
}

/// A file of the image, by links as well; empty when there is none.
async fn small_file(docker: &Docker, name: &str, path: &str) -> Result<String, Fault> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let options = DownloadFromContainerOptions { path: path.clone() };
        let mut stream = Box::pin(docker.download_from_container(name, Some(options)));
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            match piece.map_err(Fault::from) {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(fault) if fault.is_missing() => return Ok(String::new()),
                Err(fault) => return Err(fault),
            }
            if bytes.len() as u64 > MAX_LOOKUP {
                break;
            }
        }
        let unreadable = |e: io::Error| Fault::Refused { status: 0, message: format!("{path} cannot be read: {e}") };
        let mut tar = Tarball::new(&bytes[..]);
        let Some(item) = tar.next().map_err(unreadable)? else { return Ok(String::new()) };
        match item.link {
            Some(target) => path = std::path::Path::new("/etc").join(target).display().to_string(),
            None => {
                let mut text = Vec::new();
                tar.take(MAX_LOOKUP).read_to_end(&mut text).map_err(unreadable)?;
                return Ok(String::from_utf8_lossy(&text).into_owned());
            }
        }
    }
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_looked_up_in_the_image() {
        let (passwd, group) = ("root:x:0:0::/:/bin/sh\nann:x:1000:100::/home/ann:/bin/sh\n", "dev:x:50:ann\n");
        assert_eq!(numbers("ann", "", passwd, ""), Some((1000, 100)));
        assert_eq!(numbers("ann", "dev", passwd, group), Some((1000, 50)));
        assert_eq!(numbers("ann", "7", passwd, group), Some((1000, 7)));
        assert_eq!(numbers("12", "dev", passwd, group), Some((12, 50)));
        assert_eq!(numbers("bob", "", passwd, group), None);
    }
}
