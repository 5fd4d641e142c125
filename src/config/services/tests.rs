//! Tables as people write them, and every way of getting them wrong.

use super::*;
use std::time::Duration;

fn vocabulary() -> Vocabulary {
    Vocabulary {
        resources: Words {
            known: |name| matches!(name, "nofile" | "core"),
            all: vec!["nofile", "core"],
        },
        capabilities: Words {
            known: |name| name == "chown",
            all: vec!["chown"],
        },
        signal: |name| match name {
            "SIGINT" | "2" => Some(2),
            "RTMIN+3" => Some(37),
            _ => None,
        },
    }
}

fn parse(text: &str) -> Result<Services, Vec<String>> {
    let vocabulary = vocabulary();
    let mut tables = Tables::new(&vocabulary, PathBuf::from("/logs"));
    tables.file(Path::new("/s/a.toml"), text);
    tables
        .parse()
        .map_err(|mistakes| mistakes.into_iter().map(|mistake| mistake.0).collect())
}

#[test]
fn what_may_hold_a_secret_is_not_said_when_it_is_wrong() {
    for (line, told) in [
        (
            "command = \"psql --password 'CANARY\"",
            "command: a single quote",
        ),
        (
            "before_start = 'echo \"CANARY'",
            "before_start: a double quote",
        ),
        (
            "after_stop = 'echo CANARY\\'",
            "after_stop: it ends with a backslash",
        ),
        (
            "environment = \"PASSWORD=CANARY\"",
            "environment = (string): expected a table",
        ),
    ] {
        let command = if line.starts_with("command") {
            ""
        } else {
            "command = \"x\"\n"
        };
        let all = parse(&format!("[service.a]\n{command}{line}\n")).unwrap_err();
        let told = format!("/s/a.toml: [service.a]: {told}");
        assert!(
            all.len() == 1 && all[0].starts_with(&told),
            "{line}: {all:?}"
        );
        assert!(!all[0].contains("CANARY"), "{all:?}");
    }
}

#[test]
fn a_service_is_what_its_table_says() {
    let text = r#"
        [service.clock]
        command = "xclock -title 'my clock'"
        environment = { TZ = "UTC" }
        after = ["wm", "hub"]
        bound_to = "xserver"
        stop_signal = "SIGINT"
        stop_timeout = 0.5
        restart = "on-failure"
        exit_codes = [0, 3]
        restart_limit = 4
        user = "ann"
        group = 44
        on_end = "end"
        [service.hub]
        command = ["hub", "a b"]
        ready = "notify"
        stop_signal = 2
        start_timeout = 5
        [service.app]
        environment = { COLOUR = "red" }
        [service.unused]
        command = "x"
        enabled = false
    "#;
    let services = parse(text).unwrap();
    let names: Vec<&str> = services.extra.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["hub", "clock"], "each behind those it comes after");
    let clock = &services.extra[1];
    assert_eq!(clock.command, ["xclock", "-title", "my clock"]);
    assert_eq!(clock.common.stop_signal, Some(2));
    assert_eq!(clock.common.stop_timeout, Some(Duration::from_millis(500)));
    assert_eq!(clock.common.restart, Some(Again::OnFailure));
    assert_eq!(clock.common.exit_codes, Some(vec![0, 3]));
    assert_eq!(clock.common.ends_all, Some(true));
    let owner = clock.owner.as_ref().unwrap();
    assert_eq!(owner.user.as_deref(), Some("ann"));
    assert_eq!(owner.group.as_deref(), Some("44"));
    assert!(owner.insists);
    assert_eq!(clock.common.restart_limit, Some(4));
    assert!(clock.autostart);
    assert_eq!(services.extra[0].command, ["hub", "a b"]);
    assert_eq!(services.extra[0].ready, Ready::Notify);
    assert_eq!(
        services.changes["app"].environment,
        [("COLOUR".to_owned(), "red".to_owned())]
    );
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let text = r#"
        vnc_port = 5900
        [service.a]
        command = "x 'open"
        restat = "always"
        [service.b]
        ready = "notify"
        after = ["clok"]
        [service.clock]
        command = "xclock"
        stop_timeout = -1
        on_end = true
        [service.wm]
        command = "twm"
        [service."b d"]
        command = "x"
    "#;
    let mistakes = parse(text).unwrap_err();
    let expected = [
        "/s/a.toml: vnc_port is not a [service.NAME] table",
        "/s/a.toml: [service.b d]: expected a name",
        "/s/a.toml: [service.a]: command: a single quote (') is opened and not closed",
        "/s/a.toml: [service.a]: restat is not a key of a service; did you mean restart?",
        "/s/a.toml: [service.b]: has no command",
        "/s/a.toml: [service.clock]: stop_timeout = -1: expected seconds",
        "/s/a.toml: [service.clock]: on_end = true: expected ignore or end",
        "[service.b]: after or bound_to names clok, which is no service; did you mean clock?",
        "/s/a.toml: [service.wm]: command cannot be changed of a built-in service",
    ];
    for expected in expected {
        let hits = mistakes.iter().filter(|m| m.starts_with(expected));
        assert_eq!(hits.count(), 1, "{expected}\n{mistakes:#?}");
    }
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:#?}");
}

