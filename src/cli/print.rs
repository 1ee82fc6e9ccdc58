//! How things are printed: tables, signs, durations, times, money; and text of tasks made harmless.

use std::io::Write;
use std::sync::atomic::{AtomicI32, Ordering};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::model::diagnostic::is_treacherous;
use crate::model::message::UsageView;
use crate::model::money::Dollars;
use crate::model::sign;
use crate::model::state::{JobState, TaskKind};
use crate::model::time::Utc;

use super::args::{Format, When};

/// How this invocation prints.
#[derive(Debug, Clone)]
pub struct Printer {
    /// What was asked for.
    pub format: Format,
    /// Whether standard output takes colours.
    pub color: bool,
    /// Whether standard output is a terminal.
    pub is_terminal: bool,
    /// Whether it is one whose cursor can be moved.
    pub can_draw: bool,
    /// Whether signs beyond ASCII may be used.
    pub unicode: bool,
    /// Whether dollars are written as really paid; programs get them without a mark in any case.
    pub dollars_are_real: bool,
    zone: TimeZone,
}

/// Colours, from the terminal's own palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// As it is.
    Plain,
    /// Less important.
    Dim,
    /// More important.
    Bold,
    /// Went well.
    Good,
    /// Went wrong.
    Bad,
    /// Is going on.
    Busy,
    /// Waits.
    Wait,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Ink::Plain => "0",
            Ink::Dim => "2",
            Ink::Bold => "1",
            Ink::Good => "32",
            Ink::Bad => "1;31",
            Ink::Busy => "36",
            Ink::Wait => "33",
        }
    }
}

impl Printer {
    /// A printer for this format; `variable` looks an environment variable up.
    pub fn new(format: Format, when: When, is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Printer {
        let no_color = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = variable("TERM").is_some_and(|term| term == "dumb");
        let color = match when {
            When::Always => true,
            When::Never => false,
            When::Auto => is_terminal && !no_color && !dumb,
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
        let unicode = locale.is_some_and(|locale| locale.to_ascii_uppercase().contains("UTF"));
        let zone = variable("TZ")
            .filter(|zone| !zone.is_empty())
            .and_then(|zone| TimeZone::get(zone.trim_start_matches(':')).ok())
            .unwrap_or_else(TimeZone::system);
        Printer { format, color, is_terminal, can_draw: is_terminal && !dumb, unicode, dollars_are_real: true, zone }
    }

    /// Whether people read it.
    pub fn for_people(&self) -> bool {
        self.format == Format::Table
    }

    /// The same, where so much is known of who pays.
    pub fn paying(&self, usage: &UsageView) -> Printer {
        self.paid_by_key(Dollars::of(usage, self.unicode).are_real)
    }

    /// The same, where it is known whether an API key pays.
    pub fn paid_by_key(&self, dollars_are_real: bool) -> Printer {
        Printer { dollars_are_real, ..self.clone() }
    }

    /// `$1.90`, or `≈$1.90` where nobody pays it; nothing for nothing.
    pub fn money(&self, microusd: u64) -> String {
        Dollars { are_real: self.dollars_are_real, unicode: self.unicode }.show(microusd)
    }

    /// `text` in a colour, when there are colours.
    pub fn ink(&self, ink: Ink, text: &str) -> String {
        if self.color && ink != Ink::Plain { format!("\x1b[{}m{text}\x1b[0m", ink.code()) } else { text.to_owned() }
    }

    /// Local time: only the clock when it is today, else with the date.
    pub fn time(&self, at: Utc, now: Utc) -> String {
        let zoned = |at: Utc| Timestamp::from_millisecond(at.0).ok().map(|at| at.to_zoned_datetime(self.zone.clone()));
        match (zoned(at), zoned(now)) {
            (Some(at), Some(now)) if at.date() == now.date() => at.strftime("%H:%M:%S").to_string(),
            (Some(at), _) => at.strftime("%Y-%m-%d %H:%M").to_string(),
            (None, _) => "?".to_owned(),
        }
    }

    /// The clock alone, for lines that follow each other.
    pub fn clock(&self, at: Utc) -> String {
        Timestamp::from_millisecond(at.0)
            .map(|at| at.to_zoned_datetime(self.zone.clone()).strftime("%H:%M:%S").to_string())
            .unwrap_or_else(|_| "??:??:??".to_owned())
    }

    /// The sign of a task's state: no two look alike, also without colour and in ASCII.
    pub fn task_sign(&self, kind: TaskKind) -> (&'static str, Ink) {
        let ink = match kind {
            TaskKind::Queued => Ink::Plain,
            TaskKind::Pending | TaskKind::Skipped | TaskKind::UpstreamFailed => Ink::Dim,
            TaskKind::Held
            | TaskKind::AwaitingInput
            | TaskKind::AwaitingApproval
            | TaskKind::Cancelling
            | TaskKind::Cancelled => Ink::Wait,
            TaskKind::Starting | TaskKind::Running | TaskKind::Delegated | TaskKind::Mapped => Ink::Busy,
            TaskKind::Completed => Ink::Good,
            TaskKind::Failed => Ink::Bad,
        };
        (sign::task(kind).get(self.unicode), ink)
    }

    /// The sign of a job's state.
    pub fn job_sign(&self, state: JobState) -> (&'static str, Ink) {
        self.task_sign(sign::kind_of(state))
    }
}

/// Exit code when the reader of standard output has gone away.
static UNREAD: AtomicI32 = AtomicI32::new(0);

/// From here on the exit code says how something ended, so that leaving early may not be 0: it is that of SIGPIPE.
pub fn must_be_read() {
    UNREAD.store(141, Ordering::Relaxed);
}

/// Writes to standard output; a reader that has gone away (`| head`) ends the program quietly.
pub fn out(text: &str) {
    out_bytes(text.as_bytes());
}

/// Writes bytes of a task's output as they are.
pub fn out_bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            std::process::exit(UNREAD.load(Ordering::Relaxed));
        }
        note(&format!("airx: cannot write to standard output: {error}"));
        std::process::exit(1);
    }
}

