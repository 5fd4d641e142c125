//! The test client says and understands what the specification says, byte by byte, against a scripted server.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use deskinit::pixel::{PixelFormat, Rect};

use crate::support::client::{Client, Event, Login, response};
use crate::support::clipboard::{Clipboard, flag};
use crate::support::decode::number;
use crate::support::pseudo::{Cursor, Pseudo, Screen, number as pseudo};

const TIMEOUT: Duration = Duration::from_secs(10);

/// One move of the scripted server.
enum Move {
    Say(Vec<u8>),
    Hear(Vec<u8>),
}

use Move::{Hear, Say};

fn play(mut stream: impl Read + Write + Send + 'static, script: Vec<Move>) -> JoinHandle<()> {
    thread::spawn(move || {
        for (i, step) in script.into_iter().enumerate() {
            match step {
                Say(bytes) => stream.write_all(&bytes).expect("the client listens"),
                Hear(bytes) => {
                    let mut got = vec![0; bytes.len()];
                    stream.read_exact(&mut got).expect("the client speaks");
                    assert_eq!(got, bytes, "step {i}");
                }
            }
        }
    })
}

/// ServerInit of a screen of 4 × 3 named "x".
fn server_init() -> Vec<u8> {
    let mut init = vec![0, 4, 0, 3];
    init.extend_from_slice(&PixelFormat::NATIVE.to_bytes());
    init.extend_from_slice(&[0, 0, 0, 1, b'x']);
    init
}

/// A client that got through 3.8 without authentication, with a server that then plays a script.
fn session(script: Vec<Move>) -> (Client, JoinHandle<()>) {
    let (ours, theirs) = UnixStream::pair().expect("sockets");
    let mut all = vec![
        Say(b"RFB 003.008\n".to_vec()),
        Hear(b"RFB 003.008\n".to_vec()),
        Say(vec![2, 2, 1]),
        Hear(vec![1]),
        Say(vec![0; 4]),
        Hear(vec![1]),
        Say(server_init()),
    ];
    all.extend(script);
    let server = play(theirs, all);
    let client = Client::login(ours, &Login::none()).expect("logs in");
    (client, server)
}

fn rect(x: u16, y: u16, w: u16, h: u16, encoding: i32, body: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = [x, y, w, h].iter().flat_map(|n| n.to_be_bytes()).collect();
    out.extend_from_slice(&encoding.to_be_bytes());
    out.extend_from_slice(body);
    out
}

#[test]
fn vnc_authentication_gives_the_known_answer() {
    // How password files hold "password": encrypted by a key that everybody knows.
    let known = response("\x17\x52\x6b\x06\x23\x4e\x58\x07", b"password");
    assert_eq!(known, [0xdb, 0xd8, 0x3c, 0xfd, 0x72, 0x7a, 0x14, 0x58]);
    // Only the first eight characters count.
    let zeros = response("password", &[0; 16]);
    assert_eq!(zeros, response("password and more", &[0; 16]));
    assert_ne!(zeros, response("passwore", &[0; 16]));
}

