//! What terminals do: stop, change their size, come over a slow link, know no colours; and what must never reach them.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::home::{TestHome, text};
use crate::pty::{Pty, count};
use crate::{WAITS, airx, go, has_row, in_state, manager, shell, unfold, wide};

/// Whether a process is stopped.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}

/// A job whose tasks fill a screen.
fn thirty() -> String {
    use std::fmt::Write as _;
    let mut job = format!("name: thirty\ntasks:\n  - {{ id: first, run: {WAITS} }}\n");
    for n in 0..29 {
        let _ = writeln!(job, "  - {{ id: t{n}, needs: [first], run: echo {n} }}");
    }
    job
}

#[test]
fn ctrl_z_gives_the_shell_back_the_work_goes_on_and_fg_shows_how_things_are() {
    let mut home = TestHome::new();
    let mut shell = shell(&mut home);
    shell.text("airx\r");
    shell.wait_for("No jobs yet");
    let job = home.submit(&format!("name: goes-on\ntasks:\n  - {{ id: a, run: {WAITS} }}\n  - {{ id: b, run: echo b }}\n"));
    shell.wait_for(&job);
    let embedding = manager(&home);
    shell.keys("ctrl-z");
    shell.wait_for("Stopped");
    // Whoever looks for it finds a shell as it was before.
    shell.text("echo $((40 + 2)) is the answer\r");
    shell.wait_for("42 is the answer");
    shell.assert_restored();
    assert!(is_stopped(embedding));
    assert_ne!(manager(&home), embedding, "the manager would have stopped with the screen");
    go(&home);
    assert_eq!(home.until_over(&job), "completed");

    // The window had another size meanwhile.
    shell.resize(120, 30);
    shell.text("fg\r");
    shell.wait_line(&[&job, "2/2"]);
    assert!(shell.look(vt100::Screen::alternate_screen));
    // Keys go where the screen of this size shows them.
    let many = home.submit(&thirty().replace("thirty", "many"));
    shell.wait_for(&many);
    shell.keys("home");
    unfold(&shell, "t20");
    shell.keys("G");
    shell.wait("the last line has the cursor and is seen", |screen| {
        screen.contains(" 32/32 ") && screen.lines().any(|line| line.starts_with("│›") && line.contains(&job))
    });
    let mark = shell.mark();
    shell.keys("q");
    shell.wait_log("the shell asks for a command", mark, |log| count(log, b"prompt>") > 0);
    shell.text("echo $((40 + 3)) is another\r");
    shell.wait_for("43 is another");
    shell.assert_restored();
    shell.text("exit\r");
    shell.exit();
    home.until("all is over", || in_state(&home, &many, "completed") == 30);
    home.ok(["stop"]);
}

#[test]
fn stopped_and_continued_from_outside_it_draws_everything_anew() {
    let mut home = TestHome::new();
    home.start();
    let screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit("name: seen\ntasks:\n  - { id: a, run: echo a }\n");
    screen.wait_line(&[&job, "1/1"]);

    screen.signal(Signal::TSTP);
    home.until("it is stopped", || is_stopped(screen.pid()));
    screen.wait("the screen is the shell's", |screen| !screen.contains("seen"));
    screen.assert_restored();
    screen.signal(Signal::CONT);
    screen.wait_line(&[&job, "1/1"]);
    assert!(screen.look(vt100::Screen::alternate_screen) && !screen.is_cooked());

    screen.signal(Signal::STOP);
    home.until("it is stopped", || is_stopped(screen.pid()));
    screen.scribble("\x1b[2J\x1b[5;5Hanother program was here");
    screen.resize(140, 30);
    screen.signal(Signal::CONT);
    screen.wait_line(&[&job, "1/1"]);
    screen.wait_gone("another program");
    screen.wait("the frame has the new size", |screen| screen.lines().nth(1).is_some_and(|line| line.chars().count() == 140));
}

