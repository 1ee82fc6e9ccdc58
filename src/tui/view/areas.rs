//! Where everything stands on the screen.

use ratatui::layout::Rect;

use crate::tui::app::{App, LEAST};

/// The areas of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Areas {
    /// Too small for anything but a plain message.
    pub too_small: bool,
    /// The top line.
    pub header: Rect,
    /// Everything between the top and the bottom line.
    pub main: Rect,
    /// The tree with its border.
    pub tree: Option<Rect>,
    /// The task pane with its border.
    pub pane: Option<Rect>,
    /// The inbox in the place of both, when it is open.
    pub inbox: super::inbox::Areas,
    /// The bottom line.
    pub footer: Option<Rect>,
}

impl Areas {
    /// Lines of the tree.
    pub fn tree_rows(&self) -> usize {
        self.tree.map_or(0, |area| usize::from(area.height.saturating_sub(2)))
    }

    /// The task pane's content: inside its border, below its tabs.
    pub fn pane_inner(&self) -> Rect {
        let area = self.pane.unwrap_or_default();
        Rect {
            x: area.x.saturating_add(1),
            y: area.y.saturating_add(2),
            width: area.width.saturating_sub(2),
            height: area.height.saturating_sub(3),
        }
    }

    /// The bottom line, or nothing at the end of the screen.
    pub fn footer_or_end(&self, area: Rect) -> Rect {
        self.footer.unwrap_or(Rect { y: area.bottom(), height: 0, ..area })
    }
}

/// The areas of the app's own size.
pub fn areas(app: &App) -> Areas {
    areas_in(app, Rect { x: 0, y: 0, width: app.size.0, height: app.size.1 })
}

/// The areas of any screen.
pub fn areas_in(app: &App, area: Rect) -> Areas {
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return Areas { too_small: true, ..Areas::default() };
    }
    let line = |y: u16| Rect { y, height: 1, ..area };
    let main = Rect { y: area.y + 1, height: area.height - 2, ..area };
    let (tree, pane) = if app.inbox.is_open {
        (None, None)
    } else if app.is_wide() {
        let width = (u32::from(main.width) * u32::from(app.split) / 100).clamp(30, u32::from(main.width) - 40);
        let width = u16::try_from(width).unwrap_or(main.width / 2);
        (Some(Rect { width, ..main }), Some(Rect { x: main.x + width, width: main.width - width, ..main }))
    } else {
        (app.shows_tree().then_some(main), app.shows_pane().then_some(main))
    };
    let inbox = if app.inbox.is_open { super::inbox::areas(app, main) } else { super::inbox::Areas::default() };
    Areas { too_small: false, header: line(area.y), main, tree, pane, inbox, footer: Some(line(area.bottom() - 1)) }
}
