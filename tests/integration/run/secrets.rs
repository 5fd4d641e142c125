//! Secrets are where they must be and nowhere else; the X server is closed to the world.

use std::fs;

use crate::support::desk::{Builder, Desk, LONG, pid};

#[test]
fn a_password_is_in_no_command_line_environment_log_or_file() {
    // Also a key in hexadecimal digits.
    let canary = "ca9a4f2b7d";
    let desk = Builder::new(&["sh", "-c", "env; xterm"])
        .env("VNC_PASSWORD", canary)
        .env("X11LISTEN", "tcp")
        .env("XAUTH_KEY", canary)
        .env("NOTIFY_SOCKET", "/somewhere/else")
        .start();
    desk.up();
    let mut all = desk.descendants();
    all.push(desk.pid());
    assert!(all.len() >= 7, "{all:?}");
    for process in all {
        for file in ["environ", "cmdline"] {
            let text = fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            assert!(!text.contains(canary), "{file} of {process}: {text}");
        }
    }
    for file in fs::read_dir(desk.run_dir()).unwrap().flatten() {
        // The link to the X server's pixels means a descriptor of whoever follows it.
        if file.file_type().unwrap().is_symlink() {
            continue;
        }
        let text = fs::read(file.path()).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&text).contains(canary),
            "{:?}",
            file.path()
        );
    }
    let lines = desk.lines();
    assert!(
        !lines.iter().any(|line| line.contains(canary)),
        "{lines:#?}"
    );
    assert!(!lines.iter().any(|line| line.contains("the password is")));
    assert!(
        !lines
            .iter()
            .any(|line| line.starts_with("[app] NOTIFY_SOCKET"))
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("[app] XAUTHORITY="))
    );
}

#[test]
fn the_x_server_is_reached_by_its_socket_and_cookie_only() {
    let desk = Desk::start(&["xterm"]);
    let status = desk.up();
    let number = status.display.trim_start_matches(':').to_owned();
    let sockets = fs::read_to_string("/proc/net/unix").unwrap();
    assert!(
        sockets
            .lines()
            .any(|line| line.ends_with(&format!(" /tmp/.X11-unix/X{number}")))
    );
    assert!(
        !sockets
            .lines()
            .any(|line| line.ends_with(&format!("@/tmp/.X11-unix/X{number}")))
    );
    let port = 6000 + number.parse::<u16>().unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    let display: x11rb::rust_connection::DefaultStream;
    let address = format!("/tmp/.X11-unix/X{number}");
    (display, _) = x11rb::rust_connection::DefaultStream::from_unix_stream(
        std::os::unix::net::UnixStream::connect(address).unwrap(),
    )
    .unwrap();
    let without_cookie = x11rb::rust_connection::RustConnection::connect_to_stream(display, 0);
    assert!(
        without_cookie.is_err(),
        "an X server that asks nobody for anything"
    );
}

#[test]
fn pid_1_is_small_and_single() {
    let desk = Desk::start(&["xterm"]);
    desk.up();
    let text = fs::read_to_string(format!("/proc/{}/status", desk.pid())).unwrap();
    let field = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_ascii_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap()
    };
    assert_eq!(field("Threads:"), 1);
    // Its own memory; pages of the executable are shared with the display server, and a test binary's are many.
    assert!(field("RssAnon:") < 4 * 1024, "{} KiB", field("RssAnon:"));
}

#[test]
fn children_start_with_a_clean_slate() {
    let script = "grep -E '^Sig(Blk|Ign)' /proc/self/status; ps -o pgid= -p $$; echo pid $$; ls /proc/self/fd; xterm";
    let desk = Desk::start(&["sh", "-c", script]);
    let status = desk.up();
    let lines = desk.lines();
    let has = |text: &str| lines.iter().any(|line| line == text);
    assert!(has("[app] SigBlk:\t0000000000000000"), "{lines:#?}");
    // But for the two that the C library keeps for itself.
    let ignored = lines
        .iter()
        .find_map(|line| line.strip_prefix("[app] SigIgn:\t"))
        .unwrap();
    assert_eq!(
        u64::from_str_radix(ignored, 16).unwrap() & !0x1_8000_0000,
        0,
        "{ignored}"
    );
    let app = pid(&status, "app");
    assert!(
        lines
            .iter()
            .any(|line| line.trim_start_matches("[app]").trim() == app.to_string()),
        "its own group"
    );
    // 0, 1, 2 and the directory that ls itself reads.
    assert!(has("[app] 3") && !has("[app] 4"), "{lines:#?}");
    desk.when("still there", LONG, |status| status.windows > 0);
}
