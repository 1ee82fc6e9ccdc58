use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::model::artifact::DEFAULT_BYTES;

/// A workspace and an attempt's directory.
struct Bench {
    place: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let place = tempfile::tempdir().unwrap();
        for part in ["work", "attempt"] {
            fs::create_dir(place.path().join(part)).unwrap();
        }
        fs::write(place.path().join("secret"), "secret").unwrap();
        Bench { place }
    }

    fn work(&self) -> std::path::PathBuf {
        self.place.path().join("work")
    }

    fn attempt(&self) -> std::path::PathBuf {
        self.place.path().join("attempt")
    }

    fn file(&self, name: &str, content: &str) {
        let path = self.work().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn keep(&self, paths: &[&str]) -> Kept {
        let files = paths.iter().map(|path| of(path, None, Missing::Noted)).collect();
        self.keep_all(&Artifacts { files, max_bytes: DEFAULT_BYTES })
    }

    fn keep_all(&self, wanted: &Artifacts) -> Kept {
        artifacts(wanted, &self.work(), &self.attempt(), &|| false)
    }
}

fn of(path: &str, name: Option<&str>, missing: Missing) -> ArtifactSpec {
    ArtifactSpec { path: path.to_owned(), name: name.map(str::to_owned), missing }
}

fn names(kept: &Kept) -> Vec<&str> {
    kept.manifest.files.iter().map(|file| file.name.as_str()).collect()
}