#[test]
fn every_version_logs_in_by_password() {
    for minor in [3u8, 7, 8] {
        let challenge: Vec<u8> = (0..16).collect();
        let answer = response("secret", &challenge);
        let (offer, choice) = match minor {
            3 => (vec![0, 0, 0, 2], vec![]),
            _ => (vec![1, 2], vec![2]),
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let greeting = format!("RFB 003.{minor:03}\n").into_bytes();
        let script = vec![
            Say(b"RFB 003.008\n".to_vec()),
            Hear(greeting),
            Say(offer),
            Hear(choice),
            Say(challenge),
            Hear(answer),
            Say(vec![0; 4]),
            Hear(vec![0]),
            Say(server_init()),
        ];
        let server = thread::spawn(move || listener.accept().expect("a client").0);
        let login = Login {
            minor,
            shared: false,
            ..Login::password("secret")
        };
        let client = thread::spawn(move || Client::connect(address, &login));
        play(server.join().expect("accepts"), script)
            .join()
            .expect("as scripted");
        let client = client.join().expect("runs").expect("logs in");
        assert_eq!(client.picture().size(), (4, 3));
        assert_eq!((client.name(), client.server_version()), ("x", 8));
        assert_eq!(client.format(), PixelFormat::NATIVE);
    }
}

#[test]
fn a_refusal_comes_with_its_reason() {
    let reason = [&[0, 0, 0, 4][..], b"busy"].concat();
    let refusals = [
        vec![Say(b"RFB 003.008\n\0".to_vec()), Say(reason.clone())],
        vec![
            Say(b"RFB 003.008\n\x01\x01".to_vec()),
            Hear(b"RFB 003.008\n\x01".to_vec()),
            Say(vec![0, 0, 0, 1]),
            Say(reason),
        ],
    ];
    for script in refusals {
        let (ours, mut theirs) = UnixStream::pair().expect("sockets");
        let _ = theirs.set_read_timeout(Some(TIMEOUT));
        let server = play(theirs.try_clone().expect("a handle"), script);
        let error = Client::login(ours, &Login::none()).err().expect("refused");
        assert_eq!(
            (error.kind(), error.to_string()),
            (ErrorKind::PermissionDenied, "busy".into())
        );
        server.join().expect("as scripted");
        let _ = theirs.read(&mut [0; 64]);
    }
}

#[test]
fn messages_are_those_of_the_specification() {
    let (mut client, server) = session(vec![
        Hear([&[0, 0, 0, 0][..], &PixelFormat::NATIVE.to_bytes()].concat()),
        Hear(vec![2, 0, 0, 2, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0x20]),
        Hear(vec![3, 1, 0, 1, 0, 2, 0, 3, 0, 1]),
        Hear(vec![3, 0, 0, 0, 0, 0, 0, 4, 0, 3]),
        Hear(vec![150, 1, 0, 0, 0, 0, 0, 4, 0, 3]),
        Hear(vec![248, 0, 0, 0, 0x80, 0, 0, 1, 2, 8, 9]),
        Hear(vec![4, 1, 0, 0, 0, 0, 0xff, 0x0d]),
        Hear(vec![255, 0, 0, 1, 0, 0, 0, 0x61, 0, 0, 0, 0x1e]),
        Hear(vec![5, 5, 1, 0, 0, 2]),
        Hear(vec![5, 0x81, 1, 0, 0, 2, 2]),
        Hear(vec![6, 0, 0, 0, 0, 0, 0, 2, 0xe9, b'?']),
        Hear(vec![
            251, 0, 3, 0x20, 2, 0x58, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0x20, 2, 0x58, 0, 0, 0, 0,
        ]),
        Hear(vec![
            6, 0, 0, 0, 0xff, 0xff, 0xff, 0xf8, 0x1f, 0, 0, 1, 0, 0, 1, 0,
        ]),
        Hear(vec![6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfc, 8, 0, 0, 1]),
        Hear(vec![6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfc, 2, 0, 0, 1]),
        Hear(vec![6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfc, 4, 0, 0, 0]),
    ]);
    let play = |client: &mut Client| -> std::io::Result<()> {
        client.set_pixel_format(PixelFormat::NATIVE)?;
        client.set_encodings(&[number::TIGHT, pseudo::LAST_RECT])?;
        client.request(true, Rect::new(1, 2, 3, 1))?;
        client.request_all(false)?;
        client.continuous_updates(true, Rect::sized(4, 3))?;
        client.fence(0x8000_0001, &[8, 9])?;
        client.key(0xff0d, true)?;
        client.qemu_key(0x61, 0x1e, true)?;
        client.pointer(256, 2, 5)?;
        client.pointer_extended(256, 2, 0x101)?;
        client.cut_text("é€")?;
        client.set_desktop_size(800, 600)?;
        client.clipboard_caps(256)?;
        client.clipboard_notify()?;
        client.clipboard_request()?;
        client.clipboard_peek()
    };
    play(&mut client).expect("sends");
    server.join().expect("as scripted");
    // 12 + 1 + 1 of the handshake, and the messages above.
    assert_eq!(
        client.wire().sent(),
        14 + 20 + 12 + 10 * 3 + 11 + 8 + 12 + 6 + 7 + 10 + 24 + 16 + 12 * 3
    );
}

#[test]
fn the_extended_clipboard_makes_the_round_trip() {
    let text = "Grüße,\n你好 🙂";
    let sent = Clipboard::parse(&Clipboard::provide(text)).expect("parses");
    assert_eq!(sent.flags, flag::PROVIDE | flag::TEXT);
    assert_eq!(sent.text.as_deref(), Some("Grüße,\r\n你好 🙂"));

    let message = Clipboard::provide(text);
    let header = [&[6, 0, 0, 0][..], &(-(message.len() as i32)).to_be_bytes()].concat();
    let caps = Clipboard::caps(flag::TEXT | flag::NOTIFY, &[7]);
    let (mut client, server) = session(vec![
        Hear([header, message.clone()].concat()),
        Say([&[3, 0, 0, 0][..], &(-8i32).to_be_bytes(), &caps].concat()),
        Say([
            &[3, 0, 0, 0][..],
            &(-(message.len() as i32)).to_be_bytes(),
            &message,
        ]
        .concat()),
        Say(vec![3, 0, 0, 0, 0, 0, 0, 1, 0xe9]),
    ]);
    client.clipboard_provide(text).expect("sends");
    let mut events = Vec::new();
    for _ in 0..3 {
        events.push(client.event(TIMEOUT).expect("no error").expect("an event"));
    }
    let [
        Event::Clipboard(caps),
        Event::Clipboard(got),
        Event::CutText(basic),
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(
        (caps.flags, &caps.sizes[..]),
        (flag::CAPS | flag::NOTIFY | flag::TEXT, &[7][..])
    );
    assert_eq!(got, &sent);
    assert_eq!(basic, "é");
    server.join().expect("as scripted");
}

#[test]
fn fences_are_answered_unless_told_otherwise() {
    let request = vec![248, 0, 0, 0, 0x80, 0, 0, 3, 1, 7];
    let (mut client, server) = session(vec![
        Say(request.clone()),
        Hear(vec![248, 0, 0, 0, 0, 0, 0, 3, 1, 7]),
        Say(vec![2, 150, 250, 0, 1, 2]),
        Say(request),
        Hear(vec![4, 0, 0, 0, 0, 0, 0, 1]),
    ]);
    let ended = client.wait(TIMEOUT, |e| {
        matches!(e, Event::EndOfContinuousUpdates).then_some(())
    });
    ended.expect("comes");
    // What was passed over is still there, in order.
    assert!(matches!(
        client.event(TIMEOUT),
        Ok(Some(Event::Fence(0x8000_0003, _)))
    ));
    assert!(matches!(client.event(TIMEOUT), Ok(Some(Event::Bell))));
    client.answer_fences = false;
    assert!(matches!(client.event(TIMEOUT), Ok(Some(Event::Xvp(1, 2)))));
    assert!(matches!(client.event(TIMEOUT), Ok(Some(Event::Fence(_, p))) if p == [7]));
    client.key(1, false).expect("sends");
    assert_eq!(client.counts().fences, 2);
    server.join().expect("as scripted");
    assert!(client.wire().closed(TIMEOUT));
}

#[test]
fn updates_are_drawn_and_counted() {
    let red = [0, 0, 0xff, 0];
    let green = [0, 0xff, 0, 0];
    let first = [
        &[0, 0, 0, 2][..],
        &rect(0, 0, 2, 1, number::RAW, &[red, green].concat()),
        &rect(2, 1, 2, 1, number::COPY_RECT, &[0, 0, 0, 0]),
    ];
    let rre = [&[0, 0, 0, 1][..], &red, &green, &[0, 1, 0, 1, 0, 1, 0, 2]].concat();
    let second = [
        &[0, 0, 0xff, 0xff][..],
        &rect(0, 0, 4, 3, number::RRE, &rre),
        &rect(0, 0, 0, 0, pseudo::LAST_RECT, &[]),
    ];
    let (mut client, server) = session(vec![
        Say(first.concat()),
        Hear(vec![3, 1, 0, 0, 0, 0, 0, 4, 0, 3]),
        Say(vec![2]),
        Say(second.concat()),
    ]);
    let update = client.update(TIMEOUT).expect("comes");
    assert_eq!(update.drawn.len(), 2);
    assert_eq!(update.drawn[0].bytes, 20);
    assert_eq!(client.picture().pixel(3, 1), 0x0000_ff00);
    client
        .until(TIMEOUT, |c| c.picture().pixel(0, 2) == 0x00ff_0000)
        .expect("gets there");
    assert_eq!(client.picture().pixel(1, 1), 0x0000_ff00);
    assert_eq!(client.picture().counts[&number::RRE], 1);
    let counts = client.counts();
    assert_eq!(
        (counts.updates, counts.rects, counts.pixels),
        (2, 3, 2 + 2 + 12)
    );
    assert_eq!(
        counts.bytes,
        (first.concat().len() + second.concat().len()) as u64
    );
    assert!(client.wire().received() > counts.bytes);
    assert!(matches!(client.event(TIMEOUT), Ok(Some(Event::Bell))));
    server.join().expect("as scripted");
}

#[test]
fn what_is_wrong_is_an_error() {
    let wrong = [
        rect(3, 0, 2, 1, number::RAW, &[0; 8]),
        rect(0, 0, 1, 1, number::COPY_RECT, &[0, 4, 0, 0]),
        rect(0, 0, 1, 1, 99, &[]),
        rect(
            0,
            0,
            2,
            1,
            number::RRE,
            &[0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 0, 1, 0, 0, 0, 2, 0, 1],
        ),
        rect(0, 0, 1, 1, number::HEXTILE, &[0]),
        rect(0, 0, 1, 1, number::TIGHT, &[0xa0]),
        // A palette of one colour; an index outside its palette.
        rect(0, 0, 1, 1, number::TIGHT, &[0x40, 1, 0, 1, 2, 3]),
        rect(
            0,
            0,
            1,
            1,
            number::TIGHT,
            &[0x40, 1, 2, 1, 2, 3, 1, 2, 3, 1, 2, 3, 9],
        ),
        rect(0, 0, 1, 1, number::ZLIB, &[0, 0, 0, 2, 0x78, 1]),
    ];
    for body in wrong {
        let (mut client, server) = session(vec![Say([&[0, 0, 0, 1][..], &body].concat())]);
        let error = client.update(TIMEOUT).expect_err("an error");
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error} of {body:?}");
        server.join().expect("as scripted");
    }
}

#[test]
fn pseudo_rectangles_are_understood() {
    let screens = [1, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 5, 0, 2, 0, 0, 0, 0];
    let name = [&[0, 0, 0, 2][..], "é".as_bytes()].concat();
    // One pixel each: red, opaque.
    let cursor = [0, 0, 0xff, 0, 0x80];
    let x_cursor = [0xff, 0, 0, 0, 0, 0, 0x80, 0x80];
    let alpha = [0, 0, 0, 0, 0xff, 0, 0, 0xff];
    let vmware = [1, 0, 0xff, 0, 0, 0xff];
    let vmware_classic = [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0];
    let rects = [
        rect(0, 0, 9, 8, pseudo::DESKTOP_SIZE, &[]),
        rect(1, 0, 5, 2, pseudo::EXTENDED_DESKTOP_SIZE, &screens),
        rect(1, 3, 7, 7, pseudo::EXTENDED_DESKTOP_SIZE, &[0; 4]),
        rect(0, 0, 0, 0, pseudo::DESKTOP_NAME, &name),
        rect(0, 0, 1, 1, pseudo::CURSOR, &cursor),
        rect(0, 0, 1, 1, pseudo::X_CURSOR, &x_cursor),
        rect(0, 0, 1, 1, pseudo::CURSOR_WITH_ALPHA, &alpha),
        rect(0, 0, 1, 1, pseudo::VMWARE_CURSOR, &vmware),
        rect(0, 0, 1, 1, pseudo::VMWARE_CURSOR, &vmware_classic),
        rect(4, 3, 0, 0, pseudo::VMWARE_CURSOR_POSITION, &[]),
        rect(0, 0, 0, 0, pseudo::QEMU_LED, &[5]),
        rect(0, 0, 0, 0, pseudo::VMWARE_LED, &[0, 0, 0, 2]),
        rect(0, 0, 0, 0, pseudo::QEMU_KEY, &[]),
        rect(0, 0, 0, 0, pseudo::EXTENDED_MOUSE_BUTTONS, &[]),
    ];
    let message = [&[0, 0, 0, rects.len() as u8][..], &rects.concat()].concat();
    let (mut client, server) = session(vec![Say(message)]);
    let update = client.update(TIMEOUT).expect("comes");
    server.join().expect("as scripted");
    assert_eq!(client.picture().size(), (5, 2), "a refusal does not resize");
    let red = |encoding| {
        Pseudo::Cursor(Cursor {
            encoding,
            hot_x: 0,
            hot_y: 0,
            width: 1,
            height: 1,
            rgba: vec![[0xff, 0, 0, 0xff]],
        })
    };
    let extended = |reason, status, width, height, screens| Pseudo::ExtendedDesktopSize {
        reason,
        status,
        width,
        height,
        screens,
    };
    let screen = Screen {
        id: 9,
        x: 0,
        y: 0,
        width: 5,
        height: 2,
        flags: 0,
    };
    assert_eq!(
        update.pseudo,
        [
            Pseudo::DesktopSize(9, 8),
            extended(1, 0, 5, 2, vec![screen]),
            extended(1, 3, 7, 7, vec![]),
            Pseudo::DesktopName("é".into()),
            red(pseudo::CURSOR),
            red(pseudo::X_CURSOR),
            red(pseudo::CURSOR_WITH_ALPHA),
            red(pseudo::VMWARE_CURSOR),
            red(pseudo::VMWARE_CURSOR),
            Pseudo::CursorPosition(4, 3),
            Pseudo::Leds(5),
            Pseudo::Leds(2),
            Pseudo::QemuKey,
            Pseudo::ExtendedMouseButtons,
        ]
    );
    let listed = [
        pseudo::FENCE,
        pseudo::CONTINUOUS_UPDATES,
        pseudo::EXTENDED_CLIPBOARD,
    ];
    assert_eq!(listed, [-312, -313, -1063131698]);
    assert_eq!((pseudo::quality(6), pseudo::compress(2)), (-26, -254));
}