#[test]
fn any_size_is_borne_and_the_old_one_is_right_again() {
    let home = TestHome::new();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit(&thirty());
    screen.wait_for(&job);
    unfold(&screen, "t28");
    for (columns, rows) in [(20, 5), (1, 1), (59, 16), (60, 15), (2, 80), (250, 1)] {
        screen.resize(columns, rows);
        let mark = screen.mark();
        // Only the beginning: more does not go into some of them.
        screen.wait("a plain message takes its place", |shown| shown.starts_with('a') && !shown.contains('╭'));
        screen.keys("j k");
        assert!(screen.since(mark).len() < 8 * 1024);
    }
    for (columns, rows) in [(60, 16), (80, 24), (250, 80), (130, 40)] {
        screen.resize(columns, rows);
        screen.wait_for(&job);
        screen.wait("the frame reaches the corners", |shown| {
            let lines: Vec<&str> = shown.lines().collect();
            let widest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
            widest == usize::from(columns) && lines.len() == usize::from(rows) && lines[lines.len() - 2].ends_with('╯')
        });
    }
    screen.wait("the tasks are still shown", |screen| has_row(screen, "t28"));
    go(&home);
    home.until_over(&job);
    screen.wait_line(&[&job, "30/30"]);
    screen.keys("q");
    assert_eq!(screen.exit(), 0);
    screen.assert_restored();
}

#[test]
fn over_a_link_of_100_ms_keys_do_what_they_say() {
    let home = TestHome::new();
    let mut screen = Pty::over_link(&airx(&home), 130, 40, Duration::from_millis(100));
    screen.wait_for("No jobs yet");
    // The first key arrives together with the terminal's answer to the question about its signs.
    let begun = Instant::now();
    screen.keys("?");
    assert!(screen.wait_for("Job tree").duration_since(begun) < Duration::from_secs(1));
    screen.keys("esc");
    screen.wait_gone("Job tree");
    let job = home.submit(&thirty());
    screen.wait_for(&job);
    screen.keys("right");
    screen.wait("the tasks are shown", |screen| has_row(screen, "t28"));
    // Faster than the screen can answer, in the long form of keys: none is torn apart, none is lost.
    screen.keys("down down down down down down down down down down up up page-up end up up");
    screen.wait_for(" 29/31 ");
    screen.keys("/ t17 enter");
    screen.wait("only what matches is shown", |screen| has_row(screen, "t17") && !has_row(screen, "t16"));
    screen.keys("esc");
    screen.wait("everything is shown again", |screen| has_row(screen, "t16"));
    screen.keys("down");
    screen.wait("the frame is whole", |screen| screen.lines().all(|line| !line.starts_with('│') || line.ends_with('│')));
    go(&home);
    home.until_over(&job);
    screen.wait_line(&[&job, "30/30"]);
    screen.keys("q");
    assert_eq!(screen.exit(), 0);
    screen.assert_restored();
}

#[test]
fn without_colours_none_are_written() {
    let mut home = TestHome::new();
    home.env.push(("NO_COLOR".to_owned(), "1".to_owned()));
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit("name: plain\ntasks:\n  - { id: a, run: 'printf \"\\033[31mred\\033[0m\\n\"; exit 3' }\n");
    screen.wait_line(&[&job, "1/1"]);
    unfold(&screen, "a");
    screen.keys("j enter");
    screen.wait_for("red");
    screen.keys("esc q");
    assert_eq!(screen.exit(), 0);
    let log = screen.since(0);
    let colours = colours(&log);
    assert!(colours.is_empty(), "{colours:?}");
}

/// Sequences that set a colour. Setting it back to the terminal's own is none.
fn colours(log: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(log).into_owned();
    let sequences = text.split("\x1b[").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
        rest[end..].starts_with('m').then(|| rest[..end].to_owned())
    });
    let is_colour = |part: &str| part.parse::<u32>().is_ok_and(|n| matches!(n, 30..=38 | 40..=48 | 58 | 90..=97 | 100..=107));
    sequences.filter(|parts| parts.split([';', ':']).any(is_colour)).collect()
}

#[test]
fn where_there_is_no_screen_the_home_is_shown_at_a_glance() {
    let mut home = TestHome::new();
    home.start();
    let job = home.submit("name: glance\ntasks:\n  - { id: a, run: echo a }\n");
    home.until_over(&job);
    let output = home.run::<&str>([]);
    assert!(output.status.success() && text(&output).contains(&job), "{}", text(&output));

    home.env.push(("TERM".to_owned(), "dumb".to_owned()));
    let mut screen = wide(&home);
    assert_eq!(screen.exit(), 0);
    let shown = screen.screen();
    assert!(shown.contains(&job) && shown.contains("cannot show the workstation"), "{shown}");
    assert_eq!(count(&screen.since(0), b"\x1b[?1049h"), 0);
}

