//! The workstation's part of the configuration: which keymap and theme, which signs, and the files they are made of.

use std::path::{Path, PathBuf};

use crate::model::diagnostic::Diagnostic;

use super::keymap::{self, Keymap, Known};
use super::theme::{self, Depth, Theme};

/// Embedded keymaps by name.
pub const KEYMAPS: &[(&str, &str)] = &[
    ("default", include_str!("../../keymaps/default.yaml")),
    ("vim", include_str!("../../keymaps/vim.yaml")),
    ("emacs", include_str!("../../keymaps/emacs.yaml")),
];
/// Embedded themes by name.
pub const THEMES: &[(&str, &str)] = &[
    ("terminal", include_str!("../../themes/terminal.yaml")),
    ("dark", include_str!("../../themes/dark.yaml")),
    ("light", include_str!("../../themes/light.yaml")),
    ("high-contrast", include_str!("../../themes/high-contrast.yaml")),
    ("mono", include_str!("../../themes/mono.yaml")),
];
/// Largest keymap or theme file that is read, in bytes; `layers` refuses what comes near.
const MAX_FILE: u64 = 1 << 20;

/// Which signs to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Glyphs {
    /// What the locale and the terminal can show.
    #[default]
    Auto,
    /// Unicode.
    Unicode,
    /// ASCII.
    Ascii,
}

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenSettings {
    /// Name of the theme, and where it was written.
    pub theme: (String, u32, u32),
    /// Name of the keymap, and where it was written.
    pub keymap: (String, u32, u32),
    /// Which signs.
    pub glyphs: Glyphs,
    /// Whether to take the mouse.
    pub mouse: bool,
}

impl Default for ScreenSettings {
    fn default() -> Self {
        ScreenSettings {
            theme: ("terminal".to_owned(), 0, 0),
            keymap: ("default".to_owned(), 0, 0),
            glyphs: Glyphs::Auto,
            mouse: false,
        }
    }
}

impl ScreenSettings {
    /// The keymap, with the user's file `keymaps/NAME.yaml` beside the configuration.
    pub fn keymap(&self, config: &Path, known: &Known) -> (Keymap, Vec<Diagnostic>) {
        let (user, mut faults) = user_file(config, "keymaps", &self.keymap.0);
        let given = user.as_ref().map(|(file, text)| (file.as_str(), text.as_str()));
        let (keymap, more) = keymap::load(&self.keymap.0, KEYMAPS, given, known);
        faults.extend(more.into_iter().map(|fault| placed(fault, "keymap", config, &self.keymap)));
        (keymap, faults)
    }

    /// The theme, with the user's file `themes/NAME.yaml` beside the configuration, for a terminal of this depth.
    pub fn theme(&self, config: &Path, depth: Depth) -> (Theme, Vec<Diagnostic>) {
        let (user, mut faults) = user_file(config, "themes", &self.theme.0);
        let given = user.as_ref().map(|(file, text)| (file.as_str(), text.as_str()));
        let (theme, more) = theme::load(&self.theme.0, THEMES, given);
        faults.extend(more.into_iter().map(|fault| placed(fault, "theme", config, &self.theme)));
        (theme.at_depth(depth), faults)
    }
}

/// A name that nothing has: the fault is where the name was written.
fn placed(mut fault: Diagnostic, kind: &str, config: &Path, (_, line, column): &(String, u32, u32)) -> Diagnostic {
    if fault.file == kind && *line > 0 {
        fault.file = config.display().to_string();
        (fault.line, fault.column) = (*line, *column);
    }
    fault
}

/// Where a user's file of this kind and name lies.
pub fn user_path(config: &Path, folder: &str, name: &str) -> PathBuf {
    config.parent().unwrap_or(Path::new(".")).join(folder).join(format!("{name}.yaml"))
}

fn user_file(config: &Path, folder: &str, name: &str) -> (Option<(String, String)>, Vec<Diagnostic>) {
    // The name is checked where it is read: no path tricks.
    let path = user_path(config, folder, name);
    let file = path.display().to_string();
    let text = match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (None, Vec::new()),
        Ok(data) if data.len() > MAX_FILE => Err("the file has more than 1 MiB".to_owned()),
        _ => std::fs::read_to_string(&path).map_err(|error| format!("the file cannot be read: {error}")),
    };
    match text {
        Ok(text) => (Some((file, text)), Vec::new()),
        Err(message) => {
            (None, vec![Diagnostic { file, line: 1, column: 1, message, hint: "what is built in holds meanwhile".to_owned() }])
        }
    }
}
