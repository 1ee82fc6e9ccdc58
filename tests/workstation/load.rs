//! How much the screen draws, and how soon.

use std::time::{Duration, Instant};

use crate::home::TestHome;
use crate::{flood, unfold, wait_for_flood, wide};

#[test]
fn output_that_comes_fast_is_drawn_thirty_times_a_second_and_keys_still_count() {
    let home = TestHome::new();
    let screen = wide(&home);
    screen.wait_for("No jobs yet");
    // 50,000 lines a second.
    let job = home.submit(&format!("name: fast\ntasks:\n  - {{ id: flood, run: {} }}\n", flood(1_000)));
    screen.wait_for(&job);
    unfold(&screen, "flood");
    screen.keys("j enter");
    wait_for_flood(&screen);

    let (mark, begun) = (screen.mark(), Instant::now());
    std::thread::sleep(Duration::from_secs(3));
    let (frames, took) = (screen.frames_since(mark), begun.elapsed());
    let rate = frames as f64 / took.as_secs_f64();
    println!("fast output: {rate:.1} frames/s, {} bytes/s", screen.since(mark).len() as f64 / took.as_secs_f64());
    assert!(rate <= 31.0, "{rate} frames a second");
    assert!(frames >= 5, "what comes is not shown: {frames} frames");

    let mut answers: Vec<Duration> = (0..11)
        .map(|round| {
            let begun = Instant::now();
            let (key, tab) = if round % 2 == 0 { ("2", "[Info]") } else { ("1", "[Output]") };
            screen.keys(key);
            screen.wait_for(tab).duration_since(begun)
        })
        .collect();
    answers.sort_unstable();
    println!("fast output: keys are answered after {answers:?}");
    assert!(answers[answers.len() / 2] < Duration::from_millis(100), "{answers:?}");
    crate::go(&home);
    home.until_over(&job);
}

#[test]
fn an_idle_screen_writes_nothing() {
    let home = TestHome::new();
    let screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit("name: over\ntasks:\n  - { id: good, run: echo said-once }\n  - { id: bad, run: exit 1 }\n");
    screen.wait_line(&[&job, "1/2", "1 failed"]);
    unfold(&screen, "bad");
    screen.keys("j enter");
    screen.wait_line(&["││", "said-once"]);
    // Whatever was said is gone, and the last frame of it has come.
    screen.wait_gone("submitted");
    screen.wait_quiet(Duration::from_secs(1));
    let mark = screen.mark();
    std::thread::sleep(Duration::from_secs(3));
    let written = screen.since(mark);
    println!("idle: {} bytes in 3 s", written.len());
    assert_eq!(String::from_utf8_lossy(&written), "");
}
