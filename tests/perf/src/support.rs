//! The neutral client and the strict decoders of the integration tests: what checks correctness there reads the
//! pictures here.
#![allow(dead_code, reason = "the tests use more of it")]

#[path = "../../integration/support/client.rs"]
pub(crate) mod client;
#[path = "../../integration/support/clipboard.rs"]
pub(crate) mod clipboard;
#[path = "../../integration/support/decode.rs"]
pub(crate) mod decode;
#[path = "../../integration/support/inflate.rs"]
pub(crate) mod inflate;
#[path = "../../integration/support/jpeg.rs"]
pub(crate) mod jpeg;
#[path = "../../integration/support/png.rs"]
pub(crate) mod png;
#[path = "../../integration/support/pseudo.rs"]
pub(crate) mod pseudo;
#[path = "../../integration/support/tight.rs"]
pub(crate) mod tight;
#[path = "../../integration/support/wire.rs"]
pub(crate) mod wire;
