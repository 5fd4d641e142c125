//! `deskinit run`: PID 1 of a container, or a subreaper outside one. Prepares the display number, the run directory, the
//! cookie and the secrets, hands the services to `supervisor`, and leaves nothing behind.
//!
//! Exit codes: the application's own; 128 + n when signal n ended it; 126 and 127 when it cannot be run or is not there;
//! 143 and 130 after SIGTERM and SIGINT, unless the application answers with a code of its own; 0 after the
//! disconnection time-out; 64 for wrong settings; 69 (`EX_UNAVAILABLE`) when the X server or the display server cannot be
//! had; 71 (`EX_OSERR`) when the system refuses what any program may have; 73 (`EX_CANTCREAT`) when the run directory
//! cannot be made.

mod environment;
mod extra;
mod identity;
mod owners;
mod parts;
mod services;
mod terminal;

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use self::environment::Environment;
pub(super) use self::extra::vocabulary;
use self::identity::{Started, Who, may_write};
use self::parts::Parts;
use self::services::Place;
pub(super) use self::terminal::settle;
use super::{access, doctor};
use crate::config::{self, Config, Key, LogFormat, Mistake, Raw, Secret, Services};
use crate::supervisor::control::Control;
use crate::supervisor::driver::{Channels, Driver, Greeting};
use crate::supervisor::logs::{Form, Logs};
use crate::supervisor::notify::NotifySocket;
use crate::supervisor::plan::{Alone, Limits, Outcome, Policy};
use crate::supervisor::rundir::{self, RunDir};
use crate::sys::accounts::Accounts;
use crate::sys::output::Output;
use crate::sys::process::{Capabilities, Keep};
use crate::sys::signals::Signals;
use crate::sys::{environ, process};
use crate::telemetry;
use crate::xserver::cookie::Cookie;
use crate::xserver::display::{Display, DisplayError};
use crate::xserver::home::HomeCookie;

