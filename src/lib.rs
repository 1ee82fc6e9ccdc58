//! airx: Air-Executor as one binary. ARCHITECTURE.md tells how the parts hang together.
//!
//! The rules between the modules (checked by `tests/architecture.rs`):
//! `model` depends on nothing; `manager` on `model`; `store`, `backend`, `runner` and `notify` on the manager's ports
//! and `model`; `api` on the manager's handle and `model`; `tui` and `cli` on `api`, `config` and `model`. Only `main`
//! names concrete types. `os` holds every call that differs between systems.

pub mod api;
pub mod backend;
pub mod claude;
pub mod cli;
pub mod config;
pub mod manager;
pub mod model;
pub mod notify;
pub mod os;
pub mod runner;
pub mod store;
pub mod tui;
