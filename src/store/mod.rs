//! The store: SQLite in WAL mode, one writer, read connections apart. The database holds no output.

mod backup;
mod error;
mod flows;
mod kept;
mod load;
mod mapping;
mod output;
mod queries;
mod reader;
mod rerun;
mod runs;
mod schedules;
mod schema;
mod usage;
pub mod verify;
mod writer;

pub use backup::{Repaired, backup, repair};
pub use reader::{ClaudeBounds, StoreReader};
pub use schema::Age;
pub use writer::{Identity, SqliteStore};
