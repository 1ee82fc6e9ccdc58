//! Whatever dies between a manager and an engine of containers: every attempt has one outcome, every task ran once for each of
//! its attempts, its output is whole, and nothing is left behind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failing test says so by a panic")]

#[path = "support/docker/bench.rs"]
mod bench;
#[path = "support/docker/mod.rs"]
mod docker;
#[path = "support/home.rs"]
mod home;
#[path = "support/docker/proxy.rs"]
mod proxy;

#[path = "docker_kills/engines.rs"]
mod engines;
#[path = "docker_kills/floods.rs"]
mod floods;
#[path = "docker_kills/managers.rs"]
mod managers;
