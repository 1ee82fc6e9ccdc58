//! airx: chooses the mode, wires concrete types, maps errors to exit codes.

fn main() {}
