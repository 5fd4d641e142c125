//! Called by the names of other programs, as health checks and scripts of their images do.

use std::os::unix::fs::symlink;
use std::process::Command;

use deskinit::supervisor::link::ServiceState;

use super::orders::ask;
use crate::support::TempDir;
use crate::support::client::{Client, Login};
use crate::support::desk::{Builder, DESKINIT, Desk, LONG, pid};
use crate::support::eventually;
use crate::support::websocket::WebSocket;

/// Links, as the image has them.
struct Links(TempDir);

impl Links {
    fn new() -> Self {
        let dir = TempDir::new();
        for name in ["supervisorctl", "wait-port", "connectcount.sh", "vncpasswd"] {
            symlink(DESKINIT, dir.path().join(name)).unwrap();
        }
        Self(dir)
    }

    /// Exit code and standard output.
    fn call(&self, desk: &Desk, words: &str) -> (Option<i32>, String) {
        let mut words = words.split(' ');
        let program = self.0.path().join(words.next().unwrap());
        let out = Command::new(program)
            .args(words)
            .env("RUN_DIR", desk.run_dir())
            .output()
            .unwrap();
        (
            out.status.code(),
            String::from_utf8_lossy(&out.stdout).into_owned(),
        )
    }
}

#[test]
fn supervisorctl_tells_and_orders() {
    let links = Links::new();
    let desk = Desk::start(&["xterm"]);
    let before = desk.up();
    let (code, text) = links.call(&desk, "supervisorctl status xserver openbox novnc");
    assert_eq!(code, Some(0));
    for (line, name) in text.lines().zip(["xserver", "openbox", "novnc"]) {
        assert!(
            line.starts_with(&format!("{name:<33}RUNNING   pid ")),
            "{text}"
        );
    }
    let ask = |words: &str| links.call(&desk, &format!("supervisorctl {words}"));
    assert_eq!(ask("status nothing").0, Some(4));
    assert_eq!(ask("pid openbox").1, format!("{}\n", pid(&before, "wm")));
    assert_eq!(ask("stop app"), (Some(0), "app: stopped\n".to_owned()));
    assert_eq!(
        ask("stop app"),
        (Some(0), "app: ERROR (not running)\n".to_owned())
    );
    let (code, text) = ask("status app");
    assert_eq!(code, Some(3));
    assert!(
        text.starts_with(&format!("{:<33}STOPPED   ", "app")),
        "{text}"
    );
    assert_eq!(ask("status").0, Some(3), "one of all is stopped");
    assert_eq!(
        ask("restart app").1,
        "app: ERROR (not running)\napp: started\n"
    );
    assert_eq!(ask("start app").1, "app: ERROR (already started)\n");
    assert_eq!(ask("stop nothing").0, Some(1));
    assert_eq!(
        ask("restart openbox").1,
        "openbox: stopped\nopenbox: started\n"
    );
    assert_eq!(ask("signal WINCH openbox").1, "openbox: signalled\n");
    desk.up();
    assert_eq!(ask("shutdown").0, Some(0));
    // xterm answers SIGTERM with a code of its own.
    assert_eq!(desk.code(), 0);
}

#[test]
fn the_end_is_asked_for_from_another_pid_namespace() {
    let links = Links::new();
    let mut alone = Command::new("unshare");
    let alone = alone.args(["--pid", "--fork", "true"]).status();
    if !alone.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no pid namespaces here");
        return;
    }
    let desk = Builder::new(&["sleep", "1000"])
        .env("APP_HEADLESS", "1")
        .start();
    desk.up();
    // Another signal is not for us, whoever asks.
    let (code, text) = links.call(&desk, "supervisorctl signal USR1 run");
    assert_eq!(
        (code, text.as_str()),
        (Some(1), "run: ERROR (no such process)\n")
    );
    // The number of this run is nobody's there.
    let out = Command::new("unshare")
        .args(["--pid", "--fork"])
        .arg(links.0.path().join("supervisorctl"))
        .arg("shutdown")
        .env("RUN_DIR", desk.run_dir())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "Shut down\n");
    assert_eq!(out.status.code(), Some(0));
    assert_eq!(desk.code(), 143);
}

#[test]
fn what_could_not_be_started_is_told_so() {
    let links = Links::new();
    let table = "[service.miss]\ncommand = \"no-such-program\"\n\
        [service.follower]\ncommand = \"sleep 1000\"\nafter = [\"miss\"]\n";
    let desk = Builder::new(&["sleep", "1000"])
        .env("APP_HEADLESS", "1")
        .services(table)
        .start();
    desk.when("it is given up", LONG, |status| {
        let miss = status.services.iter().find(|one| one.name == "miss");
        miss.is_some_and(|one| one.state == ServiceState::Fatal)
    });
    let (code, text) = links.call(&desk, "supervisorctl status miss");
    let told = format!(
        "{:<33}FATAL     can't find command 'no-such-program'\n",
        "miss"
    );
    assert_eq!((code, text), (Some(3), told));
    assert_eq!(
        links.call(&desk, "supervisorctl start miss"),
        (Some(1), "miss: ERROR (no such file)\n".to_owned())
    );
    // Nor is one that comes after it: it need not be waited for until the end of patience to know that.
    let (code, _, told) = ask(&desk, &["start", "follower"]);
    let why = "follower: waits for miss, which is fatal, could not be started: no-such-program: not found";
    assert!(told.contains(why), "{told}");
    assert_eq!(code, Some(1));
    let (_, table, _) = ask(&desk, &["status", "follower", "miss"]);
    assert!(table.contains("waits for miss"), "{table}");
    assert!(
        table.contains("could not be started: no-such-program"),
        "{table}"
    );
}

#[test]
fn browsers_are_counted_and_ports_waited_for() {
    let links = Links::new();
    let desk = Builder::new(&["sleep", "1000"])
        .env("APP_HEADLESS", "1")
        .env("VNC_PASSWORD", "k7Zq2xPv")
        .start();
    let status = desk.up();
    let (web, vnc) = (status.web.unwrap(), status.vnc.unwrap());
    assert_eq!(
        links.call(&desk, &format!("wait-port -t 5000 {web}")).0,
        Some(0)
    );
    assert_eq!(links.call(&desk, "wait-port -t 100 127.0.0.1:1").0, Some(1));
    let _viewer = Client::connect(vnc, &Login::password("k7Zq2xPv")).expect("logs in");
    eventually("the viewer is counted", LONG, || {
        (desk.status()?.viewers == 1).then_some(())
    });
    let none = (Some(0), "0\n".to_owned());
    assert_eq!(links.call(&desk, "connectcount.sh"), none, "no browser");
    // Neither what only connects, nor who is not let in.
    let web = web.parse().unwrap();
    let _probe = std::net::TcpStream::connect(web).unwrap();
    let _stranger = WebSocket::connect(web, "/websockify", &[]).unwrap();
    assert_eq!(links.call(&desk, "connectcount.sh"), none, "no viewer");
    let socket = WebSocket::connect(web, "/", &[]).unwrap();
    let browser = Client::login(socket, &Login::password("k7Zq2xPv")).expect("logs in");
    let counts = |number: &str| {
        eventually("the browsers are counted", LONG, || {
            let (code, text) = links.call(&desk, "connectcount.sh");
            (code == Some(0) && text == number).then_some(())
        });
    };
    counts("1\n");
    drop(browser);
    counts("0\n");
}