#[test]
fn nothing_a_task_writes_reaches_the_terminal_as_it_is() {
    let home = TestHome::new();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit(concat!(
        "name: hostile\ntasks:\n  - id: evil\n    run: |\n",
        "      airx progress 1/2 \"$(printf 'half\\033]0;taken\\007way')\"\n",
        "      printf 'a\\033]0;taken\\007b\\033]52;c;dGFrZW4=\\007c\\033[2J\\033[?1049ld\\033Pq#0\\033\\\\e\\007\\302\\2332Jf\\033c\\033[6n\\n'\n",
        "      printf 'g\\rh\\bi\\014j\\033[31mred\\033[0m\\n' >&2\n",
        "      echo the-end\n      exit 4\n",
    ));
    screen.wait_line(&[&job, "1/1"]);
    let mark = screen.mark();
    unfold(&screen, "evil");
    screen.keys("j enter");
    screen.wait_for("the-end");
    for (tab, shown) in [("2", "exit 4"), ("3", "evil"), ("4", "evil"), ("1", "the-end")] {
        screen.keys(tab);
        screen.wait_for(shown);
    }
    let log = screen.since(mark);
    for part in [
        &b"\x1b]"[..],
        b"\x07",
        b"\x1bP",
        b"\x1bc",
        b"\x1b[?1049l",
        b"\x1b[2J\x1b[?1049l",
        b"\xc2\x9b",
        b"\x9b2J",
        b"\x1b[6n",
        b"\x08",
    ] {
        assert_eq!(count(&log, part), 0, "{:?} was written\n{}", String::from_utf8_lossy(part), screen.screen());
    }
    assert_eq!(screen.titles(), Vec::<String>::new());
    screen.keys("esc q");
    assert_eq!(screen.exit(), 0);
    screen.assert_restored();
}

#[test]
fn a_terminal_of_sixteen_colours_gets_them_by_their_own_codes() {
    let mut home = TestHome::new();
    home.env.push(("TERM".to_owned(), "xterm".to_owned()));
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit("name: few\ntasks:\n  - { id: a, run: exit 1 }\n");
    screen.wait_line(&[&job, "1 failed"]);
    screen.keys("q");
    assert_eq!(screen.exit(), 0);
    let written = String::from_utf8_lossy(&screen.since(0)).into_owned();
    assert!(!written.contains("38;5;") && !written.contains("48;5;"), "{written:?}");
    assert!(written.contains("\x1b[31m") || written.contains(";31m") || written.contains("\x1b[31;"), "{written:?}");
}

#[test]
fn a_failure_makes_the_terminal_notify_its_person_and_the_command_is_told_even_when_the_screen_is_left_at_once() {
    let home = TestHome::new();
    std::fs::create_dir_all(home.path()).unwrap();
    let config =
        "notify:\n  - { on: [failed], terminal: osc777 }\n  - { on: [job_failed], run: 'echo \"$AIRX_TEXT\" >> told' }\n";
    std::fs::write(home.path().join("config.yaml"), config).unwrap();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let mark = screen.mark();
    let job = home.submit("name: bad\ntasks:\n  - { id: a, run: exit 7 }\n");
    let wanted = format!("\x1b]777;notify;airx: task failed;task {job}/a failed: exit 7\x07");
    screen.wait_log("the terminal is notified", mark, |bytes| count(bytes, wanted.as_bytes()) == 1);
    screen.wait_for(&job);
    screen.keys("q");
    assert_eq!(screen.exit(), 0);
    let told = home.user().join("told");
    home.until("the command was told", || std::fs::read_to_string(&told).is_ok_and(|text| text.ends_with('\n')));
    assert_eq!(std::fs::read_to_string(&told).unwrap(), format!("job {job} failed: 1 of 1 tasks failed\n"));

    // What failed before rings no more, inside tmux or out of it.
    let mut command = airx(&home);
    command.env("TMUX", "/nowhere/socket,1,0");
    let screen = Pty::open(&command, 120, 30);
    screen.wait_for(&job);
    let again = home.submit("name: again\ntasks:\n  - { id: a, run: exit 8 }\n");
    let wanted = format!("\x1bPtmux;\x1b\x1b]777;notify;airx: task failed;task {again}/a failed: exit 8\x07\x1b\\");
    screen.wait_log("the terminal outside of tmux is notified", 0, |bytes| count(bytes, wanted.as_bytes()) == 1);
    assert_eq!(count(&screen.since(0), b"]777;"), 1);
}
