//! Files as images have them, and every way of getting them wrong.

use std::path::PathBuf;

use super::*;
use crate::config::services::{Again, LogFile, LogTo};

fn parse_all(files: &[(&str, &str)]) -> Result<Programs, Vec<String>> {
    let environment = [("HOME", "/root"), ("LANG", "C"), ("VNC_PASSWORD", "canary")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let secret = ["VNC_PASSWORD".to_owned()];
    let around = Surroundings::new(environment, &secret, PathBuf::new());
    let files: Vec<(PathBuf, String)> = files
        .iter()
        .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()))
        .collect();
    Programs::parse(Path::new("/etc/supervisor/conf.d"), &files, &around)
        .map_err(|mistakes| mistakes.into_iter().map(|mistake| mistake.0).collect())
}

fn parse(text: &str) -> Result<Programs, Vec<String>> {
    parse_all(&[("/c/a.conf", text)])
}

#[test]
fn a_program_is_what_its_section_says() {
    let text = "
[program:spawner-service]
command=/usr/bin/node /composer/spawner.js --name \"%(program_name)s in %(group_name)s\"
directory=/composer   ; where it is
environment=LANG=\"%(ENV_LANG)s.UTF-8\",NODE_ENV=production,
   COLOURS=\"a,b\"
priority=30
autorestart=true
startsecs=3
startretries=5
exitcodes=0,2
stopsignal=INT
stopwaitsecs=4
umask=027
redirect_stderr=true
stdout_logfile=/tmp/%(program_name)s.log
stdout_logfile_maxbytes=1MB
stdout_logfile_backups=2
";
    let programs = parse(text).unwrap();
    assert_eq!(programs.warnings, Vec::<String>::new());
    let [one] = &programs.all[..] else { panic!() };
    let words = [
        "/usr/bin/node",
        "/composer/spawner.js",
        "--name",
        "spawner-service in spawner-service",
    ];
    assert_eq!(one.command, words);
    let get = |name: &str| one.environment.get(name).map(String::as_str);
    assert_eq!(get("LANG"), Some("C.UTF-8"));
    assert_eq!(
        (get("NODE_ENV"), get("COLOURS")),
        (Some("production"), Some("a,b"))
    );
    assert_eq!(get("SUPERVISOR_PROCESS_NAME"), Some("spawner-service"));
    assert_eq!(one.directory.as_deref(), Some(Path::new("/composer")));
    assert_eq!(
        (one.priority, one.restart, one.start_retries),
        (30, Again::Always, 5)
    );
    assert_eq!((one.stop_signal, one.umask), (2, Some(0o27)));
    assert_eq!(one.exit_codes, [0, 2]);
    let file = LogFile {
        path: "/tmp/spawner-service.log".into(),
        max_bytes: Some(1 << 20),
        backups: 2,
    };
    assert_eq!(one.stdout, LogTo::File(file));
    assert_eq!(one.stderr, one.stdout);
}

#[test]
fn order_is_by_priority_then_name_and_groups_go_first_by_theirs() {
    let text = "
[program:z]
command=z
priority=1
[program:b]
command=b
[program:a]
command=a
[program:many]
command=m%(process_num)d
numprocs=2
process_name=%(program_name)s_%(process_num)02d
numprocs_start=1
[group:first]
programs=a, b
priority=-1
";
    let programs = parse(text).unwrap();
    let names: Vec<String> = programs
        .all
        .iter()
        .map(|program| format!("{}:{}", program.group, program.name))
        .collect();
    assert_eq!(
        names,
        ["first:a", "first:b", "z:z", "many:many_01", "many:many_02"]
    );
    assert_eq!(programs.all[4].command, ["m2"]);
}

#[test]
fn every_name_of_the_containers_streams_means_its_log() {
    for name in [
        "AUTO",
        "/dev/stdout",
        "/dev/stderr",
        "/dev/fd/2",
        "/proc/self/fd/1",
        "/proc/1/fd/1",
        "/proc/1/fd/2",
    ] {
        let text =
            format!("[program:a]\ncommand=x\nstdout_logfile={name}\nstdout_logfile_maxbytes=0\n");
        let program = &parse(&text).unwrap().all[0];
        assert_eq!(program.stdout, LogTo::Stdout, "{name}");
    }
}

