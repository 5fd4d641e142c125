//! Starting a service: its streams, its link, its process; and what to make of a failure.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use super::{Driver, Readiness};
use crate::supervisor::plan::{EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, NotStarted};
use crate::supervisor::service::Id;
use crate::sys::output;
use crate::sys::process::{SpawnError, SpawnErrorKind};

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
        let mut inherit: Vec<BorrowedFd<'_>> = launch.inherit.iter().map(AsFd::as_fd).collect();
        if launch.readiness != Readiness::Displayfd {
            return self.children.spawn(id, &launch.command, pipes, &inherit);
        }
        let (ours, theirs) = output::pipe()?;
        let mut command = launch.command.clone();
        command
            .args
            .extend(["-displayfd".into(), theirs.as_raw_fd().to_string().into()]);
        inherit.push(theirs.as_fd());
        let pid = self.children.spawn(id, &command, pipes, &inherit)?;
        self.displayfd = Some((id, ours));
        Ok(pid)
    }
}
