//! X11 over TCP: programs with the cookie come in, and see a display of another machine; nobody else does.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use nix::unistd::Pid;
use x11rb::connection::{Connection as _, RequestConnection as _};
use x11rb::errors::ReplyError;
use x11rb::protocol::ErrorKind;
use x11rb::protocol::xproto::{AccessControl, ConnectionExt as _, Family, HostMode, ImageFormat};
use x11rb::rust_connection::{DefaultStream, RustConnection};
use x11rb::wrapper::ConnectionExt as _;

use crate::support::TempDir;
use crate::support::desk::{Builder, Desk, LONG, is_ready, pid};
use crate::support::random::Random;

/// 15 bytes, as some launchers make them.
const KEY: &str = "c4a4a20123456789abcdef01234567";
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const THERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A desktop with a gate, and a cookie file for others.
struct World {
    desk: Desk,
    port: u16,
    cookies: TempDir,
}

impl World {
    fn start(build: impl FnOnce(Builder) -> Builder) -> Self {
        let builder = Builder::new(&["xterm"])
            .env("X11LISTEN", "tcp")
            .env("XAUTH_KEY", KEY);
        let desk = build(builder).start();
        let number = desk.up().display.trim_start_matches(':').to_owned();
        let world = Self {
            desk,
            port: 6000 + number.parse::<u16>().unwrap(),
            cookies: TempDir::new(),
        };
        let cookies = world.cookies.path().join("Xauthority");
        std::fs::write(&cookies, "").unwrap();
        for display in [world.display(), format!(":{number}")] {
            let xauth = Command::new("xauth")
                .arg("-qf")
                .arg(&cookies)
                .args(["add", &display, ".", KEY])
                .status();
            assert!(xauth.unwrap().success());
        }
        world
    }

    fn display(&self) -> String {
        format!("127.0.0.1:{}", self.port - 6000)
    }

    /// A program as another pod starts it.
    fn program(&self, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env("DISPLAY", self.display())
            .env("XAUTHORITY", self.cookies.path().join("Xauthority"));
        command
    }

    fn output(&self, words: &[&str]) -> (Output, String) {
        let output = self.program(words).output().unwrap();
        let text = [output.stdout.clone(), output.stderr.clone()].concat();
        (output, String::from_utf8_lossy(&text).into_owned())
    }

