//! The image of the static program alone: its archive, which no engine is needed to make.
#![allow(clippy::unwrap_used, reason = "a failing test says so by a panic")]
#![allow(clippy::print_stderr, reason = "what is left out is told")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use sha2::{Digest, Sha256};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/kubernetes/runner-image.py");
const IMAGE: &str = "registry.example:5000/airx-runner-static:1";

/// A static program of this machine, as far as its head: whatever follows is carried as it is.
fn program(interpreter: bool) -> Vec<u8> {
    let mut bytes = std::fs::read(env!("CARGO_BIN_EXE_airx")).unwrap();
    let word = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let start = usize::try_from(u64::from_le_bytes(bytes[32..40].try_into().unwrap())).unwrap();
    let end = start + word(54) * word(56);
    bytes.truncate(end);
    if interpreter {
        bytes[start..start + 4].copy_from_slice(&3u32.to_le_bytes());
    }
    bytes.extend(b"and all the rest");
    bytes
}

fn make(binary: &Path, image: &str, out: &Path) -> Option<Output> {
    let mut command = Command::new("python3");
    command.arg(SCRIPT).arg("--binary").arg(binary).args(["--image", image]).arg("--out").arg(out);
    match command.output() {
        Ok(output) => Some(output),
        Err(_) => {
            let required = std::env::var("AIRX_TEST_REQUIRE").unwrap_or_default();
            assert_ne!(required, "all", "there is no python3");
            eprintln!("left out: there is no python3");
            None
        }
    }
}

/// The files of an archive with their rights, in their order.
fn files(archive: &[u8]) -> Vec<(String, Vec<u8>, u32)> {
    let mut archive = tar::Archive::new(archive);
    let files = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
        let (name, mode) = (entry.path().unwrap().display().to_string(), header.mode().unwrap());
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (name, content, mode)
    });
    files.collect()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_archive_is_a_layout_of_one_program_and_the_same_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let (binary, out) = (dir.path().join("airx"), dir.path().join("image.tar"));
    let program = program(false);
    std::fs::write(&binary, &program).unwrap();
    let Some(made) = make(&binary, IMAGE, &out) else { return };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let archive = std::fs::read(&out).unwrap();
    assert!(make(&binary, IMAGE, &out).unwrap().status.success());
    assert_eq!(archive, std::fs::read(&out).unwrap(), "the same bytes");

    let all: BTreeMap<String, Vec<u8>> = files(&archive).into_iter().map(|(name, content, _)| (name, content)).collect();
    for (name, content) in &all {
        assert!(name.strip_prefix("blobs/sha256/").is_none_or(|named| named == digest(content)), "{name}");
    }
    let json = |name: &str| serde_json::from_slice::<Value>(&all[name]).unwrap();
    // What is referred to is there, as large as it is said to be.
    let blob = |reference: &Value| {
        let name = format!("blobs/sha256/{}", reference["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap());
        assert_eq!(reference["size"], all[&name].len());
        name
    };
    assert_eq!(json("oci-layout")["imageLayoutVersion"], "1.0.0");
    let index = &json("index.json")["manifests"][0];
    for annotation in ["org.opencontainers.image.ref.name", "io.containerd.image.name"] {
        assert_eq!(index["annotations"][annotation], IMAGE);
    }
    let manifest = json(&blob(index));
    let (config, layer) = (blob(&manifest["config"]), blob(&manifest["layers"][0]));
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    let settings = json(&config);
    assert_eq!(settings["config"]["Entrypoint"], serde_json::json!(["/airx"]));
    assert_eq!(settings["config"]["User"], "10001:10001");
    assert_eq!(settings["rootfs"]["diff_ids"], serde_json::json!([format!("sha256:{}", digest(&all[&layer]))]));
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    assert_eq!((&settings["architecture"], &settings["os"]), (&machine.into(), &"linux".into()));
    assert_eq!(index["platform"]["architecture"], machine);
    let saved = json("manifest.json");
    assert_eq!(saved, serde_json::json!([{ "Config": config, "RepoTags": [IMAGE], "Layers": [layer] }]));
    assert_eq!(files(&all[&layer]), [("airx".to_owned(), program, 0o755)]);
    assert_eq!(all.len(), 6);
}

#[test]
fn what_cannot_run_in_an_empty_image_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (binary, out) = (dir.path().join("airx"), dir.path().join("image.tar"));
    let refused = |content: &[u8], image: &str| {
        std::fs::write(&binary, content).unwrap();
        let output = make(&binary, image, &out)?;
        assert!(!output.status.success() && !out.exists());
        Some(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let Some(said) = refused(&program(true), IMAGE) else { return };
    assert!(said.contains("it is not static"), "{said}");
    let said = refused(b"#!/bin/sh\n", IMAGE).unwrap();
    assert!(said.contains("it is no 64-bit program of Linux"), "{said}");
    let said = refused(&program(false), "registry.example:5000/airx").unwrap();
    assert!(said.contains("has no tag"), "{said}");
}
