//! Starting a service: its streams, its link, its process; and what to make of a failure.

use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Driver, Errand, Launch, Readiness};
use crate::supervisor::plan::{EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, Hook};
use crate::supervisor::service::{Id, NotStarted, Obstacle, Service};
use crate::sys::output;
use crate::sys::process::{Inherited, SpawnError, SpawnErrorKind};

/// How often it is said that the system has no room for another process.
const SHORTAGE: Duration = Duration::from_secs(10);
/// What tells `after_stop` how its service has ended, as a shell would.
const EXIT_STATUS: &str = "EXIT_STATUS";

impl Launch {
    fn hook(&self, hook: Hook) -> Option<&Errand> {
        match hook {
            Hook::BeforeStart => self.before_start.as_ref(),
            Hook::AfterStop => self.after_stop.as_ref(),
        }
    }
}

impl Driver {
    /// Starts its process, or that of a hook.
    pub(super) fn start(&mut self, id: Id, hook: Option<Hook>, now: Instant) {
        if hook != Some(Hook::AfterStop) {
            self.remnants.forget(id);
            self.channels.logs.begin(id);
        }
        self.witness.begin();
        let Err(error) = self.spawn(id, hook) else {
            self.shortage = None;
            return self.plan.started(id, now);
        };
        let obstacle = match error.kind {
            SpawnErrorKind::NotFound => Obstacle::Hopeless(EXIT_NOT_FOUND),
            SpawnErrorKind::NotExecutable => Obstacle::Hopeless(EXIT_NOT_EXECUTABLE),
            SpawnErrorKind::Temporary => Obstacle::Failure,
            SpawnErrorKind::Shortage => Obstacle::Shortage,
        };
        let launch = self.launches.get(id.0);
        let program = launch.map(|launch| {
            let errand = hook.and_then(|hook| launch.hook(hook));
            let program = errand.map_or(&launch.command.program, |errand| &errand.program);
            program.to_string_lossy().into_owned()
        });
        let program = program.unwrap_or_default();
        let reason = format!("{program}: {error}");
        let title = self.title(id);
        let what = match hook {
            None => "could not be started",
            Some(Hook::BeforeStart) => "could not be started: its before_start",
            Some(Hook::AfterStop) => "could not be cleaned up after: its after_stop",
        };
        let again = match obstacle {
            Obstacle::Shortage => "; it is started when it can be",
            _ => "",
        };
        let often = self.shortage.is_some_and(|said| now < said + SHORTAGE);
        if obstacle != Obstacle::Shortage || !often {
            let text = format!("{title} {what}: {reason}{again}");
            self.channels.logs.say(&text);
        }
        if obstacle == Obstacle::Shortage && !often {
            self.shortage = Some(now);
        }
        let reason = match hook {
            None | Some(Hook::AfterStop) => reason,
            Some(Hook::BeforeStart) => format!("its before_start: {reason}"),
        };
        let why = NotStarted {
            obstacle,
            program,
            reason,
        };
        self.plan.not_started(id, &why, now);
    }

    fn spawn(&mut self, id: Id, hook: Option<Hook>) -> Result<i32, SpawnError> {
        let name = self
            .plan
            .service(id)
            .map_or_else(|| "".into(), |service| Arc::clone(&service.spec().name));
        let Some(launch) = self.launches.get(id.0) else {
            return Err(std::io::Error::from(std::io::ErrorKind::NotFound).into());
        };
        if let Some(hook) = hook {
            let errand = launch.hook(hook).cloned().unwrap_or_default();
            let mut command = launch.errand(&errand);
            let last = self.plan.service(id).and_then(Service::last_exit);
            if let Some(exit) = last.filter(|_| hook == Hook::AfterStop) {
                command.env.retain(|(known, _)| known != EXIT_STATUS);
                let status = exit.status().to_string();
                command.env.push((EXIT_STATUS.into(), status.into()));
            }
            let pipes = self.channels.logs.pipes(id, name, &launch.sinks)?;
            return self.children.spawn(id, &command, pipes, &[]);
        }
        for (place, target) in &launch.links {
            // The last one may have removed it, or not.
            let _ = std::fs::remove_file(place);
            std::os::unix::fs::symlink(target, place).map_err(|source| SpawnError {
                kind: SpawnErrorKind::Temporary,
                step: Some("make the link that it needs"),
                source,
            })?;
        }
        let pipes = self.channels.logs.pipes(id, name, &launch.sinks)?;
        if let Readiness::Line(text) = &launch.readiness {
            self.channels.logs.expect(id, text);
        }
        let mut inherit: Vec<Inherited<'_>> = launch.inherit.iter().map(Into::into).collect();
        let number = match launch.readiness {
            Readiness::Displayfd => None,
            Readiness::Descriptor(number) => number,
            _ => return self.children.spawn(id, &launch.command, pipes, &inherit),
        };
        let (ours, theirs) = output::pipe()?;
        let theirs = Inherited {
            number: number.unwrap_or(theirs.as_raw_fd()),
            ..Inherited::from(&theirs)
        };
        let mut command = launch.command.clone();
        if number.is_none() {
            command.args = numbered(command.args, theirs.number);
        }
        inherit.push(theirs);
        let pid = self.children.spawn(id, &command, pipes, &inherit)?;
        self.pipes.insert(id, ours);
        Ok(pid)
    }
}

/// With the number of a descriptor where these arguments want it.
fn numbered(args: Vec<OsString>, number: i32) -> Vec<OsString> {
    const PLACE: &str = "{fd}";
    let has_place = |arg: &OsString| arg.to_str().is_some_and(|text| text.contains(PLACE));
    let number = number.to_string();
    if !args.iter().any(has_place) {
        let more = ["-displayfd".into(), number.into()];
        return args.into_iter().chain(more).collect();
    }
    let put = |arg: OsString| match arg.to_str() {
        Some(text) => text.replace(PLACE, &number).into(),
        None => arg,
    };
    args.into_iter().map(put).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_goes_to_its_place_or_behind_the_others() {
        let numbered = |args: &[&str]| numbered(args.iter().map(Into::into).collect(), 9);
        assert_eq!(numbered(&[":1"]), [":1", "-displayfd", "9"]);
        assert_eq!(numbered(&["--address={fd}", "x"]), ["--address=9", "x"]);
    }
}
