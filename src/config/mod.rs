//! What the operator asked for: one table of settings, typed.
//!
//! ```text
//!  flags ─┐
//!  env ───┼─► source::Raw ──► reader (parses each value, collects every mistake) ──► Config
//!  file ──┘        ▲                                                             └─► Vec<Mistake>
//!                  └── table::SETTINGS: name, aliases, default, what is allowed, doc, secret?
//! ```
//!
//! Flags win over the environment, the environment over the file, the file over the default. Help texts, the README's
//! table and `deskinit config` are all made from [`table::SETTINGS`].

mod abcdesktop;
mod listen;
mod network;
mod parse;
mod reader;
mod render;
mod secret;
mod services;
mod source;
pub mod supervisord;
mod table;
mod typed;

pub use network::Network;
pub use reader::host_port;
pub use render::{effective, markdown_table};
pub use secret::{EmptySecret, Key, Secret};
pub use services::{
    Again, BUILT_IN, Change, Extra, Fatal, Limit, LogFile, LogTo, Owner, Process, Ready, Services,
    Vocabulary, Words,
};
pub use source::{Mistake, Origin, Raw};
pub use table::{SETTINGS, Setting, all_names, secret_names, setting};
pub use typed::{Config, DisplayName, LogFormat, LogLevel, Sharing, Sound, SshPort};
