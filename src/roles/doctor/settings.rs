//! What the operator asked for: programs that are there, passwords that are worth the name.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Report;
use crate::config::{Config, Origin, Raw, Secret, Services, SshPort};
use crate::roles::program::{daemon, find};

/// What launchers, manuals and images use as an example, and strangers try first.
const WELL_KNOWN: [&str; 22] = [
    "vncpassword",
    "vncpasswd",
    "vncpass",
    "vnc",
    "password",
    "passwd",
    "pass",
    "secret",
    "changeme",
    "changeit",
    "default",
    "headless",
    "desktop",
    "kasm",
    "admin",
    "root",
    "user",
    "guest",
    "test",
    "ubuntu",
    "debian",
    "docker",
];
/// RFB's own authentication uses 8 characters; fewer than this are tried out in no time.
const SHORTEST: usize = 6;
/// Bytes of a cookie.
const SHORTEST_COOKIE: usize = 8;

pub(super) fn check(report: &mut Report, config: &Config, raw: &Raw, services: &Services) {
    report.check("programs", |report| programs(report, config, services));
    report.check("passwords", |report| passwords(report, config, raw));
    report.check("cookies", |report| cookies(report, config));
    report.check("access", |report| access(report, config));
    report.check("XSERVER_ARGS", |report| {
        openings(report, &config.xserver_args)
    });
}

fn programs(report: &mut Report, config: &Config, services: &Services) {
    let application = config.application.as_ref().and_then(|words| words.first());
    let disabled = |name: &str| services.changes.get(name).is_some_and(|one| one.disabled);
    let window_manager = config.window_manager.first().filter(|_| !disabled("wm"));
    let wanted = [
        ("XSERVER", Some(config.xserver.as_str())),
        ("WINDOW_MANAGER", window_manager.map(String::as_str)),
        ("APPLICATION", application.map(String::as_str)),
    ];
    for (setting, program) in wanted {
        let Some(program) = program else { continue };
        if find(program).is_none() {
            report.finding(
                setting,
                format!("there is no program {program} that can be run"),
                "install it in the image, or name another (a path, or a name that is in PATH)",
            );
        }
    }
    if matches!(config.ssh_port, SshPort::On(_)) && daemon("sshd").is_none() {
        report.finding(
            "SSH_PORT",
            "there is no program sshd that can be run",
            "install it in the image (Debian: openssh-server), or unset SSH_PORT",
        );
    }
    let virtual_server = Path::new(&config.xserver)
        .file_name()
        .is_some_and(|name| name == "Xvfb" || name == "Xvnc");
    if virtual_server && find("xkbcomp").is_none() {
        report.finding(
            "xkbcomp",
            "is not installed: without it the X server has no keyboard and does not start",
            "install Debian's x11-xkb-utils and xkb-data, or what the distribution calls them",
        );
    }
    let fonts = ["/usr/share/fonts", "/usr/local/share/fonts"];
    let some = |path: &str| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if !fonts.into_iter().any(some) {
        report.note(
            "fonts",
            "none are installed: text is drawn as empty boxes",
            "install some, for example Debian's fonts-dejavu-core",
        );
    }
}

fn passwords(report: &mut Report, config: &Config, raw: &Raw) {
    let all = [
        ("VNC_PASSWORD", &config.password),
        ("VNC_VIEW_ONLY_PASSWORD", &config.view_only_password),
    ];
    for (name, secret) in all {
        let Some(secret) = secret else { continue };
        if let Some(why) = weakness(secret) {
            report.finding(
                name,
                why,
                "leave it out (then a random one is made and shown once on the log), or give a random one of its own to every launch",
            );
        }
        match raw.origin(name) {
            Some((Origin::Env(variable), None)) => report.note(
                name,
                format!("stands in the environment ({variable}), where inspecting the container shows it"),
                format!("mount it as a file and set {name}_FILE"),
            ),
            Some((_, Some(file))) if readable_by_all(file) => report.note(
                name,
                format!("its file {} can be read by every user of the container", file.display()),
                "take the permissions of others away (in Kubernetes: defaultMode 0400 of the secret)",
            ),
            _ => {}
        }
    }
}

