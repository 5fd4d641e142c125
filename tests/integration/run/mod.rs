//! `deskinit run` as a whole: order of starting, exit codes, restarts, stopping, and what it leaves behind.

mod abcdesktop;
mod alone;
mod closing;
mod codes;
mod doctor;
mod fatal;
mod gate;
mod glx;
mod hooks;
mod keys;
mod limits;
mod names;
mod orders;
mod output;
mod programs;
mod readiness;
mod reasons;
mod secrets;
mod services;
mod shortage;
mod sound;
mod sshd;
mod terminal;
mod tidy;
mod users;
