//! The files, the socket and the habits of abcdesktop's containers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::TempDir;
use crate::support::client::{Client, Login};
use crate::support::desk::{Builder, Desk, LONG};
use crate::support::eventually;

const KEY: &str = "c4a4a20123456789abcdef01234567";
const PASSWORD: &str = "k7Zq2xPv";

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Entries of a cookie file, as `xauth list` has them.
fn cookies(file: &std::path::Path) -> String {
    let out = Command::new("xauth")
        .arg("-f")
        .arg(file)
        .arg("list")
        .output();
    String::from_utf8(out.unwrap().stdout).unwrap()
}

struct World {
    desk: Desk,
    dir: TempDir,
}

impl World {
    fn start(build: impl FnOnce(Builder) -> Builder) -> Self {
        let dir = TempDir::new();
        for name in ["home", "log"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let others = dir.path().join("home/.Xauthority");
        fs::write(&others, "").unwrap();
        let add = ["add", "10.9.9.9:3", ".", "00112233445566778899aabbccddeeff"];
        let mut xauth = Command::new("xauth");
        let added = xauth.arg("-qf").arg(&others).args(add).status();
        assert!(added.unwrap().success());
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let script = format!("umask; touch {}; sleep 1000", path("made"));
        let builder = Builder::new(&["sh", "-c", &script])
            .env("APP_HEADLESS", "1")
            .env("HOME", &path("home"))
            .env("ABCDESKTOP_LOG_DIR", &path("log"))
            .env("RFB_UNIX_SOCKET", &path("x11vnc"))
            .env("VNC_PASSWORD", PASSWORD)
            .env("XAUTH_KEY", KEY);
        let desk = build(builder).start();
        desk.up();
        Self { desk, dir }
    }
}

#[test]
fn files_are_where_scripts_look_for_them() {
    let world = World::start(|builder| builder.env("UMASK", "027"));
    let (desk, dir) = (&world.desk, world.dir.path());
    let read = |path: std::path::PathBuf| fs::read_to_string(path).unwrap();
    let pid = read(desk.run_dir().join("supervisord.pid"));
    assert_eq!(pid.trim(), desk.pid().to_string());
    assert!(read(desk.run_dir().join("start.txt")).starts_with("20"));
    desk.line("[app] 0027");
    eventually("the file", LONG, || dir.join("made").exists().then_some(()));
    assert_eq!(mode(&dir.join("made")), 0o640);

    // What the parts print stands in the log of the container, and in a file each.
    for name in ["xserver", "websockify", "openbox"] {
        // One that prints nothing has none.
        let path = dir.join("log").join(format!("{name}.log"));
        let text = fs::read_to_string(&path).unwrap_or_default();
        for line in text.lines() {
            assert!(
                desk.lines().iter().any(|known| known.ends_with(line)),
                "{line}"
            );
        }
    }
    let screen = dir.join("log/websockify.log");
    drop(Client::connect(
        desk.up().vnc.unwrap(),
        &Login::password("wrong"),
    ));
    eventually("the display server's words", LONG, || {
        let text = fs::read_to_string(&screen).ok()?;
        text.contains("no session").then_some(())
    });
    desk.line("no session");
    assert_eq!(mode(&screen), 0o640);
}

#[test]
fn the_cookie_stands_in_the_home_beside_others_and_goes_at_the_end() {
    let world = World::start(|builder| builder);
    let file = world.dir.path().join("home/.Xauthority");
    let list = cookies(&file);
    assert_eq!(mode(&file), 0o600);
    assert!(list.contains(KEY) && list.contains("10.9.9.9:3"), "{list}");
    // As a program in a container that shares the home.
    let display = world.desk.up().display;
    let reached = Command::new("xdpyinfo")
        .env("HOME", world.dir.path().join("home"))
        .env("DISPLAY", &display)
        .env_remove("XAUTHORITY")
        .output();
    assert!(reached.unwrap().status.success());
    world.desk.signal(Signal::SIGTERM);
    assert_eq!(world.desk.code(), 143);
    let list = cookies(&file);
    assert!(!list.contains(KEY) && list.contains("10.9.9.9:3"), "{list}");
}

#[test]
fn viewers_at_the_socket_are_asked_for_the_password_and_see_the_colour() {
    let world = World::start(|builder| builder.env("ABCDESKTOP_BG_COLOR", "#18974c"));
    let path = world.dir.path().join("x11vnc");
    assert_eq!(mode(&path), 0o600);
    let login = |login: &Login| Client::login(UnixStream::connect(&path).unwrap(), login);
    assert!(login(&Login::none()).is_err());
    assert!(login(&Login::password("wrong")).is_err());
    let mut viewer = login(&Login::password(PASSWORD)).expect("logs in");
    viewer.set_encodings(&[0]).unwrap();
    viewer.request_all(false).unwrap();
    viewer
        .until(LONG, |client| client.picture().pixel(5, 5) == 0x18_97_4c)
        .unwrap();
    drop(viewer);
    world.desk.signal(Signal::SIGTERM);
    assert_eq!(world.desk.code(), 143);
    assert!(!path.exists());
}

#[test]
fn what_cannot_be_had_is_said() {
    let world = World::start(|builder| {
        builder
            .env("ABCDESKTOP_LOG_DIR", "/nonexistent/log")
            .env("SET_DEFAULT_WALLPAPER", "welcometoabcdesktop.png")
            .env("HOME_XAUTHORITY", "0")
    });
    world
        .desk
        .line("LOG_DIR=/nonexistent/log: there is no such directory");
    world
        .desk
        .line("SET_DEFAULT_WALLPAPER=welcometoabcdesktop.png: no picture");
    let list = cookies(&world.dir.path().join("home/.Xauthority"));
    assert!(!list.contains(KEY), "{list}");
}
