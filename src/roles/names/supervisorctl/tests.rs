//! What is said of a run that is made up.

use super::*;

fn service(name: &str, state: ServiceState) -> ServiceStatus {
    ServiceStatus {
        name: name.to_owned(),
        state,
        pid: Some(42),
        restarts: 0,
        since_ms: 3_725_000,
        last_exit: Some("code 1".to_owned()),
        verdict: None,
        refusal: None,
        waits_for: None,
        group: None,
    }
}

#[test]
fn columns_words_and_codes_are_supervisords() {
    let status = Status {
        phase: link::Phase::Running,
        message: String::new(),
        not_live: None,
        exit_code: None,
        close_windows: false,
        display: ":0".to_owned(),
        pid: 1,
        uptime_ms: 0,
        viewers: 0,
        idle_ms: 0,
        frozen: false,
        windows: 0,
        web: None,
        vnc: None,
        dropped_lines: 0,
        services: vec![
            service("wm", ServiceState::Ready),
            service("app", ServiceState::Fatal),
            ServiceStatus {
                group: Some("web".to_owned()),
                ..service("web_00", ServiceState::Stopped)
            },
        ],
    };
    let desk = Desk {
        dir: PathBuf::new(),
        status,
    };
    let said = |names: &[&str]| {
        let mut out = String::new();
        let code = desk.status(names, &mut out);
        (out, code)
    };
    let running = "openbox                          RUNNING   pid 42, uptime 1:02:05\n";
    assert_eq!(said(&["openbox"]), (running.to_owned(), 0));
    let fatal = "desk:app                         FATAL     ended with code 1\n";
    assert_eq!(said(&["desk:app"]), (fatal.to_owned(), 3));
    assert_eq!(
        said(&["nothing"]),
        ("nothing: ERROR (no such process)\n".to_owned(), 4)
    );
    let (text, code) = said(&["app", "nothing"]);
    assert!(text.starts_with("nothing: ERROR"), "the unknown come first");
    assert_eq!(code, 3);
    assert_eq!(said(&[]).1, 3);
    assert_eq!(said(&["all"]).0.lines().count(), 3);
    let stopped = "web:web_00                       STOPPED   ended with code 1\n";
    assert_eq!(said(&["web:*"]), (stopped.to_owned(), 3));
    assert_eq!(said(&["web:web_00"]), (stopped.to_owned(), 3));
    assert_eq!(said(&["openbox:*"]).1, 0);
    let none = "x: ERROR (no such group)\n".to_owned();
    assert_eq!(said(&["x:*"]), (none, 4));
}

#[test]
fn options_that_name_a_server_are_skipped() {
    let words_of = |text: &str| -> Result<Vec<String>, String> {
        let args: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let found = words(&args).map_err(str::to_owned)?;
        Ok(found.into_iter().map(str::to_owned).collect())
    };
    let found = words_of("-c /etc/x.conf --serverurl=unix:///x status app").unwrap();
    assert_eq!(found, ["status", "app"]);
    assert_eq!(words_of("tail -f app").unwrap(), ["tail", "-f", "app"]);
    assert_eq!(words_of("--nope status"), Err("--nope".to_owned()));
}
