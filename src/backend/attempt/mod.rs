//! The attempt directory, as every backend reads and writes it.

pub mod arrival;
pub mod artifacts;
pub mod checking;
pub mod collect;
pub mod desk;
pub mod directory;
pub mod ending;
pub mod inbox;
pub mod keeper;
pub mod outbox;
pub mod told;
