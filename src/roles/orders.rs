//! `deskinit start|stop|restart NAME…` and `deskinit signal SIGNAL NAME`: orders for single services of a run.
//!
//! An order is waited for: `start` until the service is ready, `stop` until it is gone.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{find, say};
use crate::supervisor::link::{
    self, Answer, Refusal, Request, ServiceState, ServiceStatus, Status, Talk,
};
use crate::supervisor::logs::OWN_NAME;
use crate::supervisor::plan::Order;
use crate::supervisor::service::{SIGTERM, signal_number};

/// The order could not be done, or not in time.
pub(super) const EXIT_FAILURE: u8 = 1;
/// The service does not run.
pub(super) const EXIT_NOT_RUNNING: u8 = 3;
/// There is no such service.
pub(super) const EXIT_UNKNOWN: u8 = 4;
/// No run answers.
pub(super) const EXIT_NOBODY: u8 = 69;

/// How one ends that has done its work.
const DONE: &str = "code 0";

/// An answer of `run` itself is a matter of milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why an order was not done.
#[derive(Debug)]
pub(super) struct Failure {
    /// What a script is told.
    pub(super) code: u8,
    /// What a person is told.
    pub(super) why: String,
    /// The service was to be started, and there was no process at all.
    pub(super) refusal: Option<Refusal>,
}

impl Failure {
    fn new(code: u8, why: impl Into<String>) -> Self {
        Self {
            code,
            why: why.into(),
            refusal: None,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(EXIT_NOBODY, format!("no run answers: {error}"))
    }
}

/// How it is told what was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For people.
    Text,
    /// One object for each service.
    Json,
}

/// What was done for one service: in words, and the same for programs.
struct Done {
    words: String,
    facts: Value,
}

/// Does it for each of `names`; the exit code is that of the first failure.
pub(super) fn order(
    order: Order,
    names: &[String],
    timeout: Duration,
    form: Form,
    run_dir: Option<PathBuf>,
) -> ExitCode {
    each(names, Some(order), form, run_dir, |dir, name| {
        let (changed, state) = obey(dir, order, name, timeout)?;
        Ok(Done {
            words: state.word().to_owned(),
            facts: json!({ "state": state, "changed": changed }),
        })
    })
}

/// Gives an order and waits until it is done; with whether that changed anything.
pub(super) fn obey(
    dir: &Path,
    order: Order,
    name: &str,
    timeout: Duration,
) -> Result<(bool, ServiceState), Failure> {
    let before = service(dir, name)?;
    let request = Request::Order {
        order,
        service: name.to_owned(),
    };
    let changed = ask(dir, &request)?;
    let old = before.pid.filter(|_| order == Order::Restart && changed);
    Ok((changed, wait(dir, name, order, old, timeout)?))
}

/// Sends a signal, by name or number.
pub(super) fn send(dir: &Path, signal: &str, name: &str) -> Result<(), Failure> {
    let Some(number) = signal_number(signal) else {
        return Err(Failure::new(
            EXIT_FAILURE,
            format!(
                "{signal} is no signal; allowed are names as TERM and SIGTERM, and numbers from 1 to 64"
            ),
        ));
    };
    let request = Request::Signal {
        signal: number,
        service: name.to_owned(),
    };
    ask(dir, &request).map(drop)
}

/// Sends the signal, by name or number, to the main process of the service.
pub(super) fn signal(signal: &str, name: &str, form: Form, run_dir: Option<PathBuf>) -> ExitCode {
    each(&[name.to_owned()], None, form, run_dir, |dir, name| {
        if name == OWN_NAME && signal_number(signal).is_some_and(|number| number != SIGTERM) {
            let why =
                "for run itself only TERM, which ends everything; the application is called app";
            return Err(Failure::new(EXIT_FAILURE, why));
        }
        send(dir, signal, name)?;
        Ok(Done {
            words: "signalled".to_owned(),
            facts: json!({ "signal": signal_number(signal) }),
        })
    })
}

fn each(
    names: &[String],
    order: Option<Order>,
    form: Form,
    run_dir: Option<PathBuf>,
    act: impl Fn(&Path, &str) -> Result<Done, Failure>,
) -> ExitCode {
    let dir = match find::run_dir(run_dir) {
        Ok(dir) => dir,
        Err(error) => {
            say::err(format_args!("deskinit: {error}"));
            return ExitCode::from(EXIT_NOBODY);
        }
    };
    let mut names: Vec<&String> = names.iter().collect();
    if order == Some(Order::Stop)
        && let Ok(status) = link::status(&dir, PATIENCE)
    {
        // Nobody loses what it needs before it has ended itself.
        let place = |name: &str| status.services.iter().position(|one| one.name == name);
        names.sort_by_key(|name| std::cmp::Reverse(place(name)));
    }
    let mut code = 0;
    for name in names {
        let done = act(&dir, name);
        let text = match (form, &done) {
            (Form::Text, Ok(done)) => format!("{name}: {}\n", done.words),
            (Form::Text, Err(failure)) => {
                say::err(format_args!("deskinit: {name}: {}", failure.why));
                String::new()
            }
            (Form::Json, done) => {
                let mut facts = match done {
                    Ok(done) => done.facts.clone(),
                    Err(failure) => json!({ "error": failure.why, "code": failure.code }),
                };
                facts["service"] = name.as_str().into();
                format!("{facts}\n")
            }
        };
        // What was done is done; that nobody hears of it is no reason to leave the others undone.
        let _ = say::out(&text);
        code = match done {
            Err(failure) if code == 0 => failure.code,
            _ => code,
        };
    }
    ExitCode::from(code)
}

