//! Settings as they are given, right and wrong.

use super::super::source::Raw;
use super::*;
use std::collections::HashMap;

fn parse(pairs: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let map: HashMap<_, _> = pairs.iter().copied().collect();
    let mut raw = Raw::new();
    raw.env(|name| map.get(name).map(|v| (*v).to_owned()));
    Config::parse(raw)
        .map(|(c, _)| c)
        .map_err(|m| m.into_iter().map(|m| m.0).collect())
}

#[test]
fn defaults_are_those_of_the_contract() {
    let c = parse(&[]).unwrap();
    assert_eq!(c.size, (1280, 1024));
    assert_eq!((c.vnc_port, c.web_port), (Some(5900), Some(5800)));
    assert_eq!(c.depth, 24);
    assert!(c.password.is_none() && !c.allow_no_auth);
    assert!(c.allow_resize && c.send_cut_text && c.accept_cut_text);
    assert!(c.missing_application().is_some());
}

#[test]
fn every_default_of_the_table_is_allowed() {
    for row in super::super::SETTINGS {
        if let Some(default) = row.default {
            assert!(
                parse(&[(row.name, default)]).is_ok(),
                "{}={default}",
                row.name
            );
        }
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let mistakes = parse(&[
        ("VNC_PORT", "http"),
        ("DISPLAY_WIDTH", "5"),
        ("VNC_PASSWORD", ""),
        ("SHARED", "maybe"),
        ("SIGNAL_REWRITE", "15:2,9:1"),
        ("ABCDESKTOP_GEOMETRY", "big"),
        ("ALLOWED_HOSTS", "desk.example, http://x/"),
        ("X11_ALLOW", "10.0.0.0/8, pods"),
        ("XAUTH_KEY", "canary"),
        ("PULSEAUDIO_COOKIE", "canary"),
        ("SSH_PORT", "0"),
    ])
    .unwrap_err();
    assert!(!mistakes.iter().any(|m| m.contains("canary")));
    assert_eq!(mistakes.len(), 11, "{mistakes:#?}");
    assert!(
        mistakes
            .iter()
            .any(|m| m.starts_with("VNC_PORT=http: expected a port"))
    );
}

#[test]
fn aliases_may_agree_but_not_disagree() {
    let c = parse(&[("X11_SIZE_WIDTH", "1920"), ("RESOLUTION", "1920x1080")]).unwrap();
    assert_eq!(c.size, (1920, 1080));
    let mistakes = parse(&[("DISPLAY_WIDTH", "800"), ("X11_SIZE_WIDTH", "1920")]).unwrap_err();
    assert!(mistakes[0].contains("DISPLAY_WIDTH (800) and X11_SIZE_WIDTH (1920)"));
    let mistakes = parse(&[("VNC_PASSWORD", "canary-a"), ("VNC_PW", "canary-b")]).unwrap_err();
    assert!(!mistakes[0].contains("canary"), "{mistakes:?}");
}

#[test]
fn no_secret_is_printed() {
    let c = parse(&[("VNC_PASSWORD", "canary")]).unwrap();
    assert!(!format!("{c:?}").contains("canary"));
}

#[test]
fn a_broken_file_is_told_without_what_it_holds() {
    let mut raw = Raw::new();
    let text = "vnc_port = 1\nvnc_password = canary\n";
    raw.file(std::path::Path::new("/x.toml"), text);
    let mistakes = Config::parse(raw).unwrap_err();
    let told = &mistakes[0].0;
    assert!(
        told.starts_with("/x.toml: not valid TOML: line 2: "),
        "{told}"
    );
    assert!(!told.contains("canary"), "{told}");
}

#[test]
fn a_command_line_with_a_quote_too_few_is_told_without_what_it_holds() {
    let line = "psql --password 'CANARY";
    let told = parse(&[("APPLICATION", line)]).unwrap_err();
    assert_eq!(
        told,
        [
            "APPLICATION: a single quote (') is opened and not closed; expected a command line; quotes group words"
        ]
    );
    let mut raw = Raw::new();
    raw.file(
        std::path::Path::new("/x.toml"),
        "application = 'echo \"CANARY'\nxserver_args = 'CANARY \\'\n",
    );
    raw.flag(
        super::super::setting("WINDOW_MANAGER").unwrap(),
        line.to_owned(),
    );
    let told: Vec<String> = Config::parse(raw)
        .unwrap_err()
        .into_iter()
        .map(|m| m.0)
        .collect();
    assert!(!told.concat().contains("CANARY"), "{told:?}");
    for place in [
        "application in /x.toml: a double quote",
        "xserver_args in /x.toml: it ends with a backslash",
        "--window-manager: a single quote",
    ] {
        assert!(told.iter().any(|text| text.starts_with(place)), "{told:?}");
    }
}

#[test]
fn a_wrong_pair_of_signals_is_told_by_the_name_that_was_used() {
    let told = parse(&[("SIGNAL_REWRITE", "15")]).unwrap_err();
    assert!(
        told[0].starts_with("SIGNAL_REWRITE=15: expected "),
        "{told:?}"
    );
    let mut raw = Raw::new();
    raw.flag(
        super::super::setting("SIGNAL_REWRITE").unwrap(),
        "15".to_owned(),
    );
    let told = Config::parse(raw).unwrap_err();
    assert!(told[0].0.starts_with("--rewrite 15: expected "), "{told:?}");
}

#[test]
fn a_secret_file_that_cannot_be_read_is_told_beside_a_secret_that_disagrees() {
    for given in ["", "canary"] {
        let told = parse(&[
            ("VNC_PASSWORD", given),
            ("VNC_PASSWORD_FILE", "/nonexistent"),
        ]);
        let told = told.unwrap_err();
        let unreadable = "VNC_PASSWORD_FILE=/nonexistent: cannot be read: ";
        assert!(told.iter().any(|m| m.starts_with(unreadable)), "{told:?}");
        assert!(told.iter().any(|m| m.contains("disagree")), "{told:?}");
    }
}

#[test]
fn secrets_are_never_empty() {
    for bad in ["", "\n", "a\nb"] {
        assert!(parse(&[("VNC_PASSWORD", bad)]).is_err(), "{bad:?}");
    }
    assert!(parse(&[("VNC_PASSWORD_FILE", "/nonexistent")]).is_err());
    assert!(parse(&[("VNC_PASSWORD_FILE", "/dev/null")]).is_err());
}

#[test]
fn displays_are_parsed() {
    let n = |s| DisplayName::parse(s).map(|d| (d.host, d.number));
    assert_eq!(n(":0"), Some((String::new(), 0)));
    assert_eq!(n(":0.0"), Some((String::new(), 0)));
    assert_eq!(n("10.0.0.1:7"), Some(("10.0.0.1".to_owned(), 7)));
    for bad in ["", "0", ":", ":x", ":70000", ":0.y"] {
        assert_eq!(n(bad), None, "{bad}");
    }
}
