//! What `airx doctor` looks at in the home, and the repair of a damaged database.

use airx::backend::finding::{Finding, Level};
use airx::cli::context::{Context, Failure};
use airx::cli::doctor::{Check, Verdict};
use airx::config::home::Home;
use airx::store::Age;

use super::lock::{HomeLock, LockError};
use super::{clusters, containers};

/// Checks of the home, the database, the disk and the sweep.
pub fn all(context: &Context) -> Vec<Check> {
    let home = &context.home;
    let mut checks = vec![match home.create() {
        Ok(()) => Check::ok("home", home.path.display().to_string()),
        Err(error) => Check::fail("home", error.to_string(), "choose another home with --home"),
    }];
    checks.extend(database(context));
    checks.push(disk(context));
    checks.push(sweep());
    checks.extend(containers::checks(context));
    checks.extend(clusters::checks(context));
    checks.extend(screen(context));
    checks.push(logout(context));
    let rejected = super::drops::rejected(&home.jobs());
    checks.extend(rejected.into_iter().map(|line| Check::warn("dropped", line, "mend the file, and move it back to jobs/")));
    checks
}

/// As the command line tells it.
pub(super) fn check(finding: Finding) -> Check {
    let verdict = match finding.level {
        Level::Ok => Verdict::Ok,
        Level::Warn => Verdict::Warn,
        Level::Fail => Verdict::Fail,
    };
    Check { name: finding.what, verdict, found: finding.found, remedy: finding.remedy }
}

/// The home's identity, when it has one.
pub(super) fn identity(home: &Home) -> Option<String> {
    airx::store::verify::identity(&home.database())
}

/// The workstation's keymap and theme.
fn screen(context: &Context) -> Vec<Check> {
    let config = context.config_path();
    let faults = super::workstation::look_faults(&config);
    if faults.is_empty() {
        let screen = airx::config::load(&config).screen;
        return vec![Check::ok("screen", format!("keymap {}, theme {}", screen.keymap.0, screen.theme.0))];
    }
    let told = |fault: &airx::model::diagnostic::Diagnostic| {
        let place = format!("{}:{}:{}: {}", fault.file, fault.line, fault.column, fault.message);
        Check::warn("screen", place, if fault.hint.is_empty() { "the rest of it holds".to_owned() } else { fault.hint.clone() })
    };
    faults.iter().map(told).collect()
}

/// Whether a manager in the background outlives the session that started it.
fn logout(context: &Context) -> Check {
    let user = context.env.get("USER").or_else(|| context.env.get("LOGNAME")).cloned().unwrap_or_default();
    if airx::os::logout::ends_processes(std::path::Path::new("/"), &user) {
        Check::warn(
            "logout",
            "the system ends what you left running when you log out (KillUserProcesses=yes), the manager too",
            "loginctl enable-linger, or run airx as a systemd user service (assets/airx.service)",
        )
    } else {
        Check::ok("logout", "a manager in the background outlives your session")
    }
}

fn database(context: &Context) -> Vec<Check> {
    let path = context.home.database();
    if !path.exists() {
        return vec![Check::ok("database", "none yet, the first manager makes it")];
    }
    const REMEDY: &str = "airx stop, then airx doctor --repair";
    let complaints = airx::store::verify::integrity(&path);
    let mut checks = vec![match complaints.first() {
        None => Check::ok("database", path.display().to_string()),
        Some(first) => Check::fail("database", format!("{} complaints; the first: {first}", complaints.len()), REMEDY),
    }];
    match airx::store::verify::age(&path) {
        Age::Current => {}
        Age::Earlier => {
            checks.push(Check::warn("schema", "of an earlier airx", "the next manager brings it to the newest: airx --daemon"));
            return checks;
        }
        Age::Newer => {
            checks.push(Check::fail("schema", "of a newer airx", "install the newer airx, or choose another home with --home"));
            return checks;
        }
    }
    if complaints.is_empty() {
        let differences = airx::store::verify::replay(&path);
        checks.push(match differences.first() {
            None => Check::ok("journal", "replaying it gives the tables"),
            Some(first) => {
                Check::fail("journal", format!("{} differences to the tables; the first: {first}", differences.len()), REMEDY)
            }
        });
    }
    checks
}

