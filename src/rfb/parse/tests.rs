//! Every client message from its bytes, whole and byte by byte; lengths at their limits.

use proptest::prelude::*;

use super::*;
use crate::rfb::clipboard::LIMIT;

fn parser() -> Parser {
    let mut parser = Parser::new(true);
    parser.set_extensions(true, true);
    parser
}

/// Feeds `bytes` in pieces of `step` and collects what comes out.
fn feed(
    parser: &mut Parser,
    bytes: &[u8],
    step: usize,
) -> Result<Vec<ClientMessage>, ProtocolError> {
    let mut input = InputBuffer::new();
    let mut messages = Vec::new();
    for mut piece in bytes.chunks(step.max(1)) {
        while !piece.is_empty() {
            let taken = input.push(piece);
            assert!(taken > 0, "the parser leaves room");
            piece = &piece[taken..];
            while let Some(message) = parser.next(&mut input)? {
                messages.push(message);
            }
        }
    }
    assert!(
        input.len() < 4200,
        "only the beginning of one message stays"
    );
    Ok(messages)
}

/// One message, whole and dripped; nothing may be left.
fn one(bytes: &[u8]) -> ClientMessage {
    let mut parser = parser();
    let whole = feed(&mut parser, bytes, usize::MAX).unwrap();
    assert_eq!(whole.len(), 1, "{whole:?}");
    assert!(matches!(parser.state, State::Idle | State::Skip(0)));
    assert_eq!(feed(&mut self::parser(), bytes, 1).unwrap(), whole);
    whole.into_iter().next().unwrap()
}

#[test]
fn golden_bytes() {
    let area = Rect::new(1, 2, 3, 4);
    assert_eq!(
        one(&[
            0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0
        ]),
        ClientMessage::SetPixelFormat(PixelFormat::NATIVE)
    );
    assert_eq!(
        one(&[2, 0, 0, 2, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0x21]),
        ClientMessage::SetEncodings(vec![7, -223])
    );
    assert_eq!(
        one(&[3, 1, 0, 1, 0, 2, 0, 3, 0, 4]),
        ClientMessage::UpdateRequest {
            incremental: true,
            area
        }
    );
    assert_eq!(
        one(&[4, 1, 0, 0, 0, 0, 0xff, 0x0d]),
        ClientMessage::Key {
            keysym: 0xff0d,
            scancode: None,
            down: true
        }
    );
    assert_eq!(
        one(&[255, 0, 0, 1, 0, 0, 0, 0x61, 0, 0, 0, 0x1e]),
        ClientMessage::Key {
            keysym: 0x61,
            scancode: Some(0x1e),
            down: true
        }
    );
    assert_eq!(
        one(&[5, 0b101, 1, 0, 0, 2]),
        ClientMessage::Pointer {
            x: 256,
            y: 2,
            buttons: 0b101
        }
    );
    assert_eq!(
        one(&[5, 0x81, 0, 1, 0, 2, 0b11]),
        ClientMessage::Pointer {
            x: 1,
            y: 2,
            buttons: 0b1_1000_0001
        }
    );
    assert_eq!(
        one(&[6, 0, 0, 0, 0, 0, 0, 2, b'h', 0xe9]),
        ClientMessage::Text("hé".to_owned())
    );
    assert_eq!(
        one(&[150, 1, 0, 1, 0, 2, 0, 3, 0, 4]),
        ClientMessage::ContinuousUpdates { enable: true, area }
    );
    assert_eq!(
        one(&[248, 0, 0, 0, 0x80, 0, 0, 4, 2, 8, 9]),
        ClientMessage::Fence {
            flags: 0x8000_0004,
            payload: vec![8, 9]
        }
    );
    assert_eq!(
        one(&[250, 0, 1, 3]),
        ClientMessage::Xvp {
            version: 1,
            code: 3
        }
    );
    let mut resize = vec![251, 0, 2, 128, 1, 224, 1, 0];
    resize.extend([0, 0, 0, 0, 0, 0, 0, 0, 2, 128, 1, 224, 0, 0, 0, 0]);
    assert_eq!(
        one(&resize),
        ClientMessage::SetDesktopSize(ScreenLayout::single(640, 480))
    );
    assert_eq!(
        one(&[255, 1, 0, 0]),
        ClientMessage::Audio(AudioRequest::Enable)
    );
    assert_eq!(
        one(&[255, 1, 0, 1]),
        ClientMessage::Audio(AudioRequest::Disable)
    );
    assert_eq!(
        one(&[255, 1, 0, 2, 3, 2, 0, 0, 0xac, 0x44]),
        ClientMessage::Audio(AudioRequest::Format {
            sample: 3,
            channels: 2,
            frequency: 44100
        })
    );
}

