//! The services of a desktop: what each is, after whom it comes, and how it is started.
//!
//! ```text
//!  display ───────────┐             from the start; connects to each X server that comes, and gives it its size
//!  xserver ──▶ wm ──▶ app           each when the one before is ready; of the last two the display server says so
//!     ▲        │       │
//!     └────────┴───────┘            bound to it: they end with it and come back with it
//!  parts that were asked for        behind these, or before the application: see `parts`
//!  extra ones                       from files, behind these: when the X server is ready, unless they say otherwise
//! ```

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::environment::Environment;
use super::identity::Who;
use super::parts::{self, Parts};
use crate::config::{Config, LogFile, Secret, Services};
use crate::supervisor::driver::{Launch, Readiness};
use crate::supervisor::link::FRAME_BUFFER_VARIABLE;
use crate::supervisor::logs::{FileSpec, Sinks};
use crate::supervisor::rundir::RunDir;
use crate::supervisor::service::{
    After, GiveUp, Id, OnEnd, OnFatal, Patience, Proof, Restart, Spec,
};
use crate::sys::accounts::Accounts;
use crate::sys::process::{Attributes, Command};
use crate::sys::{foreground, glx, memfd};
use crate::xserver::command::{self, Screen};
use crate::xserver::display::Display;

pub(super) const XSERVER: Id = Id(0);
const DISPLAY: Id = Id(1);

/// An X server needs some 100 ms here; a slow disk and a busy node some seconds.
const XSERVER_START: Duration = Duration::from_secs(15);
/// The display worker needs some 10 ms once X answers; it waits through all attempts to start that.
const DISPLAY_START: Duration = Duration::from_secs(90);
/// After this the application comes without a window manager rather than not at all.
const WM_START: Duration = Duration::from_secs(3);

/// Where everything is.
pub(super) struct Place<'a> {
    pub(super) config: &'a Config,
    /// The settings in force, without secrets, for the display worker.
    pub(super) settings: &'a [(String, String)],
    pub(super) display: &'a Display,
    pub(super) dir: &'a RunDir,
    /// The password in force: given, or generated.
    pub(super) password: Option<&'a Secret>,
    pub(super) environment: &'a Environment,
    /// As whom everything is started.
    pub(super) who: &'a Who,
    pub(super) accounts: &'a Accounts,
    /// What the files say about services.
    pub(super) services: &'a Services,
    /// What there is besides.
    pub(super) parts: &'a Parts,
    /// Where the built-in parts have a log file each, if anywhere.
    pub(super) log_dir: Option<&'a Path>,
}

/// The services, and what is to be said of those that are left out.
type All = (Vec<(Spec, Launch)>, Vec<String>);

/// All services, in the order in which they are started.
///
/// # Errors
/// No descriptor is left for a secret.
pub(super) fn all(place: &Place<'_>) -> io::Result<All> {
    let (pixels, for_display) = frame_buffer(place.config).unzip();
    let mut services = vec![xserver(place, pixels), display(place, for_display)?];
    let change = place.services.changes.get("wm");
    let managed = !change.is_some_and(|change| change.disabled);
    if managed {
        services.push(window_manager(place));
    }
    services.extend(parts::before_application(place));
    if let Some((program, args)) = place
        .config
        .application
        .as_deref()
        .and_then(<[String]>::split_first)
    {
        // Whatever came to stand before it: a window manager, a sound server, or neither.
        let others = (DISPLAY.0 + 1..services.len()).map(|index| After::Ready(Id(index)));
        services.push(application(place, program, args, others.collect()));
    }
    services.extend(parts::others(place)?);
    let doubles = super::extra::add(place, &mut services);
    Ok((services, doubles))
}

/// Where the X server keeps its pixels: for it, and for the display worker. A file in memory: nothing of it is on a disk,
/// counts against a small /dev/shm, or outlives us. It only saves memory, so where a hardened system does not allow such
/// a file there is none, and the X server keeps its pixels to itself.
fn frame_buffer(config: &Config) -> Option<(OwnedFd, OwnedFd)> {
    if !command::keeps_frame_buffer(&config.xserver, &config.xserver_args) {
        return None;
    }
    let pixels = memfd::blank("frame-buffer").ok()?;
    // As the X server will open it, for which a failure is the end.
    let mut open = File::options();
    open.read(true).write(true).open(inherited(&pixels)).ok()?;
    let for_display = pixels.try_clone().ok()?;
    Some((pixels, for_display))
}

