//! The fake API server does what a real one did.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "kubernetes_fake/client.rs"]
mod client;
#[path = "support/docker/mod.rs"]
mod docker;
#[path = "support/kubernetes/mod.rs"]
mod kubernetes;
#[path = "kubernetes_fake/library.rs"]
mod library;
#[path = "support/kubernetes/real/mod.rs"]
mod real;
#[path = "kubernetes_fake/reals.rs"]
mod reals;
#[path = "kubernetes_fake/refusals.rs"]
mod refusals;
#[path = "kubernetes_fake/replays.rs"]
mod replays;
#[path = "kubernetes_fake/wire.rs"]
mod wire;
