//! What airx knows about the Claude Code CLI: its command line and environment, and how to read its transcripts.
//!
//! The rules were observed with version 2.1.197 run headless; `tests/claude_cli.rs` holds them against that version.

pub mod banner;
pub mod cli;
mod collect;
pub mod conversation;
pub mod env;
mod event;
mod json;
mod kind;
mod lines;
pub mod live;
mod notice;
mod parser;
pub mod render;
pub mod session;
mod spending;
mod text;
mod todo;
pub mod transcript;
mod window;