#[test]
fn a_process_is_what_its_table_says() {
    let text = r#"
        [service.clock]
        command = "xclock"
        autostart = false
        directory = "/srv"
        umask = "027"
        nice = -5
        limits = { nofile = [64, 128], core = "unlimited" }
        oom_score_adj = 500
        capabilities = ["chown"]
        no_new_privileges = true
        [service.app]
        capabilities = []
        [service.wm]
        start_timeout = 9
        restart_limit = 3
        [service.xserver]
        nice = 3
    "#;
    let services = parse(text).unwrap();
    let clock = &services.extra[0];
    assert!(!clock.autostart);
    let limit = |resource: &str, soft, hard| Limit {
        resource: resource.to_owned(),
        soft,
        hard,
    };
    let expected = Process {
        directory: Some("/srv".into()),
        umask: Some(0o27),
        nice: Some(-5),
        limits: vec![
            limit("core", None, None),
            limit("nofile", Some(64), Some(128)),
        ],
        oom_score_adj: Some(500),
        capabilities: Some(vec!["chown".to_owned()]),
        no_new_privileges: Some(true),
    };
    assert_eq!(clock.common.process, expected);
    let change = |name: &str| &services.changes[name];
    assert_eq!(change("app").process.capabilities, Some(Vec::new()));
    assert_eq!(
        change("wm").start_timeout,
        Some(Duration::from_secs(9)),
        "an overridden part"
    );
    assert_eq!(change("wm").restart_limit, Some(3));
    assert_eq!(change("xserver").process.nice, Some(3));
}

#[test]
fn readiness_has_many_forms() {
    let seconds = Duration::from_secs_f64;
    let words = |line: &str| line.split(' ').map(str::to_owned).collect();
    let tcp = |host: &str, port| Ready::Tcp(host.to_owned(), port);
    let cases = [
        ("\"started\"", Ready::Started),
        ("\"notify\"", Ready::Notify),
        ("\"displayfd\"", Ready::Descriptor(None)),
        ("{ fd = 3 }", Ready::Descriptor(Some(3))),
        ("{ log = \"is up\" }", Ready::Log("is up".to_owned())),
        ("{ file = \"/run/x\" }", Ready::File("/run/x".into())),
        ("{ unix = \"/run/y\" }", Ready::Unix("/run/y".into())),
        ("{ tcp = 80 }", tcp("localhost", 80)),
        ("{ tcp = \"10.0.0.7:80\" }", tcp("10.0.0.7", 80)),
        ("{ tcp = \"[::1]:80\" }", tcp("::1", 80)),
        (
            "{ command = \"test -e /x\" }",
            Ready::Command(words("test -e /x"), seconds(1.0)),
        ),
        (
            "{ command = [\"true\"], every = 0.2 }",
            Ready::Command(words("true"), seconds(0.2)),
        ),
    ];
    for (value, expected) in cases {
        let services = parse(&format!("[service.a]\ncommand = \"x\"\nready = {value}\n"));
        assert_eq!(services.unwrap().extra[0].ready, expected, "{value}");
    }
    for wrong in [
        "{}",
        "{ log = \"\" }",
        "{ file = \"x\" }",
        "{ tcp = 0 }",
        "{ tcp = 70000 }",
        "{ tcp = \"http://x:80/\" }",
        "{ command = [] }",
        "{ command = \"x\", every = 0 }",
        "{ command = \"x\", often = 1 }",
        "{ file = \"/x\", every = 1 }",
        "{ file = \"/x\", unix = \"/y\" }",
        "{ port = 80 }",
        "{ fd = 2 }",
        "{ fd = \"3\" }",
        "true",
    ] {
        let text = format!("[service.a]\ncommand = \"x\"\nready = {wrong}\n");
        let mistakes = parse(&text).unwrap_err();
        assert!(
            mistakes[0].contains(": expected started, notify, displayfd, { fd = NUMBER }, { log"),
            "{wrong}: {mistakes:#?}"
        );
    }
}

