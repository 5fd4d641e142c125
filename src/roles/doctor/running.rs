//! What only a living desktop shows: its services, who listens where, and who gets past the X server without a cookie.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::Report;
use crate::config::Config;
use crate::desktop::hosts;
use crate::roles::ask::ask;
use crate::roles::find::{self, NotFound};
use crate::supervisor::link::{self, CONTROL_SOCKET, ServiceState, Status, XAUTHORITY};
use crate::sys::{procfs, sockets};

/// For each of the questions that somebody else must answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// A service that was started again this often is worth a look.
const MANY_RESTARTS: u32 = 3;
/// Shells that do not pass signals on.
const SHELLS: [&str; 5] = ["sh", "bash", "dash", "ash", "busybox"];

/// Is there a run?
pub(super) fn check(report: &mut Report, config: &Config) -> bool {
    let dir = match find::run_dir(config.run_dir.clone()) {
        Ok(dir) => dir,
        Err(NotFound::None) => return false,
        Err(NotFound::Several(_)) => return true,
    };
    // A directory that waits for its first run is not one that was left.
    if !dir.join(CONTROL_SOCKET).exists() {
        return false;
    }
    let status = match link::status(&dir, PATIENCE) {
        Ok(status) => status,
        Err(error) => {
            report.finding(
                "run",
                format!("nobody answers in {}: {error}", dir.display()),
                "a run that was killed leaves its directory behind: start it again",
            );
            return false;
        }
    };
    report.check("services", |report| services(report, &status));
    report.check("readiness", |report| readiness(report, &dir));
    report.check("process 1", |report| first_process(report, &status));
    report.check("listeners", |report| listeners(report, config, &status));
    report.check("X access", |report| x_access(report, &status, &dir));
    true
}

fn services(report: &mut Report, status: &Status) {
    for service in &status.services {
        let exit = match (&service.refusal, service.end()) {
            (Some(_), Some(end)) => format!("; the last time it {end}"),
            (None, Some(exit)) => format!("; the last time it ended with {exit}"),
            (_, None) => String::new(),
        };
        if let (ServiceState::Fatal, Some(refusal)) = (service.state, &service.refusal) {
            report.finding(
                "services",
                format!(
                    "{} was given up: it could not be started: {}",
                    service.name, refusal.reason
                ),
                "install it in the image, or correct its command; `deskinit start` tries again",
            );
        } else if service.state == ServiceState::Fatal {
            report.finding(
                "services",
                format!("{} was given up{exit}", service.name),
                format!("its last words are in the log under [{}]", service.name),
            );
        } else if service.restarts >= MANY_RESTARTS {
            report.note(
                "services",
                format!(
                    "{} was started again {} times{exit}",
                    service.name, service.restarts
                ),
                format!("its last words are in the log under [{}]", service.name),
            );
        }
    }
    if status.dropped_lines > 0 {
        report.note(
            "log",
            format!(
                "{} lines were dropped: nobody read standard output",
                status.dropped_lines
            ),
            "let the container's log be read, or make the application say less",
        );
    }
}

fn readiness(report: &mut Report, dir: &Path) {
    let told = match ask(dir, "/readyz", PATIENCE) {
        Ok((200, _)) => return,
        Ok((code, _)) => format!("is not ready (status {code})"),
        Err(error) => format!("the display server does not answer: {error}"),
    };
    report.finding(
        "readiness",
        told,
        "`deskinit health` and `deskinit status` say what is missing",
    );
}

/// A shell as process 1 does not pass SIGTERM on: the container is killed after its grace period, with unsaved work.
fn first_process(report: &mut Report, status: &Status) {
    let name = fs::read_to_string("/proc/1/comm").unwrap_or_default();
    if status.pid != 1 && SHELLS.contains(&name.trim()) {
        report.finding(
            "process 1",
            format!("is {}, not deskinit: it does not pass signals on", name.trim()),
            "write ENTRYPOINT and CMD as lists (the exec form), or `exec deskinit run …` in the script",
        );
    }
}

