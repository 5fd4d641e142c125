//! All unsafe code and raw system calls of the program; everything above it is safe Rust.
//!
//! One file per kernel facility, each with a small typed interface and no policy: what to start, when to signal
//! and what an exit means is decided in `supervisor`. `glx` is no facility of the kernel, but unsafe from end to end, and `simd`
//! one of the CPU.

pub mod accounts;
pub mod address;
pub mod cgroup;
pub mod environ;
pub mod foreground;
pub mod glx;
pub mod heap;
pub mod memfd;
pub mod output;
pub mod pidfd;
pub mod process;
pub mod procfs;
pub mod reap;
pub mod shm;
pub mod signals;
pub mod simd;
pub mod sockets;
pub mod space;
