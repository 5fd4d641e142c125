//! Services of the operator's own, from files.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use deskinit::supervisor::link::ServiceState;
use nix::sys::signal::Signal;

use crate::support::desk::{Builder, DESKINIT, LONG, is_ready};

/// A directory with these files, for SERVICES_DIR.
pub(super) struct Files(pub(super) std::path::PathBuf);

impl Files {
    pub(super) fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let name = format!("deskinit-services-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        for (name, text) in files {
            fs::write(path.join(name), text).unwrap();
        }
        Self(path)
    }

    pub(super) fn builder(&self, command: &[&str]) -> Builder {
        Builder::new(command).env("SERVICES_DIR", self.0.to_str().unwrap())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_service_from_a_file_runs_beside_the_application_and_stops_with_it() {
    let table = r#"
        [service.clock]
        command = ["sh", "-c", "trap 'echo told; exit 0' INT; echo $COLOUR on $DISPLAY; while :; do sleep 0.05; done"]
        environment = { COLOUR = "red" }
        stop_signal = "INT"
        [service.second]
        command = "sh -c 'echo after; exit 3'"
        after = ["clock"]
        restart = "never"
        [service.app]
        environment = { FROM_FILE = "yes" }
    "#;
    let files = Files::new("run", &[("clock.toml", table), ("notes.txt", "not read")]);
    let script = "echo $FROM_FILE; exec xterm";
    let desk = files.builder(&["sh", "-c", script]).start();
    let status = desk.up();
    assert!(is_ready(&status, "clock"), "{status:#?}");
    desk.line("[app] yes");
    desk.line(&format!("[clock] red on {}", status.display));
    desk.line("[second] after");
    let status = desk.when("the second has ended", LONG, |status| {
        let second = status.services.iter().find(|s| s.name == "second");
        second.is_some_and(|second| second.state == ServiceState::Ended)
    });
    let second = status.services.iter().find(|s| s.name == "second").unwrap();
    assert_eq!(second.last_exit.as_deref(), Some("code 3"));
    desk.signal(Signal::SIGTERM);
    let (status, lines) = desk.end();
    assert_eq!(
        status.code(),
        Some(0),
        "xterm's own, after its window was closed"
    );
    assert!(
        lines.iter().any(|line| line == "[clock] told"),
        "{lines:#?}"
    );
}

#[test]
fn the_end_of_a_service_can_be_the_end() {
    let table = r#"
        [service.batch]
        command = "sh -c 'exit 7'"
        after = ["app"]
        restart = "on-failure"
        on_end = "end"
    "#;
    let failing = Files::new("fails", &[("batch.toml", table)]);
    let desk = failing.builder(&["xterm"]).start();
    desk.when("it was started again after a failure", LONG, |status| {
        let batch = status.services.iter().find(|s| s.name == "batch");
        batch.is_some_and(|batch| batch.restarts > 1)
    });
    desk.signal(Signal::SIGTERM);
    desk.code();

    let limited = format!("{table}restart_limit = 2\n");
    let limited = Files::new("limited", &[("batch.toml", &limited)]);
    let (status, lines) = limited.builder(&["xterm"]).start().end();
    assert_eq!(status.code(), Some(69));
    let last = lines.last().unwrap();
    assert!(
        last.contains("the service batch is in a crash loop, given up after 2 starts"),
        "{last}"
    );

    let table = table.replace("on-failure", "never");
    let ending = Files::new("ends", &[("batch.toml", &table)]);
    let (status, lines) = ending.builder(&["xterm"]).start().end();
    assert_eq!(status.code(), Some(7));
    let last = lines.last().unwrap();
    assert_eq!(
        last,
        "[run] the service batch has ended, code 7; exit code 7"
    );
}

#[test]
fn a_desktop_does_without_a_window_manager_when_it_is_told_to() {
    let files = Files::new("no-wm", &[("a.toml", "[service.wm]\nenabled = false\n")]);
    let desk = files.builder(&["xterm"]).start();
    let status = desk.up();
    assert!(status.services.iter().all(|one| one.name != "wm"));
    let health = Command::new(DESKINIT)
        .args(["health", "--run-dir"])
        .arg(desk.run_dir())
        .output()
        .unwrap();
    assert!(health.status.success(), "{health:?}");
}

#[test]
fn a_desktop_lives_on_after_its_application_when_it_is_told_to() {
    let table =
        "[service.app]\nrestart = \"on-failure\"\nexit_codes = [0, 3]\non_end = \"ignore\"\n";
    let files = Files::new("app-ends", &[("a.toml", table)]);
    let desk = files
        .builder(&["sh", "-c", "exit 3"])
        .env("APP_HEADLESS", "1")
        .start();
    let status = desk.when("the application has ended", LONG, |status| {
        let app = status.services.iter().find(|one| one.name == "app");
        app.is_some_and(|app| app.state == ServiceState::Ended)
    });
    assert!(is_ready(&status, "display"));
    desk.signal(Signal::SIGTERM);
    assert_eq!(desk.code(), 143);
}

#[test]
fn a_wrong_file_starts_nothing_and_every_mistake_is_told() {
    let table = "[service.a]\ncommand = \"x\"\nafter = [\"a\"]\n[service.b]\nrestat = \"never\"\n";
    let files = Files::new("wrong", &[("a.toml", table)]);
    let output = Command::new(DESKINIT)
        .args(["run", "--", "true"])
        .env("SERVICES_DIR", &files.0)
        .env("VNC_PORT", "http")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8_lossy(&output.stderr);
    let parts = [
        "VNC_PORT=http",
        "a → a",
        "did you mean restart?",
        "has no command",
    ];
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// A master ends its workers by itself, when its turn has come.
#[test]
fn workers_of_a_service_are_left_to_it() {
    let worker = "import signal, sys\n\
        signal.signal(signal.SIGTERM, lambda *_: print('the worker was told', flush=True))\n\
        signal.signal(signal.SIGUSR1, lambda *_: sys.exit(print('saved', flush=True)))\n\
        print('works', flush=True)\n\
        while True: signal.pause()\n";
    let master = format!(
        "import signal, subprocess, sys\n\
        worker = subprocess.Popen([sys.executable, '-c', {worker:?}], start_new_session=True)\n\
        subprocess.Popen(['sleep', '1000'], start_new_session=True)\n\
        def end(*_): worker.send_signal(signal.SIGUSR1); worker.wait(); print('done', flush=True); sys.exit(0)\n\
        signal.signal(signal.SIGTERM, end)\n\
        while True: signal.pause()\n"
    );
    let files = Files::new("workers", &[]);
    std::fs::write(files.0.join("master.py"), master).unwrap();
    let table = format!(
        "[service.db]\ncommand = [\"python3\", {:?}]\n",
        files.0.join("master.py")
    );
    std::fs::write(files.0.join("a.toml"), table).unwrap();
    let builder = files.builder(&["sleep", "1000"]).env("APP_HEADLESS", "1");
    let desk = builder.start();
    desk.up();
    desk.line("[db] works");
    let since = Instant::now();
    desk.signal(Signal::SIGTERM);
    let (status, lines) = desk.end();
    assert_eq!(status.code(), Some(143));
    let said: Vec<_> = lines.iter().filter(|l| l.starts_with("[db]")).collect();
    assert_eq!(said, ["[db] works", "[db] saved", "[db] done"]);
    // What it left behind was asked to end, not waited for.
    assert!(since.elapsed() < Duration::from_secs(5), "{lines:#?}");
}

#[test]
fn the_end_of_a_service_that_is_to_end_everything_does() {
    let table = "[service.batch]\ncommand = [\"sh\", \"-c\", \"exit 5\"]\non_end = \"end\"\n";
    let files = Files::new("last", &[("a.toml", table)]);
    let builder = files.builder(&["sleep", "1000"]).env("APP_HEADLESS", "1");
    assert_eq!(builder.start().code(), 5);
}

/// It was never there, whatever it is not started again for: those that come after it do not wait for nothing in silence.
#[test]
fn one_that_is_not_ready_in_time_and_not_tried_again_is_given_up() {
    let table = "[service.late]\ncommand = \"sleep 1000\"\nready = { file = \"/nonexistent/ready\" }\n\
        start_timeout = 1\nrestart = \"never\"\n[service.notes]\ncommand = \"sleep 1000\"\nafter = [\"late\"]\n";
    let files = Files::new("late", &[("a.toml", table)]);
    let builder = files.builder(&["sleep", "1000"]).env("APP_HEADLESS", "1");
    let desk = builder.start();
    let status = desk.when("it was given up", LONG, |status| {
        let late = status.services.iter().find(|one| one.name == "late");
        late.is_some_and(|late| late.state == ServiceState::Fatal)
    });
    assert!(status.message.contains("the service late"), "{status:#?}");
    desk.line("[run] the service late did not become ready");
}
