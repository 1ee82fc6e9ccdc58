//! What a pod's state means, decided purely: how far a launch is, why it does not go on, and how an attempt ended.
//!
//! The precedence is that of what a real cluster does (recorded with v1.36): a disruption, then a deadline, then the runner's own
//! record, then the container's end. Whatever the phase says: it lags, and a pod whose task was stopped may have succeeded.

mod ending;
mod progress;
#[cfg(test)]
mod tests;

pub use ending::{Finding, Known, find};
pub use progress::{Far, Trouble, far};
