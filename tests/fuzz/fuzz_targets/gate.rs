//! See `deskinit_fuzz::gate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| deskinit_fuzz::gate(data));
