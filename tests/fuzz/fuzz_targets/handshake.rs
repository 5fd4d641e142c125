//! See `deskinit_fuzz::handshake`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| deskinit_fuzz::handshake(data));
