//! What a child finds itself to be.

use std::fs::File;
use std::io::Read;

use super::*;

/// What `script` prints with these attributes.
fn output(attributes: Attributes, script: &str) -> String {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let command = Command {
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into())],
        attributes,
        terminal: false,
    };
    let child = spawn(&command, writer, None, &[]).unwrap();
    let mut text = String::new();
    File::from(reader).read_to_string(&mut text).unwrap();
    nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.pid()), None).unwrap();
    text
}

/// A line of `/proc/PID/status`.
fn field<'a>(status: &'a str, name: &str) -> Vec<&'a str> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_else(|| panic!("{name} is not in {status}"))
        .split_ascii_whitespace()
        .collect()
}

const STATUS: &str = "exec cat /proc/self/status";

#[test]
fn no_signal_is_blocked_or_ignored() {
    let status = output(Attributes::default(), STATUS);
    for name in ["SigBlk", "SigIgn", "SigCgt"] {
        assert_eq!(field(&status, name), ["0000000000000000"], "{name}");
    }
}

#[test]
fn what_everybody_may_have_set() {
    let attributes = Attributes {
        directory: Some("/usr".into()),
        umask: Some(0o137),
        nice: Some(7),
        limits: vec![Limit {
            resource: Resource::named("nofile").unwrap(),
            soft: 77,
            hard: 99,
        }],
        oom_score_adj: Some(333),
        no_new_privileges: true,
        ..Attributes::default()
    };
    let text = output(
        attributes,
        "pwd; umask; ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj /proc/self/stat /proc/self/status",
    );
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0..5], ["/usr", "0137", "77", "99", "333"]);
    let after = lines[5].rsplit_once(')').unwrap().1;
    assert_eq!(after.split_ascii_whitespace().nth(16), Some("7"));
    assert_eq!(field(&text, "NoNewPrivs"), ["1"]);
}

#[test]
fn root_gives_everything_away_or_all_but_something() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let attributes = Attributes {
        identity: Some(Identity {
            uid: 54321,
            gid: 54322,
            groups: vec![54322, 54323],
        }),
        capabilities: Some(Capabilities::NONE),
        no_new_privileges: true,
        ..Attributes::default()
    };
    let status = output(attributes.clone(), STATUS);
    assert_eq!(field(&status, "Uid"), ["54321"; 4]);
    assert_eq!(field(&status, "Gid"), ["54322"; 4]);
    assert_eq!(field(&status, "Groups"), ["54322", "54323"]);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&status, set), ["0000000000000000"], "{set}");
    }
    let kept = Attributes {
        capabilities: Capabilities::named("net_bind_service"),
        ..attributes
    };
    let status = output(kept, STATUS);
    assert_eq!(field(&status, "Uid"), ["54321"; 4]);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&status, set), ["0000000000000400"], "{set}");
    }
}

#[test]
fn a_step_that_fails_is_named_with_what_it_was_about() {
    let limit = |name, soft, hard| Limit {
        resource: Resource::named(name).unwrap(),
        soft,
        hard,
    };
    let nowhere = Attributes {
        directory: Some("/nonexistent/dir".into()),
        ..Attributes::default()
    };
    // The kernel knows no more open files than fs.nr_open, whoever asks.
    let too_many = Attributes {
        limits: vec![limit("core", 0, 0), limit("nofile", 64, 1 << 40)],
        ..Attributes::default()
    };
    for (attributes, told) in [
        (
            nowhere,
            "could not enter its directory (/nonexistent/dir: No such file",
        ),
        (
            too_many,
            "could not set its limits (nofile = [64, 1099511627776]: Operation not permitted",
        ),
    ] {
        let command = Command {
            program: "true".into(),
            attributes,
            ..Command::default()
        };
        let (_reader, writer) = nix::unistd::pipe().unwrap();
        let error = spawn(&command, writer, None, &[]).unwrap_err();
        assert_eq!(error.kind, SpawnErrorKind::NotExecutable);
        let text = error.to_string();
        assert!(text.starts_with(told), "{text}");
    }
    let all = limit("nproc", Limit::INFINITE, Limit::INFINITE);
    assert_eq!(all.to_string(), "nproc = \"unlimited\"");
}

#[test]
fn a_descriptor_comes_under_the_number_that_it_is_to_have() {
    // A number that is free here, one that is taken, and one that a failed exec must not be reported on.
    let (_taken, _taken_too) = nix::unistd::pipe().unwrap();
    for number in [3, 4, 5, 6, 7, 8, 9, 100] {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let (told, tell) = nix::unistd::pipe().unwrap();
        let given = |fd| Inherited {
            number,
            ..Inherited::from(fd)
        };
        let mut command = Command {
            program: "python3".into(),
            args: vec![
                "-c".into(),
                format!("import os; os.write({number}, b'told')").into(),
            ],
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            ..Command::default()
        };
        let child = spawn(&command, writer.try_clone().unwrap(), None, &[given(&tell)]).unwrap();
        nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.pid()), None).unwrap();
        command.program = "/nonexistent".into();
        let error = spawn(&command, writer, None, &[given(&tell)]).unwrap_err();
        assert_eq!(error.kind, SpawnErrorKind::NotFound);
        drop(tell);
        let mut text = String::new();
        File::from(told).read_to_string(&mut text).unwrap();
        assert_eq!(text, "told", "{number}");
        drop(reader);
    }
}
