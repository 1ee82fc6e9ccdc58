//! airx: chooses the mode, wires concrete types, maps errors to exit codes.

fn main() {
    if let Some(dir) = airx::runner::requested(std::env::args_os()) {
        std::process::exit(airx::runner::main(&dir));
    }
}
