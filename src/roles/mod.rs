//! What the command line asks for: each role is one way to use the binary.

mod access;
mod ask;
mod cli;
mod doctor;
mod find;
mod gate;
pub mod health;
mod init;
mod names;
mod orders;
mod program;
mod record;
pub mod run;
mod say;
mod serve;
mod sshd;
pub mod status;
mod wait;

pub use cli::main;
