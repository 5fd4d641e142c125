//! How an X server is started: which display number, behind which cookie, with which arguments.
//!
//! The server itself is a child like any other (see `supervisor`). Of the protocol only `gate` knows anything: what must
//! be known of it in front of a display that others reach by TCP.

pub mod command;
pub mod cookie;
pub mod display;
pub mod gate;
pub mod home;
pub mod leftovers;
