//! Bad input: its connection ends, or it does nothing; everything else goes on, and nothing is left behind.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use nix::sys::socket::{setsockopt, sockopt};

use super::resize::viewer;
use super::{SOON, Stage};
use crate::support::client::{Client, Event, response};
use crate::support::clipboard::flag;
use crate::support::decode::number;
use crate::support::draw::Random;
use crate::support::eventually;
use crate::support::pictures::picture;
use crate::support::pseudo::number as pseudo;
use crate::support::serve::PASSWORD;
use crate::support::websocket::WebSocket;

fn raw(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("listens");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    stream
}

/// Sends bytes to a port, and reads what comes until the other side closes.
fn answer(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = raw(to);
    // The other side may have had enough before the last byte.
    let _ = stream.write_all(bytes);
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.next() as u8).collect()
}

/// A stage with somebody who looks on, and the number of descriptors that this takes.
fn watched() -> (Stage, Client, usize) {
    let stage = Stage::new((640, 480), &[]);
    let mut client = viewer(&stage);
    stage.put(&picture(300, 200, 1, 9), 20, 20);
    stage.follow(&mut client);
    let descriptors = stage.serve.descriptors();
    (stage, client, descriptors)
}

/// Everything is as before.
fn unharmed(stage: &Stage, client: &mut Client, descriptors: usize) {
    stage.put(&picture(300, 200, 2, 9), 40, 40);
    stage.follow(client);
    stage.serve.viewers(1);
    eventually("descriptors at the base line", SOON, || {
        (stage.serve.descriptors() <= descriptors).then_some(())
    });
    assert_eq!(stage.serve.get("/livez").status, 200);
    let log = stage.serve.log();
    assert!(!log.contains("panic"), "{log}");
}

