//! Random input of several clients.
