//! Text for a terminal: harmless, measured in cells, cut, broken, styled.

pub mod ansi;
pub mod cut;
pub mod harmless;
pub mod markdown;
pub mod time;
pub mod wrap;
