//! What a process is besides its program: whose it is, where it stands, how much it may take, what it may do.
//!
//! Everything is looked up, checked and laid out before the fork ([`Prepared::new`]); between fork and exec there are only
//! system calls ([`Prepared::apply`]), in the one order in which each still has the right that it needs:
//!
//! ```text
//!  nice, limits, oom score          need privileges that go away below
//!  bounding set                     needs CAP_SETPCAP
//!  groups → gid → (keepcaps) → uid  each needs the ones after it not to have happened
//!  capabilities, ambient            what is left of them
//!  umask, directory                 as the user: what only root may enter is refused
//!  no new privileges                last, so that no step above is hindered
//! ```

use std::ffi::CString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// All optional: what is not given stays as it is with us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Whose process it is.
    pub identity: Option<Identity>,
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
    /// What it may keep of root's rights, itself and all that it starts; `None`: as we have them. What is kept stays
    /// with it when it is nobody special, too (ambient).
    pub capabilities: Option<Capabilities>,
    /// Neither it nor what it starts gains rights by a set-user-ID program.
    pub no_new_privileges: bool,
}

/// Whose a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group of what it makes.
    pub gid: u32,
    /// The other groups it belongs to.
    pub groups: Vec<u32>,
}

/// One `setrlimit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Of what.
    pub resource: Resource,
    /// In force; [`Limit::INFINITE`] for none.
    pub soft: u64,
    /// The most that it may ask for itself.
    pub hard: u64,
}

impl Limit {
    /// No limit.
    pub const INFINITE: u64 = libc::RLIM_INFINITY;
}

impl fmt::Display for Limit {
    /// As it stands in the files.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value| match value {
            Self::INFINITE => "\"unlimited\"".to_owned(),
            value => value.to_string(),
        };
        let mut known = Resource::NAMES.iter();
        let name = known.find(|(_, number)| *number == self.resource.0);
        let name = name.map_or("", |(name, _)| name);
        match self.soft == self.hard {
            true => write!(f, "{name} = {}", value(self.soft)),
            false => write!(f, "{name} = [{}, {}]", value(self.soft), value(self.hard)),
        }
    }
}

/// Of what there is a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource(libc::__rlimit_resource_t);

impl Resource {
    const NAMES: [(&str, libc::__rlimit_resource_t); 16] = [
        ("as", libc::RLIMIT_AS),
        ("core", libc::RLIMIT_CORE),
        ("cpu", libc::RLIMIT_CPU),
        ("data", libc::RLIMIT_DATA),
        ("fsize", libc::RLIMIT_FSIZE),
        ("locks", libc::RLIMIT_LOCKS),
        ("memlock", libc::RLIMIT_MEMLOCK),
        ("msgqueue", libc::RLIMIT_MSGQUEUE),
        ("nice", libc::RLIMIT_NICE),
        ("nofile", libc::RLIMIT_NOFILE),
        ("nproc", libc::RLIMIT_NPROC),
        ("rss", libc::RLIMIT_RSS),
        ("rtprio", libc::RLIMIT_RTPRIO),
        ("rttime", libc::RLIMIT_RTTIME),
        ("sigpending", libc::RLIMIT_SIGPENDING),
        ("stack", libc::RLIMIT_STACK),
    ];

    /// By its name as prlimit(1) and container engines know it: `nofile`, `core`, …
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_prefix("rlimit_").unwrap_or(&name);
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, number)| Self(*number))
    }

    /// All names, for messages.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().map(|(name, _)| *name)
    }
}

/// A set of root's rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// In the order of the kernel's numbers (capabilities(7)).
    const NAMES: [&str; 41] = [
        "chown",
        "dac_override",
        "dac_read_search",
        "fowner",
        "fsetid",
        "kill",
        "setgid",
        "setuid",
        "setpcap",
        "linux_immutable",
        "net_bind_service",
        "net_broadcast",
        "net_admin",
        "net_raw",
        "ipc_lock",
        "ipc_owner",
        "sys_module",
        "sys_rawio",
        "sys_chroot",
        "sys_ptrace",
        "sys_pacct",
        "sys_admin",
        "sys_boot",
        "sys_nice",
        "sys_resource",
        "sys_time",
        "sys_tty_config",
        "mknod",
        "lease",
        "audit_write",
        "audit_control",
        "setfcap",
        "mac_override",
        "mac_admin",
        "syslog",
        "wake_alarm",
        "block_suspend",
        "audit_read",
        "perfmon",
        "bpf",
        "checkpoint_restore",
    ];

    /// The one of this name, with or without `CAP_`, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_prefix("cap_").unwrap_or(&name);
        let number = Self::NAMES.iter().position(|known| *known == name)?;
        Some(Self(1 << number))
    }

    /// All names, for messages.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter()
    }

    /// Both sets.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Is all of the other in it?
    pub fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn has(self, number: u32) -> bool {
        self.0 >> number & 1 == 1
    }
}

/// Steps of which there is more to be said: see [`Attributes::named_by`].
const LIMITS: i32 = 2;
const DIRECTORY: i32 = 9;

