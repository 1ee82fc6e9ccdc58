//! Searching in output, and going to a time.

use crate::tui::app::pane::Search;
use crate::tui::app::toast::Kind;
use crate::tui::app::{App, Effect};
use crate::tui::output::document::Step;
use crate::tui::output::search::{Pattern, Progress, step};
use crate::tui::output::talk::Sought;

use super::targets::refuse;

/// Searches for a new text, from what is on the screen on.
pub fn search(app: &mut App, text: &str) -> Vec<Effect> {
    let Some(output) = &mut app.pane.output else { return Vec::new() };
    let Some(pattern) = Pattern::new(text) else {
        output.log.search = None;
        return Vec::new();
    };
    let from = output.log.shown.first().map_or(output.log.top, |line| line.at);
    output.log.follow = false;
    output.log.search = Some(Search { pattern, at: None, going: Some((from, false)), ended: false });
    if output.talk.is_some() {
        return in_talk(app, false, true);
    }
    go_on(app);
    Vec::new()
}

/// The next match, or the one before.
pub fn on(app: &mut App, backward: bool) -> Vec<Effect> {
    let Some(output) = &mut app.pane.output else { return Vec::new() };
    let Some(search) = &mut output.log.search else { return refuse(app, "nothing is searched for") };
    if output.talk.is_some() {
        return in_talk(app, backward, false);
    }
    let here = search.at.unwrap_or(output.log.top);
    let from = match (backward, output.document.line_at(here)) {
        (false, Step::Line(line)) => line.next,
        _ => here,
    };
    output.log.follow = false;
    (search.going, search.ended) = (Some((from, backward)), false);
    go_on(app);
    Vec::new()
}

fn in_talk(app: &mut App, backward: bool, fresh: bool) -> Vec<Effect> {
    let Some(output) = &mut app.pane.output else { return Vec::new() };
    let (Some(talk), Some(search)) = (&mut output.talk, &mut output.log.search) else { return Vec::new() };
    search.going = None;
    let sought = talk.search(&search.pattern, backward, fresh);
    tell_sought(app, sought);
    Vec::new()
}

/// Says what a search in a transcript came to.
pub fn tell_sought(app: &mut App, sought: Sought) {
    match sought {
        Sought::Found { over, is_same, backward } => tell(app, Some(over), is_same, backward),
        Sought::Nowhere => tell(app, None, false, false),
        Sought::Going => {}
    }
}

/// Says that a search went over an end, or found nothing. `found` is whether it did go over one.
fn tell(app: &mut App, found: Option<bool>, is_same: bool, backward: bool) {
    let Some(search) = app.pane.output.as_ref().and_then(|output| output.log.search.as_ref()) else { return };
    let text = match found {
        Some(false) => return,
        Some(true) if is_same => format!("`{}` is nowhere else", search.pattern.text),
        Some(true) if backward => "from the end again".to_owned(),
        Some(true) => "from the beginning again".to_owned(),
        None => format!("`{}` is not there", search.pattern.text),
    };
    app.toasts.add(text, Kind::News, app.now);
}

/// Goes on with a search that is under way. At an end it goes on from the other one, once.
pub fn go_on(app: &mut App) {
    let Some(output) = &mut app.pane.output else { return };
    let Some(search) = &mut output.log.search else { return };
    while let Some((from, backward)) = search.going {
        match step(&mut output.document, &search.pattern, from, backward) {
            Progress::Found(at) => {
                let is_same = search.at == Some(at);
                search.at = Some(at);
                search.going = None;
                let over = std::mem::take(&mut search.ended);
                (output.log.top, output.log.skip) = (at, 0);
                // A few lines before it, so that what it is about can be seen.
                for _ in 0..3 {
                    output.log.top = output.document.before(output.log.top).unwrap_or(output.log.top);
                }
                return tell(app, Some(over), is_same, backward);
            }
            Progress::Nothing if search.ended => {
                (search.going, search.ended) = (None, false);
                return tell(app, None, false, backward);
            }
            Progress::Nothing => {
                let end = if backward { output.document.len() } else { 0 };
                (search.going, search.ended) = (Some((end, backward)), true);
            }
            Progress::Going(at) => {
                search.going = Some((at, backward));
                return;
            }
        }
    }
}

/// Goes to what was written at a time: `14:30`, `14:30:05`, or `-10m` before now.
pub fn jump(app: &mut App, text: &str) -> Vec<Effect> {
    let Some(at) = crate::tui::text::time::parse(text.trim(), app.now.utc, &app.zone) else {
        return refuse(app, format!("`{}` is no time: write 14:30, 14:30:05 or -10m", text.trim()));
    };
    let Some(output) = &mut app.pane.output else { return Vec::new() };
    match output.document.at_time(at.0) {
        Some(place) if output.talk.is_none() => {
            output.log.follow = false;
            let start = output.document.before(place + 1).unwrap_or(place);
            (output.log.top, output.log.skip) = (start, 0);
            Vec::new()
        }
        _ => refuse(app, "no times were recorded for this output"),
    }
}
