//! What the command line asks for: each role is one way to use the binary.
