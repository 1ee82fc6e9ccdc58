//! `airx` on a terminal: the workstation with its manager, and what happens when it is left, however that is.

use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use airx::cli::context::{Context, Failure};
use airx::cli::daemon::Started;
use airx::config::screen;
use airx::config::theme::Depth;
use airx::model::diagnostic::Diagnostic;
use airx::tui::action;
use airx::tui::parts::{Left, LoadedLook, Parts, Told};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::Signals;

use super::station::Station;

/// How long a screen that was told to leave may take: past that its terminal is stuck, and the manager is handed over
/// without it.
const STUCK: Duration = Duration::from_secs(3);

/// Shows it; the exit code.
pub fn run(context: &Context) -> Result<i32, Failure> {
    let cannot = |error: std::io::Error| Failure::failed(format!("the workstation cannot begin: {error}"), "");
    let (waker, sleeper) = airx::os::wake::pair().map_err(cannot)?;
    let told = Told::new(waker);
    let station = Arc::new(Station::open(context)?);
    let is_over = Arc::new(AtomicBool::new(false));
    listen(told.clone(), station.clone(), is_over.clone()).map_err(cannot)?;
    let parts = parts(context, &station, told);
    let left = with_terminal(|| airx::tui::run(parts, sleeper));
    is_over.store(true, Ordering::SeqCst);
    match left {
        Some(Ok(left)) => end(&station, left),
        Some(Err(error)) => end(&station, Left::Told).and(Err(cannot(error))),
        // A fault of ours: it was told as it happened, and takes nothing with it.
        None => end(&station, Left::Told).map(|_| 101),
    }
}

/// Runs it so that a panic gives the terminal back before it is told; none when there was one. Panics of other threads go
/// into the log: the screen is not theirs.
fn with_terminal<T>(body: impl FnOnce() -> T) -> Option<T> {
    let own = std::thread::current().id();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == own {
            airx::tui::restore();
            before(info);
        } else {
            tracing::error!("a thread panicked: {info}");
        }
    }));
    panic::catch_unwind(AssertUnwindSafe(body)).ok()
}

/// What becomes of the manager here: the one in the background that goes on, if any does.
fn settle(station: &Station, left: Left) -> Result<Option<Started>, Failure> {
    match left {
        Left::Background => station.hand_over(),
        Left::Quit | Left::Told => station.hand_over_if_needed(),
    }
}

/// The same, with the last words on the terminal; the exit code.
fn end(station: &Station, left: Left) -> Result<i32, Failure> {
    if let Some(started) = settle(station, left)? {
        say(&format!(
            "airx: a manager in the background goes on (pid {}); `airx` comes back to it, `airx stop` ends it",
            started.pid
        ));
    }
    Ok(0)
}

fn say(line: &str) {
    use std::io::Write;
    // Nobody to tell that the terminal is gone.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Signals on a thread of their own: it works when the screen is stuck in a terminal that takes nothing.
fn listen(told: Told, station: Arc<Station>, is_over: Arc<AtomicBool>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH])?;
    let act = move || {
        for signal in signals.forever() {
            match signal {
                SIGWINCH => told.waker().wake(),
                SIGCONT => told.redraw(),
                // Keys of a pager or an editor reach all programs on its terminal, this one too.
                SIGINT | SIGQUIT if told.is_lent() => {}
                SIGTSTP if told.is_lent() => stop_beside(&station),
                SIGTSTP => told.suspend(),
                _ => {
                    told.leave();
                    watch_over(&station, &is_over);
                }
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).stack_size(512 * 1024).spawn(act).map(drop)
}

/// Stops together with the program that has the terminal: the shell waits for both. A manager here would stand still.
fn stop_beside(station: &Station) {
    if let Err(failure) = station.hand_over() {
        tracing::error!("{}", failure.message);
    }
    airx::os::stop_self();
}

/// Waits for the screen to leave by itself; when it does not, the manager is handed over from here.
fn watch_over(station: &Station, is_over: &AtomicBool) {
    let deadline = Instant::now() + STUCK;
    while Instant::now() < deadline {
        if is_over.load(Ordering::SeqCst) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    tracing::warn!("the terminal is stuck; the manager is handed over without it");
    let ended = settle(station, Left::Told);
    // Last words would wait for the terminal like the screen does.
    airx::tui::leave_raw_mode();
    std::process::exit(i32::from(ended.is_err()));
}

fn parts(context: &Context, station: &Arc<Station>, told: Told) -> Parts {
    let depth = if context.global.color == airx::cli::args::When::Never {
        Depth::None
    } else {
        Depth::detect(|name| context.env.get(name).cloned())
    };
    let config = context.config_path();
    let (to_connect, to_start, to_ask, to_hand) = (station.clone(), station.clone(), station.clone(), station.clone());
    let look_config = config.clone();
    let fault = context.env.get("AIRX_TEST_PANIC").filter(|_| cfg!(debug_assertions)).map(PathBuf::from);
    Parts {
        connect: Arc::new(move || to_connect.connect()),
        start_manager: Arc::new(move || to_start.start()),
        embeds: Arc::new(move || to_ask.embeds()),
        hand_over: Arc::new(move || to_hand.hand_over().map(drop).map_err(|failure| failure.message)),
        check_job: Arc::new(airx::cli::submit::checker(context)),
        transcript: Arc::new(|| Box::new(airx::claude::conversation::Conversation::new())),
        load_look: Arc::new(move || look(&look_config, depth)),
        look_stamp: Arc::new(move || {
            fail_on_demand(fault.as_deref());
            stamp(&config)
        }),
        read_only: station.read_only(),
        env: context.env.clone(),
        // Shown on the screen, so that it surprises nobody who writes a job there.
        cwd: if context.cwd.is_absolute() { context.cwd.clone() } else { PathBuf::from("/") },
        home: context.home.path.clone(),
        zone: jiff::tz::TimeZone::system(),
        told,
    }
}

/// A fault of ours as soon as a file is there, for the test of what becomes of one: there is none that a test could reach.
/// In a build for use nothing asks for it.
#[expect(clippy::panic, reason = "that is what it is for")]
fn fail_on_demand(file: Option<&Path>) {
    if let Some(file) = file.filter(|file| file.exists()) {
        panic!("AIRX_TEST_PANIC asked for this: {}", file.display());
    }
}

/// The screen's part of the configuration, and all that is wrong with it. What is wrong with the rest is told by the manager.
pub fn look(config: &Path, depth: Depth) -> LoadedLook {
    let airx::config::Loaded { screen, settings, .. } = airx::config::load(config);
    let (keymap, mut faults) = screen.keymap(config, &action::known());
    let (theme, more) = screen.theme(config, depth);
    faults.extend(more);
    LoadedLook { screen, keymap, theme, depth, notify: settings.notify, faults }
}

/// Faults of the keymap and the theme, for `airx doctor`.
pub fn look_faults(config: &Path) -> Vec<Diagnostic> {
    look(config, Depth::True).faults
}

/// Changes whenever one of the files does that the screen is configured by.
fn stamp(config: &Path) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let settings = airx::config::load(config).screen;
    let files: [PathBuf; 3] = [
        config.to_owned(),
        screen::user_path(config, "keymaps", &settings.keymap.0),
        screen::user_path(config, "themes", &settings.theme.0),
    ];
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::metadata(&file).ok().map(|data| (data.len(), data.modified().ok())).hash(&mut hasher);
    }
    hasher.finish()
}
