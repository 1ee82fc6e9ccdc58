//! The figures of the screen.

mod frame;
mod live;

use crate::report::Report;

/// All of them.
pub fn all(report: &mut Report) {
    frame::frame(report, &crate::runs::sample());
    live::first_frame(report);
    live::key_to_frame(report);
    live::idle(report);
    live::fast_output(report);
    live::memory(report);
}