#[test]
fn every_key_says_what_it_takes() {
    let cases = [
        (
            "directory = \"srv\"",
            "directory = \"srv\": expected a path",
        ),
        ("umask = 22", "umask = 22: expected octal digits"),
        ("umask = \"8\"", "umask = \"8\": expected octal digits"),
        ("umask = \"1777\"", "umask = \"1777\": expected"),
        ("umask = \"\"", "umask = \"\": expected"),
        ("nice = 20", "nice = 20: expected a number, -20 to 19"),
        ("oom_score_adj = 1001", "oom_score_adj = 1001: expected"),
        ("limits = 5", "limits = 5: expected a table"),
        (
            "limits = { nofile = [9, 5] }",
            "limits = (table): expected a table",
        ),
        (
            "limits = { nofile = [\"unlimited\", 5] }",
            "limits = (table): expected a table",
        ),
        ("limits = { nofile = -1 }", "limits = (table): expected"),
        (
            "limits = { nofil = 1 }",
            "limits: \"nofil\" is none; did you mean nofile? (there are nofile, core)",
        ),
        (
            "capabilities = \"chown\"",
            "capabilities = \"chown\": expected an array",
        ),
        (
            "capabilities = [\"all\"]",
            "capabilities: \"all\" is none (there are chown)",
        ),
        (
            "no_new_privileges = 1",
            "no_new_privileges = 1: expected true or false",
        ),
        ("autostart = \"no\"", "autostart = \"no\": expected true"),
        ("start_timeout = 0", "start_timeout = 0: expected seconds"),
        ("restart_limit = 0", "restart_limit = 0: expected a number"),
        (
            "stop_signal = \"TREM\"",
            "stop_signal = \"TREM\": expected a signal",
        ),
        (
            "user = \"\"",
            "user = \"\": expected the name or number of a user",
        ),
        (
            "exit_codes = [256]",
            "exit_codes = (array): expected an array of codes",
        ),
        (
            "restart = \"always\"\nexit_codes = [3]",
            "exit_codes says what is no failure; it needs restart = \"on-failure\"",
        ),
        (
            "hook_timeout = 0",
            "hook_timeout = 0: expected seconds, above 0",
        ),
        (
            "before_start = []",
            "before_start: names no program; expected a command line",
        ),
        (
            "on_fatal = \"live\"",
            "on_fatal = \"live\": expected not-live, ignore or end",
        ),
        ("ready = \"soon\"", "ready = \"soon\": expected started"),
    ];
    for (line, expected) in cases {
        let mistakes = parse(&format!("[service.a]\ncommand = \"x\"\n{line}\n")).unwrap_err();
        let expected = format!("/s/a.toml: [service.a]: {expected}");
        assert_eq!(mistakes.len(), 1, "{line}: {mistakes:#?}");
        assert!(mistakes[0].starts_with(&expected), "{line}: {mistakes:#?}");
    }
    for (part, line) in [
        ("app", "autostart = false"),
        ("app", "user = \"ann\""),
        ("app", "enabled = false"),
        ("wm", "after = [\"app\"]"),
        ("wm", "ready = \"notify\""),
        ("display", "on_end = \"ignore\""),
        ("xserver", "restart = \"never\""),
    ] {
        let mistakes = parse(&format!("[service.{part}]\n{line}\n")).unwrap_err();
        assert!(
            mistakes[0].contains("cannot be changed of a built-in service"),
            "{mistakes:#?}"
        );
    }
}

