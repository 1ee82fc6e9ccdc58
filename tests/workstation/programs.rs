//! Other programs: the editor and the pager that take the terminal, and where copied text goes.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use base64::Engine;

use crate::home::TestHome;
use crate::pty::count;
use crate::{WAITS, go, manager, shell, unfold, wide};

/// A script in a directory of its own below the home.
fn script(home: &TestHome, name: &str, text: &str) -> PathBuf {
    let directory = home.work().join("bin");
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn the_editor_takes_the_terminal_and_gives_it_back() {
    let mut home = TestHome::new();
    // Edits the text once a line was typed, as a person in an editor does.
    let editor = script(&home, "editor", "echo editing; read line; sed -i \"s/name: build/name: $line/\" \"$1\"");
    home.env.push(("EDITOR".to_owned(), editor.display().to_string()));
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    screen.keys("+");
    screen.wait_for("name: build");
    screen.keys("f4");
    screen.wait_for("editing");
    screen.assert_restored();
    screen.resize(120, 30);
    screen.text("made-outside\r");
    screen.wait_for("name: made-outside");
    assert!(screen.look(vt100::Screen::alternate_screen) && !screen.is_cooked());
    screen.wait_for("no fault: made-outside");
    screen.keys("esc");
    screen.wait_for("No jobs yet");
    screen.keys("q");
    assert_eq!(screen.exit(), 0);
    screen.assert_restored();
}

#[test]
fn the_pager_takes_the_terminal_and_gives_it_back() {
    let mut home = TestHome::new();
    let pager = script(&home, "pager", "echo paging; cat \"$1\"; read line");
    home.env.push(("PAGER".to_owned(), pager.display().to_string()));
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit("name: paged\ntasks:\n  - { id: a, run: echo a-line-of-output }\n");
    screen.wait_line(&[&job, "1/1"]);
    unfold(&screen, "a");
    screen.keys("j o");
    screen.wait("the pager has it", |screen| screen.contains("paging") && screen.contains("a-line-of-output"));
    screen.assert_restored();
    screen.text("\r");
    screen.wait_line(&[&job, "1/1"]);
    assert!(screen.look(vt100::Screen::alternate_screen) && !screen.is_cooked());
    screen.keys("q");
    assert_eq!(screen.exit(), 0);
    screen.assert_restored();
    let left: Vec<_> = std::fs::read_dir(home.path().join("scratch")).unwrap().flatten().collect();
    assert!(left.is_empty(), "what was only shown is still there: {left:?}");
}

#[test]
fn an_editor_that_is_not_there_is_said() {
    let mut home = TestHome::new();
    home.env.push(("EDITOR".to_owned(), "no-such-editor".to_owned()));
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    screen.keys("+");
    screen.wait_for("name: build");
    screen.keys("f4");
    screen.wait_for("`no-such-editor` cannot be started");
    screen.wait_for("name: build");
    screen.keys("esc q");
    assert_eq!(screen.exit(), 0);
    screen.assert_restored();
}

#[test]
fn what_is_copied_goes_to_the_terminals_clipboard() {
    let home = TestHome::new();
    let screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit("name: named\ntasks:\n  - { id: a, run: echo a }\n");
    screen.wait_line(&[&job, "1/1"]);
    let mark = screen.mark();
    screen.keys("Y");
    screen.wait_for("OSC 52");
    let encoded = base64::engine::general_purpose::STANDARD.encode(&job);
    assert_eq!(count(&screen.since(mark), format!("\x1b]52;c;{encoded}\x07").as_bytes()), 1);
}

#[test]
fn inside_of_tmux_what_is_copied_goes_into_its_buffer() {
    let mut home = TestHome::new();
    let tmux = script(&home, "tmux", "echo \"$@\" > asked; cat > buffer");
    let path = format!("{}:/usr/bin:/bin", tmux.parent().unwrap().display());
    home.env.push(("PATH".to_owned(), path));
    home.env.push(("TMUX".to_owned(), "/nowhere/tmux,1,0".to_owned()));
    let screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit("name: named\ntasks:\n  - { id: a, run: echo a }\n");
    screen.wait_line(&[&job, "1/1"]);
    let mark = screen.mark();
    screen.keys("Y");
    screen.wait_for("tmux");
    assert_eq!(std::fs::read_to_string(home.work().join("buffer")).unwrap(), job);
    assert!(std::fs::read_to_string(home.work().join("asked")).unwrap().starts_with("load-buffer"));
    assert_eq!(count(&screen.since(mark), b"\x1b]52"), 0);
}

#[test]
fn keys_that_a_pager_gets_as_signals_are_the_pagers_alone() {
    let mut home = TestHome::new();
    let pager = script(
        &home,
        "pager",
        "trap 'echo interrupted' INT; trap 'echo told-to-quit' QUIT; cat \"$1\"; until read line; do :; done",
    );
    home.env.push(("PAGER".to_owned(), pager.display().to_string()));
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit(&format!("name: paged\ntasks:\n  - {{ id: a, run: {WAITS} }}\n"));
    screen.wait_for(&job);
    unfold(&screen, "a");
    screen.keys("j o");
    screen.wait("the pager has it", |screen| screen.starts_with("begun"));
    screen.assert_restored();
    for (key, said) in [("\x03", "interrupted"), ("\x1c", "told-to-quit")] {
        screen.text(key);
        screen.wait_for(said);
        assert!(screen.is_alive());
        assert_eq!(manager(&home), screen.pid(), "the workstation took the key for itself");
    }
    screen.text("\r");
    screen.wait_line(&[&job, "0/1"]);
    assert!(screen.look(vt100::Screen::alternate_screen));
    go(&home);
    screen.wait_line(&[&job, "1/1"]);
    screen.keys("q");
    assert_eq!(screen.exit(), 0);
}

#[test]
fn ctrl_z_in_an_editor_gives_the_shell_back_the_work_goes_on_and_fg_comes_back_to_it() {
    let mut home = TestHome::new();
    let editor = script(&home, "editor", "echo editing; read line; sed -i \"s/name: build/name: $line/\" \"$1\"");
    home.env.push(("EDITOR".to_owned(), editor.display().to_string()));
    let mut shell = shell(&mut home);
    shell.text("airx\r");
    shell.wait_for("No jobs yet");
    let job = home.submit(&format!("name: goes-on\ntasks:\n  - {{ id: a, run: {WAITS} }}\n  - {{ id: b, run: echo b }}\n"));
    shell.wait_for(&job);
    let embedding = manager(&home);
    shell.keys("+");
    shell.wait_for("name: build");
    shell.keys("f4");
    shell.wait_for("editing");
    shell.keys("ctrl-z");
    shell.wait_for("Stopped");
    shell.text("echo $((40 + 2)) is the answer\r");
    shell.wait_for("42 is the answer");
    assert_ne!(manager(&home), embedding, "the manager would have stopped with the editor");
    go(&home);
    assert_eq!(home.until_over(&job), "completed");
    shell.text("fg\r");
    shell.text("made-outside\r");
    shell.wait_for("name: made-outside");
    shell.keys("esc");
    shell.wait_line(&[&job, "2/2"]);
    shell.keys("q");
    shell.wait("the screen is left", |screen| !screen.contains("2/2"));
    shell.text("exit\r");
    shell.exit();
    home.ok(["stop"]);
}
