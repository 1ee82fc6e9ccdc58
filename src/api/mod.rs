//! How clients reach the manager: one trait, three ways (a socket, in process, and reading alone when no manager runs).

pub mod client;
pub mod local;
pub mod paths;
pub mod peer;
pub mod server;
pub mod socket;
pub mod wire;

pub use client::{Client, ClientError, ClientErrorKind};
