//! The workstation in process: an app with a fixed clock over a small fake of the manager, driven by keys and drawn into a
//! buffer. What it looks like lies in `snapshots/screen_*`, with its colours and styles.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "screens/actions.rs"]
mod actions;
#[path = "screens/bell.rs"]
mod bell;
#[path = "screens/harness.rs"]
mod harness;
#[path = "screens/hostile.rs"]
mod hostile;
#[path = "screens/inbox.rs"]
mod inbox;
#[path = "screens/keys.rs"]
mod keys;
#[path = "screens/mapping.rs"]
mod mapping;
#[path = "screens/mouse.rs"]
mod mouse;
#[path = "screens/output.rs"]
mod output;
#[path = "screens/picture.rs"]
mod picture;
#[path = "screens/scenes.rs"]
mod scenes;
#[path = "screens/schedules.rs"]
mod schedules;
#[path = "screens/signs.rs"]
mod signs;
#[path = "screens/sizes.rs"]
mod sizes;
#[path = "screens/states.rs"]
mod states;
#[path = "screens/sweep.rs"]
mod sweep;
#[path = "screens/themes.rs"]
mod themes;
#[path = "screens/tree.rs"]
mod tree;
#[path = "screens/usage.rs"]
mod usage;
#[path = "screens/world.rs"]
mod world;
