//! Taking secrets out of what other processes can see of this one.
//!
//! The kernel shows the block of environment strings that a process was started with in `/proc/PID/environ` for as
//! long as it lives; `remove_var` does not change that block. So the values are overwritten where they lie.

use std::ffi::CStr;

unsafe extern "C" {
    /// The C library's list of `NAME=value` strings, which initially points into the kernel's block.
    #[link_name = "environ"]
    static mut ENVIRON: *mut *mut libc::c_char;
}

/// Overwrites the value of every initial environment variable for which `secret` holds with zeros; from then on it
/// reads as empty here too. Call from the only thread, after the settings were read; returns how many were found.
pub fn scrub(secret: impl Fn(&str) -> bool) -> usize {
    let mut found = 0;
    // SAFETY: called while the process has one thread (the caller's promise), so nobody changes the list meanwhile;
    // the list is ended by a null pointer and each entry is a C string in writable memory of this process.
    unsafe {
        let mut entry = ENVIRON;
        while !entry.is_null() && !(*entry).is_null() {
            let text = *entry;
            let bytes = CStr::from_ptr(text).to_bytes();
            if let Some(equals) = bytes.iter().position(|&byte| byte == b'=') {
                let name = String::from_utf8_lossy(bytes.get(..equals).unwrap_or_default());
                if secret(&name) {
                    for at in equals + 1..bytes.len() {
                        // Volatile: the compiler must not drop a write that nobody in here reads.
                        text.add(at).write_volatile(0);
                    }
                    found += 1;
                }
            }
            entry = entry.add(1);
        }
    }
    found
}

/// Keeps other processes of the same user from reading this one's memory and descriptors, and it from dumping core.
/// Failure is harmless and ignored: it only takes an extra layer away.
pub fn hide_memory() {
    let _ = nix::sys::prctl::set_dumpable(false);
}