fn disk(context: &Context) -> Check {
    let least = context.settings().settings.min_free_bytes;
    match airx::os::free_bytes(&context.home.path) {
        Ok(free) if free >= least => Check::ok("disk", format!("{} MiB free", free >> 20)),
        Ok(free) => Check::fail(
            "disk",
            format!("{} MiB free, less than min_free_disk ({} MiB): nothing new starts", free >> 20, least >> 20),
            "free some space, or lower min_free_disk in the configuration",
        ),
        Err(error) => Check::warn("disk", format!("cannot be told: {error}"), ""),
    }
}

/// Whether what a dead runner left is found for certain.
fn sweep() -> Check {
    match airx::os::cgroup::Cgroup::make("doctor", &airx::model::spec::Resources::default()) {
        Ok(_) => Check::ok(
            "sweep",
            "certain for runners that the present manager started and for tasks with resources (cgroup v2), best effort for others",
        ),
        Err(why) => Check::warn(
            "sweep",
            format!(
                "certain for runners that the present manager started, best effort for those it took over: no cgroup v2 ({why})"
            ),
            "run airx where a cgroup v2 is delegated (a systemd user service with Delegate=yes)",
        ),
    }
}

/// Rebuilds a damaged database, and removes what homes that are gone have left on engines; the lines tell what was done.
pub fn repair(context: &Context) -> Result<Vec<String>, Failure> {
    let home = &context.home;
    home.create().map_err(|error| Failure::input(error.to_string(), ""))?;
    match HomeLock::take(&home.lock()) {
        Ok(_lock) => {
            let mut lines = rebuild(context)?;
            lines.extend(containers::clear(context));
            Ok(lines)
        }
        Err(error) => {
            let hint = "a repair needs the home for itself: airx stop";
            // Of what others have left, the manager of this home knows nothing.
            let mut lines = if matches!(error, LockError::Held { .. }) { containers::clear(context) } else { Vec::new() };
            if lines.is_empty() {
                return Err(Failure::failed(error.to_string(), hint));
            }
            lines.push(format!("the database was left alone: {error}; {hint}"));
            Ok(lines)
        }
    }
}

/// The home is ours alone.
fn rebuild(context: &Context) -> Result<Vec<String>, Failure> {
    let home = &context.home;
    let path = home.database();
    if !path.exists() {
        return Ok(vec!["there is no database, so nothing to repair".to_owned()]);
    }
    let age = airx::store::verify::age(&path);
    if age == Age::Newer {
        // What it says that this one does not understand would be lost.
        let hint = "nothing was changed: install the newer airx, or choose another home with --home";
        return Err(Failure::failed("the database was written by a newer airx", hint));
    }
    let is_sound = || age == Age::Earlier || airx::store::verify::replay(&path).is_empty();
    if airx::store::verify::integrity(&path).is_empty() && is_sound() {
        return Ok(vec!["the database is sound; nothing was changed".to_owned()]);
    }
    let entropy = airx::os::random_bytes(36).try_into().unwrap_or([0; 36]);
    let suffix = airx::os::now().utc.0.to_string();
    let repaired = airx::store::repair(&path, &home.backups(), &suffix, entropy)
        .map_err(|error| Failure::failed(error.to_string(), "nothing is deleted: the damaged file lies beside it"))?;
    let mut lines = vec![
        format!(
            "rebuilt {} from {} events ({} of them from a backup), {} jobs",
            path.display(),
            repaired.events,
            repaired.from_backup,
            repaired.jobs
        ),
        format!("the damaged database is kept as {}", repaired.kept.display()),
        "what runners did meanwhile is taken in from their directories when the next manager starts".to_owned(),
    ];
    if repaired.lost.is_empty() {
        lines.push("nothing was lost".to_owned());
    }
    lines.extend(repaired.lost.into_iter().map(|lost| format!("lost: {lost}")));
    Ok(lines)
}