#[test]
fn strangers_are_turned_away() {
    let (stage, mut client, descriptors) = watched();
    let (vnc, web) = (stage.serve.vnc(), stage.serve.web());
    let mark = stage.serve.mark();
    answer(vnc, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stage.serve.line(mark, &["WARN", "no session"]);
    for seed in 0..4 {
        let mark = stage.serve.mark();
        answer(vnc, &noise(4096, seed));
        stage.serve.line(mark, &["WARN", "no session"]);
    }
    let mark = stage.serve.mark();
    answer(vnc, b"RFB 003.008\n\x63");
    stage.serve.line(mark, &["WARN", "99", "not offered"]);

    assert!(answer(web, b"RFB 003.008\n\r\n\r\n").starts_with("HTTP/1.1 400"));
    for seed in 0..4 {
        answer(web, &[noise(4096, seed), b"\r\n\r\n".to_vec()].concat());
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(64 * 1024));
    let refused = answer(web, long.as_bytes());
    assert!(
        refused.is_empty() || refused.starts_with("HTTP/1.1 4"),
        "{refused}"
    );
    // Garbage inside a websocket is RFB's business again.
    let mark = stage.serve.mark();
    let mut socket = WebSocket::connect(web, "/", &[]).expect("upgraded");
    socket.write_all(&noise(500, 9)).expect("connected");
    stage.serve.line(mark, &["WARN", "websocket", "no session"]);
    drop(socket);
    unharmed(&stage, &mut client, descriptors);
}

/// The answer to a fence proves that all before it was taken in.
fn still_there(client: &mut Client) {
    client.fence(1 << 31, b"still there?").expect("connected");
    let answer = |e: &Event| matches!(e, Event::Fence(_, p) if p == b"still there?").then_some(());
    client.wait(SOON, answer).expect("an answer");
}

fn bomb(claimed: u32, zeros: usize) -> Vec<u8> {
    let mut data = (flag::PROVIDE | flag::TEXT).to_be_bytes().to_vec();
    let mut zlib = ZlibEncoder::new(&mut data, Compression::best());
    zlib.write_all(&claimed.to_be_bytes()).expect("memory");
    for _ in 0..zeros / 65536 {
        zlib.write_all(&[0; 65536]).expect("memory");
    }
    zlib.finish().expect("memory");
    data
}

fn clipboard(length: u32, data: &[u8]) -> Vec<u8> {
    [&[6, 0, 0, 0][..], &length.to_be_bytes(), data].concat()
}

#[test]
fn viewers_that_lie_harm_only_themselves() {
    let (stage, mut client, descriptors) = watched();
    let guest = || {
        let mut guest = stage.serve.viewer();
        let list = [number::RAW, pseudo::FENCE, pseudo::EXTENDED_CLIPBOARD];
        guest.set_encodings(&list).expect("connected");
        still_there(&mut guest);
        guest
    };
    // These do nothing.
    let mut patient = guest();
    let too_many = [&[2, 0, 255, 255][..], &noise(65535 * 4, 1)].concat();
    let fence = [&[248, 0, 0, 0, 0x80, 0, 0, 0, 200][..], &[7; 200]].concat();
    let size = [&[251, 0, 1, 0, 1, 0, 255, 0][..], &[0; 255 * 16]].concat();
    for message in [too_many, fence, size] {
        patient.send(&message).expect("connected");
        let list = [number::RAW, pseudo::FENCE, pseudo::EXTENDED_CLIPBOARD];
        patient.set_encodings(&list).expect("connected");
        still_there(&mut patient);
    }
    for (claimed, zeros) in [
        (64 << 20, 64 << 20),
        (u32::MAX, 1 << 20),
        (100, 64 << 20),
        (0, 0),
    ] {
        let data = bomb(claimed, zeros);
        let length = (data.len() as i32).wrapping_neg() as u32;
        patient.send(&clipboard(length, &data)).expect("connected");
        still_there(&mut patient);
    }
    let cut_short = clipboard(
        (-200_i32) as u32,
        &[
            &(flag::PROVIDE | flag::TEXT).to_be_bytes()[..],
            &noise(196, 3),
        ]
        .concat(),
    );
    patient.send(&cut_short).expect("connected");
    still_there(&mut patient);
    drop(patient);

    // These end the connection, and say so.
    let endings: [(Vec<u8>, &str); 4] = [
        (vec![77], "unknown type 77"),
        (vec![255, 9], "unknown type 9"),
        (
            clipboard((-2_i32) as u32, &[0, 0]),
            "clipboard message of 2 bytes",
        ),
        (
            vec![
                0, 0, 0, 0, 24, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0,
            ],
            "asked for",
        ),
    ];
    for (message, said) in endings {
        let mark = stage.serve.mark();
        let mut guest = guest();
        let _ = guest.send(&message);
        stage.serve.line(mark, &["WARN", "protocol error", said]);
        eventually("the end", SOON, || {
            guest.event(Duration::from_millis(50)).err().map(|_| ())
        });
    }

    // Endless text, taken in and thrown away.
    let before = stage.serve.memory("VmRSS");
    for length in [i32::MAX as u32, i32::MIN as u32] {
        let mut guest = guest();
        let _ = guest.send(&clipboard(length, &[b'x'; 4]));
        for _ in 0..64 {
            let _ = guest.send(&[b'x'; 256 * 1024]);
        }
    }
    stage.serve.viewers(1);
    let grown = stage.serve.memory("VmRSS").saturating_sub(before);
    assert!(grown < 8 * 1024, "grown by {grown} KiB");
    unharmed(&stage, &mut client, descriptors);
}

/// A viewer that vanishes after it has sent so many bytes.
fn vanish(stage: &Stage, after: usize, reset: bool) {
    let mut stream = raw(stage.serve.vnc());
    if reset {
        let linger = nix::libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&stream, sockopt::Linger, &linger).expect("a socket");
    }
    let mut left = after;
    let mut say = |stream: &mut TcpStream, bytes: &[u8]| {
        let n = bytes.len().min(left);
        left -= n;
        stream.write_all(&bytes[..n]).is_ok() && n == bytes.len()
    };
    let hear = |stream: &mut TcpStream, n: usize| {
        let mut bytes = vec![0; n];
        stream.read_exact(&mut bytes).ok().map(|()| bytes)
    };
    let mut play = || -> Option<()> {
        hear(&mut stream, 12)?;
        say(&mut stream, b"RFB 003.008\n").then_some(())?;
        hear(&mut stream, 2)?;
        say(&mut stream, &[2]).then_some(())?;
        let challenge = hear(&mut stream, 16)?;
        say(&mut stream, &response(PASSWORD, &challenge)).then_some(())?;
        hear(&mut stream, 4)?;
        say(&mut stream, &[1]).then_some(())?;
        let mut messages = vec![2, 0, 0, 1, 0, 0, 0, 0];
        messages.extend([3, 0, 0, 0, 0, 0, 2, 128, 1, 224]);
        messages.extend([4, 1, 0, 0, 0, 0, 0, 0x61]);
        messages.extend([5, 1, 0, 9, 0, 9]);
        say(&mut stream, &messages).then_some(())?;
        // In the middle of the picture.
        hear(&mut stream, 5000).map(|_| ())
    };
    play();
}

#[test]
fn viewers_may_vanish_at_any_byte() {
    let (stage, mut client, descriptors) = watched();
    for after in 0..=62 {
        vanish(&stage, after, after % 2 == 0);
    }
    for _ in 0..10 {
        vanish(&stage, 1000, true);
        vanish(&stage, 1000, false);
    }
    unharmed(&stage, &mut client, descriptors);
    let keys = x11rb::protocol::xproto::query_keymap(&stage.link);
    let keys = keys.expect("sent").reply().expect("keys");
    assert_eq!(keys.keys, [0; 32]);
}