#[test]
fn extended_clipboard_messages() {
    let message = |flags: u32, data: &[u8]| {
        let mut bytes = vec![6, 0, 0, 0];
        bytes.extend((4 + data.len() as u32).wrapping_neg().to_be_bytes());
        bytes.extend(flags.to_be_bytes());
        bytes.extend(data);
        match one(&bytes) {
            ClientMessage::Clipboard(message) => message,
            other => panic!("{other:?}"),
        }
    };
    let caps = flag::CAPS | flag::NOTIFY | flag::TEXT;
    let sizes = [0, 0, 1, 0, 9, 9, 9, 9];
    let expected = Message::Caps {
        flags: caps | 2,
        text: 256,
    };
    assert_eq!(message(caps | 2, &sizes), expected);
    let expected = Message::Caps {
        flags: flag::CAPS,
        text: 0,
    };
    assert_eq!(message(flag::CAPS, &[]), expected);
    assert_eq!(message(flag::REQUEST | 1, &[]), Message::Request(1));
    assert_eq!(message(flag::PEEK, &[]), Message::Peek);
    assert_eq!(message(flag::NOTIFY | 3, &[]), Message::Notify(3));
    let expected = Message::Provide {
        formats: 1,
        data: vec![1, 2, 3],
    };
    assert_eq!(message(flag::PROVIDE | 1, &[1, 2, 3]), expected);
}

#[test]
fn the_long_pointer_event_only_to_who_listed_it() {
    let bytes = [5, 0x81, 0, 1, 0, 2];
    let mut plain = Parser::new(true);
    assert_eq!(
        feed(&mut plain, &bytes, 1).unwrap(),
        [ClientMessage::Pointer {
            x: 1,
            y: 2,
            buttons: 0x81
        }]
    );
    assert_eq!(feed(&mut parser(), &bytes, 1).unwrap(), []);
}

#[test]
fn unknown_messages_end_the_connection() {
    for kind in 0..=255u8 {
        let known = matches!(kind, 0..=6 | 150 | 248 | 250 | 251 | 255);
        let result = feed(&mut parser(), &[kind], 1);
        assert_eq!(result.is_ok(), known, "{kind}");
    }
    assert_eq!(
        feed(&mut parser(), &[255, 2], 1),
        Err(ProtocolError::UnknownQemuMessage(2))
    );
    assert_eq!(
        feed(&mut parser(), &[255, 1, 0, 3], 1),
        Err(ProtocolError::UnknownAudioOperation(3))
    );
}

/// A key that must still be understood after whatever came before.
const KEY: [u8; 8] = [4, 0, 0, 0, 0, 0, 0, 0x20];

fn is_key(message: &ClientMessage) -> bool {
    matches!(message, ClientMessage::Key { keysym: 0x20, .. })
}

/// CVE-2018-7225, CVE-2015-5239, CVE-2022-3165: lengths of cut texts, at every edge, never kept beyond the limit.
#[test]
fn lengths_of_cut_texts() {
    let limit = LIMIT as u32;
    for (extended, lengths) in [
        (false, [0, limit, limit + 1, i32::MAX as u32, u32::MAX]),
        (true, [0, limit, limit + 1, i32::MAX as u32, 1 << 31]),
    ] {
        for length in lengths {
            let mut parser = Parser::new(true);
            parser.set_extensions(false, extended);
            let wire = if extended {
                length.wrapping_neg()
            } else {
                length
            };
            let mut head = vec![6, 0, 0, 0];
            head.extend(wire.to_be_bytes());
            let messages = feed(&mut parser, &head, 1).unwrap();
            if length > limit && (!extended || length <= 4) {
                let bytes = length;
                assert_eq!(messages, [ClientMessage::TextTooLarge { bytes }]);
                assert!(matches!(parser.state, State::Skip(left) if left == length));
            }
            if extended && length > 4 {
                let flags = (flag::PROVIDE | flag::TEXT).to_be_bytes();
                let mut input = InputBuffer::new();
                let _ = input.push(&head);
                let _ = input.push(&flags);
                let mut parser = self::parser();
                let message = parser.next(&mut input).unwrap();
                let too_large = length - 4 > limit;
                assert_eq!(message.is_some(), too_large, "{length}");
            }
            if length <= limit + 1 && !extended {
                let mut rest = vec![b'x'; length as usize];
                rest.extend(KEY);
                let mut messages = messages;
                messages.extend(feed(&mut parser, &rest, 60_000).unwrap());
                assert!(messages.last().is_some_and(is_key), "{length}");
                let texts = messages
                    .iter()
                    .filter(|m| matches!(m, ClientMessage::Text(_)));
                assert_eq!(texts.count(), usize::from(length <= limit));
            }
        }
    }
    // Shorter than its own flags.
    for length in 1..4u32 {
        let mut bytes = vec![6, 0, 0, 0];
        bytes.extend(length.wrapping_neg().to_be_bytes());
        let expected = Err(ProtocolError::ShortClipboardMessage(length));
        assert_eq!(feed(&mut parser(), &bytes, 1), expected);
    }
}

