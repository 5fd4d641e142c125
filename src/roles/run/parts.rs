//! Parts of a desktop that are there when they are asked for.
//!
//! ```text
//!  xserver ──▶ gate           X11LISTEN=tcp: bound to the X server, of which it has learned where extensions begin
//!  sshd                       SSH_PORT, or keys are mounted: a way in from outside, whatever else is there
//!  pulseaudio ──▶ app         PULSEAUDIO, or its cookie is given: programs find it by PULSE_SERVER
//! ```

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::extra::readiness;
use super::identity::Who;
use super::services::{Place, XSERVER, inherited, own_program};
use crate::config::{Config, Ready, Secret, Sound, SshPort};
use crate::roles::{program, sshd};
use crate::supervisor::driver::{Launch, Readiness};
use crate::supervisor::link::PULSE_DIRECTORY;
use crate::supervisor::logs::Sinks;
use crate::supervisor::service::{After, Patience, Proof, Spec};
use crate::sys::accounts::Accounts;
use crate::sys::memfd;
use crate::sys::process::{Attributes, Command};

/// None of them needs more than a moment.
const START: Duration = Duration::from_secs(15);
/// After this the application comes without sound rather than not at all.
const SOUND_START: Duration = Duration::from_secs(3);
/// Where sshd listens when nobody says.
const SSH: u16 = 22;
/// Where a client's own sound server is when it comes through a tunnel.
const TUNNELED_SOUND: &str = "tcp:localhost:34567";
/// The port of PulseAudio's protocol.
const PULSE: u16 = 4713;
/// So many times the cookie's digits make the 256 bytes that PulseAudio wants.
const REPEATED: usize = 8;

/// What was asked for besides the gate, and can be had.
#[derive(Debug, Default)]
pub(super) struct Parts {
    ssh: Option<u16>,
    pulseaudio: Option<PathBuf>,
    cookie: Option<PathBuf>,
}

impl Parts {
    /// Looks what there is, as the user that everything runs as; what cannot be had is told in `warnings`.
    pub(super) fn look(config: &Config, who: &Who, warnings: &mut Vec<String>) -> Self {
        let pulseaudio = program::find("pulseaudio");
        let cookie = config.pulse_cookie.as_ref().and_then(|cookie| {
            let written = write_cookie(who.home(), cookie);
            written
                .map_err(|error| {
                    warnings.push(format!("PULSEAUDIO_COOKIE: cannot be written: {error}"));
                })
                .ok()
        });
        Self {
            ssh: ssh_port(config, who, warnings),
            pulseaudio: match config.sound {
                Sound::On => pulseaudio.or_else(|| Some("pulseaudio".into())),
                Sound::WithCookie => {
                    pulseaudio.filter(|_| cookie.is_some() && config.pulse_server.is_none())
                }
                Sound::Off => None,
            },
            cookie,
        }
    }

    /// The sound server of programs.
    pub(super) fn pulse_server(&self, config: &Config, run_dir: &Path) -> Option<String> {
        let own = || {
            let socket = pulse_socket(run_dir);
            let own = self.pulseaudio.as_ref();
            own.map(|_| format!("unix:{}", socket.display()))
        };
        let tunneled = || self.ssh.map(|_| TUNNELED_SOUND.to_owned());
        config.pulse_server.clone().or_else(own).or_else(tunneled)
    }
}

fn ssh_port(config: &Config, who: &Who, warnings: &mut Vec<String>) -> Option<u16> {
    let port = match config.ssh_port {
        SshPort::On(port) => port,
        SshPort::WithKeys => {
            let mounted = who.home().join(sshd::MOUNTED_KEYS).exists();
            program::daemon("sshd").filter(|_| mounted).map(|_| SSH)?
        }
        SshPort::Off => return None,
    };
    let reason = if who.uid == 0 {
        "everything runs as root, and root is not let in: name a user (USER or USER_ID)"
    } else if Accounts::read().of_uid(who.uid).is_none() {
        "the user has no account in /etc/passwd, which sshd needs: add one to the image"
    } else {
        return Some(port);
    };
    warnings.push(format!("SSH_PORT: sshd is not started: {reason}"));
    None
}

/// In one step: whoever reads it finds the old one or the new one, and nothing that stands in its place is followed.
fn write_cookie(home: &Path, cookie: &Secret) -> io::Result<PathBuf> {
    let directory = home.join(".config/pulse");
    let mut make = DirBuilder::new();
    make.mode(0o700).recursive(true).create(&directory)?;
    let (new, path) = (directory.join(".cookie-deskinit"), directory.join("cookie"));
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(cookie.expose().repeat(REPEATED).as_bytes())?;
    fs::rename(&new, &path)?;
    Ok(path)
}

fn pulse_socket(run_dir: &Path) -> PathBuf {
    run_dir.join(PULSE_DIRECTORY).join("native")
}

/// What the application finds when it starts: many a program looks for a sound server then, and never again.
pub(super) fn before_application(place: &Place<'_>) -> Option<(Spec, Launch)> {
    let program = place.parts.pulseaudio.as_ref()?;
    Some(sound_server(place, program))
}

/// The others.
///
/// # Errors
/// No descriptor is left for a secret.
pub(super) fn others(place: &Place<'_>) -> io::Result<Vec<(Spec, Launch)>> {
    let mut services = Vec::new();
    if place.config.x11_tcp {
        services.push(gate(place)?);
    }
    if let Some(port) = place.parts.ssh {
        services.push(ssh_server(place, port));
    }
    Ok(services)
}