#[test]
fn parts_of_ours_may_be_told_much() {
    let text = r#"
        [service.wm]
        enabled = false
        [service.app]
        restart = "on-failure"
        exit_codes = [0, 1]
        on_end = "ignore"
        start_timeout = 20
        stop_signal = "RTMIN+3"
        before_start = "mkdir '/tmp/a b'"
        after_stop = ["true"]
        hook_timeout = 0.5
        [service.xserver]
        umask = "077"
        directory = "/srv"
        [service.display]
        capabilities = []
        no_new_privileges = true
    "#;
    let changes = parse(text).unwrap().changes;
    assert!(changes["wm"].disabled && !changes["app"].disabled);
    let app = &changes["app"];
    assert_eq!(app.restart, Some(Again::OnFailure));
    assert_eq!(app.ends_all, Some(false));
    assert_eq!(app.start_timeout, Some(Duration::from_secs(20)));
    assert_eq!(app.stop_signal, Some(37));
    let words = |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect());
    assert_eq!(app.before_start, words(&["mkdir", "/tmp/a b"]));
    assert_eq!(app.after_stop, words(&["true"]));
    assert_eq!(app.hook_timeout, Some(Duration::from_millis(500)));
    assert_eq!(changes["xserver"].process.umask, Some(0o77));
    assert_eq!(changes["display"].process.capabilities, Some(Vec::new()));
}

#[test]
fn files_beside_the_settings_are_read_in_order_and_below_those_of_the_directory() {
    let path = std::env::temp_dir().join(format!("deskinit-beside-{}", std::process::id()));
    let more = path.join("more");
    std::fs::create_dir_all(&more).unwrap();
    let settings = path.join("deskinit.toml");
    let service =
        |name: &str, command: &str| format!("[service.{name}]\ncommand = \"{command}\"\n");
    for (file, text) in [
        (
            settings.clone(),
            format!("vnc_port = 1\n{}", service("a", "settings")),
        ),
        (
            path.join("20.toml"),
            service("a", "second") + &service("b", "second"),
        ),
        (path.join("10.toml"), service("a", "first")),
        (path.join("notes.txt"), "no TOML".to_owned()),
        (more.join("a.toml"), service("b", "directory")),
    ] {
        std::fs::write(file, text).unwrap();
    }
    let read = |beside: &Path| {
        let mut raw = Raw::new();
        raw.file(&settings, &std::fs::read_to_string(&settings).unwrap());
        raw.look_beside(beside);
        raw.env(|name| (name == "SERVICES_DIR").then(|| more.to_str().unwrap().to_owned()));
        Services::read(&raw, &vocabulary(), []).unwrap()
    };
    let commands = |services: &Services| -> Vec<String> {
        let extra = services.extra.iter();
        extra
            .map(|one| format!("{} {}", one.name, one.command[0]))
            .collect()
    };
    assert_eq!(commands(&read(&settings)), ["a second", "b directory"]);
    // Nobody need have the directory.
    let nowhere = path.join("nowhere/deskinit.toml");
    assert_eq!(commands(&read(&nowhere)), ["a settings", "b directory"]);
    std::fs::remove_dir_all(&path).unwrap();
}

#[test]
fn circles_and_strangers_are_named() {
    let text = r#"
        [service.a]
        command = "x"
        after = ["b"]
        [service.b]
        command = "x"
        bound_to = "c"
        [service.c]
        command = "x"
        after = ["a"]
        [service.d]
        command = "x"
        after = ["displai"]
    "#;
    let mistakes = parse(text).unwrap_err();
    assert_eq!(mistakes.len(), 2, "{mistakes:#?}");
    assert!(mistakes[0].contains("displai, which is no service; did you mean display?"));
    assert!(mistakes[1].contains("a → b → c → a"), "{mistakes:#?}");
}

