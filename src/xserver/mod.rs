//! How an X server is started: which display number, behind which cookie, with which arguments.
//!
//! The server itself is a child like any other (see `supervisor`); nothing here speaks X.

pub mod command;
pub mod cookie;
pub mod display;
pub mod leftovers;
