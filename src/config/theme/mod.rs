//! How things look: a style for each role, from embedded themes and the user's.

mod color;
mod load;
#[cfg(test)]
mod tests;

pub use color::{Color, Depth};
pub use load::load;

/// Colours and modifiers; what is not given stays as it is below.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Of the characters.
    pub fg: Option<Color>,
    /// Behind them.
    pub bg: Option<Color>,
    /// Thick.
    pub bold: bool,
    /// Faint.
    pub dim: bool,
    /// Slanted.
    pub italic: bool,
    /// With a line below.
    pub underline: bool,
    /// With both colours changed about.
    pub reverse: bool,
    /// Struck out.
    pub strikethrough: bool,
}

macro_rules! roles {
    ($($role:ident $name:literal $doc:literal)*) => {
        /// What a style is for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Role {
            $(#[doc = $doc] $role,)*
        }

        impl Role {
            /// All of them.
            pub const ALL: &'static [Role] = &[$(Role::$role),*];

            /// As it is called in files.
            pub fn name(self) -> &'static str {
                match self {
                    $(Role::$role => $name,)*
                }
            }
        }
    };
}

roles! {
    Text "text" "What has no other role; its background is that of everything."
    Dim "dim" "What matters less."
    Title "title" "A pane's title."
    Border "border" "A pane's border."
    BorderFocused "border-focused" "The border of the pane with the focus."
    Tab "tab" "A tab."
    TabActive "tab-active" "The tab that is shown."
    Selection "selection" "The selected line."
    SelectionUnfocused "selection-unfocused" "The selected line of a pane without the focus."
    Mark "mark" "The sign of a marked line."
    Header "header" "The top line."
    Footer "footer" "The bottom line."
    Key "key" "A key in a hint."
    Good "good" "Done."
    Bad "bad" "Failed."
    Busy "busy" "Running."
    Wait "wait" "Waiting for its turn or a limit."
    Idle "idle" "Not begun, or left out."
    Cost "cost" "Money and tokens."
    Accent "accent" "What is to stand out, without a judgement."
    Search "search" "A hit of a search."
    SearchCurrent "search-current" "The hit at hand."
    Stderr "stderr" "Output on stderr."
    Toast "toast" "A passing message."
    ToastError "toast-error" "A passing message about a fault."
    Warning "warning" "A warning."
    Added "added" "An added line of a diff."
    Removed "removed" "A removed line of a diff."
    Code "code" "Code in text."
    Heading "heading" "A heading in text."
    Emphasis "emphasis" "Emphasised text."
    Strong "strong" "Strongly emphasised text."
    Link "link" "A link."
    Quote "quote" "Quoted text."
    Tool "tool" "A tool's call."
    Todo "todo" "An item of a to-do list."
    Gauge "gauge" "The done part of a gauge."
    GaugeRest "gauge-rest" "The rest of a gauge."
    Edge "edge" "A line of the graph."
    EdgeSelected "edge-selected" "A line of the graph that touches the selected job."
    EditorLine "editor-line" "The editor's line with the cursor."
    EditorFault "editor-fault" "A faulty place in the editor."
    Dialog "dialog" "A dialog."
    Danger "danger" "A choice that loses something."
    Stale "stale" "What may have changed since."
}

impl Role {
    /// What it needs to be seen where there are no colours. The others are told by their text or their place.
    fn bare(self) -> Style {
        let plain = Style::default();
        match self {
            Role::Selection | Role::SearchCurrent => Style { reverse: true, ..plain },
            Role::SelectionUnfocused | Role::Search | Role::EditorFault | Role::Link => Style { underline: true, ..plain },
            Role::TabActive | Role::Danger | Role::ToastError => Style { reverse: true, bold: true, ..plain },
            Role::Bad | Role::BorderFocused | Role::Mark | Role::EdgeSelected | Role::Warning | Role::Key => {
                Style { bold: true, ..plain }
            }
            _ => plain,
        }
    }

    /// Whether its background is its whole point.
    fn is_shown_by_background(self) -> bool {
        matches!(self, Role::Selection | Role::SelectionUnfocused | Role::Search | Role::SearchCurrent)
    }
}

/// A style for each role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    styles: [Style; Role::ALL.len()],
}

impl Default for Theme {
    fn default() -> Self {
        Self { styles: [Style::default(); Role::ALL.len()] }
    }
}

impl Theme {
    /// The style of a role.
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(role as usize).copied().unwrap_or_default()
    }

    /// The same with the nearest colours that a terminal has; modifiers stand in for those that are lost.
    pub fn at_depth(&self, depth: Depth) -> Theme {
        let shown = |color: Option<Color>| color.and_then(|color| color.at_depth(depth));
        let (text, screen) = (shown(self.style(Role::Text).fg), shown(self.style(Role::Text).bg));
        let mut theme = self.clone();
        for (role, style) in Role::ALL.iter().zip(&mut theme.styles) {
            let before = *style;
            (style.fg, style.bg) = (shown(before.fg), shown(before.bg));
            if depth == Depth::None {
                let bare = role.bare();
                style.bold |= bare.bold;
                style.underline |= bare.underline;
                style.reverse |= bare.reverse;
                // A faint line is hard to read as it is, and reversed it is none.
                style.dim &= !style.reverse;
                continue;
            }
            // Few colours: what differed may have become one. Then the text would be gone, or the bar.
            let ground = screen.unwrap_or(Color::Ansi(0));
            let text_gone = style.fg.is_some() && style.fg == style.bg && before.fg != before.bg;
            let bar_gone = role.is_shown_by_background()
                && style.bg != before.bg
                && before.bg != self.style(Role::Text).bg
                && style.bg == Some(ground);
            if text_gone || bar_gone {
                style.bg = screen;
                style.fg = style.fg.filter(|fg| *fg != ground).or(text);
                style.reverse = true;
            }
        }
        theme
    }

    fn set(&mut self, role: Role, style: Style) {
        if let Some(place) = self.styles.get_mut(role as usize) {
            *place = style;
        }
    }
}
