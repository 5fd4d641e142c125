//! What the command line asks for, one file a role.

pub mod health;
pub mod run;
pub mod status;

mod find;
