//! What a container prints, line by line into its log.

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use jiff::Timestamp;

use super::super::kubernetes::logs::Log;
use super::engine::Attached;

/// Reads to the end, and says then that it is over.
pub fn read(mut output: BufReader<UnixStream>, log: &Arc<Log>, ended: &Sender<()>) {
    let mut lines = [Vec::new(), Vec::new()];
    while let Ok(Some((stream, bytes))) = Attached::piece(&mut output) {
        let line = &mut lines[usize::from(stream == 2)];
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                log.push(Timestamp::now(), std::mem::take(line));
            }
        }
    }
    for line in lines.into_iter().filter(|line| !line.is_empty()) {
        log.push(Timestamp::now(), line);
    }
    let _ = ended.send(());
}
