//! The store: SQLite in WAL mode, one writer, read connections apart. The database holds no output.

mod backup;
mod error;
mod load;
mod output;
mod queries;
mod reader;
mod schema;
pub mod verify;
mod writer;

pub use backup::{Repaired, backup, repair};
pub use reader::StoreReader;
pub use writer::{Identity, SqliteStore};
