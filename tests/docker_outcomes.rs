//! What becomes of a task in a container, and why, on a real engine: how it ends, why it is not launched, how it is shut in, and
//! what others do to it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failing test says so by a panic")]

#[path = "support/docker/bench.rs"]
mod bench;
#[path = "support/docker/mod.rs"]
mod docker;
#[path = "support/home.rs"]
mod home;
#[path = "support/docker/proxy.rs"]
mod proxy;
#[path = "support/docker/registry.rs"]
mod registry;

#[path = "docker_outcomes/ends.rs"]
mod ends;
#[path = "docker_outcomes/hostile.rs"]
mod hostile;
#[path = "docker_outcomes/images.rs"]
mod images;
#[path = "docker_outcomes/leftovers.rs"]
mod leftovers;
#[path = "docker_outcomes/others.rs"]
mod others;
#[path = "docker_outcomes/refusals.rs"]
mod refusals;
#[path = "docker_outcomes/shut_in.rs"]
mod shut_in;
