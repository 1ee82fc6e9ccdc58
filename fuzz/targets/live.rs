//! See `airx_fuzz::live`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| airx_fuzz::live(bytes));