/// The driver that tells the X server about OpenGL in place of Mesa's renderer (see `sys::glx`), and the variable by which it
/// is found; unless somebody has said which driver. It only saves memory and time, too.
fn glx_driver(place: &Place<'_>) -> Option<(OwnedFd, (OsString, OsString))> {
    let config = place.config;
    let tells =
        command::only_tells_of_opengl(&config.xserver, config.xserver_glx, &config.xserver_args);
    let path = command::drivers(place.dir.path()).filter(|_| tells)?;
    let mut environment = place.environment.plain().into_iter();
    if environment.any(|(name, _)| name == command::DRIVERS) {
        return None;
    }
    let driver = memfd::sealed("glx-driver", glx::DRIVER).ok()?;
    Some((driver, (command::DRIVERS.into(), path)))
}

fn xserver(place: &Place<'_>, frame_buffer: Option<OwnedFd>) -> (Spec, Launch) {
    let config = place.config;
    let screen = Screen {
        display: place.display.number(),
        size: config.max_size,
        depth: config.depth,
        glx: config.xserver_glx,
    };
    let directory = frame_buffer.as_ref().map(|_| place.dir.path());
    let (driver, drivers) = glx_driver(place).unzip();
    let mut env = place.environment.plain();
    env.extend(drivers);
    // Xvfb opens the links; that of the frame buffer it removes when it ends.
    let link = |place: PathBuf, fd: &OwnedFd| (place, inherited(fd));
    let pixels = frame_buffer
        .as_ref()
        .map(|fd| link(place.dir.frame_buffer(), fd));
    let links = pixels
        .into_iter()
        .chain(driver.as_ref().map(|fd| link(place.dir.glx_driver(), fd)))
        .collect();
    let spec = Spec {
        on_end: OnEnd::End,
        on_fatal: OnFatal::End,
        proof: Proof::Told,
        patience: Patience::Kill(XSERVER_START),
        // With the pauses between them these are a minute and a half.
        give_up: GiveUp {
            never_ready: Some(4),
            ready_before: Some(10),
        },
        ..Spec::new("xserver", "the X server")
    };
    let command = Command {
        program: OsString::from(&config.xserver),
        args: command::arguments(
            screen,
            &place.dir.xauthority(),
            directory,
            &config.xserver_args,
        ),
        env,
        attributes: Attributes::default(),
        terminal: false,
    };
    (
        spec,
        Launch {
            command,
            inherit: frame_buffer.into_iter().chain(driver).collect(),
            links,
            sinks: sinks(place, "xserver.log"),
            readiness: Readiness::Displayfd,
            before_start: None,
            after_stop: None,
        },
    )
}

fn display(place: &Place<'_>, frame_buffer: Option<OwnedFd>) -> io::Result<(Spec, Launch)> {
    let spec = Spec {
        // It starts beside the X server and connects when its socket appears; later, too, it tells viewers about one
        // that is gone.
        after: Vec::new(),
        on_end: OnEnd::End,
        on_fatal: OnFatal::End,
        proof: Proof::Told,
        patience: Patience::Kill(DISPLAY_START),
        closes_windows: true,
        // Once it has worked, the application is worth more than the picture of it.
        give_up: GiveUp {
            never_ready: Some(5),
            ready_before: None,
        },
        ..Spec::new("display", "the display server")
    };
    let mut env = place.environment.for_display_server(place.settings);
    let mut set = |name: &str, value: OsString| env.push((OsString::from(name), value));
    set("DISPLAY", place.display.name().into());
    set("XAUTHORITY", place.dir.xauthority().into());
    set("RUN_DIR", place.dir.path().into());
    set("NOTIFY_SOCKET", place.dir.notify().into());
    let mut inherit: Vec<OwnedFd> = Vec::new();
    let secrets = [
        ("VNC_PASSWORD_FILE", place.password),
        (
            "VNC_VIEW_ONLY_PASSWORD_FILE",
            place.config.view_only_password.as_ref(),
        ),
    ];
    for (name, secret) in secrets {
        if let Some(secret) = secret {
            let fd = memfd::sealed("secret", secret.expose().as_bytes())?;
            set(name, inherited(&fd).into());
            inherit.push(fd);
        }
    }
    if let Some(fd) = frame_buffer {
        set(FRAME_BUFFER_VARIABLE, inherited(&fd).into());
        inherit.push(fd);
    }
    let command = Command {
        program: own_program().into(),
        args: vec!["serve".into()],
        env,
        attributes: Attributes::default(),
        terminal: false,
    };
    Ok((
        spec,
        Launch {
            command,
            inherit,
            links: Vec::new(),
            sinks: sinks(place, "websockify.log"),
            readiness: Readiness::Notify,
            before_start: None,
            after_stop: None,
        },
    ))
}

