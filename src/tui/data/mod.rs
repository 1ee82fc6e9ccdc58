//! The screen's copy of what the manager knows: rows read by pages, kept true by the events that follow.

mod early;
pub mod instances;
pub mod mirror;
mod news;
pub mod row;
mod stranded;
pub mod sync;

pub use mirror::Mirror;
