//! The configuration file, and where a home is.

pub mod home;
mod load;
mod template;

pub use load::{Loaded, load};
pub use template::template;
