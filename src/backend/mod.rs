//! Where runners live: the implementations of [`crate::manager::ports::Backend`].

mod attempt;
pub use attempt::checking;
pub mod docker;
pub mod finding;
mod handle;
pub mod kubernetes;
mod places;
pub mod process;
mod router;

pub use places::Places;
pub use router::{Backends, Threads};
