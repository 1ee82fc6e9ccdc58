//! The image with the built program alone, on the tests' shared engine.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

use crate::docker::Engine;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/kubernetes/runner-image.py");
const PROGRAM: &str = env!("CARGO_BIN_EXE_airx");

/// Its name; it is made and loaded once for each build.
pub fn runner_image(engine: &Engine) -> String {
    let data = std::fs::metadata(PROGRAM).expect("the built program");
    let name = format!("airx-test/runner:{:x}-{:x}-{:x}", data.len(), data.mtime(), data.mtime_nsec());
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let lock = std::fs::File::create(place.join("runner-image.lock")).expect("a file");
    flock(&lock, FlockOperation::LockExclusive).expect("a lock");
    let is_there = engine.docker(["image", "inspect", &name]).output().is_ok_and(|output| output.status.success());
    if !is_there {
        let file = place.join("runner-image.tar");
        let made = Command::new("python3").args([SCRIPT, "--binary", PROGRAM, "--image", &name, "--out"]).arg(&file).output();
        let made = made.expect("python3");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        engine.ok(["load", "-i", &file.display().to_string()]);
        let _ = std::fs::remove_file(file);
    }
    name
}
