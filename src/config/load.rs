//! Reading the configuration: what is wrong is told with its place, and the rest holds.

use std::path::{Path, PathBuf};

use crate::model::diagnostic::{Diagnostic, harmless, nearest};
use crate::model::ids::is_name;
use crate::model::settings::Settings;
use crate::model::units::{parse_duration, parse_size};
use crate::model::yaml::{self, Node, Value};

use super::file;
use super::screen::{Glyphs, ScreenSettings};

/// Faults that are kept; the rest is counted.
const MAX_FAULTS: usize = 200;

/// A configuration as far as it could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What holds.
    pub settings: Settings,
    /// The workstation's part.
    pub screen: ScreenSettings,
    /// What is wrong: with the configuration itself, then with files that it names.
    pub faults: Vec<Diagnostic>,
}

/// Reads the configuration. No file is no fault: then the defaults hold.
pub fn load(path: &Path) -> Loaded {
    let file = path.display().to_string();
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut reader = Reader { file: file.clone(), base, faults: Vec::new(), told: 0 };
    let (mut settings, mut screen) = (Settings::default(), ScreenSettings::default());
    match file::text(path, "the configuration") {
        Ok(Some(text)) => reader.settings(&text, &mut settings, &mut screen),
        Ok(None) => {}
        Err(unread) => reader.unread(unread),
    }
    let mut faults: Vec<Diagnostic> = Vec::new();
    for fault in reader.faults {
        // Pools may share a file.
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    faults.sort_by(|a, b| (a.file != file, &a.file, a.line, a.column).cmp(&(b.file != file, &b.file, b.line, b.column)));
    Loaded { settings, screen, faults }
}

pub(super) struct Reader {
    file: String,
    /// Where relative paths begin.
    base: PathBuf,
    faults: Vec<Diagnostic>,
    /// How many faults there were, those that are not kept among them.
    told: usize,
}

impl Reader {
    fn settings(&mut self, text: &str, settings: &mut Settings, screen: &mut ScreenSettings) {
        let parsed = yaml::parse(text);
        for fault in parsed.faults {
            self.fault_at(fault.line, fault.column, fault.message, &fault.hint);
        }
        let Some(root) = parsed.root.filter(|root| root.value != Value::Null) else { return };
        const KEYS: &[&str] = &[
            "poll_interval",
            "pools",
            "claude",
            "budget",
            "min_free_disk",
            "retention",
            "notify",
            "theme",
            "keymap",
            "glyphs",
            "mouse",
        ];
        for (key, node) in self.entries(&root, "the configuration", KEYS) {
            match key {
                "poll_interval" => {
                    if let Some(millis) = self.parsed(node, parse_duration) {
                        if (1_000..=60_000).contains(&millis) {
                            settings.poll_interval_ms = millis;
                        } else {
                            self.fault(node, "the poll interval is out of bounds".to_owned(), "it is 1s to 60s");
                        }
                    }
                }
                "pools" => self.pools(node, settings),
                "claude" => self.claude(node, &mut settings.claude),
                "budget" => settings.day_budget = self.budget(node),
                "notify" => settings.notify = super::notify::notifiers(self, node),
                "theme" => self.named(node, &mut screen.theme),
                "keymap" => self.named(node, &mut screen.keymap),
                "glyphs" => match node.text() {
                    Some("auto") => screen.glyphs = Glyphs::Auto,
                    Some("unicode") => screen.glyphs = Glyphs::Unicode,
                    Some("ascii") => screen.glyphs = Glyphs::Ascii,
                    _ => self.fault(node, "there are no such glyphs".to_owned(), "write auto, unicode or ascii"),
                },
                "mouse" => screen.mouse = self.flag(node, "mouse").unwrap_or(screen.mouse),
                "min_free_disk" => {
                    if let Some(bytes) = self.parsed(node, parse_size) {
                        settings.min_free_bytes = bytes;
                    }
                }
                _ => self.retention(node, settings),
            }
        }
    }

    /// The name of a keymap or theme; it becomes a file's name.
    pub(super) fn named(&mut self, node: &Node, setting: &mut (String, u32, u32)) {
        match node.text().filter(|name| is_name(name)) {
            Some(name) => *setting = (name.to_owned(), node.line, node.column),
            None => self.fault(node, "this is no name".to_owned(), "write 1 to 100 letters, digits, `_` and `-`"),
        }
    }

    fn retention(&mut self, node: &Node, settings: &mut Settings) {
        for (key, value) in self.entries(node, "retention", &["days", "bytes"]) {
            match key {
                "days" => settings.retention_days = self.whole(value, 36_500).unwrap_or(settings.retention_days),
                _ => settings.retention_bytes = self.parsed(value, parse_size).unwrap_or(settings.retention_bytes),
            }
        }
    }

    pub(super) fn entries<'n>(&mut self, node: &'n Node, what: &str, known: &[&'static str]) -> Vec<(&'static str, &'n Node)> {
        self.entries_or(node, what, known, |key| (format!("{what} has no key `{key}`"), None))
    }

    /// The entries of a mapping; `unknown` says what is wrong with a key that is not among them, and what to do where that is not
    /// to write a similar one.
    pub(super) fn entries_or<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&'static str],
        unknown: impl Fn(&str) -> (String, Option<String>),
    ) -> Vec<(&'static str, &'n Node)> {
        let Value::Map(entries) = &node.value else {
            self.fault(node, format!("{what} is {}, not a mapping", node.kind()), "write `key: value` lines");
            return Vec::new();
        };
        let mut found: Vec<(&'static str, &Node)> = Vec::new();
        for (key, value) in entries {
            let text = key.text().unwrap_or_default();
            if let Some(name) = known.iter().find(|name| **name == text) {
                if found.iter().any(|(seen, _)| seen == name) {
                    self.fault(key, format!("`{text}` stands twice"), "keep one of them");
                } else {
                    found.push((name, value));
                }
            } else {
                let (why, hint) = unknown(&text.chars().take(80).collect::<String>());
                let hint = hint.unwrap_or_else(|| match nearest(text, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("{what} has {}", known.join(", ")),
                });
                self.fault(key, why, &hint);
            }
        }
        found
    }

    pub(super) fn whole(&mut self, node: &Node, most: u32) -> Option<u32> {
        let number = node.plain().and_then(|text| text.parse::<u32>().ok()).filter(|number| (1..=most).contains(number));
        if number.is_none() {
            self.fault(node, "this is no whole number within bounds".to_owned(), &format!("it is 1 to {most}"));
        }
        number
    }

    pub(super) fn parsed(&mut self, node: &Node, parse: fn(&str) -> Result<u64, String>) -> Option<u64> {
        match parse(node.text().unwrap_or_default()) {
            Ok(value) => Some(value),
            Err(why) => {
                self.fault(node, why, "");
                None
            }
        }
    }

    pub(super) fn fault(&mut self, node: &Node, message: String, hint: &str) {
        self.fault_at(node.line, node.column, message, hint);
    }

    /// How many faults there are so far.
    pub(super) fn faults(&self) -> usize {
        self.told
    }

    /// Tells faults of another file in its name.
    pub(super) fn within<T>(&mut self, file: String, read: impl FnOnce(&mut Reader) -> T) -> T {
        let own = std::mem::replace(&mut self.file, file);
        let read = read(self);
        self.file = own;
        read
    }

    /// The place of a file that is named in the configuration.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// Tells why a file cannot be read.
    pub(super) fn unread(&mut self, file::Unread { line, column, why, hint }: file::Unread) {
        self.fault_at(line, column, why, hint);
    }

    pub(super) fn fault_at(&mut self, line: u32, column: u32, message: String, hint: &str) {
        self.told += 1;
        if self.faults.len() < MAX_FAULTS {
            let (message, hint) = (harmless(message), harmless(hint.to_owned()));
            self.faults.push(Diagnostic { file: self.file.clone(), line, column, message, hint });
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::notice::Notifier;
    use crate::model::spec::Budget;

    pub(in crate::config) fn loaded(text: &str) -> Loaded {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        std::fs::write(&path, text).unwrap();
        let mut loaded = load(&path);
        loaded.faults.iter_mut().for_each(|fault| fault.file = "config.yaml".to_owned());
        loaded
    }

    #[test]
    fn no_file_and_an_empty_one_mean_the_defaults() {
        assert_eq!(
            load(Path::new("/nowhere/config.yaml")),
            Loaded { settings: Settings::default(), screen: ScreenSettings::default(), faults: Vec::new() }
        );
        assert_eq!(loaded("# nothing\n").settings, Settings::default());
    }

    #[test]
    fn what_is_no_text_or_stands_twice_is_told_with_its_place() {
        let twice = loaded("pools:\n  a: { slots: 3 }\n  a: { slots: 4 }\n");
        assert_eq!((twice.faults[0].line, twice.settings.pools["a"].slots), (3, 3));
        assert!(loaded("\"\\e[2J\": 1\n").faults[0].message.contains("`\\u{1b}[2J`"));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        std::fs::write(&path, b"theme: dark\nclaude: { model: caf\xe9 }\n").unwrap();
        let faults = load(&path).faults;
        assert_eq!((faults[0].line, faults[0].column), (2, 21));
        assert!(load(Path::new("/dev/zero")).faults[0].message.contains("no regular file"));
    }

    #[test]
    fn trusted_directories_have_a_place_to_begin_at() {
        let Loaded { settings, faults, .. } = loaded("claude: { trusted: [~/src, /srv, src, { a: b }] }\n");
        assert_eq!(settings.claude.trusted, [Path::new("~/src"), Path::new("/srv")]);
        assert_eq!(faults.iter().map(|fault| fault.column).collect::<Vec<_>>(), [34, 39]);
        assert!(loaded("claude: { trusted: ~/src }\n").faults[0].message.contains("not a list"));
    }

    #[test]
    fn notifiers_are_read_and_each_fault_has_its_place_and_remedy() {
        let good = loaded(concat!(
            "notify:\n",
            "  - { on: [failed, question], command: [notify-send, \"{{ title }}\", \"{{ text }}\"] }\n",
            "  - on: job_failed\n    webhook: { from: \"env:HOOK\" }\n    body: { text: \"{{ text }}\" }\n",
            "    headers: { Authorization: { from: \"file:~/token\" }, X-Title: airx }\n",
            "  - { on: [auth], terminal: osc777, text: \"{{ reason | upper }}\" }\n",
        ));
        assert_eq!(good.faults, []);
        let whats: Vec<String> = good.settings.notify.iter().map(Notifier::what).collect();
        assert_eq!(whats, ["command notify-send", "webhook (its address is a secret)", "terminal osc777"]);
        let wrong = |line: &str| {
            let loaded = loaded(&format!("notify:\n  - {line}\n"));
            assert_eq!(loaded.settings.notify, [], "{line}");
            let fault = loaded.faults.first().expect(line);
            format!("{}:{} {} | {}", fault.line, fault.column, fault.message, fault.hint)
        };
        let seen = [
            "{ on: [faild], terminal: bell }",
            "{ on: [], terminal: bell }",
            "{ terminal: bell }",
            "{ on: [failed] }",
            "{ on: [failed], terminal: bell, run: x }",
            "{ on: [failed], terminal: beep }",
            "{ on: [failed], command: notify-send }",
            "{ on: [failed], command: [echo, \"{{ txt }}\"] }",
            "{ on: [failed], webhook: \"ftp://x\" }",
            "{ on: [failed], webhook: \"https://me:pass@x/\" }",
            "{ on: [failed], webhook: \"https://x\", headers: { Authorization: Bearer abc } }",
            "{ on: [failed], webhook: \"https://x\", headers: { X-Api-Key: abcdefgh } }",
            "{ on: [failed], webhook: { from: \"file:token\" } }",
            "{ on: [failed], webhook: \"https://x\", body: \"{{ text }}\" }",
            "{ on: [failed], run: x, body: y }",
            "text",
        ]
        .map(wrong)
        .join("\n");
        insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("config_notify_faults", seen);
        });
    }

    #[test]
    fn a_bound_that_would_end_or_hold_every_run_is_a_fault() {
        let Loaded { settings, faults, .. } =
            loaded("claude: { silence: 0s }\nbudget:\n  usd_per_day: 0.0000001\n  tokens_per_day: 0.3\n");
        assert_eq!(faults.iter().map(|fault| (fault.line, fault.column)).collect::<Vec<_>>(), [(1, 20), (3, 16), (4, 19)]);
        assert_eq!(settings.claude.silence_ms, Settings::default().claude.silence_ms);
        assert_eq!(settings.day_budget, None);
        let least = loaded("budget: { usd_per_day: 0.000001, tokens_per_day: 1 }\n");
        assert!(least.faults.is_empty());
        assert_eq!(least.settings.day_budget, Some(Budget { microusd: Some(1), tokens: Some(1) }));
    }

    #[test]
    fn every_fault_is_told_with_its_place_and_the_rest_holds() {
        let Loaded { settings, screen, faults } = loaded(
            "poll_intervall: 5s\npoll_interval: 0s\npools:\n  big: { slots: 3, memory: lots, context: x }\n  box: { backend: docker }\n  a/b: {}\nnotify: 3\ntheme: dark\n",
        );
        let told: Vec<String> = faults.iter().map(|fault| format!("{}:{} {}", fault.line, fault.column, fault.hint)).collect();
        assert_eq!(told[0], "1:1 did you mean `poll_interval`?");
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [1, 2, 4, 4, 5, 6, 7]);
        assert_eq!(screen.theme, ("dark".to_owned(), 8, 8));
        assert_eq!(settings.pools["big"].slots, 3);
        assert_eq!(settings.pools["local"].slots, 10);
        assert!(!settings.pools.contains_key("box"));
    }
}
