//! Starting a service: its streams, its link, its process; and what to make of a failure.

use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Instant;

use super::{Driver, Readiness};
use crate::supervisor::plan::{EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, NotStarted};
use crate::supervisor::service::Id;
use crate::sys::output;
use crate::sys::process::{Inherited, SpawnError, SpawnErrorKind};

impl Driver {
    pub(super) fn start(&mut self, id: Id, now: Instant) {
        self.remnants.forget(id);
        self.witness.begin();
        match self.spawn(id) {
            Ok(_) => self.plan.started(id, now),
            Err(error) => {
                let hopeless = match error.kind {
                    SpawnErrorKind::NotFound => Some(EXIT_NOT_FOUND),
                    SpawnErrorKind::NotExecutable => Some(EXIT_NOT_EXECUTABLE),
                    SpawnErrorKind::Temporary => None,
                };
                let program = self
                    .launches
                    .get(id.0)
                    .map(|launch| launch.command.program.to_string_lossy());
                let reason = format!("{}: {error}", program.unwrap_or_default());
                let title = self.title(id);
                self.channels
                    .logs
                    .say(&format!("{title} could not be started: {reason}"));
                self.plan
                    .not_started(id, &NotStarted { hopeless, reason }, now);
            }
        }
    }

    pub(super) fn spawn(&mut self, id: Id) -> Result<i32, SpawnError> {
        let name = self
            .plan
            .service(id)
            .map_or_else(|| "".into(), |service| Arc::clone(&service.spec().name));
        let Some(launch) = self.launches.get(id.0) else {
            return Err(std::io::Error::from(std::io::ErrorKind::NotFound).into());
        };
        if let Some((place, target)) = &launch.link {
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
