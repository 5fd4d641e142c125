//! See `deskinit_fuzz::clipboard`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| deskinit_fuzz::clipboard(data));
