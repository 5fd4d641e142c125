//! What the fuzzer feeds, one function a target: each takes any bytes and panics when a promise is broken.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use deskinit::config::supervisord::{Programs, Surroundings};
use deskinit::encode::Encoder;
use deskinit::pixel::{Frame, Point, Rect, Region};
use deskinit::rfb::client::ClientMessage;
use deskinit::rfb::parse::Parser;
use deskinit::rfb::{
    AuthPolicy, Features, Handshake, InputBuffer, Permission, Poll, Progress, Secret, Session,
    Start, Version, clipboard as clip,
};
use deskinit::screen::{Move, Step};
use deskinit::xserver::gate::{Answers, Opcodes, Order, Requests, Setup, Shown};

/// Bytes for a handshake, a few at a time. Without the password nothing leads in; with None, only the right order does.
pub fn handshake(data: &[u8]) {
    let [how, data @ ..] = data else {
        return;
    };
    let none = how & 1 != 0;
    let policy = Arc::new(AuthPolicy {
        password: Secret::new(*b"not to be guessed").ok(),
        none,
        ..AuthPolicy::default()
    });
    let mut handshake = Handshake::new(policy, [0x5a; 16]);
    let (mut input, mut out) = (InputBuffer::new(), Vec::new());
    handshake.greeting(&mut out);
    for piece in data.chunks(usize::from(how >> 1).max(1)) {
        assert_eq!(input.push(piece), piece.len());
        match handshake.receive(&mut input, &mut out) {
            Progress::More => {}
            Progress::Done(_) => {
                assert!(none, "somebody came in without the password");
                return;
            }
            Progress::Failed(_) => return,
        }
        assert!(out.len() < 1024 && input.len() < 16);
    }
}

/// Bytes of an authenticated client: the parser gives the same however they are cut, and a session stays bounded.
pub fn client_messages(data: &[u8]) {
    let [how, data @ ..] = data else {
        return;
    };
    let step = usize::from(how >> 2).max(1);
    assert_eq!(parse(data, *how, 1), parse(data, *how, usize::MAX));

    let permission = if how & 1 == 0 {
        Permission::Full
    } else {
        Permission::ViewOnly
    };
    let mut now = Instant::now();
    let mut session = Session::new(Start {
        version: Version::V3_8,
        permission,
        width: 64,
        height: 48,
        name: String::new(),
        features: Features::default(),
        now,
    });
    let frame = Frame::new(64, 48);
    let mut encoder = Encoder::new();
    let mut input = InputBuffer::new();
    for mut piece in data.chunks(step) {
        while !piece.is_empty() {
            piece = &piece[input.push(piece)..];
            if session.receive(&mut input, now).is_err() {
                return;
            }
        }
        while let Some(effect) = session.next_effect() {
            let notice = matches!(effect, deskinit::rfb::Effect::Notice(_));
            assert!(permission == Permission::Full || notice, "{effect:?}");
        }
        now += Duration::from_millis(50);
        session.stepped(&Step {
            moves: vec![Move {
                to: Rect::new(20, 10, 30, 20),
                from: Point { x: 1, y: 2 },
            }],
            damage: Region::from(Rect::new(1, 2, 30, 20)),
        });
        if session.output().len() < 64 * 1024
            && let Poll::Update(mut job) = session.poll(now)
        {
            match job.encode(&mut encoder, &frame) {
                Some(encoded) => session.finish(job, encoded, now),
                None => session.give_back(job),
            }
        }
        assert!(session.output().len() < 2 << 20);
    }
}

fn parse(data: &[u8], how: u8, step: usize) -> (Vec<ClientMessage>, bool) {
    let mut parser = Parser::new(how & 1 == 0);
    parser.set_extensions(how & 2 != 0, how & 2 != 0);
    let mut input = InputBuffer::new();
    let mut messages = Vec::new();
    for mut piece in data.chunks(step) {
        while !piece.is_empty() {
            let taken = input.push(piece);
            assert!(taken > 0, "the parser leaves room");
            piece = &piece[taken..];
            loop {
                match parser.next(&mut input) {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(_) => return (messages, false),
                }
            }
        }
    }
    (messages, true)
}

