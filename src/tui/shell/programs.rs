//! The terminal in other hands for a while: the shell's, a pager's, an editor's; and text that is handed to it.

use std::io;

use super::{Kind, Shell, external, update};

impl Shell {
    /// To the shell. A manager in this process would stop with it, so it goes on in the background first.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        let handed = if (self.parts.embeds)() { Some((self.parts.hand_over)()) } else { None };
        self.screen.leave();
        if let Some(Ok(())) = &handed {
            external::say("airx: a manager in the background goes on with the work; `fg` comes back to the screen");
        }
        crate::os::stop_self();
        self.back_from_program()?;
        self.app.embeds = (self.parts.embeds)();
        if let Some(Err(why)) = handed {
            self.tell(&why, Kind::Fault);
        }
        Ok(())
    }

    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        let lines = text.lines().count();
        let what = if lines > 1 { format!("{lines} lines") } else { "1 line".to_owned() };
        if external::copy_to_tmux(&self.parts.env, text) {
            self.tell(&format!("{what} copied into tmux's buffer: prefix ] pastes"), Kind::News);
        } else if text.len() > external::MAX_OSC52 {
            self.tell("too long for the terminal's clipboard: export it instead", Kind::Fault);
        } else {
            self.screen.copy(text)?;
            self.tell(&format!("{what} sent to the terminal's clipboard (OSC 52)"), Kind::News);
        }
        Ok(())
    }

    pub(super) fn page(&mut self, path: &std::path::Path) -> io::Result<()> {
        self.lend();
        let shown = external::page(&self.parts.env, path);
        // What was only shown is not kept.
        let _ = std::fs::remove_file(path);
        self.back_from_program()?;
        if let Err(why) = shown {
            self.tell(&why, Kind::Fault);
        }
        Ok(())
    }

    pub(super) fn edit(&mut self, text: &str, ending: &str, back: bool) -> io::Result<()> {
        self.edits += 1;
        let directory = match external::scratch(&self.parts.home) {
            Ok(directory) => directory,
            Err(error) => {
                self.tell(&format!("cannot write into the home: {error}"), Kind::Fault);
                return Ok(());
            }
        };
        self.lend();
        let edited = external::edit(&self.parts.env, &directory, text, ending, self.edits);
        self.back_from_program()?;
        match edited {
            Ok(Some(edited)) if back => update::replaced(&mut self.app, &edited),
            Ok(None) if back => self.tell("the editor ended with a failure: the text is as it was", Kind::Fault),
            Ok(Some(edited)) if edited != text => {
                self.tell("that was a copy to look at: nothing was changed", Kind::News);
            }
            Ok(_) => {}
            Err(why) => self.tell(&why, Kind::Fault),
        }
        Ok(())
    }

    fn lend(&mut self) {
        self.screen.leave();
        self.parts.told.lend(true);
    }

    pub(super) fn back_from_program(&mut self) -> io::Result<()> {
        self.parts.told.lend(false);
        self.screen.enter()?;
        (self.app.dirty, self.drawn, self.unread) = (true, None, true);
        Ok(())
    }
}
