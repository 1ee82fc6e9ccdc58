//! Whether the system ends what a user left running at logout: systemd-logind's `KillUserProcesses`, with its exceptions
//! (logind.conf(5)), unless the user lingers (loginctl(1)).

use std::path::{Path, PathBuf};

/// Whether a background manager of `user` is ended when the last session is closed. `root` is where the file system begins.
/// Where no systemd runs, nothing is.
pub fn ends_processes(root: &Path, user: &str) -> bool {
    let at = |path: &str| root.join(path.trim_start_matches('/'));
    if !at("/run/systemd/system").is_dir() || at("/var/lib/systemd/linger").join(user).exists() {
        return false;
    }
    let mut settings = Settings::default();
    for file in files(root) {
        if let Ok(text) = std::fs::read_to_string(file) {
            settings.take(&text);
        }
    }
    settings.ends(user)
}

/// The files in the order in which later ones win: the main file of the first directory that has one, then all drop-ins by
/// name, whichever directory they are in; a name in /etc hides the same one in /usr.
fn files(root: &Path) -> Vec<PathBuf> {
    const PLACES: [&str; 4] = ["etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd"];
    let main = PLACES.iter().map(|place| root.join(place).join("logind.conf")).find(|file| file.is_file());
    let mut drops: std::collections::BTreeMap<std::ffi::OsString, PathBuf> = std::collections::BTreeMap::new();
    for place in PLACES {
        let Ok(entries) = std::fs::read_dir(root.join(place).join("logind.conf.d")) else { continue };
        for entry in entries.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "conf")) {
            drops.entry(entry.file_name()).or_insert_with(|| entry.path());
        }
    }
    main.into_iter().chain(drops.into_values()).collect()
}

#[derive(Debug)]
struct Settings {
    kills: bool,
    only: Vec<String>,
    exclude: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { kills: false, only: Vec::new(), exclude: vec!["root".to_owned()] }
    }
}

impl Settings {
    fn take(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = value.trim();
            let users = || value.split_whitespace().map(str::to_owned).collect();
            match key.trim() {
                "KillUserProcesses" => self.kills = matches!(value, "yes" | "true" | "on" | "1"),
                "KillOnlyUsers" => self.only = users(),
                "KillExcludeUsers" => self.exclude = users(),
                _ => {}
            }
        }
    }

    fn ends(&self, user: &str) -> bool {
        let is_named = |users: &[String]| users.iter().any(|named| named == user);
        self.kills && !is_named(&self.exclude) && (self.only.is_empty() || is_named(&self.only))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn what_is_left_running_is_ended_only_where_logind_says_so_and_the_user_does_not_linger() {
        let booted = ("run/systemd/system/x", "");
        let kills = ("etc/systemd/logind.conf", "[Login]\n#KillUserProcesses=no\nKillUserProcesses=yes\n");
        let ends = |files: &[(&str, &str)], user: &str| ends_processes(system(files).path(), user);
        assert!(ends(&[booted, kills], "ann"));
        assert!(!ends(&[booted, kills], "root"), "excluded by default");
        assert!(!ends(&[kills], "ann"), "no systemd");
        assert!(!ends(&[booted], "ann"), "not the default");
        assert!(!ends(&[booted, kills, ("var/lib/systemd/linger/ann", "")], "ann"), "lingers");
        assert!(!ends(&[booted, kills, ("usr/lib/systemd/logind.conf.d/50.conf", "[Login]\nKillUserProcesses=no")], "ann"));
        let only = ("etc/systemd/logind.conf.d/60.conf", "[Login]\nKillOnlyUsers=bob\n");
        assert!(!ends(&[booted, kills, only], "ann"));
        assert!(ends(&[booted, kills, only], "bob"));
    }
}
