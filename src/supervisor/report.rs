//! The plan in words and figures: what `status`, the page and `/readyz` say.

use std::time::Instant;

use super::link::{Phase, Refusal, ServiceState, ServiceStatus, Status};
use super::plan::{Plan, given_up};
use super::service::{Id, NotStarted, Obstacle, Service, State, Verdict};

/// What is known besides the plan.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The X display, as `:7`.
    pub display: String,
    /// Our process id.
    pub pid: i32,
    /// When we started.
    pub started: Instant,
    /// Windows that a person can see.
    pub windows: u32,
    /// Why the display server cannot reach the X server, if so.
    pub display_problem: Option<String>,
    /// Where browsers connect.
    pub web: Option<String>,
    /// Where viewers connect.
    pub vnc: Option<String>,
    /// Log lines that were dropped.
    pub dropped_lines: u64,
}

/// The status as it is now.
pub fn status(plan: &Plan, facts: &Facts, pid: impl Fn(Id) -> Option<i32>, now: Instant) -> Status {
    let given_up_all = |missing: &[&Service]| missing.iter().all(|one| one.state() == State::Fatal);
    let phase = match plan.missing().as_slice() {
        _ if plan.stopping().is_some() => Phase::Stopping,
        [] => Phase::Running,
        missing if given_up_all(missing) => Phase::Degraded,
        _ => Phase::Starting,
    };
    Status {
        phase,
        message: message(plan, facts),
        not_live: plan.not_live().map(given_up),
        exit_code: plan.stopping().map(|_| plan.exit_code()),
        close_windows: plan.closes_windows(),
        display: facts.display.clone(),
        pid: facts.pid,
        uptime_ms: milliseconds(facts.started, now),
        viewers: plan.viewers(),
        idle_ms: u64::try_from(plan.idle(now).as_millis()).unwrap_or(u64::MAX),
        frozen: plan.frozen(),
        windows: facts.windows,
        web: facts.web.clone(),
        vnc: facts.vnc.clone(),
        dropped_lines: facts.dropped_lines,
        services: plan
            .services()
            .map(|(id, service)| ServiceStatus {
                name: service.spec().name.to_string(),
                state: word(service),
                pid: pid(id).filter(|_| service.runs()),
                restarts: service.restarts(),
                since_ms: milliseconds(service.since(), now),
                last_exit: service.last_exit().map(|exit| exit.to_string()),
                verdict: crash(service).map(|verdict| verdict.to_string()),
                refusal: service.refusal().map(refusal),
                waits_for: plan
                    .held_up_by(id, now)
                    .filter(|_| service.state() == State::Waiting)
                    .and_then(|other| plan.service(other))
                    .map(|other| other.spec().name.to_string()),
                group: service.spec().group.as_deref().map(str::to_owned),
            })
            .collect(),
    }
}

fn message(plan: &Plan, facts: &Facts) -> String {
    if let Some(reason) = plan.reason() {
        return reason;
    }
    match (plan.waits_for(), &facts.display_problem) {
        (Some(service), _) => waiting(service),
        (None, Some(problem)) => format!("the display cannot be reached: {problem}"),
        (None, None) => String::new(),
    }
}

fn refusal(why: &NotStarted) -> Refusal {
    Refusal {
        program: why.program.clone(),
        reason: why.reason.clone(),
        code: match why.obstacle {
            Obstacle::Hopeless(code) => Some(code),
            Obstacle::Failure | Obstacle::Shortage => None,
        },
    }
}

/// Its last end, when there is more to say than how it came about.
fn crash(service: &Service) -> Option<Verdict> {
    service.verdict().filter(|verdict| verdict.is_crash())
}

fn waiting(service: &Service) -> String {
    let title = &service.spec().title;
    match (service.state(), service.refusal(), service.verdict()) {
        (State::Fatal, ..) => given_up(service),
        (_, Some(why), _) => {
            let reason = &why.reason;
            format!("{title} could not be started: {reason}; starting it again")
        }
        (_, None, Some(verdict)) => format!("{title} {}, starting it again", verdict.clause()),
        (State::Starting, None, None) if service.spec().application => {
            "starting: waiting for the application's window".to_owned()
        }
        (_, None, None) => format!("starting: waiting for {title}"),
    }
}

/// The word that others are told for what it is doing.
pub fn word(service: &Service) -> ServiceState {
    match service.state() {
        State::Waiting => ServiceState::Waiting,
        State::Preparing | State::Starting => ServiceState::Starting,
        State::Ready => ServiceState::Ready,
        State::Held { .. } | State::Backoff { .. } => ServiceState::Backoff,
        State::Stopping { .. } => ServiceState::Stopping,
        // What follows its end belongs to it.
        State::Stopped if service.cleans() => ServiceState::Stopping,
        State::Stopped => ServiceState::Stopped,
        State::Ended(_) => ServiceState::Ended,
        State::Fatal => ServiceState::Fatal,
    }
}

fn milliseconds(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
}
