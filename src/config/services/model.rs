//! What the tables say, once they have been read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The parts that are there without any file; a table of that name changes what [`Change`] has.
pub const BUILT_IN: [&str; 7] = [
    "xserver",
    "display",
    "wm",
    "app",
    "gate",
    "sshd",
    "pulseaudio",
];

/// Those of them that are not there unless they are asked for: then programs of supervisord's may have their names.
pub(in crate::config) const OPTIONAL: [&str; 3] = ["gate", "sshd", "pulseaudio"];

/// How it is known that an extra service is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// It runs.
    Started,
    /// It says `READY=1` on `NOTIFY_SOCKET`, as sd_notify(3) does.
    Notify,
    /// It prints a line in which this stands.
    Log(String),
    /// This is there.
    File(PathBuf),
    /// Somebody listens on this Unix socket.
    Unix(PathBuf),
    /// Somebody listens there.
    Tcp(String, u16),
    /// It writes a line to a descriptor: that of this number, or one whose number stands in place of `{fd}` in its
    /// command, or behind `-displayfd` at its end.
    Descriptor(Option<i32>),
    /// This command, run so often until it does, ends with code 0.
    Command(Vec<String>, Duration),
    /// By running for so long; until then its end is a start that failed.
    Lasts(Duration),
}

/// When a service is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Not at all.
    Never,
    /// Unless it ended with a code that is expected of it.
    OnFailure,
    /// Whatever its end was.
    Always,
}

/// What it means to everything else that a service was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fatal {
    /// Nothing.
    Ignore,
    /// The liveness probe fails.
    NotLive,
    /// Everything ends.
    End,
}

/// Whose a service is, by names or numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Its user, if that is not everybody's.
    pub user: Option<String>,
    /// Its group, if that is not its user's.
    pub group: Option<String>,
    /// Where that cannot be, nothing is started; else it runs as everything does.
    pub insists: bool,
}

/// What may be given for any service; what is not given stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Variables besides those that every child gets; they win over these.
    pub environment: Vec<(String, String)>,
    /// The signal that asks it to end.
    pub stop_signal: Option<i32>,
    /// From that signal to SIGKILL.
    pub stop_timeout: Option<Duration>,
    /// How long it may take to get ready before it is killed and tried again.
    pub start_timeout: Option<Duration>,
    /// After so many starts without a healthy minute it is given up; of [`Ready::Lasts`], after so many that failed in a
    /// row.
    pub restart_limit: Option<u32>,
    /// What that means.
    pub on_fatal: Option<Fatal>,
    /// When it is started again.
    pub restart: Option<Again>,
    /// Codes that are expected of it, for [`Again::OnFailure`].
    pub exit_codes: Option<Vec<u8>>,
    /// Its end, when it is not started again, is the end of everything.
    pub ends_all: Option<bool>,
    /// A command that must succeed before each start.
    pub before_start: Option<Vec<String>>,
    /// A command that follows each end.
    pub after_stop: Option<Vec<String>>,
    /// How long either may take before it is killed.
    pub hook_timeout: Option<Duration>,
    /// It is not there at all.
    pub disabled: bool,
    /// What its process is besides its program.
    pub process: Process,
    /// Where its output goes.
    pub log: Option<LogTo>,
    /// Where its standard error goes, if not to the same place.
    pub error_log: Option<LogTo>,
}

/// Where a stream of a service goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// To our standard output, under the name of the service.
    Stdout,
    /// Nowhere.
    Nowhere,
    /// To a file of its own.
    File(LogFile),
}

/// A file that is put aside when it is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Where.
    pub path: PathBuf,
    /// How large it may get; `None`: without end.
    pub max_bytes: Option<u64>,
    /// How many full ones are kept, as `path.1`, the latest, and so on.
    pub backups: u32,
}

impl LogFile {
    /// What supervisord has for those that say nothing.
    pub const MAX_BYTES: Option<u64> = Some(50 << 20);
    /// As [`LogFile::MAX_BYTES`].
    pub const BACKUPS: u32 = 10;
}

/// What a process is besides its program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Where it starts.
    pub directory: Option<PathBuf>,
    /// Permissions that its files do not get.
    pub umask: Option<u32>,
    /// Priority, -20 (first) to 19 (last).
    pub nice: Option<i32>,
    /// How much it may take.
    pub limits: Vec<Limit>,
    /// How early it goes when memory is short, -1000 (never) to 1000.
    pub oom_score_adj: Option<i32>,
    /// What it keeps of root's rights, by names that the [`Vocabulary`] knows.
    pub capabilities: Option<Vec<String>>,
    /// Neither it nor what it starts gains rights by a set-user-ID program.
    pub no_new_privileges: Option<bool>,
}

/// How much a process may take of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Of what, by a name that the [`Vocabulary`] knows.
    pub resource: String,
    /// In force; `None`: no limit.
    pub soft: Option<u64>,
    /// The most that it may ask for itself; `None`: no limit.
    pub hard: Option<u64>,
}

/// Words of the system below, which this room does not know by itself.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// Of what there are limits.
    pub resources: Words,
    /// Rights of root's.
    pub capabilities: Words,
    /// The number of a signal, by name or number.
    pub signal: fn(&str) -> Option<i32>,
}

/// Words that mean something.
#[derive(Clone, Debug)]
pub struct Words {
    /// Does this one?
    pub known: fn(&str) -> bool,
    /// All of them, for messages.
    pub all: Vec<&'static str>,
}

/// A service of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// Its name, in logs and tables.
    pub name: String,
    /// Program and arguments; at least one word.
    pub command: Vec<String>,
    /// Those that must have been ready before; `None`: the display.
    pub after: Option<Vec<String>>,
    /// It ends with this one and comes back with it.
    pub bound_to: Option<String>,
    /// How it says that it is ready.
    pub ready: Ready,
    /// Without it, it waits until somebody orders its start.
    pub autostart: bool,
    /// Whose it is, if not everybody's.
    pub owner: Option<Owner>,
    /// What supervisord calls the group that it is in.
    pub group: Option<String>,
    /// What may be given for any service.
    pub common: Change,
}

impl Extra {
    /// What a table with nothing but a command says.
    pub fn new(name: &str, command: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            command,
            after: None,
            bound_to: None,
            ready: Ready::Started,
            autostart: true,
            owner: None,
            group: None,
            common: Change::default(),
        }
    }

    /// Everybody it waits for.
    pub fn predecessors(&self) -> impl Iterator<Item = &str> {
        let after = self.after.iter().flatten();
        after.chain(&self.bound_to).map(String::as_str)
    }
}

/// Everything that the files say about services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// The operator's own; each stands behind those it comes after.
    pub extra: Vec<Extra>,
    /// What is changed of the built-in ones, by name.
    pub changes: BTreeMap<String, Change>,
    /// What is not done as it stands in supervisord's files, for the operator.
    pub warnings: Vec<String>,
}
