//! The configuration file, keymaps and themes, and where a home is.

mod claude;
pub mod home;
pub mod keymap;
mod layers;
mod load;
mod notify;
pub mod screen;
mod template;
pub mod theme;

pub use load::{Loaded, load};
pub use template::template;
