//! Tables as people write them, and every way of getting them wrong.

use super::*;

fn parse(text: &str) -> Result<Services, Vec<String>> {
    let mut tables = Tables::default();
    tables.file(Path::new("/s/a.toml"), text);
    tables
        .parse()
        .map_err(|mistakes| mistakes.into_iter().map(|mistake| mistake.0).collect())
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
        restart_limit = 4
        on_end = "end"
        [service.hub]
        command = ["hub", "a b"]
        ready = "notify"
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
    assert_eq!((clock.restart, clock.ends_all), (Again::OnFailure, true));
    assert_eq!(clock.restart_limit, Some(4));
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
        "/s/a.toml: [service.a]: command = \"x 'open\": expected a command line",
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
    let mut tables = Tables::default();
    let base = "[service.a]\ncommand = \"x\"\nrestart = \"never\"\n";
    tables.file(Path::new("/s/1.toml"), base);
    tables.file(
        Path::new("/s/2.toml"),
        "[service.a]\nrestart = \"always\"\n",
    );
    let services = tables.parse().unwrap();
    assert_eq!(services.extra[0].command, ["x"]);
    assert_eq!(services.extra[0].restart, Again::Always);
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
