//! See `airx_fuzz::transcript`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| airx_fuzz::transcript(bytes));