/// Which of our services holds a socket: its main process, or what descends from it. What no service has to end is
/// called by its own name.
fn owners(status: &Status) -> BTreeMap<u64, String> {
    let mut owners = BTreeMap::new();
    for process in procfs::descendants(status.pid) {
        for inode in sockets::held_by(process.pid) {
            let comm = fs::read_to_string(format!("/proc/{}/comm", process.pid));
            let name = format!("{} (pid {})", comm.unwrap_or_default().trim(), process.pid);
            owners.insert(inode, name);
        }
    }
    for service in &status.services {
        let Some(pid) = service.pid else { continue };
        let family = procfs::descendants(pid);
        let members = family.iter().map(|process| process.pid).chain([pid]);
        for inode in members.flat_map(sockets::held_by) {
            owners.insert(inode, service.name.clone());
        }
    }
    for inode in sockets::held_by(status.pid) {
        owners.insert(inode, "run".to_owned());
    }
    owners
}

fn listeners(report: &mut Report, config: &Config, status: &Status) {
    let owners = owners(status);
    for socket in sockets::listening() {
        let address = socket.address;
        match owners.get(&socket.inode).map(String::as_str) {
            Some("display") => meant(report, config, "the display server", address),
            // It lets nobody in without a key, and is there to be reached.
            Some("sshd") => {}
            Some("gate") => meant(report, config, "the gate for X11 over TCP", address),
            Some(name @ ("xserver" | "run")) => report.finding(
                "listeners",
                format!("{name} listens on {address}"),
                "nothing but the display server and the gate has business with the network; look into XSERVER_ARGS",
            ),
            Some(name) if !address.ip().is_loopback() => report.note(
                "listeners",
                format!("{name} listens on {address}, which may be reached from outside"),
                "let it listen on 127.0.0.1 if that is not meant",
            ),
            _ => {}
        }
    }
    let socket = format!("/tmp/.X11-unix/X{}", status.display.trim_start_matches(':'));
    if sockets::is_abstract(&socket) {
        report.finding(
            "listeners",
            format!("the X server listens on the abstract socket @{socket}, which every container of the pod reaches"),
            "take `-listen local` out of XSERVER_ARGS",
        );
    }
}

fn meant(report: &mut Report, config: &Config, title: &str, address: SocketAddr) {
    let ip = address.ip();
    let meant = config
        .bind
        .iter()
        .any(|bind| *bind == ip || (bind.is_unspecified() && ip.is_unspecified()));
    if meant {
        return;
    }
    let places: Vec<String> = config.bind.iter().map(ToString::to_string).collect();
    let policy = if config.secure_connection {
        "SECURE_CONNECTION=1".to_owned()
    } else {
        format!("BIND_ADDRESS={}", places.join(","))
    };
    report.finding(
        "listeners",
        format!("{title} listens on {address}, against {policy}"),
        "it was started with other settings than these: start it again, or ask with the same environment",
    );
}

fn x_access(report: &mut Report, status: &Status, dir: &Path) {
    let cookies = dir.join(XAUTHORITY);
    match hosts::admitted(&status.display, Some(cookies), PATIENCE) {
        Ok(admitted) if admitted.everybody => report.finding(
            "X access",
            "the X server lets everybody in (xhost +): every program that reaches it reads keys and pictures",
            "take `xhost +` out of the scripts, and run `xhost -` now",
        ),
        Ok(admitted) if !admitted.hosts.is_empty() => report.finding(
            "X access",
            format!("the X server lets in without a cookie: {}", admitted.hosts.join(", ")),
            "take these calls of xhost out of the scripts; programs find the cookie by XAUTHORITY",
        ),
        Ok(_) => {}
        Err(error) => report.finding(
            "X access",
            error.to_string(),
            "`deskinit status` says what the X server does",
        ),
    }
}