/// Writes a line to standard error.
pub fn note(text: &str) {
    // Nobody to tell that standard error is gone.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes a question to standard error, where it shows also when standard output goes to a file.
pub fn ask(question: &str) {
    let mut errors = std::io::stderr();
    let _ = write!(errors, "{question}").and_then(|()| errors.flush());
}

/// A value as it was asked for: on one line for `jsonl`.
pub fn value<T: Serialize>(format: Format, value: &T) -> String {
    if format == Format::Jsonl { json_line(value) } else { json(value) }
}

/// One JSON value and a newline.
pub fn json<T: Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_else(|_| "null".to_owned());
    text.push('\n');
    text
}

/// One line of JSON.
pub fn json_line<T: Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    text.push('\n');
    text
}

/// A cell of a table.
#[derive(Debug, Clone)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// Its colour.
    pub ink: Ink,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell { text: text.into(), ink: Ink::Plain }
    }
}

/// A cell in a colour.
pub fn cell(text: impl Into<String>, ink: Ink) -> Cell {
    Cell { text: text.into(), ink }
}

/// Aligned columns under a heading; the last column is as long as it is.
pub fn table(printer: &Printer, heading: &[&str], rows: &[Vec<Cell>]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|title| title.width()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.width());
        }
    }
    if let Some((columns, _)) = crate::os::terminal_size().filter(|_| printer.is_terminal) {
        shrink(&mut widths, usize::from(columns));
    }
    let mut text = String::new();
    let titles: Vec<Cell> = heading.iter().map(|title| cell(title.to_uppercase(), Ink::Dim)).collect();
    for row in std::iter::once(&titles).chain(rows) {
        for (column, cell) in row.iter().enumerate() {
            let width = widths.get(column).copied().unwrap_or(0);
            if column + 1 < row.len() {
                let shown = middle(&cell.text, width);
                text.push_str(&printer.ink(cell.ink, &shown));
                text.extend(std::iter::repeat_n(' ', width.saturating_sub(shown.width()) + 2));
            } else {
                text.push_str(&printer.ink(cell.ink, &cell.text));
            }
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

/// Makes the widest column narrower, as long as the last one (reasons, which are never cut) has less than a third of the line.
fn shrink(widths: &mut [usize], columns: usize) {
    const NARROWEST: usize = 12;
    let Some((last, names)) = widths.split_last_mut() else { return };
    let wanted = (*last).min(columns / 3);
    loop {
        let total = names.iter().map(|width| width + 2).sum::<usize>() + wanted;
        let Some(widest) = names.iter_mut().max() else { return };
        if total <= columns || *widest <= NARROWEST {
            return;
        }
        *widest -= 1;
    }
}

/// Text cut in the middle, where names differ least.
pub fn middle(text: &str, width: usize) -> String {
    if text.width() <= width || width < 3 {
        return text.to_owned();
    }
    let half = (width - 1) / 2;
    let (mut head, mut tail) = (String::new(), Vec::new());
    for character in text.chars() {
        if head.width() + character.width().unwrap_or(0) > half {
            break;
        }
        head.push(character);
    }
    let mut used = 0;
    for character in text.chars().rev() {
        used += character.width().unwrap_or(0);
        if used > width - 1 - half {
            break;
        }
        tail.push(character);
    }
    head + "…" + &tail.iter().rev().collect::<String>()
}

/// Rows as fields between tabs.
pub fn plain(rows: &[Vec<Cell>]) -> String {
    rows.iter()
        .map(|row| row.iter().map(|cell| cell.text.replace(['\t', '\n'], " ")).collect::<Vec<_>>().join("\t") + "\n")
        .collect()
}

/// `0:04`, `3:12`, `1:02:33`, `3d 04:05`; milliseconds below a second.
pub fn duration(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0 => format!("{millis} ms"),
        1..3_600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60),
        _ => format!("{}d {:02}:{:02}", seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60),
    }
}

