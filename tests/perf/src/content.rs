//! What runs inside xterm: this program itself, called as `deskinit-perf content KIND STOP`. It writes the same lines
//! in every run, and stands still from the moment when the file STOP is there.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::picture::Random;

/// Lines a second of a terminal that scrolls.
const SCROLL: f64 = 90.0;
/// Lines a second of a terminal that is flooded.
const FLOOD: f64 = 6000.0;

const WORDS: [&str; 24] = [
    "src/server/hub.rs",
    "warning:",
    "compiling",
    "0x7f3a",
    "error",
    "-rw-r--r--",
    "root",
    "4096",
    "Nov",
    "22:41",
    "deskinit",
    "the",
    "connection",
    "of",
    "128.0.0.1",
    "bytes",
    "[info]",
    "frame",
    "total",
    "in",
    "12.4",
    "ms",
    "target/release/deps",
    "ok",
];

/// Runs until it is killed.
pub(crate) fn run(kind: &str, stop: &str) -> Outcome<()> {
    match kind {
        "scroll" => lines(SCROLL, stop),
        "flood" => lines(FLOOD, stop),
        "echo" => echo(),
        other => Err(format!("content {other:?}").into()),
    }
}

/// Lines at an even pace; those that are due together are written together.
fn lines(rate: f64, stop: &str) -> Outcome<()> {
    let mut random = Random::new(42);
    let mut out = io::stdout().lock();
    let begin = Instant::now();
    let mut written = 0u64;
    while !Path::new(stop).exists() {
        let due = (begin.elapsed().as_secs_f64() * rate) as u64;
        let mut text = String::new();
        while written < due {
            line(&mut random, written, &mut text);
            written += 1;
        }
        out.write_all(text.as_bytes())?;
        out.flush()?;
        let next = Duration::from_secs_f64((written + 1) as f64 / rate);
        let pause = next.saturating_sub(begin.elapsed());
        std::thread::sleep(pause.max(Duration::from_millis(2)));
    }
    loop {
        std::thread::park();
    }
}

/// A line of a log, partly in colour.
fn line(random: &mut Random, number: u64, text: &mut String) {
    let length = 40 + random.below(140) as usize;
    let from = text.len();
    text.push_str(&format!("\x1b[3{}m{number:6}\x1b[0m", 1 + random.below(6)));
    while text.len() - from < length {
        text.push(' ');
        match random.below(3) {
            0 => text.push_str(&format!("{:08x}", random.next())),
            _ => text.push_str(WORDS[random.below(WORDS.len() as u32) as usize]),
        }
    }
    text.push_str("\r\n");
}

/// The terminal itself echoes what is typed.
fn echo() -> Outcome<()> {
    let mut line = String::new();
    while io::stdin().read_line(&mut line)? > 0 {
        line.clear();
    }
    Ok(())
}
