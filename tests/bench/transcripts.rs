//! Transcripts of 100 MB: how fast they are read, and how soon one is on the screen.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use airx::claude::live::Live;
use airx::claude::transcript;
use airx::model::live::{Sign, Watch};

use crate::place::{Place, pss};
use crate::pty::Pty;
use crate::report::{Report, median};

/// Bytes of the transcript.
const SIZE: usize = 100_000_000;
/// Bytes that a runner reads at a time.
const PIECE: usize = 64 << 10;

/// All of them.
pub fn all(report: &mut Report) {
    let text = large();
    throughput(report, &text);
    open(report, &text);
}

/// A run as they are: words, calls, results of a few lines and of many, and an end.
fn large() -> String {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/claude/tools_accept-edits.ndjson");
    let recorded = std::fs::read_to_string(recorded).expect("a recorded run");
    let of = |kind: &str| recorded.lines().filter(move |line| line.starts_with(kind)).collect::<Vec<_>>();
    let (turns, end) = (of(r#"{"type":"system"#), of(r#"{"type":"result"#));
    let (said, answers) = (of(r#"{"type":"assistant"#), of(r#"{"type":"user"#));
    let words = "What the compiler says about this is told here, with \\\"quotes\\\", numbers such as 17 and an ä.\\n";
    let mut text = format!("{}\n", turns[0]);
    let mut round = 0;
    while text.len() < SIZE {
        for line in said.iter().chain(&answers) {
            let number = format!("{round:06}");
            let line = line.replace("msg_fake", &format!("msg_{number}")).replace("toolu_fake", &format!("toolu_{number}"));
            // Texts and results as long as they usually are, and every so often one of a whole file.
            let more = words.repeat(if round % 50 == 0 { 400 } else { 8 });
            let line = line.replacen("\"text\":\"", &format!("\"text\":\"{more}"), 1);
            let line = line.replacen("\"content\":\"", &format!("\"content\":\"{more}"), 1);
            let _ = writeln!(text, "{line}");
        }
        round += 1;
    }
    let _ = writeln!(text, "{}", end[0]);
    text
}

fn throughput(report: &mut Report, text: &str) {
    let place = Place::new();
    let path = PathBuf::from(place.file("transcript", text));
    let rate = |seconds: f64| text.len() as f64 / 1e6 / seconds;
    let reads: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            let read = transcript::read(&path, &jiff::tz::TimeZone::UTC);
            assert!(read.result.is_some_and(|result| !result.is_error));
            rate(start.elapsed().as_secs_f64())
        })
        .collect();
    report.at_least("transcript: read for the outcome", median(reads), 200.0, 400.0, "MB/s");
    let watched: Vec<f64> = (0..5)
        .map(|_| {
            let (mut live, mut is_over, start) = (Live::new(), false, Instant::now());
            for bytes in text.as_bytes().chunks(PIECE) {
                is_over |= live.push(bytes).contains(&Sign::Over);
            }
            assert!(is_over);
            rate(start.elapsed().as_secs_f64())
        })
        .collect();
    report.at_least("transcript: watched as it grows", median(watched), 200.0, 400.0, "MB/s");
}

/// A task that is over, with this transcript: how soon its end is on the screen, its beginning, and printed.
fn open(report: &mut Report, text: &str) {
    let mut place = Place::new();
    let transcript = place.file("transcript", text);
    let program = place.file("claude", &format!("#!/bin/sh\nexec cat '{transcript}'\n"));
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("its own file");
    std::fs::create_dir_all(place.home()).expect("a directory");
    std::fs::write(place.home().join("config.yaml"), format!("claude: {{ binary: '{program}' }}\n")).expect("a file");
    place.start();
    let file = place.file("ai.yaml", "name: ai\ntasks:\n  - { id: a, claude: { prompt: x } }\n");
    assert!(place.run(&["run", &file]).status.success());
    let (mut opened, mut begun, mut used) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        let mut command = place.command(&[]);
        command.env("LANG", "C.UTF-8");
        let mut screen = Pty::open(&command, 200, 50);
        screen.wait_for("ai.1");
        screen.keys("l");
        screen.wait_quiet(Duration::from_millis(300));
        let start = Instant::now();
        // On a wide screen the task under the cursor is shown beside the tree.
        screen.keys("j");
        opened.push(screen.wait_for("✓ done").duration_since(start).as_secs_f64() * 1_000.0);
        screen.keys("enter");
        screen.wait_quiet(Duration::from_millis(300));
        let start = Instant::now();
        screen.keys("g g");
        begun.push(screen.wait_for("session").duration_since(start).as_secs_f64() * 1_000.0);
        screen.wait_quiet(Duration::from_millis(500));
        used.push(pss(screen.pid()) / 1_024.0);
        screen.keys("q");
        screen.exit();
    }
    report.at_most("transcript: 100 MB, from a key to its end on the screen", median(opened), 100.0, 30.0, "ms");
    report.at_most("transcript: 100 MB, from a key to its beginning on the screen", median(begun), 100.0, 30.0, "ms");
    report.at_most("transcript: 100 MB, memory (PSS) of the screen", median(used), 60.0, 30.0, "MiB");
    let tails: Vec<f64> = (0..9)
        .map(|_| {
            let start = Instant::now();
            assert!(place.run(&["logs", "ai/a", "--tail", "40"]).status.success());
            start.elapsed().as_secs_f64() * 1_000.0
        })
        .collect();
    report.at_most("transcript: 100 MB, `airx logs --tail 40`", median(tails), 100.0, 30.0, "ms");
}
