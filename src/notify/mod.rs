//! Notifications: telling a person by a command or a webhook.
//!
//! Nothing here can harm a job. The [`Courier`] works on a thread of its own, reads committed events from the store like any
//! client, and hands each notice to a process of its own (`airx deliver-notice`, [`deliver`]). That process enforces its own
//! deadlines and outlives the manager, so a notifier that hangs, eats memory or dies takes nothing with it, and what was told
//! at the manager's last moment still arrives.

mod courier;
pub mod deliver;
mod keep;
pub mod order;
mod post;
mod rounds;
mod send;

pub use courier::{Courier, Parts};
pub use send::send;
