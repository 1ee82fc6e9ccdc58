//! airx: chooses the mode, wires concrete types, maps errors to exit codes.

mod wiring;

fn main() {
    // First of all: a task costs mostly the start of its runner.
    if let Some(dir) = airx::runner::requested(std::env::args_os()) {
        std::process::exit(airx::runner::main(&dir, || Box::<airx::claude::live::Live>::default()));
    }
    if let Some(dir) = airx::runner::enter::requested(std::env::args_os()) {
        std::process::exit(airx::runner::enter::main(&dir));
    }
    if let Some(dir) = airx::runner::pod::requested(std::env::args_os()) {
        std::process::exit(airx::runner::pod::main(&dir));
    }
    if let Some(dir) = airx::runner::place::requested(std::env::args_os()) {
        std::process::exit(airx::runner::place::main(&dir));
    }
    if let Some(request) = airx::runner::relay::requested(std::env::args_os()) {
        std::process::exit(airx::runner::relay::main(request));
    }
    if airx::notify::deliver::requested(std::env::args_os()) {
        std::process::exit(airx::notify::deliver::main());
    }
    if airx::backend::checking::requested(std::env::args_os()) {
        std::process::exit(airx::backend::checking::main());
    }
    // Reports of panics, which are faults of airx; it cannot be installed twice, and nothing is installed before.
    let _ = color_eyre::install();
    let env =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    let cwd = std::env::current_dir().unwrap_or_default();
    std::process::exit(airx::cli::run(std::env::args_os().collect(), env, cwd, std::sync::Arc::new(wiring::Program)));
}
