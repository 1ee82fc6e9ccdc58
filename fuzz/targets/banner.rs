//! See `airx_fuzz::banner`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| airx_fuzz::banner(bytes));