/// `12 KiB`, for people.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1_024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1_024.0;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A task's text on one line without control characters, at most `width` columns.
pub fn harmless(text: &str, width: usize) -> String {
    let mut shown = String::new();
    let mut used = 0;
    for character in text.chars() {
        let character = if is_treacherous(character) { ' ' } else { character };
        let columns = character.width().unwrap_or(0);
        if used + columns > width {
            if width > 0 {
                while used + 1 > width {
                    used -= shown.pop().and_then(UnicodeWidthChar::width).unwrap_or(1);
                }
                shown.push('…');
            }
            break;
        }
        used += columns;
        shown.push(character);
    }
    shown
}

/// Output of a task for a terminal: colours stay, everything else that moves the cursor or changes the terminal is shown
/// instead of done.
pub fn tame(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_control() && c != '\n' && c != '\t') {
        tamed.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(length) = colour_length(rest) {
            tamed.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        let Some(control) = rest.chars().next() else { break };
        match control {
            // Alone before a newline it changes nothing; elsewhere a terminal would overwrite the line.
            '\r' if rest[1..].starts_with('\n') => {}
            '\r' => tamed.push('\n'),
            c if (c as u32) < 0x20 => {
                tamed.push('^');
                tamed.push(char::from_u32(c as u32 + 0x40).unwrap_or('?'));
            }
            _ => tamed.push('?'),
        }
        rest = &rest[control.len_utf8()..];
    }
    tamed.push_str(rest);
    tamed
}

/// Length of a colour sequence (`ESC [ digits ; m`) at the beginning of `text`.
fn colour_length(text: &str) -> Option<usize> {
    let body = text.strip_prefix("\x1b[")?;
    let end = body.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
    body[end..].starts_with('m').then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_pass_and_everything_that_moves_the_cursor_is_shown() {
        assert_eq!(tame("\x1b[1;31mred\x1b[0m"), "\x1b[1;31mred\x1b[0m");
        assert_eq!(tame("\x1b[2J\x07a\r\nb\rc\x1b]0;title\x07"), "^[[2J^Ga\nb\nc^[]0;title^G");
        assert_eq!(tame("\u{9b}31m"), "?31m");
    }

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(
            [400, 4_000, 192_000, 3_753_000, 273_900_000].map(duration),
            ["400 ms", "0:04", "3:12", "1:02:33", "3d 04:05"]
        );
    }

    #[test]
    fn dollars_that_nobody_pays_are_marked_for_people_only() {
        let printer = Printer::new(Format::Table, When::Never, false, |name| (name == "LANG").then(|| "C.UTF-8".to_owned()));
        let login: UsageView = serde_json::from_value(serde_json::json!({
            "credentials": [{ "name": "login /home/ann/.claude", "pays_by_key": false }],
            "today_microusd": 0, "today_tokens": 0, "running": 0,
        }))
        .unwrap();
        assert_eq!(printer.money(1_900_000), "$1.90");
        assert_eq!(printer.paying(&login).money(1_900_000), "≈$1.90");
    }

    #[test]
    fn names_are_cut_in_the_middle_and_reasons_never() {
        assert_eq!(middle("a-rather-long-name", 9), "a-ra…name");
        assert_eq!(middle("short", 9), "short");
        let mut widths = [1, 60, 9, 30];
        shrink(&mut widths, 80);
        assert_eq!(widths, [1, 38, 9, 30]);
    }

    #[test]
    fn long_and_wide_text_is_cut_to_its_columns() {
        assert_eq!(harmless("abcdef", 4), "abc…");
        assert_eq!(harmless("日本語", 5), "日本…");
        assert_eq!(harmless("a\nb", 9), "a b");
        assert_eq!(harmless("\u{202e}txt.\u{200b}exe", 9), " txt. exe", "nothing reverses or hides what follows");
    }
}
