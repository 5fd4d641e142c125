//! See `deskinit_fuzz::ini`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| deskinit_fuzz::ini(data));