fn window_manager(place: &Place<'_>) -> (Spec, Launch) {
    let spec = Spec {
        after: vec![After::Ready(XSERVER)],
        bound_to: Some(XSERVER),
        proof: Proof::Told,
        patience: Patience::GoOn(WM_START),
        ..Spec::new("wm", "the window manager")
    };
    let (program, args) = match place.config.window_manager.split_first() {
        Some((program, args)) => (program.as_str(), args),
        None => ("openbox", [].as_slice()),
    };
    let launch = Launch {
        command: client(place, program, args),
        inherit: Vec::new(),
        links: Vec::new(),
        sinks: sinks(place, "openbox.log"),
        readiness: Readiness::WindowManager,
        before_start: None,
        after_stop: None,
    };
    (spec, launch)
}

/// It comes after the display server, which has given the screen its size by then, and after these `others`.
fn application(
    place: &Place<'_>,
    program: &str,
    args: &[String],
    others: Vec<After>,
) -> (Spec, Launch) {
    let config = place.config;
    let mut after = vec![After::Ready(XSERVER), After::Once(DISPLAY)];
    after.extend(others);
    let spec = Spec {
        after,
        // One that shows nothing does not die of the X server.
        bound_to: (!config.app_headless).then_some(XSERVER),
        restart: if config.keep_app_running {
            Restart::Always
        } else {
            Restart::Never
        },
        on_end: OnEnd::End,
        on_fatal: OnFatal::End,
        application: true,
        hears_what_came: true,
        autostart: !config.start_on_connect,
        proof: match config.app_headless {
            true => Proof::Runs,
            false => Proof::Told,
        },
        give_up: GiveUp {
            never_ready: (!config.keep_app_running).then_some(5),
            ready_before: None,
        },
        ..Spec::new("app", "the application")
    };
    let readiness = if config.app_headless {
        Readiness::Silent
    } else {
        Readiness::Windows
    };
    let mut command = client(place, program, args);
    command.attributes.nice = config.app_nice;
    // Who shows no window may want to talk.
    command.terminal = config.app_headless && foreground::is_ours();
    (
        spec,
        Launch {
            command,
            inherit: Vec::new(),
            links: Vec::new(),
            sinks: Sinks::STDOUT,
            readiness,
            before_start: None,
            after_stop: None,
        },
    )
}

/// To the log of the container, and to a file of the name that other images have for it.
fn sinks(place: &Place<'_>, file: &str) -> Sinks {
    Sinks {
        copy: place.log_dir.map(|directory| FileSpec {
            path: directory.join(file),
            max_bytes: LogFile::MAX_BYTES,
            backups: LogFile::BACKUPS,
        }),
        ..Sinks::STDOUT
    }
}

/// The name under which a child opens a descriptor that it has inherited.
pub(super) fn inherited(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// A program that finds the display by its environment.
pub(super) fn client(place: &Place<'_>, program: &str, args: &[String]) -> Command {
    let mut env = place.environment.plain();
    env.push(("DISPLAY".into(), place.display.name().into()));
    env.push(("XAUTHORITY".into(), place.dir.xauthority().into()));
    if let Some(server) = place.parts.pulse_server(place.config, place.dir.path()) {
        env.retain(|(name, _)| name != "PULSE_SERVER");
        env.push(("PULSE_SERVER".into(), server.into()));
    }
    Command {
        program: program.into(),
        args: args.iter().map(OsString::from).collect(),
        env,
        attributes: Attributes::default(),
        terminal: false,
    }
}

/// This very program. By its path, so that it goes by its name in lists of processes, unless another file has taken
/// that path since.
pub(super) fn own_program() -> PathBuf {
    use std::os::unix::fs::MetadataExt;
    let itself = PathBuf::from("/proc/self/exe");
    let identity = |path: &PathBuf| std::fs::metadata(path).map(|is| (is.dev(), is.ino())).ok();
    match std::env::current_exe() {
        Ok(path) if identity(&path).is_some() && identity(&path) == identity(&itself) => path,
        _ => itself,
    }
}
