//! Called as `tini`, `dumb-init` and `catatonit`: an init in front of one command, without a desktop.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::TempDir;
use crate::support::desk::{DESKINIT, LONG};
use crate::support::eventually;

struct Name(TempDir, &'static str);

impl Name {
    fn new(name: &'static str) -> Self {
        let dir = TempDir::new();
        symlink(DESKINIT, dir.path().join(name)).unwrap();
        Self(dir, name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.0.path().join(self.1));
        command.args(words);
        command
    }

    fn output(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn code(&self, words: &[&str]) -> Option<i32> {
        self.output(words).status.code()
    }
}

fn signal(child: &Child, signal: i32) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::try_from(signal).unwrap()).unwrap();
}

/// Ends the command, and with it the init.
fn end(mut child: Child) {
    let pid = i32::try_from(child.id()).unwrap();
    for process in deskinit::sys::procfs::descendants(pid) {
        let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
    }
    assert_eq!(child.wait().unwrap().code(), Some(128 + 9));
}

#[test]
fn every_code_and_every_end_by_a_signal_is_reported() {
    for name in ["tini", "dumb-init", "catatonit"] {
        let name = Name::new(name);
        for code in 0..=255 {
            let script = format!("exit {code}");
            assert_eq!(name.code(&["sh", "-c", &script]), Some(code), "{}", name.1);
        }
        // Not those that stop, or that the default action ignores.
        let harmless = [17, 18, 19, 20, 21, 22, 23, 28];
        for signal in (1..=31).filter(|signal| !harmless.contains(signal)) {
            let script = format!("ulimit -c 0; kill -{signal} $$");
            // What started the tests may ignore some.
            let code = name.code(&["env", "--default-signal", "sh", "-c", &script]);
            assert_eq!(code, Some(128 + signal), "{} and {signal}", name.1);
        }
    }
}

#[test]
fn what_cannot_be_run_has_the_originals_codes() {
    for (name, absent, refused) in [
        ("tini", 127, 126),
        ("catatonit", 127, 126),
        ("dumb-init", 2, 2),
    ] {
        let name = Name::new(name);
        let out = name.output(&["--", "/no/such/program"]);
        assert_eq!(out.status.code(), Some(absent));
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(
            error.contains("/no/such/program: No such file or directory"),
            "{error}"
        );
        assert_eq!(name.code(&["/etc/passwd"]), Some(refused));
        assert_eq!(name.code(&[]), Some(1));
        assert_eq!(name.code(&["--no-such-option", "true"]), Some(1));
    }
}

#[test]
fn codes_can_be_made_successes() {
    let tini = Name::new("tini");
    assert_eq!(
        tini.code(&["-e", "143", "-e7", "--", "sh", "-c", "exit 7"]),
        Some(0)
    );
    assert_eq!(tini.code(&["-e", "7", "--", "sh", "-c", "exit 8"]), Some(8));
    assert_eq!(tini.code(&["-e", "256", "true"]), Some(1));
}

/// A program that says each signal it gets.
fn listener(name: &Name, flags: &[&str]) -> (Child, impl FnMut() -> String) {
    const SCRIPT: &str = "import signal, sys\n\
        def say(n, _): print(n, flush=True)\n\
        for n in range(1, 32):\n\
        \x20   if n not in (9, 17, 19): signal.signal(n, say)\n\
        print('ready', flush=True)\n\
        while True: signal.pause()";
    let mut words = flags.to_vec();
    words.extend(["python3", "-c", SCRIPT]);
    let mut child = name.command(&words).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = move || lines.next().unwrap().unwrap();
    assert_eq!(next(), "ready");
    (child, next)
}

#[test]
fn every_signal_is_forwarded() {
    // A terminal's signals to its jobs have tests of their own; CHLD, KILL and STOP cannot be forwarded.
    for name in ["tini", "dumb-init", "catatonit"] {
        let name = Name::new(name);
        let (child, mut heard) = listener(&name, &[]);
        for number in (1..=31).filter(|number| ![9, 17, 19, 20, 21, 22].contains(number)) {
            signal(&child, number);
            assert_eq!(heard(), number.to_string(), "{}", name.1);
        }
        end(child);
    }
}

#[test]
fn signals_are_rewritten_and_dropped() {
    let name = Name::new("dumb-init");
    let (child, mut heard) = listener(&name, &["-r", "15:2", "--rewrite", "1:0"]);
    signal(&child, 1);
    signal(&child, 15);
    assert_eq!(heard(), "2");
    end(child);
    for wrong in ["15", "32:1", "a:b", "1:-1"] {
        assert_eq!(name.code(&["-r", wrong, "true"]), Some(1), "{wrong}");
    }
}

