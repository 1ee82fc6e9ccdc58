//! Runners as pods, one for each attempt, in a namespace of a Kubernetes cluster (1.24 and later).
//!
//! One thread for each namespace that pools lead to. What it knows lies in the attempt directories, in a record beside each, and
//! in what the cluster shows, so a backend that is started anew goes on where the last one stopped.

mod api;
mod attempt;
mod cluster;
mod connect;
mod custody;
mod ends;
mod fault;
mod frames;
mod judge;
mod launch;
mod lines;
mod manifest;
mod names;
mod output;
mod pod;
mod record;
pub mod survey;
mod sync;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

pub use record::Record;

use super::handle::Handle;
use super::places::Places;
use crate::manager::ports::{ClaudeCli, ReportSink};
use crate::model::kubernetes::ClusterName;

/// What the backend needs to know.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The home's identity.
    pub instance: String,
    /// The home.
    pub home: PathBuf,
    /// Where results too large for the database go, by hash.
    pub results: PathBuf,
    /// The manager's environment, for `KUBECONFIG`.
    pub environment: BTreeMap<String, String>,
}

/// Threads for what waits: credentials that a program is asked for.
const THREADS: usize = 4;

/// Starts the thread of a namespace.
///
/// # Errors
/// When the system refuses a thread.
pub fn start(
    name: ClusterName,
    parts: &Parts,
    sink: ReportSink,
    claude: Arc<dyn ClaudeCli>,
    places: Places,
) -> io::Result<Handle> {
    let parts = parts.clone();
    Handle::start(format!("the cluster {name}"), THREADS, move |queue| async move {
        worker::run(Rc::new(cluster::Cluster::new(name, parts, sink, claude, places)), queue).await;
    })
}