/// A step that failed, in words that follow "could not".
const STEPS: [&str; 11] = [
    "start it",
    "set its nice value",
    "set its limits",
    "set its oom score",
    "take away its capabilities",
    "set its groups",
    "set its group",
    "set its user",
    "give it its capabilities",
    "enter its directory",
    "forbid it new privileges",
];

/// The step of the error that [`Prepared::apply`] made.
pub(super) fn step_of(number: i32) -> Option<&'static str> {
    let step = usize::try_from(number >> 16 & 0xff).ok()?;
    STEPS.get(step).copied().filter(|_| step > 0)
}

impl Attributes {
    /// What the failed step of this error was about, as it was asked for.
    pub(super) fn named_by(&self, number: i32) -> Option<String> {
        match number >> 16 & 0xff {
            LIMITS => {
                let index = usize::try_from(number >> 24).ok()?;
                self.limits.get(index).map(Limit::to_string)
            }
            DIRECTORY => Some(self.directory.as_ref()?.display().to_string()),
            _ => None,
        }
    }
}

/// Laid out for the child: nothing in here is allocated or looked up after the fork.
#[derive(Debug)]
pub(super) struct Prepared {
    identity: Option<Identity>,
    directory: Option<CString>,
    umask: Option<u32>,
    nice: Option<i32>,
    limits: Vec<Limit>,
    oom_score: Option<CString>,
    capabilities: Option<Capabilities>,
    no_new_privileges: bool,
    /// We are somebody's ordinary process: nothing of root's can be given away.
    ordinary: bool,
}

impl Prepared {
    /// # Errors
    /// The name of the directory holds a zero byte.
    pub(super) fn new(attributes: &Attributes) -> io::Result<Self> {
        let directory = match &attributes.directory {
            Some(path) => Some(CString::new(path.as_os_str().as_bytes())?),
            None => None,
        };
        let oom_score = match attributes.oom_score_adj {
            Some(score) => Some(CString::new(score.to_string())?),
            None => None,
        };
        let ordinary = !nix::unistd::geteuid().is_root();
        let same = |identity: &Identity| {
            ordinary
                && identity.uid == nix::unistd::getuid().as_raw()
                && identity.gid == nix::unistd::getgid().as_raw()
        };
        Ok(Self {
            // Whoever is that user already may not set its groups, and need not.
            identity: attributes.identity.clone().filter(|who| !same(who)),
            directory,
            umask: attributes.umask,
            nice: attributes.nice,
            limits: attributes.limits.clone(),
            oom_score,
            capabilities: attributes.capabilities,
            no_new_privileges: attributes.no_new_privileges,
            ordinary,
        })
    }

    /// In the child, between fork and exec. The error holds the number of the step in [`STEPS`] above the lower 16 bits of
    /// the system's own number, and above that, in the uppermost 8 bits, which of the limits it was.
    pub(super) fn apply(&self) -> io::Result<()> {
        // SAFETY: each is a plain system call on integers or on memory that was laid out before the fork and outlives the
        // call; nothing allocates.
        unsafe {
            if let Some(nice) = self.nice {
                step(1, libc::setpriority(libc::PRIO_PROCESS, 0, nice).into())?;
            }
            for (index, limit) in (0..).zip(&self.limits) {
                let value = libc::rlimit {
                    rlim_cur: limit.soft,
                    rlim_max: limit.hard,
                };
                step(
                    LIMITS | index << 8,
                    libc::setrlimit(limit.resource.0, &raw const value).into(),
                )?;
            }
            if let Some(text) = &self.oom_score {
                self.set_oom_score(text)?;
            }
            if let Some(keep) = self.capabilities {
                self.narrow_bounding_set(keep)?;
            }
            if let Some(who) = &self.identity {
                become_user(who, self.capabilities.is_some_and(|keep| keep.0 != 0))?;
            }
            if let Some(keep) = self.capabilities {
                give(keep)?;
            }
            if let Some(umask) = self.umask {
                libc::umask(umask);
            }
            if let Some(directory) = &self.directory {
                step(DIRECTORY, libc::chdir(directory.as_ptr()).into())?;
            }
            if self.no_new_privileges {
                step(
                    10,
                    libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into(),
                )?;
            }
        }
        Ok(())
    }

    /// For ourselves, not for a child: takes on the identity, keeps all that may be handed on to children, and has
    /// `effective` of it in force.
    pub(super) fn apply_and_keep(&self, effective: Capabilities) -> io::Result<()> {
        // SAFETY: plain system calls on integers and on memory that outlives them.
        unsafe {
            if let Some(who) = &self.identity {
                become_user(who, true)?;
            }
            let permitted = permitted()?;
            let effective = Capabilities(effective.0 & permitted.0);
            set(effective, permitted, Capabilities::NONE)?;
            if self.no_new_privileges {
                step(
                    10,
                    libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into(),
                )?;
            }
        }
        Ok(())
    }

