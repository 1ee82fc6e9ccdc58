//! The attempt directory, as every backend reads and writes it.

pub mod directory;
pub mod ending;
pub mod inbox;
pub mod outbox;
