//! An attempt's output as the screen reads it: by pieces, with a bounded part of it in memory.

pub mod document;
pub mod fetch;
pub mod lines;
mod motion;
pub mod order;
pub mod pages;
pub mod search;
mod seek;
pub mod talk;

pub use document::Document;
