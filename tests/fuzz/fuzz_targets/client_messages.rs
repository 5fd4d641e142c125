//! See `deskinit_fuzz::client_messages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| deskinit_fuzz::client_messages(data));
