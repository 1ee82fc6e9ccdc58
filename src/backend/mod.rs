//! Where runners live: the implementations of [`crate::manager::ports::Backend`].

pub mod process;
