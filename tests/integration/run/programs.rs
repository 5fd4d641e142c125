//! Programs of supervisord's files under `deskinit run`, as health checks see them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use deskinit::supervisor::link::ServiceState;
use nix::sys::signal::Signal;

use crate::support::TempDir;
use crate::support::desk::{Builder, DESKINIT, Desk, LONG};

struct Conf(TempDir);

impl Conf {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = TempDir::new();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Self(dir)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn builder(&self, command: &[&str]) -> Builder {
        let dir = self.0.path().to_str().unwrap();
        Builder::new(command)
            .env("SUPERVISOR_CONF_DIR", dir)
            .env("LOG_DIR", dir)
    }
}

fn ask(desk: &Desk, words: &str) -> (Option<i32>, String) {
    let output = Command::new(DESKINIT)
        .arg("supervisorctl")
        .args(words.split(' '))
        .env("RUN_DIR", desk.run_dir())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}

fn wait(desk: &Desk, name: &str, state: ServiceState) {
    desk.when(&format!("{name} is {}", state.word()), LONG, |status| {
        let found = status.services.iter().find(|one| one.name == name);
        found.is_some_and(|one| one.state == state)
    });
}

#[test]
fn groups_are_told_and_ordered_as_a_whole() {
    let programs = "
[group:web]
programs=back,front

[program:back]
command=sleep 1000
startsecs=0
numprocs=2
process_name=%(program_name)s_%(process_num)02d

[program:front]
command=sleep 1000
startsecs=0

[program:alone]
command=sleep 1000
startsecs=0
";
    let conf = Conf::new(&[("programs.conf", programs)]);
    let desk = conf
        .builder(&["sleep", "1000"])
        .env("APP_HEADLESS", "1")
        .start();
    desk.up();
    let said = |words: &str| {
        let (code, text) = ask(&desk, words);
        let names = text
            .lines()
            .map(|line| line.split_whitespace().next().unwrap_or_default());
        (code.unwrap(), names.map(str::to_owned).collect::<Vec<_>>())
    };
    let web = ["web:back_00", "web:back_01", "web:front"];
    assert_eq!(said("status web:*"), (0, web.map(str::to_owned).to_vec()));
    assert_eq!(said("status alone:*"), (0, vec!["alone".to_owned()]));
    assert_eq!(
        ask(&desk, "status none:*"),
        (Some(4), "none: ERROR (no such group)\n".to_owned())
    );
    let (code, text) = ask(&desk, "stop web:*");
    assert_eq!(code, Some(0));
    assert_eq!(
        text,
        "web:front: stopped\nweb:back_01: stopped\nweb:back_00: stopped\n"
    );
    assert_eq!(said("status web:*").0, 3);
    assert_eq!(ask(&desk, "start web:back_01").1, "web:back_01: started\n");
    assert_eq!(ask(&desk, "signal USR1 none:*").0, Some(1));
    assert_eq!(ask(&desk, "start none:*").0, Some(2));
}

#[test]
fn every_command_of_supervisorctl_has_an_answer() {
    let desk = Builder::new(&["sleep", "1000"])
        .env("APP_HEADLESS", "1")
        .start();
    desk.up();
    for (words, code, text) in [
        ("help", 0, "default commands (type help <topic>):"),
        ("help stop", 0, "stop <name>|<gname>:*|all"),
        ("help nonsense", 1, "*** No help on nonsense"),
        ("maintail", 0, "everything is ready after"),
        ("maintail x", 1, "Error: bad argument x"),
        ("reload", 1, "ERROR: settings are read at the start only"),
        ("clear app", 1, "app: ERROR (logs are not cleared"),
        ("clear x", 1, "x: ERROR (no such process)"),
        ("add app", 0, "ERROR: process group already active"),
        ("add x", 1, "ERROR: no such process/group: x"),
        ("remove app", 1, "ERROR: process/group still running: app"),
        ("fg app", 1, "ERROR: services have no standard input"),
        ("open http://localhost", 1, "ERROR: there is one run"),
        ("update", 0, ""),
        ("update x", 1, "ERROR: no such group: x"),
        ("exit", 0, ""),
        ("nonsense", 1, "*** Unknown syntax: nonsense"),
    ] {
        let (answer, said) = ask(&desk, words);
        assert_eq!(answer, Some(code), "{words}: {said}");
        assert!(said.contains(text), "{words}: {said}");
    }
}

