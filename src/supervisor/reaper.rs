//! Which process belongs to which service.
//!
//! A child is registered within the same exclusive borrow as the one that starts it, and reaping borrows the registry
//! exclusively too: so no exit can be seen before its process is known, and none is lost. This is the only place that
//! waits for children.

use std::collections::BTreeMap;
use std::io;

use super::logs::Pipes;
use super::service::{Exit, Id};
use crate::sys::pidfd::Handle;
use crate::sys::process::{self, Command, Inherited, SpawnError};
use crate::sys::reap;

/// The living main processes of the services, and those of their hooks.
#[derive(Debug, Default)]
pub struct Children {
    by_pid: BTreeMap<i32, (Id, Handle)>,
}

/// A child that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// The service whose main process it was; `None` for an orphan that was handed to us.
    pub id: Option<Id>,
    /// Its process id.
    pub pid: i32,
    /// How it ended.
    pub exit: Exit,
}

impl Children {
    /// Starts the main process of a service and returns its process id.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn(
        &mut self,
        id: Id,
        command: &Command,
        pipes: Pipes,
        inherit: &[Inherited<'_>],
    ) -> Result<i32, SpawnError> {
        let handle = process::spawn(command, pipes.output, pipes.errors, inherit)?;
        let pid = handle.pid();
        self.by_pid.insert(pid, (id, handle));
        Ok(pid)
    }

    /// The next child that has ended; call until `None`.
    ///
    /// `before` is told about the main process of a service while it still holds its number and that of its group.
    ///
    /// # Errors
    /// It could not be told; nobody is lost by asking again.
    pub fn reap(&mut self, before: impl FnOnce(Id, i32)) -> io::Result<Option<Reaped>> {
        let Some(pid) = reap::peek()? else {
            return Ok(None);
        };
        if let Some((id, _)) = self.by_pid.get(&pid) {
            before(*id, pid);
        }
        let Some(ended) = reap::collect(pid)? else {
            return Ok(None);
        };
        let exit = match ended.how {
            reap::How::Code(code) => Exit::Code(code),
            reap::How::Signal(signal) => Exit::Signal(signal),
        };
        let id = self.by_pid.remove(&ended.pid).map(|(id, _)| id);
        Ok(Some(Reaped {
            id,
            pid: ended.pid,
            exit,
        }))
    }

    /// The process id of a service's main process.
    pub fn pid(&self, id: Id) -> Option<i32> {
        self.handle(id).map(Handle::pid)
    }

    /// Is it the main process of a service? Which?
    pub fn service(&self, pid: i32) -> Option<Id> {
        self.by_pid.get(&pid).map(|(id, _)| *id)
    }

    /// Signals the main process of a service alone; false when there is none, or it has ended already.
    pub fn signal(&self, id: Id, signal: i32) -> bool {
        self.handle(id)
            .is_some_and(|handle| handle.signal(signal).is_ok())
    }

    /// Signals the whole process group of a service. An error means that it has ended already.
    pub fn signal_group(&self, id: Id, signal: i32) {
        if let Some(handle) = self.handle(id) {
            let _ = handle.signal_group(signal);
        }
    }

    fn handle(&self, id: Id) -> Option<&Handle> {
        self.by_pid
            .values()
            .find(|(of, _)| *of == id)
            .map(|(_, handle)| handle)
    }
}