/// Asks; true when that changes anything.
fn ask(dir: &Path, request: &Request) -> Result<bool, Failure> {
    let answer: Option<Answer> = Talk::begin(dir, request, Some(PATIENCE))?.answer()?;
    match answer {
        Some(Answer::Done) => Ok(true),
        Some(Answer::Unchanged) => Ok(false),
        Some(Answer::Stopped) => Err(Failure::new(EXIT_NOT_RUNNING, "does not run")),
        Some(Answer::Unknown { services }) => Err(unknown(&services)),
        Some(Answer::Refused { why }) => Err(Failure::new(EXIT_FAILURE, why)),
        None => Err(Failure::new(EXIT_NOBODY, "the run went away")),
    }
}

fn unknown(services: &[String]) -> Failure {
    let known = services.join(", ");
    Failure::new(
        EXIT_UNKNOWN,
        format!("there is no such service; there are {known}"),
    )
}

fn service(dir: &Path, name: &str) -> Result<ServiceStatus, Failure> {
    let services = link::status(dir, PATIENCE)?.services;
    let names: Vec<String> = services.iter().map(|one| one.name.clone()).collect();
    let found = services.into_iter().find(|one| one.name == name);
    found.ok_or_else(|| unknown(&names))
}

/// The service that this one waits for, if it was given up.
fn lost<'a>(status: &'a Status, waiting: &ServiceStatus) -> Option<&'a ServiceStatus> {
    let all = status.services.iter();
    let mut lost = all.filter(|one| one.state == ServiceState::Fatal);
    lost.find(|one| waiting.waits_for.as_ref() == Some(&one.name))
}

/// What became of one that does not run.
fn fate(service: &ServiceStatus) -> String {
    let end = match (&service.verdict, service.end()) {
        (None, Some(end)) if service.refusal.is_none() => format!(", ended with {end}"),
        (_, Some(end)) => format!(", {end}"),
        (_, None) => String::new(),
    };
    format!("{}{end}", service.state.word())
}

/// Waits until the service is where it was told to be. `old`: the process that is to be replaced.
fn wait(
    dir: &Path,
    name: &str,
    order: Order,
    old: Option<i32>,
    timeout: Duration,
) -> Result<ServiceState, Failure> {
    let end = Instant::now() + timeout;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let now = service(dir, name)?;
            let waits = now.waits_for.map(|other| format!(", for {other}"));
            let text = format!(
                "is {} after {} s{}",
                now.state.word(),
                timeout.as_secs(),
                waits.unwrap_or_default()
            );
            return Err(Failure::new(EXIT_FAILURE, text));
        }
        let watch = Request::Status { watch: true };
        let mut talk = Talk::begin(dir, &watch, Some(left))?;
        // Ends with an error when nothing changes until the time is over.
        while let Ok(Some(status)) = talk.answer::<Status>() {
            let found = status.services.iter().find(|one| one.name == name);
            let Some(now) = found else { break };
            match (order, now.state) {
                (
                    Order::Stop,
                    ServiceState::Stopped | ServiceState::Ended | ServiceState::Fatal,
                ) => {
                    return Ok(now.state);
                }
                (Order::Start | Order::Restart, ServiceState::Ready)
                    if old.is_none() || now.pid != old =>
                {
                    return Ok(now.state);
                }
                // It has done its work already.
                (Order::Start | Order::Restart, ServiceState::Ended)
                    if now.last_exit.as_deref() == Some(DONE) =>
                {
                    return Ok(now.state);
                }
                (Order::Start | Order::Restart, ServiceState::Stopped) => {
                    let text = "was stopped before it was ready";
                    return Err(Failure::new(EXIT_FAILURE, text));
                }
                (Order::Start | Order::Restart, ServiceState::Fatal | ServiceState::Ended) => {
                    return Err(Failure {
                        refusal: now.refusal.clone(),
                        ..Failure::new(EXIT_FAILURE, format!("is {}", fate(now)))
                    });
                }
                (Order::Start | Order::Restart, ServiceState::Waiting) => {
                    // It was tried again with this one, in vain.
                    if let Some(lost) = lost(&status, now) {
                        let text = format!("waits for {}, which is {}", lost.name, fate(lost));
                        return Err(Failure::new(EXIT_FAILURE, text));
                    }
                }
                _ => {}
            }
            if Instant::now() >= end {
                break;
            }
        }
        if link::status(dir, PATIENCE).is_err() {
            return Err(Failure::new(EXIT_NOBODY, "the run went away"));
        }
    }
}
