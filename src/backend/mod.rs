//! Where runners live: the implementations of [`crate::manager::ports::Backend`].

mod attempt;
pub mod process;
