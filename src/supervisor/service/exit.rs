//! How a process ends, and what people call it.

use std::fmt;

/// The end, without appeal.
pub const SIGKILL: i32 = 9;
/// Please end.
pub const SIGTERM: i32 = 15;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// As a shell reports it: the code, or 128 + the signal.
    pub fn status(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }
}

impl Exit {
    /// The signal that ended it, or one of its processes if it was a shell and ended as that did.
    pub fn fatal_signal(self) -> Option<i32> {
        match self {
            Self::Signal(signal) => Some(signal),
            Self::Code(code) => code.checked_sub(128).filter(|n| *n > 0).map(i32::from),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "code {code}"),
            Self::Signal(signal) => match signal_name(signal) {
                Some(name) => write!(f, "signal {signal} ({name})"),
                None => write!(f, "signal {signal}"),
            },
        }
    }
}

/// The first real-time signal, as the C library counts: it keeps two for itself.
const RTMIN: i32 = 34;
/// The last.
const RTMAX: i32 = 64;

/// The number of a signal that people name: `TERM`, `sigterm`, `15`, `RTMIN+3`; `None` for what is none.
pub fn signal_number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse() {
        return Some(number).filter(|number| (1..=RTMAX).contains(number));
    }
    let upper = text.to_ascii_uppercase();
    let name = match upper.strip_prefix("SIG").unwrap_or(&upper) {
        "CLD" => "CHLD",
        "POLL" => "IO",
        "IOT" => "ABRT",
        name => name,
    };
    // Digits alone: `+` is a sign to a number's parser.
    let offset = |text: &str| match text {
        "" => Some(0),
        text => {
            let digits = text
                .get(1..)
                .filter(|digits| digits.bytes().all(|c| c.is_ascii_digit()));
            let offset: i32 = digits?.parse().ok()?;
            Some(offset).filter(|offset| *offset <= RTMAX - RTMIN)
        }
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        let plain = rest.is_empty() || rest.starts_with('+');
        return offset(rest).filter(|_| plain).map(|offset| RTMIN + offset);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        let plain = rest.is_empty() || rest.starts_with('-');
        return offset(rest).filter(|_| plain).map(|offset| RTMAX - offset);
    }
    (1..=31).find(|number| {
        signal_name(*number).and_then(|known| known.strip_prefix("SIG")) == Some(name)
    })
}

/// What people call a signal; `None` for the nameless ones (real-time signals).
pub fn signal_name(number: i32) -> Option<&'static str> {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    NAMES.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_go_by_many_names() {
        for (name, number) in [
            ("15", 15),
            ("term", 15),
            ("SIGUSR1", 10),
            ("SIGIOT", 6),
            ("Cld", 17),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmin+30", 64),
            ("RTMAX", 64),
            ("RTMAX-30", 34),
            ("64", 64),
        ] {
            assert_eq!(signal_number(name), Some(number), "{name}");
        }
        for name in [
            "", "0", "65", "-1", "SIG", "TREM", "RTMIN+31", "RTMIN-1", "RTMIN+", "RTMIN3",
            "RTMAX+1", "RTMIN++3", "RTMIN+-3",
        ] {
            assert_eq!(signal_number(name), None, "{name}");
        }
    }
}