/// A cookie is not typed by anybody: a short one has no excuse.
fn cookies(report: &mut Report, config: &Config) {
    let key = config.xauth_key.as_ref().map(|key| key.expose().len());
    if let Some(length) = key.filter(|length| *length < SHORTEST_COOKIE) {
        report.finding(
            "XAUTH_KEY",
            format!("has {length} bytes: so few can be tried out"),
            "take 15 or 16 random bytes, as mcookie(1) makes them",
        );
    }
}

/// Ways past the cookie and the gate that the X server is told to open.
fn openings(report: &mut Report, args: &[String]) {
    const ABOUT: &str = "XSERVER_ARGS";
    if args.iter().any(|arg| arg == "-ac") {
        report.finding(
            ABOUT,
            "-ac lets everybody in who reaches the X server: every program reads keys and pictures",
            "take it out; programs find the cookie by XAUTHORITY",
        );
    }
    for pair in args.windows(2).filter(|pair| pair[0] == "-listen") {
        match pair[1].as_str() {
            "tcp" | "inet" | "inet6" => report.finding(
                ABOUT,
                format!("-listen {}: the X server itself is open to the network, whoever comes", pair[1]),
                "take it out; X11LISTEN=tcp lets programs in through the gate, which asks for the cookie and for X11_ALLOW",
            ),
            "local" => report.finding(
                ABOUT,
                "-listen local: every container of the pod reaches the X server by its abstract socket",
                "take it out; containers of the pod share /tmp/.X11-unix",
            ),
            _ => {}
        }
    }
}

/// What is wrong with a password, without saying it.
fn weakness(secret: &Secret) -> Option<String> {
    let text = secret.expose().to_ascii_lowercase();
    let stem = text.trim_end_matches(|c: char| c.is_ascii_digit() || c == '!');
    if WELL_KNOWN.contains(&stem) || stem.is_empty() {
        return Some("is one of the passwords that everybody tries first".to_owned());
    }
    (text.len() < SHORTEST).then(|| format!("has fewer than {SHORTEST} characters"))
}

fn readable_by_all(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|is| is.permissions().mode() & 0o004 != 0)
}

fn access(report: &mut Report, config: &Config) {
    let listens = config.vnc_port.is_some() || config.web_port.is_some();
    let reachable = !config.bind.iter().all(IpAddr::is_loopback);
    if config.allow_no_auth && listens && reachable {
        report.finding(
            "ALLOW_NO_AUTH",
            "whoever reaches the ports sees and controls the desktop",
            "unset it, or let the ports listen on loopback only (SECURE_CONNECTION=1) behind something that asks who comes",
        );
    }
    if config.x11_tcp && reachable && config.x11_allow.is_empty() {
        report.note(
            "X11LISTEN",
            "programs of any address may try cookies, and X11 is not encrypted",
            "name the networks of the programs in X11_ALLOW, or let a network policy admit those pods only",
        );
    }
    if config.allowed_origins.iter().any(|origin| origin == "*") {
        report.finding(
            "ALLOWED_ORIGINS",
            "is *: any page that a user opens may connect to the desktop from the user's browser",
            "list the pages that embed the desktop, as https://portal.example",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_past_the_gate_are_found() {
        let found = |args: &str| {
            let mut report = Report::default();
            let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
            openings(&mut report, &args);
            report.findings().count()
        };
        assert_eq!(found("-listen tcp -ac"), 2);
        assert_eq!(found("-dpi 96 -listen local"), 1);
        assert_eq!(found("-nolisten tcp -listen unix -acb"), 0);
    }

    #[test]
    fn well_known_and_short_passwords_are_weak_and_never_said() {
        for word in ["vncpassword", "Password1", "123456", "changeme!", "abc"] {
            let why = weakness(&Secret::new(word.to_owned()).unwrap()).unwrap();
            assert!(!why.contains(word), "{why}");
        }
        for word in ["rootless-desk", "q7Gz2kLw"] {
            assert_eq!(
                weakness(&Secret::new(word.to_owned()).unwrap()),
                None,
                "{word}"
            );
        }
    }
}