/// Where Kubernetes looks for the reason of an end.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Why nothing was started.
#[derive(Debug)]
enum SetupError {
    /// All that the settings ask for and cannot be had.
    Refused(Vec<Self>),
    Mistake(Mistake),
    Display(DisplayError),
    RunDir(PathBuf, io::Error),
    Home(io::Error),
    User(u32, String),
    System(&'static str, io::Error),
}

impl SetupError {
    /// Each that is a line of its own.
    fn each(&self) -> &[Self] {
        match self {
            Self::Refused(all) => all,
            one => std::slice::from_ref(one),
        }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Refused(all) => all.first().map_or(64, Self::code),
            Self::Mistake(_) => 64,
            Self::Display(_) => 69,
            Self::RunDir(..) | Self::Home(_) => 73,
            Self::User(..) | Self::System(..) => 71,
        }
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(all) => {
                let all: Vec<String> = all.iter().map(Self::to_string).collect();
                f.write_str(&all.join("; "))
            }
            Self::Mistake(mistake) => f.write_str(&mistake.0),
            Self::Display(error) => write!(f, "{error}"),
            Self::RunDir(path, error) => write!(f, "RUN_DIR={}: {error}", path.display()),
            Self::Home(error) => write!(f, "no directory for HOME: {error}"),
            Self::User(uid, error) => write!(
                f,
                "started as root, which could not become user {uid}: {error}; leave the container the capabilities SETUID and SETGID, or start it as that user (docker run --user {uid}, runAsUser in Kubernetes)"
            ),
            Self::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

/// Runs everything. `raw` is what `config` and `services` were made of.
///
/// Call from the only thread of the process.
pub fn run(config: &Config, services: &Services, raw: &Raw) -> ExitCode {
    let outcome = prepare_and_run(config, services, raw).unwrap_or_else(|error| {
        for one in error.each() {
            let _ = writeln!(io::stderr(), "deskinit: {one}");
        }
        Outcome {
            code: error.code(),
            reason: error.to_string(),
        }
    });
    tell_kubernetes(&outcome.reason);
    ExitCode::from(outcome.code)
}

/// What the settings come to on this system, when nothing stands in the way of a start.
struct Admitted {
    who: Who,
    accounts: Accounts,
    /// What is to be said of services with owners of their own.
    strangers: Vec<String>,
}

/// Looks, and touches nothing.
fn admit(config: &Config, services: &Services) -> Result<Admitted, Vec<SetupError>> {
    let mut refused: Vec<SetupError> = Vec::new();
    refused.extend(config.missing_application().map(SetupError::Mistake));
    let elsewhere = config.display.as_ref();
    if let Some(display) = elsewhere.filter(|display| !display.host.is_empty()) {
        let text = format!(
            "DISPLAY={display}: run starts the X server itself; name a number as in :{}",
            display.number
        );
        refused.push(SetupError::Mistake(Mistake(text)));
    }
    let accounts = Accounts::read();
    let found = Who::new(config, &accounts, &Started::look()).and_then(|who| {
        let strangers = owners::check(services, &accounts, &who)?;
        Ok((who, strangers))
    });
    match found {
        Ok((who, _)) if who.other.is_some() && !process::may_assume() => {
            refused.push(SetupError::User(who.uid, "not permitted".to_owned()));
        }
        Ok((who, strangers)) if refused.is_empty() => {
            return Ok(Admitted {
                who,
                accounts,
                strangers,
            });
        }
        Ok(_) => {}
        Err(mistake) => refused.push(SetupError::Mistake(mistake)),
    }
    Err(refused)
}

/// Why `run` would start nothing with these settings, for those who ask before it does.
pub(super) fn refusals(config: &Config, services: &Services) -> Vec<String> {
    let refused = admit(config, services).err().unwrap_or_default();
    refused.iter().map(SetupError::to_string).collect()
}

/// Where the built-in parts have a log file each, if anywhere.
///
/// # Errors
/// What is named is no directory that this user may write to.
pub(super) fn log_dir(config: &Config, uid: u32) -> Result<Option<&Path>, String> {
    match config.log_dir.as_deref() {
        Some(directory) if !may_write(directory) => Err(format!(
            "LOG_DIR={}: there is no such directory, or user {uid} cannot write there; the log files of the parts are not kept",
            directory.display()
        )),
        directory => Ok(directory),
    }
}

fn prepare_and_run(config: &Config, services: &Services, raw: &Raw) -> Result<Outcome, SetupError> {
    // Before anything that would have to be cleaned up: from here on a signal is an event, not an end.
    let mut signals = Signals::collect().map_err(|error| SetupError::System("signals", error))?;
    signals.rewrite(&config.signal_rewrite);
    let Admitted {
        mut who,
        accounts,
        strangers,
    } = admit(config, services).map_err(SetupError::Refused)?;
    let names = config::secret_names();
    environ::scrub(|name| names.iter().any(|secret| secret == name));
    environ::hide_memory();
    process::keep_descriptors();
    process::become_subreaper().map_err(|error| SetupError::System("subreaper", error))?;

    // The pipe of whoever started us may be root's alone: opened while we still may.
    let stdout = Output::stdout().ok();
    // Dropped in the reverse order at the end: sockets and files, the directory, the display number. What dead servers of
    // root's have left, only root can remove.
    let number = config.display.as_ref().map(|name| name.number);
    let owner = who.other.as_ref().map(|other| (other.uid, other.gid));
    let display = Display::claim(number, owner).map_err(SetupError::Display)?;
    let path = config
        .run_dir
        .clone()
        .unwrap_or_else(|| rundir::default_path(who.uid, display.number()));
    // Programs may start in directories of their own.
    let path = std::path::absolute(&path).unwrap_or(path);
    let in_dir = |error| SetupError::RunDir(path.clone(), error);
    if let (Some(other), Some(_)) = (&who.other, &config.run_dir) {
        rundir::hand_over(&path, other).map_err(in_dir)?;
    }
    who.prepare();
    let keep = extra::rights(config, services);
    who.become_it(keep)
        .map_err(|error| SetupError::User(who.uid, error.to_string()))?;
    who.settle().map_err(SetupError::Home)?;
    let environment = Environment::take(who.uid, who.variables());
    let dir = RunDir::open(&path).map_err(in_dir)?;
    let cookie = Cookie::random().map_err(|error| SetupError::System("randomness", error))?;
    let key = config.xauth_key.as_ref().map(Key::expose);
    cookie
        .write(&dir.xauthority(), display.number(), key)
        .map_err(in_dir)?;

    let mut warnings = Vec::new();
    if config.run_dir.is_some() {
        dir.sign(&telemetry::now()).map_err(in_dir)?;
    }
    let home_cookie = who.home().join(".Xauthority");
    let _in_home = config.home_xauthority.then(|| {
        let shown = key.unwrap_or(cookie.expose());
        let put = HomeCookie::put(home_cookie.clone(), display.number(), shown);
        put.inspect_err(|error| {
            warnings.push(format!(
                "{}: {error}; programs in other containers do not find the cookie of the display there",
                home_cookie.display()
            ));
        })
    });
    let log_dir = log_dir(config, who.uid).unwrap_or_else(|warning| {
        warnings.push(warning);
        None
    });
    if let Some(file) = &config.wallpaper {
        warnings.push(format!(
            "SET_DEFAULT_WALLPAPER={file}: no picture is shown behind windows; run a program that shows one (feh, hsetroot) as a service, or choose a BACKGROUND_COLOR"
        ));
    }
    let token = if config.password.is_none() && !config.allow_no_auth {
        Some(access::token().map_err(|error| SetupError::System("randomness", error))?)
    } else {
        None
    };
    let parts = Parts::look(config, &who, &mut warnings);
    let place = Place {
        config,
        settings: &raw.to_env(),
        display: &display,
        dir: &dir,
        password: config.password.as_ref().or(token.as_ref()),
        environment: &environment,
        who: &who,
        accounts: &accounts,
        services,
        parts: &parts,
        log_dir,
    };
    let (mut services, doubles) =
        services::all(&place).map_err(|error| SetupError::System("memory file", error))?;
    if who.other.is_some() && keep == Keep::ForChildren {
        // What we keep is for those that name it.
        for (_, launch) in &mut services {
            let attributes = &mut launch.command.attributes;
            attributes.capabilities.get_or_insert(Capabilities::NONE);
        }
    }
    if let Some(mask) = config.umask {
        for (_, launch) in &mut services {
            launch.command.attributes.umask.get_or_insert(mask);
        }
    }
    let form = match config.log_format {
        LogFormat::Text => Form::Text,
        LogFormat::Json => Form::Json,
    };
    let mut channels = Channels {
        signals,
        notify: NotifySocket::bind(&dir.notify()).map_err(in_dir)?,
        control: Control::bind(&dir.control()).map_err(in_dir)?,
        logs: Logs::new(form, stdout),
    };
    let said = who.warnings.iter().chain(&warnings).chain(&strangers);
    let said = said.chain(&place.services.warnings).chain(&doubles);
    for line in who.say().iter().chain(said) {
        channels.logs.say(line);
    }
    if let Some(advice) = terminal::advice(config) {
        channels.logs.say(advice);
    }
    if let Some(warning) = access::cut_warning(config) {
        channels.logs.say(warning);
    }
    for warning in doctor::warnings(config, raw, place.services) {
        channels.logs.say(&warning);
    }
    let policy = Policy {
        grace: config.grace_period,
        limits: Limits {
            disconnection: config.max_disconnection_time,
            connection: config.max_connection_time,
            idle: config.max_idle_time,
        },
        alone: Alone {
            freeze: config.freeze_timeout,
            start_on_connect: config.start_on_connect,
        },
    };
    let greeting = greeting(config, token.as_ref());
    let outcome = Driver::new(services, policy, channels, display.name())
        .greet(greeting)
        .run();
    Ok(outcome)
}

/// The one line that people look for: where to go, and with which password if they could not know it.
fn greeting(config: &Config, token: Option<&Secret>) -> Greeting {
    let host = reachable(&config.bind);
    let address = move |port: Option<u16>| {
        port.filter(|port| *port != 0)
            .map(|port| format!("{host}:{port}"))
    };
    let (web, vnc) = (address(config.web_port), address(config.vnc_port));
    let (config, token) = (config.clone(), token.cloned());
    Box::new(move |said_web, said_vnc| {
        let web = said_web.or(web.as_deref());
        let vnc = said_vnc.or(vnc.as_deref());
        access::how(&config, token.as_ref(), web, vnc)
    })
}

/// A name for the address that listeners are bound to, that a person can use on this machine.
fn reachable(bind: &[IpAddr]) -> String {
    match bind.first() {
        Some(address) if address.is_unspecified() || address.is_loopback() => {
            "127.0.0.1".to_owned()
        }
        Some(IpAddr::V6(address)) => format!("[{address}]"),
        Some(IpAddr::V4(address)) => address.to_string(),
        None => "127.0.0.1".to_owned(),
    }
}

/// One line where Kubernetes looks for it; only if the file is there.
pub(super) fn tell_kubernetes(reason: &str) {
    let flags = (nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new()
        .write(true)
        .truncate(true)
        .custom_flags(flags)
        .open(TERMINATION_LOG);
    if let Ok(mut file) = file {
        let _ = writeln!(file, "{reason}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_can_be_opened() {
        let host = |address: &str| reachable(&[address.parse().unwrap()]);
        assert_eq!(host("0.0.0.0"), "127.0.0.1");
        assert_eq!(host("::"), "127.0.0.1");
        assert_eq!(host("10.1.2.3"), "10.1.2.3");
        assert_eq!(host("2001:db8::1"), "[2001:db8::1]");
    }
}