    /// # Safety
    /// As [`Prepared::apply`]: between fork and exec.
    unsafe fn set_oom_score(&self, text: &CString) -> io::Result<()> {
        // SAFETY: as in `apply`.
        unsafe {
            // Our memory is hidden, and with it this file from ourselves, if we are not root; for the time of one `open`
            // it is not.
            if self.ordinary {
                libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
            }
            let fd = libc::open(
                c"/proc/self/oom_score_adj".as_ptr(),
                libc::O_WRONLY | libc::O_CLOEXEC,
            );
            let opened = step(3, fd.into());
            if self.ordinary {
                libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
            }
            opened?;
            let length = text.as_bytes().len();
            let written = step(
                3,
                libc::write(fd, text.as_ptr().cast(), length) as libc::c_long,
            );
            libc::close(fd);
            written
        }
    }

    /// # Safety
    /// As [`Prepared::apply`].
    unsafe fn narrow_bounding_set(&self, keep: Capabilities) -> io::Result<()> {
        for number in (0..64).filter(|number| !keep.has(*number)) {
            // SAFETY: plain system calls on integers.
            let result = unsafe {
                match libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) {
                    1 => libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0),
                    // Not in it, or beyond the last that this kernel knows.
                    _ => 0,
                }
            };
            // Whoever may not narrow it has no such rights to hand on, and with no new privileges nobody gains them.
            if result != 0 && !self.no_new_privileges {
                return step(4, -1);
            }
        }
        Ok(())
    }
}

/// Takes on groups, group and user; with `keep`, root's rights stay permitted.
///
/// # Safety
/// As [`Prepared::apply`].
unsafe fn become_user(who: &Identity, keep: bool) -> io::Result<()> {
    // SAFETY: plain system calls on integers and on a list that outlives the call.
    unsafe {
        step(
            5,
            libc::setgroups(who.groups.len(), who.groups.as_ptr()).into(),
        )?;
        step(6, libc::setresgid(who.gid, who.gid, who.gid).into())?;
        if keep {
            step(7, libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0).into())?;
        }
        step(7, libc::setresuid(who.uid, who.uid, who.uid).into())
    }
}

/// `_LINUX_CAPABILITY_VERSION_3`: two words for each set.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// What we may have in force; nothing where that cannot be known.
pub(super) fn held() -> Capabilities {
    // SAFETY: one system call that fills an array of its own.
    unsafe { permitted() }.unwrap_or_default()
}

/// # Safety
/// As [`Prepared::apply`].
unsafe fn permitted() -> io::Result<Capabilities> {
    let header: [u32; 2] = [CAPABILITY_VERSION, 0];
    let mut sets = [0_u32; 6];
    // SAFETY: both arrays have the layout of the kernel's structures and outlive the call.
    unsafe {
        step(
            8,
            libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()),
        )?;
    }
    // Effective, permitted, inheritable; twice.
    let [_, low, _, _, high, _] = sets;
    Ok(Capabilities(u64::from(high) << 32 | u64::from(low)))
}

/// # Safety
/// As [`Prepared::apply`].
unsafe fn set(
    effective: Capabilities,
    permitted: Capabilities,
    inheritable: Capabilities,
) -> io::Result<()> {
    let header: [u32; 2] = [CAPABILITY_VERSION, 0];
    let (low, high) = (
        |set: Capabilities| set.0 as u32,
        |set: Capabilities| (set.0 >> 32) as u32,
    );
    let sets: [u32; 6] = [
        low(effective),
        low(permitted),
        low(inheritable),
        high(effective),
        high(permitted),
        high(inheritable),
    ];
    // SAFETY: as in `permitted`.
    unsafe {
        step(
            8,
            libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()),
        )
    }
}

/// Leaves exactly these: in force, permitted, handed on through exec.
///
/// # Safety
/// As [`Prepared::apply`].
unsafe fn give(keep: Capabilities) -> io::Result<()> {
    // SAFETY: plain system calls on integers.
    unsafe {
        set(keep, keep, keep)?;
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL,
            0,
            0,
            0,
        );
        for number in (0..64).filter(|number| keep.has(*number)) {
            step(
                8,
                libc::prctl(
                    libc::PR_CAP_AMBIENT,
                    libc::PR_CAP_AMBIENT_RAISE,
                    number,
                    0,
                    0,
                )
                .into(),
            )?;
        }
    }
    Ok(())
}

/// The number of the step rides above the system's own, through the pipe on which the standard library reports.
fn step(number: i32, result: libc::c_long) -> io::Result<()> {
    if result >= 0 {
        return Ok(());
    }
    let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    Err(io::Error::from_raw_os_error(number << 16 | errno & 0xffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_form() {
        assert_eq!(Capabilities::named("CAP_CHOWN"), Some(Capabilities(1)));
        assert_eq!(
            Capabilities::named("net_bind_service"),
            Some(Capabilities(1 << 10))
        );
        assert_eq!(
            Capabilities::named("checkpoint_restore"),
            Some(Capabilities(1 << 40))
        );
        assert_eq!(Capabilities::named("everything"), None);
        assert_eq!(
            Resource::named("RLIMIT_NOFILE"),
            Some(Resource(libc::RLIMIT_NOFILE))
        );
        assert_eq!(Resource::named("files"), None);
    }
}
