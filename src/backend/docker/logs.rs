//! The output of a container without our runner: followed by the engine's logs, and kept as the runner would keep it.

use std::io;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;

use super::fault::Fault;
use crate::backend::attempt::keeper::Keeper;

/// Between two tries on a full disk.
const RETRY: Duration = Duration::from_secs(1);
/// Pieces taken in before they are written.
const BATCH: usize = 1_024;

/// Whether a container without our runner has ever printed anything.
pub async fn has_any(docker: &Docker, id: &str) -> bool {
    let options = LogsOptions { stdout: true, stderr: true, tail: "1".to_owned(), ..LogsOptions::default() };
    Box::pin(docker.logs(id, Some(options))).next().await.is_some_and(|piece| piece.is_ok())
}

/// Reads what the engine has since the last time, to the end: that of the container when it is followed.
///
/// # Errors
/// When the engine drops the stream: what came is kept, and [`Keeper::again`] goes on there.
pub async fn read(docker: &Docker, name: &str, keeper: &mut Keeper, follow: bool) -> Result<(), Fault> {
    keeper.again();
    let options =
        LogsOptions { follow, stdout: true, stderr: true, since: keeper.since(), timestamps: true, ..LogsOptions::default() };
    let mut stream = Box::pin(docker.logs(name, Some(options)).ready_chunks(BATCH));
    while let Some(pieces) = stream.next().await {
        for piece in pieces {
            let (number, bytes) = match piece? {
                LogOutput::StdOut { message } | LogOutput::Console { message } => (0, message),
                LogOutput::StdErr { message } => (1, message),
                LogOutput::StdIn { .. } => continue,
            };
            while keeper.take(number, &bytes).is_err_and(|error| error.kind() == io::ErrorKind::StorageFull) {
                tokio::time::sleep(RETRY).await;
            }
        }
        while let Err(error) = keeper.flush() {
            tracing::warn!(name, "output cannot be kept now: {error}");
            tokio::time::sleep(RETRY).await;
        }
        if keeper.is_cut() {
            return Ok(());
        }
    }
    Ok(())
}