#[test]
fn every_mistake_is_told_at_once_and_no_secret_is() {
    let text = "
[program:a]
command=x 'canary
startsecs=soon
environment=PASSWORD=canary,x
[program:b]
command=x %(ENV_VNC_PASSWORD)s
autorestart=maybe
stopsignal=0
exitcodes=256
stdout_logfile=/no/such/place/x.log
[program:c]
numprocs=2
[program:app]
command=x
[group:g]
programs=a,nobody
[program:a b]
command=x
";
    let mistakes = parse(text).unwrap_err();
    let expected = [
        "/c/a.conf:3: [program:a]: command is no command line",
        "/c/a.conf:4: [program:a]: startsecs = \"soon\": expected a whole number",
        "/c/a.conf:5: [program:a]: environment is not KEY=",
        "/c/a.conf:7: [program:b]: command names %(ENV_VNC_PASSWORD)s, which is a secret",
        "/c/a.conf:8: [program:b]: autorestart = \"maybe\": expected unexpected, true or false",
        "/c/a.conf:9: [program:b]: stopsignal = \"0\": expected a signal",
        "/c/a.conf:10: [program:b]: exitcodes = \"256\": expected codes",
        "/c/a.conf:11: [program:b]: stdout_logfile = \"/no/such/place/x.log\": expected a file in a directory that is there",
        "/c/a.conf: [program:c] has no command",
        "/c/a.conf: [program:c] has more processes than one",
        "/c/a.conf: [program:app] has a process of the name \"app\"",
        "/c/a.conf: [group:g] names nobody, which is no program",
        "/c/a.conf: [program:a b] has a name with a blank",
    ];
    for expected in expected {
        let hits = mistakes.iter().filter(|m| m.starts_with(expected));
        assert_eq!(hits.count(), 1, "{expected}\n{mistakes:#?}");
    }
    assert_eq!(
        mistakes.len(),
        expected.len() + 1,
        "c is twice of one name: {mistakes:#?}"
    );
    assert!(!format!("{mistakes:?}").contains("canary"));
}

#[test]
fn what_is_not_done_is_said() {
    let text = "
[unix_http_server]
file=/run/x.sock
[supervisord]
nodaemon=true
environment=SHARED=1
[program:a]
command=x
autorestrat=true
stdout_syslog=true
stderr_capture_maxbytes=0
stderr_logfile=syslog
stopasgroup=false
[eventlistener:e]
command=x
[program:openbox]
command=/usr/bin/openbox
stdout_logfile=/no/such/place/openbox.log
[program:vnc]
command=bash -c 'exec Xvnc :0'
deskinit=start
";
    let programs = parse(text).unwrap();
    let names: Vec<&str> = programs.all.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["a", "vnc"]);
    assert_eq!(programs.all[0].environment["SHARED"], "1");
    let expected = [
        "/c/a.conf:9: [program:a]: autorestrat is no key that supervisord knows; did you mean autorestart?",
        "/c/a.conf:10: [program:a]: stdout_syslog is not done here",
        "/c/a.conf:12: [program:a]: stderr_logfile = syslog is not done here",
        "/c/a.conf:13: [program:a]: stopasgroup is false",
        "/c/a.conf: [eventlistener:e] is not started",
        "/c/a.conf: [program:openbox] is not started, for deskinit is the window manager itself (see WINDOW_MANAGER); to start it nevertheless, put deskinit=start",
        "not read, for there is no supervisord here: [supervisord] but its environment (/c/a.conf), [unix_http_server] (/c/a.conf)",
    ];
    for expected in expected {
        let hits = programs.warnings.iter().filter(|m| m.starts_with(expected));
        assert_eq!(hits.count(), 1, "{expected}\n{:#?}", programs.warnings);
    }
    assert_eq!(
        programs.warnings.len(),
        expected.len(),
        "{:#?}",
        programs.warnings
    );
}

#[test]
fn later_files_win_key_by_key() {
    let programs = parse_all(&[
        ("/c/a.conf", "[program:x]\ncommand=one\nuser=root\n"),
        ("/d/b.conf", "[program:x]\ncommand=%(here)s/two\n"),
    ])
    .unwrap();
    assert_eq!(programs.all[0].command, ["/d/two"]);
    assert_eq!(programs.all[0].user.as_deref(), Some("root"));
    assert_eq!(programs.all[0].file, Path::new("/c/a.conf"));
}
