//! Ways in which a service gets ready: not before, and then at once.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;

use deskinit::supervisor::link::ServiceState;
use deskinit::sys::procfs;
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrIn};

use super::orders::ask;
use super::services::Files;
use crate::support::desk::{Desk, LONG, is_ready, pid};
use crate::support::eventually;

/// A desktop with a service of these keys, started and not ready; another one comes after it.
fn starting(files: &Files, keys: &str) -> Desk {
    let table = format!(
        "[service.slow]\n{keys}\n[service.next]\ncommand = \"sleep 1000\"\nafter = [\"slow\"]\n"
    );
    fs::write(files.0.join("a.toml"), table).unwrap();
    let desk = files
        .builder(&["sleep", "1000"])
        .env("APP_HEADLESS", "1")
        .start();
    desk.when("only this one is waited for", LONG, |status| {
        status.message.contains("waiting for the service slow") && is_ready(status, "app")
    });
    let status = desk.status().unwrap();
    let state = |name: &str| {
        status
            .services
            .iter()
            .find(|s| s.name == name)
            .unwrap()
            .state
    };
    assert_eq!(state("slow"), ServiceState::Starting, "{status:#?}");
    assert_eq!(state("next"), ServiceState::Waiting, "{status:#?}");
    desk
}

fn gets_ready(desk: &Desk) {
    let status = desk.up();
    assert!(is_ready(&status, "slow") && is_ready(&status, "next"));
    eventually("nobody asks any more", LONG, || {
        probes(desk).is_empty().then_some(())
    });
}

/// Processes of ours that are no service's.
fn probes(desk: &Desk) -> Vec<i32> {
    let services = desk.status().unwrap().services;
    let known: Vec<i32> = services.iter().filter_map(|service| service.pid).collect();
    let children = procfs::descendants(desk.pid()).into_iter();
    let others = children.filter(|one| one.parent == desk.pid() && !known.contains(&one.pid));
    others.map(|one| one.pid).collect()
}

