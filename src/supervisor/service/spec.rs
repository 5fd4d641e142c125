//! The rules of one service: what must be so before it is started, what happens when it does not become ready or ends,
//! how it is stopped.

use std::sync::Arc;
use std::time::Duration;

use super::exit::{Exit, SIGTERM};

/// Which service: its place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub usize);

/// What must be so before a service is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The other is ready now.
    Ready(Id),
    /// The other has been ready at some time.
    Once(Id),
}

/// What happens when a service that was started does not become ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Wait for ever.
    Endless,
    /// After this long, in spite of restarts, those who come after it are started without it.
    GoOn(Duration),
    /// After this long it is killed, which counts as a failed start.
    Kill(Duration),
}

/// After how many starts a service is given up, if it has not been healthy ([`HEALTHY`](super::HEALTHY)) since the first
/// of them. Of one that must last ([`Proof::Lasts`]), starts in a row that did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GiveUp {
    /// While it has never been ready.
    pub never_ready: Option<u32>,
    /// When it has been ready before.
    pub ready_before: Option<u32>,
}

impl GiveUp {
    /// Try for ever.
    pub const NEVER: Self = Self {
        never_ready: None,
        ready_before: None,
    };
}

/// What shows that a service which runs is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Somebody says so.
    Told,
    /// That it runs.
    Runs,
    /// That it has run for so long. One that ends before has not been started, whatever its code: it is tried again after
    /// a pause that grows by a second each time, as supervisord does.
    Lasts(Duration),
}

/// A set of exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codes([u64; 4]);

impl Codes {
    /// Success alone.
    pub const ZERO: Self = Self([1, 0, 0, 0]);

    /// Did it end with one of these? By a signal it did not.
    pub fn contain(self, exit: Exit) -> bool {
        match exit {
            Exit::Code(code) => {
                let word = self.0.get(usize::from(code / 64));
                word.is_some_and(|word| word & (1 << (code % 64)) != 0)
            }
            Exit::Signal(_) => false,
        }
    }
}

impl FromIterator<u8> for Codes {
    fn from_iter<T: IntoIterator<Item = u8>>(codes: T) -> Self {
        let mut set = Self([0; 4]);
        for code in codes {
            if let Some(word) = set.0.get_mut(usize::from(code / 64)) {
                *word |= 1 << (code % 64);
            }
        }
        set
    }
}

/// Is a service started again when it ends by itself?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// No.
    Never,
    /// Unless it ends with one of these codes.
    Unless(Codes),
    /// Whatever its end is.
    Always,
}

impl Restart {
    /// Does an end like this one lead to another start?
    pub fn follows(self, exit: Exit) -> bool {
        match self {
            Self::Never => false,
            Self::Unless(expected) => !expected.contain(exit),
            Self::Always => true,
        }
    }
}

/// What it means to everything else that a service has ended by itself and is not started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEnd {
    /// Nothing.
    Ignore,
    /// Everything ends with its code.
    End,
}

/// What it means to everything else that a service was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFatal {
    /// Nothing.
    Ignore,
    /// The whole goes on and is not live any more: whoever asks may replace it.
    NotLive,
    /// Everything ends, as a failure.
    End,
}

/// The rules of one service.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Short name, for logs and tables: `xserver`.
    pub name: Arc<str>,
    /// What people call it in a sentence: `the X server`.
    pub title: Arc<str>,
    /// The group that people may name instead of it and others.
    pub group: Option<Arc<str>>,
    /// Its predecessors; all of them stand before it in the plan.
    pub after: Vec<After>,
    /// It cannot live without this one: ends with it and comes back with it.
    pub bound_to: Option<Id>,
    /// Without it, it is stopped from the start, until somebody orders otherwise.
    pub autostart: bool,
    /// Started again when it ends.
    pub restart: Restart,
    /// What its end means when it is not restarted.
    pub on_end: OnEnd,
    /// What it means when it is given up.
    pub on_fatal: OnFatal,
    /// It belongs to the user's work: stopped first, together with the processes that nobody owns.
    pub application: bool,
    /// It is a part of the desktop, under all that is started later: that needs it until it is gone.
    pub part: bool,
    /// While it is ready it can ask windows to close.
    pub closes_windows: bool,
    /// What shows that it is ready.
    pub proof: Proof,
    /// How long readiness may take.
    pub patience: Patience,
    /// When to stop trying.
    pub give_up: GiveUp,
    /// A command must succeed before each start.
    pub before_start: bool,
    /// A command follows each end.
    pub after_stop: bool,
    /// How long either may take before it is killed. A share of the grace period is never exceeded.
    pub hook_timeout: Duration,
    /// The signal that asks it to end.
    pub stop_signal: i32,
    /// When a signal ends everything, it is asked by that one instead.
    pub hears_what_came: bool,
    /// From that signal to SIGKILL. `None`: its share of the grace period when everything ends, and
    /// [`RESTART_GRACE`](super::RESTART_GRACE) when it is to come back. A share of the grace period is never exceeded.
    pub stop_timeout: Option<Duration>,
}

impl Spec {
    /// A service that is started at once, is ready as soon as it runs, is always started again, and without which the
    /// others go on.
    pub fn new(name: &str, title: &str) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            group: None,
            after: Vec::new(),
            bound_to: None,
            autostart: true,
            restart: Restart::Always,
            on_end: OnEnd::Ignore,
            on_fatal: OnFatal::NotLive,
            application: false,
            part: true,
            closes_windows: false,
            proof: Proof::Runs,
            patience: Patience::Endless,
            give_up: GiveUp::NEVER,
            before_start: false,
            after_stop: false,
            hook_timeout: super::HOOK,
            stop_signal: SIGTERM,
            hears_what_came: false,
            stop_timeout: None,
        }
    }

    /// What it comes after, and what it is bound to.
    pub fn needs(&self) -> impl Iterator<Item = Id> + '_ {
        let after = self.after.iter().map(|after| match *after {
            After::Ready(other) | After::Once(other) => other,
        });
        after.chain(self.bound_to)
    }

    /// Does an end like this one end everything?
    pub fn ends_all(&self, exit: Exit) -> bool {
        self.on_end == OnEnd::End && !self.restart.follows(exit)
    }
}
