//! The terminal itself: taken, drawn to, given back whatever happens.

mod palette;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
};
use crossterm::{cursor, execute, queue};
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use palette::Palette;

/// Bytes gathered before the terminal gets them: more than a full frame of the largest screens.
const BUFFER: usize = 256 * 1024;
/// A character of ambiguous width (Unicode, East Asian Width): borders, bars and the ellipsis are of that kind, and
/// terminals that are at home with East Asian text may give it two cells.
const PROBE: &str = "─";

/// Whether the terminal is ours: what a panic has to give back.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours. Two buffers and their difference, without the questions to the terminal that ratatui's
/// own `Terminal` asks at each clearing: one that does not answer would hold every key up for seconds.
pub struct Screen {
    backend: CrosstermBackend<Palette<BufWriter<File>>>,
    /// What is on the screen.
    shown: Buffer,
    /// The frame being made.
    next: Buffer,
    mouse: bool,
}

impl Screen {
    /// Takes the terminal; one of sixteen colours gets them by their own codes.
    ///
    /// # Errors
    /// What the terminal says; then it is as it was.
    pub fn take(mouse: bool, is_sixteen: bool) -> io::Result<Screen> {
        // Past the line buffer of standard output: a frame goes out in one piece.
        // Closed in whatever is started meanwhile: a manager in the background must not keep the terminal.
        let out = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?);
        let backend = CrosstermBackend::new(Palette::new(BufWriter::with_capacity(BUFFER, out), is_sixteen));
        let mut screen = Screen { backend, shown: Buffer::default(), next: Buffer::default(), mouse };
        screen.enter()?;
        Ok(screen)
    }

    /// Takes it (again).
    ///
    /// # Errors
    /// What the terminal says; then it is as it was.
    pub fn enter(&mut self) -> io::Result<()> {
        crossterm::terminal::enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let taken = queue!(self.backend, EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)
            .and_then(|()| if self.mouse { queue!(self.backend, EnableMouseCapture) } else { Ok(()) })
            .and_then(|()| self.clear());
        if taken.is_err() {
            restore();
        }
        taken
    }

    /// Gives it back for a while, or for good.
    pub fn leave(&mut self) {
        // What is still in the buffer would come after the screen was given back.
        let _ = Write::flush(&mut self.backend);
        restore();
    }

    /// Takes the mouse, or leaves it to the terminal.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn set_mouse(&mut self, mouse: bool) -> io::Result<()> {
        self.mouse = mouse;
        if mouse { execute!(self.backend, EnableMouseCapture) } else { execute!(self.backend, DisableMouseCapture) }
    }

    /// Forgets what is on the screen, so that the next frame is drawn in full.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn clear(&mut self) -> io::Result<()> {
        self.shown.reset();
        execute!(self.backend, SetAttribute(Attribute::Reset), Clear(ClearType::All))
    }

    /// Draws a frame of this size; `draw` gives the cursor's place when it is to be seen. Only what changed is sent, as one
    /// update.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn draw(
        &mut self,
        (width, height): (u16, u16),
        draw: impl FnOnce(Rect, &mut Buffer) -> Option<(u16, u16)>,
    ) -> io::Result<()> {
        let area = Rect { x: 0, y: 0, width, height };
        queue!(self.backend, BeginSynchronizedUpdate)?;
        if area != self.shown.area {
            self.shown.resize(area);
            self.next.resize(area);
            self.clear()?;
        }
        self.next.reset();
        let cursor = draw(area, &mut self.next);
        self.backend.draw(self.shown.diff(&self.next).into_iter())?;
        match cursor {
            Some((x, y)) => queue!(self.backend, cursor::MoveTo(x, y), cursor::Show)?,
            None => queue!(self.backend, cursor::Hide)?,
        }
        std::mem::swap(&mut self.shown, &mut self.next);
        execute!(self.backend, EndSynchronizedUpdate)
    }

    /// Whether the terminal gives our signs the one cell that we count for them, measured by where its cursor is after
    /// one of them. A terminal that does not tell is taken at its locale's word.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn measures_signs(&mut self) -> io::Result<bool> {
        write!(self.backend, "\x1b[1;1H{PROBE}")?;
        Write::flush(&mut self.backend)?;
        let is_true = match cursor::position() {
            Ok((column, _)) => usize::from(column) == PROBE.width(),
            Err(_) => true,
        };
        // The sign stands in a cell that the next frame thinks it knows.
        self.clear()?;
        Ok(is_true)
    }

    /// Hands a text to the terminal's clipboard (OSC 52).
    ///
    /// # Errors
    /// What the terminal says.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        use base64::Engine;
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        self.send(&format!("\x1b]52;c;{encoded}\x07"))
    }

    /// Sends a sequence that shows nothing.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn send(&mut self, sequence: &str) -> io::Result<()> {
        self.backend.write_all(sequence.as_bytes())?;
        Write::flush(&mut self.backend)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Gives back what can be given back of a terminal that takes no text: the shell gets its lines edited again.
pub fn leave_raw_mode() {
    if TAKEN.load(Ordering::SeqCst) {
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

/// Gives the terminal back, if it is ours; for panics too, so it needs nothing but the terminal.
pub fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    // A terminal that is gone has nothing to be restored.
    let _ = queue!(out, EndSynchronizedUpdate, DisableMouseCapture, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let _ = out.flush();
    let _ = crossterm::terminal::disable_raw_mode();
}
