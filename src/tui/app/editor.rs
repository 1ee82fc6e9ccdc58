//! The editor of job files, with its faults.

use std::path::PathBuf;

use ratatui_textarea::TextArea;
use serde::{Deserialize, Serialize};

use crate::model::diagnostic::Diagnostic;
use crate::model::time::Mono;

/// After the last key so long, in milliseconds, the text is checked.
pub const REST_MS: u64 = 150;

/// The templates of `assets/templates`, embedded.
pub const TEMPLATES: &[(&str, &str)] = &[
    ("command", include_str!("../../../assets/templates/command.yaml")),
    ("claude", include_str!("../../../assets/templates/claude.yaml")),
    ("pipeline", include_str!("../../../assets/templates/pipeline.yaml")),
];

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Not yet, since the last key.
    No,
    /// A job without faults: its name and number of tasks, and warnings.
    Good(String, usize, Vec<Diagnostic>),
    /// An input for a tool.
    Input,
    /// Faults.
    Bad(Vec<Diagnostic>),
}

/// A text that is not submitted yet, with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The text.
    pub text: String,
    /// How it is named in messages.
    pub file: String,
    /// Where relative paths begin.
    pub base: PathBuf,
    /// Parameters.
    pub params: Vec<(String, String)>,
}

/// The editor.
#[derive(Debug, Clone)]
pub struct Editor {
    /// The text.
    pub area: TextArea<'static>,
    /// What the last check found.
    pub checked: Checked,
    /// When to check.
    pub check_at: Option<Mono>,
    /// Which template it began with; none for an edited job.
    pub template: Option<usize>,
    /// Whether anything was typed.
    pub touched: bool,
    /// How the text is named in messages.
    pub file: String,
    /// Where relative paths begin.
    pub base: PathBuf,
    /// Parameters it was submitted with before.
    pub params: Vec<(String, String)>,
    /// It was sent and not answered yet.
    pub sending: bool,
    /// The question that it answers; its text is a tool's input then, as JSON, and no job file.
    pub answers: Option<u32>,
    /// Which text it is: grows with every change, so that a check of an older one is known as that.
    pub stamp: u64,
}

impl Editor {
    /// With a text.
    pub fn new(text: &str, file: &str, base: PathBuf, now: Mono) -> Editor {
        let mut area = TextArea::new(text.lines().map(str::to_owned).collect());
        area.set_tab_length(2);
        Editor {
            area,
            checked: Checked::No,
            check_at: Some(now),
            template: None,
            touched: false,
            file: file.to_owned(),
            base,
            params: Vec::new(),
            sending: false,
            answers: None,
            stamp: 0,
        }
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut text = self.area.lines().join("\n");
        text.push('\n');
        text
    }

    /// Goes on with what was kept. It gives way to no template, and is kept again.
    pub fn go_on(draft: Draft, now: Mono) -> Editor {
        let editor = Editor::new(&draft.text, &draft.file, draft.base, now);
        Editor { params: draft.params, touched: true, ..editor }
    }

    /// What is to be kept of it: nothing when nothing was typed, and no answer.
    pub fn draft(&self) -> Option<Draft> {
        let whole = || Draft { text: self.text(), file: self.file.clone(), base: self.base.clone(), params: self.params.clone() };
        (self.touched && self.answers.is_none()).then(whole)
    }

    /// Something was typed.
    pub fn touch(&mut self, now: Mono) {
        self.touched = true;
        self.stamp += 1;
        self.checked = Checked::No;
        self.check_at = Some(Mono(now.0 + REST_MS));
    }

    /// The fault nearest to the cursor's line, for the line below the text.
    pub fn fault_here(&self) -> Option<&Diagnostic> {
        let Checked::Bad(faults) = &self.checked else { return None };
        let line = self.line();
        faults.iter().min_by_key(|fault| fault.line.abs_diff(line))
    }

    /// The cursor's line, from 1.
    pub fn line(&self) -> u32 {
        u32::try_from(self.area.cursor().0).unwrap_or(0).saturating_add(1)
    }
}
