//! The fake API server does what a real one did.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "kubernetes_fake/client.rs"]
mod client;
#[path = "support/kubernetes/mod.rs"]
mod kubernetes;
#[path = "kubernetes_fake/replays.rs"]
mod replays;
