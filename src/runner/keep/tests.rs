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
    assert!(names(&kept).is_empty(), "{kept:?}");
    assert!(kept.missing.as_deref().is_some_and(|missing| missing.starts_with("a (it took too long")), "{kept:?}");
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
    let note = copy("stolen.json", 100).unwrap();
    assert_eq!(note, "the result stolen.json could not be read: it leads out of the workspace");
    assert!(!copied.exists());
    assert!(copy("out", 100).is_some() && !copied.exists());
    bench.file("large", &"x".repeat(1_000));
    assert_eq!(copy("large", 100), None);
    assert_eq!(fs::metadata(&copied).unwrap().len(), 101, "one byte more tells that it is too large");
    fs::remove_file(&copied).unwrap();
    symlink(bench.place.path().join("secret"), &copied).unwrap();
    assert_eq!(copy("out/report.json", 100), None);
    assert_eq!(fs::read(bench.place.path().join("secret")).unwrap(), b"secret");
}

#[test]
fn what_has_to_be_kept_and_is_not_is_missing_whatever_the_reason() {
    let lacks = |bench: &Bench, paths: &[(&str, Missing)], max_bytes| {
        let files = paths.iter().map(|(path, missing)| of(path, None, *missing)).collect();
        bench.keep_all(&Artifacts { files, max_bytes }).missing
    };
    let bench = Bench::new();
    symlink("/etc/passwd", bench.work().join("lnk")).unwrap();
    symlink("nowhere", bench.work().join("d")).unwrap();
    bench.file("big", &"x".repeat(60));
    bench.file("out/ok", "x");
    symlink("/etc/passwd", bench.work().join("out/lnk")).unwrap();
    assert_eq!(lacks(&bench, &[("lnk", Missing::Fails)], 99).unwrap(), "lnk (it cannot be read or leads out of the workspace)");
    assert_eq!(lacks(&bench, &[("d", Missing::Fails)], 99).unwrap(), "d");
    assert_eq!(lacks(&bench, &[("big", Missing::Fails)], 9).unwrap(), "big (all together have more bytes than `max_bytes`)");
    assert_eq!(lacks(&bench, &[("out/", Missing::Fails), ("o*/ok", Missing::Fails)], 9), None);
    for is_there in [false, true] {
        let many = Bench::new();
        (0..=MAX_FILES).for_each(|n| many.file(&format!("many/{n:05}"), ""));
        if is_there {
            many.file("must.txt", "");
        }
        let why = lacks(&many, &[("many", Missing::Noted), ("must.txt", Missing::Fails)], 99);
        let expected = if is_there { "must.txt (there are 1000, the most of one attempt)" } else { "must.txt" };
        assert_eq!(why.as_deref(), Some(expected));
    }
}

#[test]
fn of_two_files_with_one_name_the_second_is_told() {
    let bench = Bench::new();
    bench.file("a/x", "1");
    bench.file("b/x", "2");
    let files = [("a/x", Missing::Noted), ("b/x", Missing::Noted), ("b/x", Missing::Fails)];
    let files = files.map(|(path, missing)| of(path, Some("x"), missing)).to_vec();
    let kept = bench.keep_all(&Artifacts { files, max_bytes: 99 });
    assert_eq!(names(&kept), ["x"]);
    assert!(kept.notes.join("\n").contains("since another artifact has this name: b/x"), "{:?}", kept.notes);
    assert_eq!(kept.missing.as_deref(), Some("b/x (another artifact has this name)"));
}

#[test]
fn the_home_of_airx_is_no_artifact_and_neither_are_the_words_of_the_kernel() {
    let bench = Bench::new();
    for name in ["home/airx.db", "home/jobs/a.1/t.1/spec.json", "data/fine"] {
        bench.file(name, "x");
    }
    symlink("home", bench.work().join("other")).unwrap();
    symlink("../home/airx.db", bench.work().join("data/link")).unwrap();
    let dir = bench.work().join("home/jobs/a.1/t.1");
    let paths = ["**", "home/airx.db", "other/airx.db", "data/", "home/jobs/"];
    let files = paths.iter().map(|path| of(path, None, Missing::Noted)).collect();
    let kept = artifacts(&Artifacts { files, max_bytes: 99 }, &bench.work(), &dir, &|| false);
    assert_eq!(names(&kept), ["data/fine"]);
    assert!(kept.notes.join("\n").contains("since they belong to airx itself"), "{:?}", kept.notes);
    let proc = Artifacts { files: vec![of("self/environ", None, Missing::Noted)], max_bytes: 1 << 20 };
    let kept = artifacts(&proc, Path::new("/proc"), &bench.attempt(), &|| false);
    assert!(names(&kept).is_empty(), "{kept:?}");
}

#[test]
fn a_workspace_in_the_home_of_airx_is_a_workspace() {
    let bench = Bench::new();
    fs::write(bench.place.path().join("airx.db"), "").unwrap();
    bench.file("a", "x");
    assert_eq!(names(&bench.keep(&["a"])), ["a"]);
}