fn spec(name: &str, title: &str) -> Spec {
    Spec {
        proof: Proof::Told,
        patience: Patience::Kill(START),
        ..Spec::new(name, title)
    }
}

fn gate(place: &Place<'_>) -> io::Result<(Spec, Launch)> {
    let spec = Spec {
        after: vec![After::Ready(XSERVER)],
        bound_to: Some(XSERVER),
        ..spec("gate", "the gate for X11 over TCP")
    };
    let mut command = worker(place, "gate");
    let env = &mut command.env;
    env.push(("DISPLAY".into(), place.display.name().into()));
    env.push(("XAUTHORITY".into(), place.dir.xauthority().into()));
    env.push(("NOTIFY_SOCKET".into(), place.dir.notify().into()));
    let mut inherit = Vec::new();
    if let Some(key) = &place.config.xauth_key {
        let fd = memfd::sealed("secret", key.hex().as_bytes())?;
        env.push(("XAUTH_KEY_FILE".into(), inherited(&fd).into()));
        inherit.push(fd);
    }
    let launch = Launch {
        command,
        inherit,
        links: Vec::new(),
        sinks: Sinks::STDOUT,
        readiness: Readiness::Says,
        before_start: None,
        after_stop: None,
    };
    Ok((spec, launch))
}

fn ssh_server(place: &Place<'_>, port: u16) -> (Spec, Launch) {
    let mut command = worker(place, "sshd");
    let env = &mut command.env;
    env.push(("RUN_DIR".into(), place.dir.path().into()));
    env.push(("SSH_PORT".into(), port.to_string().into()));
    let launch = Launch {
        command,
        inherit: Vec::new(),
        links: Vec::new(),
        sinks: Sinks::STDOUT,
        // What it says itself: a question by TCP would stand in its log as somebody's.
        readiness: Readiness::Line("Server listening on ".into()),
        before_start: None,
        after_stop: None,
    };
    (spec("sshd", "the SSH server"), launch)
}

/// Without any of its usual configuration, which looks for sound cards and a session: a sink of which somebody may listen
/// to what is played, and the sockets that programs come by.
fn sound_server(place: &Place<'_>, program: &Path) -> (Spec, Launch) {
    let cookie = place.parts.cookie.as_ref();
    let shown = cookie.map(|path| format!("auth-cookie=\"{}\"", path.display()));
    // Programs of our own user need to show none at the socket.
    let asked = shown.as_deref().unwrap_or("auth-cookie-enabled=0");
    let mut modules = vec![
        "module-null-sink sink_name=desktop sink_properties=device.description=Desktop".to_owned(),
        format!("module-native-protocol-unix {asked}"),
    ];
    if shown.is_some() {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let addresses = if place.config.x11_tcp {
            &place.config.bind
        } else {
            &loopback[..]
        };
        let tcp = addresses.iter().map(|address| {
            format!("module-native-protocol-tcp listen={address} port={PULSE} {asked}")
        });
        modules.extend(tcp);
    }
    let mut args: Vec<String> = [
        "--daemonize=no",
        "--use-pid-file=no",
        "--exit-idle-time=-1",
        "--disallow-exit",
        "--high-priority=no",
        "--realtime=no",
        "--log-target=stderr",
        "-n",
    ]
    .map(str::to_owned)
    .to_vec();
    args.extend(
        modules
            .into_iter()
            .flat_map(|module| ["-L".to_owned(), module]),
    );
    let mut env = place.environment.plain();
    env.retain(|(name, _)| name != "PULSE_SERVER");
    let directory = place.dir.path().join(PULSE_DIRECTORY);
    for name in ["PULSE_RUNTIME_PATH", "PULSE_STATE_PATH"] {
        env.push((name.into(), directory.clone().into()));
    }
    let command = Command {
        program: program.into(),
        args: args.into_iter().map(Into::into).collect(),
        env,
        attributes: Attributes::default(),
        terminal: false,
    };
    let launch = Launch {
        command,
        inherit: Vec::new(),
        links: Vec::new(),
        sinks: Sinks::STDOUT,
        readiness: readiness(&Ready::Unix(pulse_socket(place.dir.path()))),
        before_start: None,
        after_stop: None,
    };
    let spec = Spec {
        patience: Patience::GoOn(SOUND_START),
        ..spec("pulseaudio", "the sound server")
    };
    (spec, launch)
}

/// A role of this program, with the settings in force.
fn worker(place: &Place<'_>, role: &str) -> Command {
    Command {
        program: own_program().into(),
        args: vec![role.into()],
        env: place.environment.for_display_server(place.settings),
        attributes: Attributes::default(),
        terminal: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_cookie_is_written_eight_times_for_its_owner_only() {
        let home = std::env::temp_dir().join(format!("deskinit-pulse-{}", std::process::id()));
        let _ = fs::remove_dir_all(&home);
        let digits = "0123456789abcdefABCDEF0123456789";
        let cookie = Secret::new(digits).unwrap();
        fs::create_dir_all(home.join(".config/pulse")).unwrap();
        let target = home.join("precious");
        fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, home.join(".config/pulse/cookie")).unwrap();
        for _ in 0..2 {
            let path = write_cookie(&home, &cookie).unwrap();
            let is = fs::symlink_metadata(&path).unwrap();
            assert!(is.is_file() && is.mode() & 0o777 == 0o600 && is.len() == 256);
            assert_eq!(fs::read_to_string(&path).unwrap(), digits.repeat(8));
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        fs::remove_dir_all(&home).unwrap();
    }
}
