//! The configuration file, keymaps and themes, and where a home is.

mod claude;
mod docker;
mod file;
pub mod home;
pub mod keymap;
mod kubernetes;
mod layers;
mod load;
mod notify;
mod pool;
pub mod screen;
mod template;
pub mod theme;
mod value;

pub use load::{Loaded, load};
pub use template::template;