    fn dial(&self, from: Ipv4Addr) -> TcpStream {
        let fd: OwnedFd = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .unwrap();
        bind(
            fd.as_raw_fd(),
            &SockaddrIn::from(SocketAddrV4::new(from, 0)),
        )
        .unwrap();
        let to = SockaddrIn::from(SocketAddrV4::new(HERE, self.port));
        connect(fd.as_raw_fd(), &to).unwrap();
        let stream = TcpStream::from(fd);
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    /// The whole answer to a setup, when it is a refusal; what is left to read of it otherwise.
    fn answer(&self, from: Ipv4Addr, setup: &[u8]) -> Vec<u8> {
        let mut stream = self.dial(from);
        stream.write_all(setup).unwrap();
        let mut head = [0; 8];
        stream.read_exact(&mut head).unwrap();
        let mut answer = head.to_vec();
        if head[0] == 0 {
            stream.read_to_end(&mut answer).unwrap();
        }
        answer
    }

    fn connect(&self) -> RustConnection {
        let stream = self.dial(HERE);
        stream.set_read_timeout(None).unwrap();
        let (stream, _) = DefaultStream::from_tcp_stream(stream).unwrap();
        let method = b"MIT-MAGIC-COOKIE-1".to_vec();
        RustConnection::connect_to_stream_with_auth_info(stream, 0, method, key()).unwrap()
    }
}

fn key() -> Vec<u8> {
    let digits = KEY.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn setup(big: bool, method: &[u8], data: &[u8]) -> Vec<u8> {
    let number = |n: usize| {
        let n = u16::try_from(n).unwrap();
        if big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    };
    let mut bytes = vec![if big { b'B' } else { b'l' }, 0];
    for field in [11, 0, method.len(), data.len(), 0] {
        bytes.extend(number(field));
    }
    for string in [method, data] {
        bytes.extend(string);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

#[test]
fn programs_of_other_machines_work_without_shared_memory() {
    let world = World::start(|builder| builder);
    for extension in ["MIT-SHM", "DRI3"] {
        let (output, text) = world.output(&["xdpyinfo", "-ext", extension]);
        assert!(output.status.success(), "{text}");
        assert!(
            text.contains(&format!("{extension} extension not supported")),
            "{text}"
        );
    }
    let (_, text) = world.output(&["xdpyinfo", "-ext", "RENDER"]);
    assert!(!text.contains("not supported"), "{text}");
    let (output, text) = world.output(&["xterm", "-e", "true"]);
    assert!(output.status.success(), "{text}");

    // GTK draws by shared memory where it finds it; where it finds what does not work, it dies.
    let windows = world.desk.status().unwrap().windows;
    let mut gtk = world.program(&["l3afpad"]).spawn().unwrap();
    world
        .desk
        .when("its window", LONG, |status| status.windows > windows);
    assert!(gtk.try_wait().unwrap().is_none(), "it lives");
    kill(Pid::from_raw(gtk.id().cast_signed()), Signal::SIGTERM).unwrap();
    gtk.wait().unwrap();

    // Programs of this machine, with the other cookie, find all there is.
    let number = world.port - 6000;
    let mut beside = world.program(&["xdpyinfo", "-ext", "MIT-SHM"]);
    let output = beside
        .env("DISPLAY", format!(":{number}"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && !text.contains("not supported"),
        "{text}"
    );
}

#[test]
fn large_requests_and_answers_come_through_whole() {
    let world = World::start(|builder| builder);
    let link = world.connect();
    // Agrees on long requests, as every library does.
    link.prefetch_maximum_request_bytes();
    assert!(link.maximum_request_bytes() > 1 << 20);
    let screen = &link.setup().roots[0];
    let (pixmap, gc) = (link.generate_id().unwrap(), link.generate_id().unwrap());
    let (width, height) = (1000, 900);
    link.create_pixmap(screen.root_depth, pixmap, screen.root, width, height)
        .unwrap();
    link.create_gc(gc, pixmap, &Default::default()).unwrap();
    let mut random = Random::new(7);
    let pixels = std::iter::repeat_with(|| (random.next() & 0xff_ffff).to_le_bytes());
    let count = usize::from(width) * usize::from(height);
    let pixels: Vec<u8> = pixels.take(count).flatten().collect();
    link.put_image(
        ImageFormat::Z_PIXMAP,
        pixmap,
        gc,
        width,
        height,
        0,
        0,
        0,
        screen.root_depth,
        &pixels,
    )
    .unwrap();
    let image = link
        .get_image(ImageFormat::Z_PIXMAP, pixmap, 0, 0, width, height, !0)
        .unwrap()
        .reply()
        .unwrap();
    assert!(image.data == pixels, "other pixels came back");
}

#[test]
fn without_the_cookie_or_from_another_network_nobody_comes_in() {
    let world = World::start(|builder| builder.env("X11_ALLOW", "127.0.0.1, fd00::/8"));
    let cookie = b"MIT-MAGIC-COOKIE-1";
    let mut wrong = key();
    wrong[14] ^= 1;
    let cases: [(Ipv4Addr, &[u8], &[u8], &str); 7] = [
        (HERE, b"", b"", "no MIT-MAGIC-COOKIE-1 was shown"),
        (HERE, cookie, b"", "no MIT-MAGIC-COOKIE-1 was shown"),
        (
            HERE,
            b"XDM-AUTHORIZATION-1",
            &key(),
            "no MIT-MAGIC-COOKIE-1",
        ),
        (HERE, cookie, &wrong, "the cookie shown is not XAUTH_KEY"),
        (
            HERE,
            cookie,
            &key()[..14],
            "the cookie shown is not XAUTH_KEY",
        ),
        (
            THERE,
            cookie,
            &key(),
            "no programs are let in from this address",
        ),
        (THERE, b"", b"", "no programs are let in from this address"),
    ];
    for (from, method, data, reason) in cases {
        for big in [false, true] {
            let answer = world.answer(from, &setup(big, method, data));
            let length = usize::from(answer[1]);
            let words = [answer[6], answer[7]];
            let words = if big {
                u16::from_be_bytes(words)
            } else {
                u16::from_le_bytes(words)
            };
            assert_eq!(answer[0], 0, "let in: {reason}");
            assert_eq!(answer.len(), 8 + 4 * usize::from(words));
            let told = String::from_utf8_lossy(&answer[8..8 + length]).into_owned();
            assert!(
                told.starts_with("deskinit: ") && told.contains(reason),
                "{told}"
            );
        }
    }
    for big in [false, true] {
        assert_eq!(world.answer(HERE, &setup(big, cookie, &key()))[0], 1);
    }
    // What is no X11 gets no answer at all.
    let mut stream = world.dial(HERE);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty());
}

#[test]
fn the_door_is_not_opened_from_outside() {
    let world = World::start(|builder| builder);
    let link = world.connect();
    let refused = |reply: Result<(), ReplyError>| match reply {
        Err(ReplyError::X11Error(error)) => error.error_kind == ErrorKind::Access,
        _ => false,
    };
    let open = link.set_access_control(AccessControl::DISABLE).unwrap();
    assert!(refused(open.check()));
    let admit = link.change_hosts(HostMode::INSERT, Family::INTERNET, &[10, 0, 0, 1]);
    assert!(refused(admit.unwrap().check()));
    let hosts = link.list_hosts().unwrap().reply().unwrap();
    assert_eq!(hosts.mode, AccessControl::ENABLE);
    assert!(!hosts.hosts.iter().any(|host| host.address == [10, 0, 0, 1]));
    link.sync().unwrap();

    let (output, text) = world.output(&["xhost", "+"]);
    assert!(
        text.contains("must be on local machine"),
        "{:?} {text}",
        output.status
    );
    let (_, text) = world.output(&["xhost"]);
    assert!(text.contains("access control enabled"), "{text}");
}

#[test]
fn a_request_that_could_hide_another_ends_the_connection() {
    let world = World::start(|builder| builder);
    let mut stream = world.dial(HERE);
    stream
        .write_all(&setup(false, b"MIT-MAGIC-COOKIE-1", &key()))
        .unwrap();
    // Without the long form being agreed on, some would read 4 bytes here, others 8 and more; then SetAccessControl.
    stream
        .write_all(&[127, 0, 0, 0, 2, 0, 0, 0, 111, 0, 1, 0])
        .unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    world
        .desk
        .line("program cut off: a request without a length");
    assert!(
        world
            .output(&["xhost"])
            .1
            .contains("access control enabled")
    );
}

#[test]
fn the_gate_is_back_and_nobody_else_is_touched() {
    let world = World::start(|builder| builder);
    let before = world.desk.status().unwrap();
    let old = pid(&before, "gate");
    kill(Pid::from_raw(old), Signal::SIGKILL).unwrap();
    let after = world.desk.when("the gate is back", LONG, |status| {
        is_ready(status, "gate") && pid(status, "gate") != old
    });
    for name in ["xserver", "display", "wm", "app"] {
        assert_eq!(pid(&before, name), pid(&after, name));
    }
    assert!(world.output(&["xdpyinfo"]).0.status.success());

    // With another X server it comes anew.
    kill(Pid::from_raw(pid(&after, "xserver")), Signal::SIGKILL).unwrap();
    let gate = pid(&after, "gate");
    world
        .desk
        .when("the gate follows the X server", LONG, |status| {
            is_ready(status, "gate") && pid(status, "gate") != gate
        });
    assert!(world.output(&["xdpyinfo"]).0.status.success());
}

#[test]
fn those_who_only_knock_shut_nobody_else_out() {
    let world = World::start(|builder| builder.env("X11_ALLOW", "127.0.0.0/31"));
    let right = setup(false, b"MIT-MAGIC-COOKIE-1", &key());
    // More from a network that is not let in than all strangers together may be.
    let others: Vec<_> = (2..16)
        .flat_map(|last| std::iter::repeat_n(Ipv4Addr::new(127, 0, 0, last), 8))
        .map(|from| world.dial(from))
        .collect();
    assert!(others.len() > 100);
    assert_eq!(world.answer(HERE, &right)[0], 1);

    // Slow ones from the same address keep out only more of the same, until they are cut.
    let mut slow: Vec<_> = (0..8).map(|_| world.dial(HERE)).collect();
    for stream in &mut slow {
        stream.write_all(&right[..7]).unwrap();
    }
    let mut ninth = world.dial(HERE);
    let _ = ninth.write_all(&right);
    let mut byte = [0];
    assert!(
        !matches!(ninth.read(&mut byte), Ok(1)),
        "a ninth stranger is heard"
    );
    for mut stream in slow {
        assert!(
            !matches!(stream.read(&mut byte), Ok(1)),
            "a slow one is cut"
        );
    }
    assert_eq!(world.answer(HERE, &right)[0], 1);
}

#[test]
fn without_x11listen_there_is_no_gate_and_with_secure_connection_only_loopback() {
    let desk = Builder::new(&["xterm"]).env("X11LISTEN", "udp").start();
    assert!(
        !desk
            .up()
            .services
            .iter()
            .any(|service| service.name == "gate")
    );
    drop(desk);
    let world = World::start(|builder| {
        builder
            .env("BIND_ADDRESS", "0.0.0.0")
            .env("SECURE_CONNECTION", "1")
    });
    let line = world.desk.line("programs with the cookie reach");
    assert!(
        line.contains(&format!(" at 127.0.0.1:{}", world.port)),
        "{line}"
    );
    let address = (IpAddr::from(THERE), world.port);
    let outside = TcpStream::connect_timeout(&address.into(), Duration::from_secs(5));
    assert!(outside.is_err());
}