#[test]
fn options_may_stand_together_and_be_shortened() {
    let name = Name::new("dumb-init");
    for (flags, taken, heard_as) in [
        (&["-cv", "-r15:2"][..], 15, "2"),
        (&["-vc", "--rewrite=15:3"], 15, "3"),
        (&["-vcr15:10"], 15, "10"),
        (&["-cr", "1:12", "--"], 1, "12"),
        (&["--sing", "--verb", "--rew=1:2"], 1, "2"),
        (&["--si", "--re", "1:3"], 1, "3"),
    ] {
        let (child, mut heard) = listener(&name, flags);
        let session = nix::unistd::getsid(Some(Pid::from_raw(child.id() as i32)));
        let all = deskinit::sys::procfs::descendants(child.id() as i32);
        for process in all {
            let its = nix::unistd::getsid(Some(Pid::from_raw(process.pid)));
            assert_eq!(its, session, "{flags:?}: no session of its own");
        }
        signal(&child, taken);
        assert_eq!(heard(), heard_as, "{flags:?}");
        end(child);
    }
    // What getopt_long(3) says of the others.
    for (flags, told) in [
        (&["-cx"][..], "invalid option -- 'x'"),
        (&["-vr"], "option requires an argument -- 'r'"),
        (&["--rewrite"], "option '--rewrite' requires an argument"),
        (&["--verbose=1", "true"], "option '--verbose' doesn't allow"),
        (&["--yolo", "true"], "unrecognized option '--yolo'"),
        (
            &["--ver", "true"],
            "option '--ver' is ambiguous; possibilities: '--verbose' '--version'",
        ),
    ] {
        let out = name.output(flags);
        assert_eq!(out.status.code(), Some(1), "{flags:?}");
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(error.contains(told), "{flags:?}: {error}");
    }
}

#[test]
fn a_jobs_stop_stops_both_and_continues_both() {
    let name = Name::new("dumb-init");
    let (child, mut heard) = listener(&name, &["--single-child"]);
    let state = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next()
    };
    signal(&child, 20);
    assert_eq!(heard(), "20");
    eventually("it stops as well", LONG, || {
        (state(child.id()) == Some('T')).then_some(())
    });
    signal(&child, 18);
    assert_eq!(heard(), "18");
    end(child);
}

#[test]
fn the_group_gets_the_signal_when_asked_and_by_default_with_dumb_init() {
    // The program ignores the signal that its child dies of.
    let script = "trap '' USR1; python3 -c 'import signal; signal.signal(signal.SIGUSR1, signal.SIG_DFL); \
                  print(\"ready\", flush=True); signal.pause()'; echo over";
    for (name, flags) in [
        ("tini", &["-g"][..]),
        ("dumb-init", &[]),
        ("catatonit", &["-g"]),
    ] {
        let name = Name::new(name);
        let mut words = flags.to_vec();
        words.extend(["sh", "-c", script]);
        let mut child = name.command(&words).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        signal(&child, 10);
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "over\n");
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn orphans_are_reaped_and_the_code_is_kept() {
    let tini = Name::new("tini");
    // Each orphan is gone, not a zombie, before the program ends.
    let script = "i=0; while [ $i -lt 300 ]; do (true & true) & i=$((i+1)); done; wait\n\
        n=1; while [ $n != 0 ]; do n=0; for s in /proc/[0-9]*/stat; do \
        read -r line < $s && case \"$line\" in *\") Z $PPID \"*) n=1;; esac; done 2>/dev/null; done; exit 9";
    assert_eq!(tini.code(&["-s", "sh", "-c", script]), Some(9));
    // One that outlives the shell which started it, or that one might reap it itself.
    let warned = tini.output(&["-s", "-w", "sh", "-c", "(sleep 0.1 & true); sleep 1"]);
    let text = String::from_utf8_lossy(&warned.stderr).into_owned();
    assert!(text.contains("Reaped zombie process with pid="), "{text}");
    let warned = tini.output(&["true"]);
    let text = String::from_utf8_lossy(&warned.stderr).into_owned();
    assert!(text.contains("zombie reaping won't work"), "{text}");
}

#[test]
fn a_pause_ends_well() {
    let name = Name::new("catatonit");
    let mut child = name.command(&["-P"]).spawn().unwrap();
    eventually("it collects signals", LONG, || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
        let blocked = status
            .lines()
            .find_map(|line| line.strip_prefix("SigBlk:"))?;
        (u64::from_str_radix(blocked.trim(), 16).ok()? != 0).then_some(())
    });
    signal(&child, 15);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