/// The compressed data of a clipboard: at most a limit comes out.
pub fn clipboard(data: &[u8]) {
    if let Ok(text) = clip::inflate_text(data) {
        // A byte that is no UTF-8 becomes a character of three.
        assert!(text.len() <= 3 * clip::LIMIT + 3);
        assert!(!text.contains('\0') && !text.contains('\r'));
    }
    let latin1 = clip::to_latin1(&clip::from_latin1(data));
    assert!(latin1.len() <= data.len());
}

/// Bytes of an X client or server: only the key opens, nothing grows or is lost, and what the gate has changed once it
/// has nothing more to change of.
pub fn gate(data: &[u8]) {
    let [how, data @ ..] = data else {
        return;
    };
    let (method, key) = (b"MIT-MAGIC-COOKIE-1", vec![7; 16]);
    if let Ok(Some((setup, length))) = Setup::parse(data) {
        assert!(length <= data.len());
        assert!(setup.shows(&[]) != Shown::Right);
        let ours = setup.with(method, &key);
        let (again, length) = Setup::parse(&ours).unwrap().unwrap();
        assert!(length == ours.len() && again.shows(std::slice::from_ref(&key)) == Shown::Right);
    }
    let order = if how & 1 == 0 {
        Order::Little
    } else {
        Order::Big
    };
    let opcodes = Opcodes {
        big_requests: Some(133),
        local_only: vec![130, 149],
    };
    let requests = |data: &[u8], piece| {
        let mut requests = Requests::new(order, opcodes.clone());
        passed(data, piece, |bytes| requests.pass(bytes).ok())
    };
    let answers = |data: &[u8], piece| {
        let mut answers = Answers::new(order);
        passed(data, piece, |bytes| Some(answers.pass(bytes)))
    };
    let piece = usize::from(how >> 1).max(1);
    for way in [&requests as &dyn Fn(&[u8], usize) -> _, &answers] {
        let (cut, kept_on) = way(data, piece);
        let (whole, also) = way(data, data.len().max(1));
        assert_eq!(kept_on, also, "cutting changes what is a violation");
        assert!(!kept_on || cut == whole);
        assert!(cut.len() <= data.len() && (!kept_on || data.len() - cut.len() < 32));
        assert_eq!(way(&cut, piece).0, cut);
    }
}

/// What comes out of a stream that is looked at in pieces, and whether it was followed to its end.
fn passed(
    data: &[u8],
    piece: usize,
    mut pass: impl FnMut(&mut [u8]) -> Option<usize>,
) -> (Vec<u8>, bool) {
    let (mut held, mut out) = (Vec::new(), Vec::new());
    for piece in data.chunks(piece) {
        held.extend(piece);
        let Some(ready) = pass(&mut held) else {
            return (out, false);
        };
        out.extend(held.drain(..ready));
    }
    (out, true)
}

/// A file of supervisord's: what it describes can be started, and no secret comes out. Its text alone is also taken for a
/// command line and for an environment.
pub fn ini(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let line = text.replace(['\n', '\r'], " ");
    check(text);
    check(format!(
        "[program:x]\ncommand=x {line}\nenvironment={line}\n"
    ));
}

fn check(text: String) {
    let variables = [("HOME", "/tmp"), ("TOKEN", "canary")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let secret = ["TOKEN".to_owned()];
    let around = Surroundings::new(variables, &secret, PathBuf::new());
    let files = [(PathBuf::from("/c/x.conf"), text)];
    let parse = || Programs::parse(Path::new("/c"), &files, &around);
    let said = parse();
    assert_eq!(said, parse());
    assert!(files[0].1.contains("canary") || !format!("{said:?}").contains("canary"));
    let programs = match said {
        Ok(programs) => programs.all,
        Err(mistakes) => return assert!(!mistakes.is_empty()),
    };
    for (index, program) in programs.iter().enumerate() {
        assert!(!program.command[0].is_empty());
        assert!(!program.command.iter().any(|word| word.contains('\0')));
        assert!(!program.name.is_empty() && !program.name.contains(char::is_whitespace));
        assert!(
            programs[..index]
                .iter()
                .all(|other| other.name != program.name)
        );
        for (name, value) in &program.environment {
            assert!(!name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'));
        }
    }
}