#[test]
fn programs_run_by_their_rules_and_supervisorctl_tells_of_them() {
    let programs = "
; of a web desktop
[program:spawner-service]
command=sh -c \"echo $COLOUR on $DISPLAY as $SUPERVISOR_PROCESS_NAME; trap 'echo told; exit 0' INT; while :; do sleep 0.05; done\"
environment=COLOUR=\"red, or blue\"
directory=/
priority=10
startsecs=0
stopsignal=INT
stdout_logfile=spawner.log
redirect_stderr=true

[program:later]
command=sh -c 'echo out; echo err >&2; exec sleep 1000'
priority=20
startsecs=1000
stdout_logfile=later.log

[program:done]
command=sh -c 'exit 3'
startsecs=0
exitcodes=0,3

[program:crash]
command=sh -c 'exit 0'
startretries=0

[program:resting]
command=sleep 1000
autostart=false

[program:openbox]
command=/usr/bin/openbox
";
    let conf = Conf::new(&[("programs.conf", programs), (".hidden.conf", "nonsense")]);
    let desk = conf.builder(&["xterm"]).start();
    desk.line("[run] ");
    wait(&desk, "spawner-service", ServiceState::Ready);
    wait(&desk, "done", ServiceState::Ended);
    wait(&desk, "crash", ServiceState::Fatal);
    wait(&desk, "later", ServiceState::Starting);
    wait(&desk, "wm", ServiceState::Ready);
    desk.line("[program:openbox] is not started, for deskinit is the window manager itself");
    for (name, code, word) in [
        ("spawner-service", 0, "RUNNING"),
        ("later", 0, "STARTING"),
        ("done", 3, "EXITED"),
        ("crash", 3, "FATAL"),
        ("resting", 3, "STOPPED"),
        ("openbox", 0, "RUNNING"),
        ("nobody", 4, "ERROR (no such process)"),
    ] {
        let (answer, text) = ask(&desk, &format!("status {name}"));
        assert_eq!(
            (answer, text.contains(word)),
            (Some(code), true),
            "{name}: {text}"
        );
    }
    assert_eq!(ask(&desk, "stop spawner-service").0, Some(0));
    let log = fs::read_to_string(conf.log("spawner.log")).unwrap();
    let display = desk.status().unwrap().display;
    assert_eq!(
        log,
        format!("red, or blue on {display} as spawner-service\ntold\n")
    );
    let mode = fs::metadata(conf.log("spawner.log"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o137, 0, "nobody else reads it");
    desk.line("[later] err");
    assert_eq!(fs::read_to_string(conf.log("later.log")).unwrap(), "out\n");
    desk.signal(Signal::SIGTERM);
    let (_, lines) = desk.end();
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("told") || line.ends_with("] out")),
        "{lines:#?}"
    );
}

#[test]
fn a_log_file_is_put_aside_when_it_is_full() {
    let text = "
[program:talker]
command=sh -c 'i=100; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done; exec sleep 1000'
startsecs=0
stdout_logfile=talker.log
stdout_logfile_maxbytes=400
stdout_logfile_backups=2
";
    let conf = Conf::new(&[("a.conf", text)]);
    let desk = conf.builder(&["xterm"]).start();
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    desk.when("the last line is there", LONG, |_| {
        read(&conf.log("talker.log")).ends_with("line 199\n")
    });
    let all = ["talker.log.2", "talker.log.1", "talker.log"].map(|name| read(&conf.log(name)));
    assert!(all.iter().all(|text| text.len() <= 400), "{all:#?}");
    assert!(!conf.log("talker.log.3").exists());
    let lines: Vec<String> = (100..200).map(|n| format!("line {n}\n")).collect();
    assert!(
        lines.concat().ends_with(&all.concat()),
        "none is missing: {all:#?}"
    );
    assert_eq!(all[0].len(), 396);
    let (code, tail) = ask(&desk, "tail talker");
    assert_eq!(
        (code, tail.ends_with("line 199\n")),
        (Some(0), true),
        "{tail}"
    );
    desk.signal(Signal::SIGTERM);
    desk.end();
}

#[test]
fn wrong_files_start_nothing() {
    let conf = Conf::new(&[(
        "a.conf",
        "[program:a]\ncommand=x\nstartsecs=soon\n[program:b]\n",
    )]);
    let output = Command::new(DESKINIT)
        .args(["run", "--", "true"])
        .env("SUPERVISOR_CONF_DIR", conf.0.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("a.conf:3: [program:a]: startsecs = \"soon\": expected a whole number"),
        "{said}"
    );
    assert!(
        said.contains("a.conf: [program:b] has no command"),
        "{said}"
    );
}