#[test]
fn a_later_file_wins_key_by_key() {
    let vocabulary = vocabulary();
    let mut tables = Tables::new(&vocabulary, PathBuf::from("/logs"));
    let base = "[service.a]\ncommand = \"x\"\nrestart = \"never\"\n";
    tables.file(Path::new("/s/1.toml"), base);
    tables.file(
        Path::new("/s/2.toml"),
        "[service.a]\nrestart = \"always\"\n",
    );
    let services = tables.parse().unwrap();
    assert_eq!(services.extra[0].command, ["x"]);
    assert_eq!(services.extra[0].common.restart, Some(Again::Always));
}

#[test]
fn no_value_of_an_environment_is_ever_shown() {
    for text in [
        "[service.a]\ncommand = \"x\"\nenvironment = { A = \"canary\", B = 1 }\n",
        "[service.a]\ncommand = \"x\"\nenvironment = { A = canary }\n",
    ] {
        let mistakes = parse(text).unwrap_err();
        assert!(!mistakes[0].contains("canary"), "{mistakes:?}");
    }
}

#[test]
fn logs_may_go_to_files() {
    let text = r#"
        [service.a]
        command = "x"
        log = "a.log"
        log_max_bytes = "1MB"
        log_backups = 3
        [service.b]
        command = "x"
        log = "none"
        [service.xserver]
        log = "/var/log/x.log"
        log_max_bytes = 0
    "#;
    let services = parse(text).unwrap();
    let file = |path: &str, max_bytes, backups| {
        let path = path.into();
        Some(LogTo::File(LogFile {
            path,
            max_bytes,
            backups,
        }))
    };
    assert_eq!(
        services.extra[0].common.log,
        file("/logs/a.log", Some(1 << 20), 3)
    );
    assert_eq!(services.extra[1].common.log, Some(LogTo::Nowhere));
    assert_eq!(
        services.changes["xserver"].log,
        file("/var/log/x.log", None, 10)
    );
    for (line, expected) in [
        ("log = \"\"", "log = \"\": expected the path of a file"),
        (
            "log_backups = 1",
            "log_max_bytes and log_backups are about a log file",
        ),
        (
            "log = \"x\"\nlog_max_bytes = \"5 bits\"",
            "log_max_bytes = \"5 bits\": expected bytes",
        ),
    ] {
        let mistakes = parse(&format!("[service.a]\ncommand = \"x\"\n{line}\n")).unwrap_err();
        assert!(mistakes[0].contains(expected), "{mistakes:?}");
    }
}

#[test]
fn a_table_stands_in_the_place_of_a_program_of_the_same_name() {
    let vocabulary = vocabulary();
    let mut tables = Tables::new(&vocabulary, PathBuf::new());
    let around = Surroundings::new([], &[], PathBuf::new());
    let text = "[program:a]\ncommand=a\npriority=9\n[program:b]\ncommand=b\n[program:c]\ncommand=c\nstartsecs=3\nuser=root\n";
    let files = [(PathBuf::from("/c/x.conf"), text.to_owned())];
    tables.programs = Programs::parse(Path::new("/c"), &files, &around).unwrap();
    let toml = "[service.b]\nenabled = false\ncommand = \"x\"\n[service.d]\ncommand = \"d\"\nafter = [\"c\"]\n";
    tables.file(Path::new("/s/a.toml"), toml);
    let services = tables.parse().unwrap();
    let names: Vec<&str> = services.extra.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["a", "c", "d"]);
    assert_eq!(
        services.extra[1].ready,
        Ready::Lasts(Duration::from_secs(3))
    );
    let owner = services.extra[1].owner.clone().unwrap();
    assert_eq!(owner.user.as_deref(), Some("root"));
    assert!(!owner.insists);
    assert_eq!(services.extra[1].common.restart_limit, Some(4));
    let [warning] = &services.warnings[..] else {
        panic!("{:?}", services.warnings)
    };
    assert!(
        warning.contains("the program b is not started: [service.b]"),
        "{warning}"
    );
}
