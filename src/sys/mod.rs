//! All unsafe code and raw system calls.

pub mod shm;
