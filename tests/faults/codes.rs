//! The code of a run is its application's: every code, and every signal that ends a process.

use std::os::unix::process::ExitStatusExt;
use std::sync::Mutex;

use crate::support::desk::Builder;
use crate::tools::quick;

/// Signals whose default is not to end a process: CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH.
const HARMLESS: [i32; 8] = [17, 18, 19, 20, 21, 22, 23, 28];
/// So many desktops at the same time.
const AT_ONCE: usize = 8;

/// How one ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Code(i32),
    Signal(i32),
}

impl End {
    fn all() -> Vec<Self> {
        let signals = (1..=64).filter(|signal| !HARMLESS.contains(signal));
        let codes = (0..=255).map(Self::Code);
        codes.chain(signals.map(Self::Signal)).collect()
    }

    fn application(self) -> Builder {
        match self {
            Self::Code(code) => quick(&["sh", "-c", &format!("exit {code}")]),
            // By a program that knows those that the C library keeps for itself.
            Self::Signal(signal) => quick(&[
                "sh",
                "-c",
                &format!("ulimit -c 0; env kill -{signal} $$; sleep 100"),
            ]),
        }
    }

    fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }

    fn told(self) -> String {
        match self {
            Self::Code(code) => format!("the application has ended, code {code}; exit code {code}"),
            Self::Signal(signal) => format!("; exit code {}", 128 + signal),
        }
    }
}

#[test]
fn every_code_and_every_signal_is_told_once_and_is_ours() {
    let left = Mutex::new(End::all());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().pop();
                    let Some(end) = next else { return };
                    let (status, lines) = end.application().start().end();
                    let told = lines.iter().filter(|line| line.contains(&end.told()));
                    let once = told.count() == 1;
                    let as_code = status.code() == Some(end.code()) && status.signal().is_none();
                    if !(as_code && once) {
                        wrong.lock().unwrap().push((end, status, lines));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
