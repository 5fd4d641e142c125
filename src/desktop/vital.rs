//! Threads that a desktop cannot do without.

use std::io;
use std::thread::{Builder, JoinHandle, panicking};

/// What Rust's own programs end with after a panic.
const PANICKED: i32 = 101;

/// Starts a thread whose panic ends the process. Without it the desktop would look alive, and show nothing or take no key, for
/// as long as nobody looks; a process that ends is begun anew at once.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(move || {
        let _vital = Vital;
        run();
    })
}

struct Vital;

impl Drop for Vital {
    fn drop(&mut self) {
        if panicking() {
            // The hook has told it. Not aborted: what is in this memory is not for a core file.
            std::process::exit(PANICKED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Run by the test below, in a process of its own: passes, which is the code 0, if the process outlives the panic.
    #[test]
    #[ignore = "ends the process"]
    fn a_thread_that_panics() {
        let thread = spawn("vital", || panic!("on purpose")).expect("a thread");
        let _ = thread.join();
    }

    #[test]
    fn a_panic_ends_the_process_and_an_end_does_not() {
        let thread = spawn("vital", || {}).expect("a thread");
        thread.join().expect("it ends");
        let name = "desktop::vital::tests::a_thread_that_panics";
        let me = std::env::current_exe().expect("its path");
        let child = Command::new(me)
            .args(["--exact", name, "--ignored"])
            .output();
        let child = child.expect("it runs");
        assert_eq!(child.status.code(), Some(PANICKED), "{child:?}");
    }
}
