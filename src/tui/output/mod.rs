//! An attempt's output as the screen reads it: by pieces, with a bounded part of it in memory.

pub mod document;
pub mod fetch;
pub mod lines;
pub mod order;
pub mod search;
pub mod talk;

pub use document::Document;