fn path(files: &Files, name: &str) -> String {
    files.0.join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_file_that_appears() {
    let files = Files::new("file", &[]);
    let flag = path(&files, "flag");
    let keys = format!("command = \"sleep 1000\"\nready = {{ file = {flag:?} }}");
    let desk = starting(&files, &keys);
    fs::write(&flag, "").unwrap();
    gets_ready(&desk);
}

#[test]
fn a_socket_that_somebody_listens_on() {
    let files = Files::new("unix", &[]);
    let socket = path(&files, "socket");
    // One that nobody listens on any more does not count.
    drop(UnixDatagram::bind(&socket).unwrap());
    let keys = format!("command = \"sleep 1000\"\nready = {{ unix = {socket:?} }}");
    let desk = starting(&files, &keys);
    fs::remove_file(&socket).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    gets_ready(&desk);
}

#[test]
fn a_port_that_somebody_listens_on() {
    let files = Files::new("tcp", &[]);
    // Bound and not listened on, so that nobody else takes it.
    let kind = (AddressFamily::Inet, SockType::Stream);
    let holder = socket::socket(kind.0, kind.1, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let any = SockaddrIn::new(127, 0, 0, 1, 0);
    socket::bind(holder.as_raw_fd(), &any).unwrap();
    let address: SockaddrIn = socket::getsockname(holder.as_raw_fd()).unwrap();
    let keys = format!(
        "command = \"sleep 1000\"\nready = {{ tcp = \"127.0.0.1:{}\" }}",
        address.port()
    );
    let desk = starting(&files, &keys);
    socket::listen(&holder, Backlog::new(1).unwrap()).unwrap();
    gets_ready(&desk);
}

#[test]
fn a_line_that_is_printed() {
    let files = Files::new("log", &[]);
    let flag = path(&files, "flag");
    let script = format!(
        "echo waiting; until test -e {flag}; do sleep 0.02; done; echo now it is up; exec sleep 1000"
    );
    let keys = format!("command = [\"sh\", \"-c\", {script:?}]\nready = {{ log = \"is up\" }}");
    let desk = starting(&files, &keys);
    desk.line("[slow] waiting");
    fs::write(&flag, "").unwrap();
    gets_ready(&desk);
}

#[test]
fn a_line_on_a_descriptor_under_whatever_number() {
    let files = Files::new("descriptor", &[]);
    let flag = path(&files, "flag");
    let wait = format!("until test -e {flag}; do sleep 0.02; done");
    // As s6's services; as Xvfb; as programs with an option of their own.
    let cases = [
        ("echo up >&3", "[]", "{ fd = 3 }"),
        (
            "test $1 = -displayfd && echo up >/proc/self/fd/$2",
            "[]",
            "\"displayfd\"",
        ),
        (
            "test $1 = --ready && echo up >/proc/self/fd/$2",
            "[\"--ready\", \"{fd}\"]",
            "\"displayfd\"",
        ),
    ];
    for (script, args, ready) in cases {
        let script = format!("{wait}; {script}; exec sleep 1000");
        let args = args.trim_matches(['[', ']']);
        let keys =
            format!("command = [\"sh\", \"-c\", {script:?}, \"sh\", {args}]\nready = {ready}");
        let desk = starting(&files, &keys);
        fs::write(&flag, "").unwrap();
        gets_ready(&desk);
        drop(desk);
        fs::remove_file(&flag).unwrap();
    }
}

#[test]
fn a_command_that_succeeds_at_last_and_one_that_hangs_goes_with_its_service() {
    let files = Files::new("command", &[]);
    let flag = path(&files, "flag");
    // What it says is for nobody; it has the environment of its service.
    let probe =
        format!("echo noise; test \"$WHERE\" = here && test -e {flag} || exit 1; sleep 0.01");
    let keys = format!(
        "command = \"sleep 1000\"\nenvironment = {{ WHERE = \"here\" }}\nready = {{ command = [\"sh\", \"-c\", {probe:?}], every = 0.1 }}"
    );
    let desk = starting(&files, &keys);
    fs::write(&flag, "").unwrap();
    gets_ready(&desk);
    assert!(!desk.lines().iter().any(|line| line.contains("noise")));
    drop(desk);

    let keys = "command = \"sleep 1000\"\nready = { command = \"sleep 1001\" }";
    let desk = starting(&files, keys);
    let asking = eventually("somebody asks", LONG, || probes(&desk).first().copied());
    assert_eq!(ask(&desk, &["stop", "slow"]).0, Some(0));
    eventually("the question goes with the service", LONG, || {
        (!Path::new(&format!("/proc/{asking}")).exists()).then_some(())
    });
}

#[test]
fn notify_is_heard_from_the_service_alone() {
    let files = Files::new("notify", &[]);
    let flag = path(&files, "flag");
    let script = r#"
import os, socket, time
def ready():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
if os.fork() == 0:
    ready()
    os._exit(0)
os.wait()
print("said by a stranger", flush=True)
while not os.path.exists(FLAG): time.sleep(0.02)
ready()
time.sleep(1000)
"#;
    let program = files.0.join("slow.py");
    fs::write(&program, script.replace("FLAG", &format!("{flag:?}"))).unwrap();
    let keys = format!("command = [\"python3\", {program:?}]\nready = \"notify\"");
    let desk = starting(&files, &keys);
    desk.line("said by a stranger");
    let status = desk.status().unwrap();
    assert!(!is_ready(&status, "slow"));
    fs::write(&flag, "").unwrap();
    gets_ready(&desk);
}

#[test]
fn one_that_does_not_get_ready_in_time_is_killed_and_given_up_after_its_limit() {
    let files = Files::new("late", &[]);
    let keys = "command = \"sleep 1000\"\nready = \"notify\"\nstart_timeout = 1\nrestart_limit = 2\non_end = \"end\"";
    let desk = starting(&files, keys);
    let (status, lines) = desk.end();
    assert_eq!(status.code(), Some(69), "{lines:#?}");
    let late = lines
        .iter()
        .filter(|line| line.contains("slow is not ready in time"));
    assert_eq!(late.count(), 2, "{lines:#?}");
    assert!(
        lines
            .last()
            .unwrap()
            .contains("did not become ready, given up")
    );
}

#[test]
fn what_is_bound_goes_and_comes_with_its_base() {
    let table = r#"
        [service.base]
        command = "sleep 1000"
        [service.bound]
        command = "sleep 1000"
        bound_to = "base"
        [service.free]
        command = "sleep 1000"
        after = ["base"]
    "#;
    let files = Files::new("bound", &[("a.toml", table)]);
    let desk = files
        .builder(&["sleep", "1000"])
        .env("APP_HEADLESS", "1")
        .start();
    let before = desk.up();
    assert_eq!(ask(&desk, &["signal", "KILL", "base"]).0, Some(0));
    let after = desk.when("both are new", LONG, |status| {
        let renewed =
            |name: &str| is_ready(status, name) && pid(status, name) != pid(&before, name);
        renewed("base") && renewed("bound")
    });
    assert_eq!(pid(&before, "free"), pid(&after, "free"));
    assert_eq!(ask(&desk, &["stop", "base"]).0, Some(0));
    desk.when("it waits for its base", LONG, |status| {
        let bound = status.services.iter().find(|s| s.name == "bound").unwrap();
        bound.state == ServiceState::Waiting
    });
}