#[test]
fn two_gibibytes_are_skipped_without_memory() {
    let mut parser = Parser::new(false);
    let mut input = InputBuffer::new();
    let _ = input.push(&[6, 0, 0, 0, 0x80, 0, 0, 0]);
    let chunk = vec![0; InputBuffer::LIMIT];
    let mut left = 1u64 << 31;
    while left > 0 {
        assert_eq!(parser.next(&mut input), Ok(None));
        assert!(input.is_empty());
        let count = left.min(chunk.len() as u64) as usize;
        assert_eq!(input.push(&chunk[..count]), count);
        left -= count as u64;
    }
    let _ = input.push(&[0; 0]);
    assert_eq!(parser.next(&mut input), Ok(None));
    let _ = input.push(&KEY);
    assert!(parser.next(&mut input).unwrap().is_some_and(|m| is_key(&m)));
}

#[test]
fn bounded_lists_and_fences() {
    let mut bytes = vec![2, 0, 0xff, 0xff];
    bytes.extend([0, 0, 0, 5].repeat(0xffff));
    bytes.extend(KEY);
    let messages = feed(&mut parser(), &bytes, 1000).unwrap();
    assert_eq!(
        messages[0],
        ClientMessage::SetEncodings(vec![5; MAX_ENCODINGS])
    );
    assert!(is_key(&messages[1]));

    for length in [0, 64, 65, 255u8] {
        let mut bytes = vec![248, 0, 0, 0, 0x80, 0, 0, 0, length];
        bytes.extend(vec![7; usize::from(length)]);
        bytes.extend(KEY);
        let messages = feed(&mut parser(), &bytes, 1).unwrap();
        assert_eq!(messages.len(), 1 + usize::from(length <= 64), "{length}");
        assert!(messages.last().is_some_and(is_key));
    }

    // FixColourMapEntries is passed over, all of it.
    let mut bytes = vec![1, 0, 0, 0, 0, 3];
    bytes.extend([9; 18]);
    bytes.extend(KEY);
    let messages = feed(&mut parser(), &bytes, 1).unwrap();
    assert!(messages.len() == 1 && is_key(&messages[0]));
}

proptest! {
    /// Arbitrary bytes give the same however they are cut, and never more than an error.
    #[test]
    fn pieces_do_not_matter(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        step in 1usize..50,
        extensions: (bool, bool),
        accept: bool,
    ) {
        let run = |step| {
            let mut parser = Parser::new(accept);
            parser.set_extensions(extensions.0, extensions.1);
            feed(&mut parser, &bytes, step)
        };
        let whole = run(usize::MAX);
        prop_assert_eq!(&run(1), &whole);
        prop_assert_eq!(&run(step), &whole);
    }

    /// The same for bytes that look like messages more often.
    #[test]
    fn pieces_of_plausible_messages(
        messages in proptest::collection::vec(
            (prop::sample::select(vec![0u8, 1, 2, 3, 4, 5, 6, 150, 248, 250, 251, 255]), proptest::collection::vec(0u8..3, 0..40)),
            0..20,
        ),
        step in 1usize..20,
    ) {
        let bytes: Vec<u8> = messages.into_iter().flat_map(|(kind, rest)| {
            let mut bytes = vec![kind];
            bytes.extend(rest);
            bytes
        }).collect();
        let whole = feed(&mut parser(), &bytes, usize::MAX);
        prop_assert_eq!(&feed(&mut parser(), &bytes, 1), &whole);
        prop_assert_eq!(&feed(&mut parser(), &bytes, step), &whole);
    }
}