#[test]
fn files_directories_and_patterns_are_kept_with_size_and_checksum() {
    let bench = Bench::new();
    for name in
        ["report.html", "cov/index.html", "cov/.last", "cov/a/b.html", "out/x/1.txt", "out/2.txt", "out/3.md", ".git/x.txt"]
    {
        bench.file(name, "abc");
    }
    let kept = bench.keep(&["report.html", "cov/", "**/*.txt", "report.html"]);
    assert_eq!(kept.notes, Vec::<String>::new());
    let expected = ["cov/.last", "cov/a/b.html", "cov/index.html", "out/2.txt", "out/x/1.txt", "report.html"];
    assert_eq!(names(&kept), expected);
    let first = &kept.manifest.files[0];
    assert_eq!(first.bytes, 3);
    assert_eq!(first.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert!(first.at.0 > 0);
    for name in expected {
        assert_eq!(fs::read(bench.attempt().join("artifacts").join(name)).unwrap(), b"abc");
    }
    let list = fs::read(bench.attempt().join("artifacts.json")).unwrap();
    assert_eq!(Manifest::read(&list), kept.manifest);
}

#[test]
fn a_name_takes_the_place_of_the_fixed_part_and_what_is_missing_is_told_as_the_task_says() {
    let bench = Bench::new();
    bench.file("target/criterion/a/b.html", "x");
    let wanted = Artifacts {
        files: vec![
            of("target/criterion/**", Some("bench"), Missing::Noted),
            of("gone", None, Missing::Noted),
            of("*.gone", None, Missing::Fine),
            of("a/gone", None, Missing::Fails),
            of("b/gone", None, Missing::Fails),
        ],
        max_bytes: DEFAULT_BYTES,
    };
    let kept = bench.keep_all(&wanted);
    assert_eq!(names(&kept), ["bench/a/b.html"]);
    assert_eq!((kept.notes.as_slice(), kept.missing.as_deref()), (&["there is no artifact gone".to_owned()][..], Some("a/gone")));
}

#[test]
fn no_link_leads_out_of_the_workspace_and_nothing_but_files_is_kept() {
    let bench = Bench::new();
    bench.file("real/run-3/a.txt", "a");
    symlink("../secret", bench.work().join("stolen.txt")).unwrap();
    symlink("/etc", bench.work().join("etc")).unwrap();
    symlink("real/run-3", bench.work().join("latest")).unwrap();
    symlink("real/run-3/a.txt", bench.work().join("copy.txt")).unwrap();
    symlink(".", bench.work().join("real/again")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, bench.work().join("fifo.txt"), rustix::fs::Mode::RWXU).unwrap();
    let kept = bench.keep(&["*.txt", "etc/passwd", "etc/**", "latest/a.txt", "real/", "latest/**"]);
    assert_eq!(names(&kept), ["copy.txt", "latest/a.txt", "real/run-3/a.txt"]);
    let notes = kept.notes.join("\n");
    assert!(notes.contains("lead out of the workspace: stolen.txt, etc/passwd, etc/**"), "{notes}");
    assert!(notes.contains("no regular files: fifo.txt"), "{notes}");
}

#[test]
fn what_a_task_puts_in_the_place_of_what_is_kept_leads_nowhere() {
    let bench = Bench::new();
    bench.file("a.txt", "new");
    symlink(bench.place.path(), bench.attempt().join("artifacts")).unwrap();
    let kept = bench.keep(&["a.txt"]);
    assert!(names(&kept).is_empty() && kept.notes[0].starts_with("no artifacts were kept"), "{:?}", kept.notes);
    assert!(!bench.place.path().join("a.txt").exists());
    let other = Bench::new();
    other.file("secret", "new");
    fs::create_dir(other.attempt().join("artifacts")).unwrap();
    symlink(other.place.path().join("secret"), other.attempt().join("artifacts/secret")).unwrap();
    let kept = other.keep(&["secret"]);
    assert!(names(&kept).is_empty(), "{:?}", kept.notes);
    assert_eq!(fs::read(other.place.path().join("secret")).unwrap(), b"secret");
}

#[test]
fn bytes_and_files_are_bounded_and_what_fits_is_kept() {
    let bench = Bench::new();
    bench.file("a", &"x".repeat(60));
    bench.file("b", &"x".repeat(60));
    bench.file("c", &"x".repeat(30));
    let files = vec![of("*", None, Missing::Noted)];
    let kept = bench.keep_all(&Artifacts { files, max_bytes: 100 });
    assert_eq!(names(&kept), ["a", "c"]);
    assert!(kept.notes[0].contains("more bytes than `max_bytes`: b"), "{:?}", kept.notes);
    let many = Bench::new();
    for n in 0..=MAX_FILES {
        many.file(&format!("d/{n:05}"), "");
    }
    let kept = many.keep(&["d"]);
    assert_eq!(names(&kept).len(), MAX_FILES);
    assert!(kept.notes[0].contains("the most of one attempt"), "{:?}", kept.notes);
}

#[test]
fn whoever_insists_on_the_end_does_not_wait_for_copies() {
    let bench = Bench::new();
    bench.file("a", "x");
    let files = vec![of("a", None, Missing::Fails)];
    let kept = artifacts(&Artifacts { files, max_bytes: 10 }, &bench.work(), &bench.attempt(), &|| true);
    assert!(names(&kept).is_empty() && kept.missing.is_none(), "{kept:?}");
    assert!(kept.notes[0].contains("the attempt's end was asked for"), "{:?}", kept.notes);
    let note = result("a", &bench.work(), &bench.attempt(), 10, &|| true).unwrap();
    assert!(note.contains("the attempt's end was asked for") && !bench.attempt().join("result").exists(), "{note}");
}

#[test]
fn a_result_is_copied_from_its_file_and_from_nowhere_else() {
    let bench = Bench::new();
    bench.file("out/report.json", "[1]");
    symlink("../secret", bench.work().join("stolen.json")).unwrap();
    let copied = bench.attempt().join("result");
    let copy = |name: &str, most| result(name, &bench.work(), &bench.attempt(), most, &|| false);
    assert_eq!(copy("out/report.json", 100), None);
    assert_eq!(fs::read(&copied).unwrap(), b"[1]");
    assert_eq!(copy("gone.json", 100), None);
    assert!(!copied.exists(), "that of before is none");
    assert!(copy("stolen.json", 100).is_some() && !copied.exists());
    assert!(copy("out", 100).is_some() && !copied.exists());
    bench.file("large", &"x".repeat(1_000));
    assert_eq!(copy("large", 100), None);
    assert_eq!(fs::metadata(&copied).unwrap().len(), 101, "one byte more tells that it is too large");
    fs::remove_file(&copied).unwrap();
    symlink(bench.place.path().join("secret"), &copied).unwrap();
    assert_eq!(copy("out/report.json", 100), None);
    assert_eq!(fs::read(bench.place.path().join("secret")).unwrap(), b"secret");
}
