//! The connection setup: a client's first message, what the gate makes of it, and the answer to one that is refused.

use std::fmt;

use subtle::ConstantTimeEq as _;

use super::{Order, padded};
use crate::xserver::cookie::METHOD;

/// The head before the two strings.
const HEAD: usize = 12;
/// No client has a reason to send more: a method's name and its data.
pub const LONGEST_SETUP: usize = 4096;

/// What a client says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The order of bytes of everything that follows.
    pub order: Order,
    version: [u16; 2],
    method: Vec<u8>,
    data: Vec<u8>,
}

/// These bytes are not the beginning of an X11 connection; nobody knows how to answer them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotX11;

impl fmt::Display for NotX11 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is not X11")
    }
}

/// What a client has shown of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// One that opens.
    Right,
    /// One that does not.
    Wrong,
    /// None, or in a way that is not known here.
    Nothing,
}

impl Setup {
    /// Takes the setup from the beginning of `bytes`, and says how many of them it is; `None` while it is not whole.
    ///
    /// # Errors
    /// It is none, or longer than [`LONGEST_SETUP`].
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, NotX11> {
        let Some(first) = bytes.first() else {
            return Ok(None);
        };
        let order = Order::of(*first).ok_or(NotX11)?;
        let field = |at| order.card16(bytes, at).map(usize::from);
        let (Some(method), Some(data)) = (field(6), field(8)) else {
            return Ok(None);
        };
        let length = HEAD + padded(method) + padded(data);
        if length > LONGEST_SETUP {
            return Err(NotX11);
        }
        let Some(whole) = bytes.get(..length) else {
            return Ok(None);
        };
        let string = |at: usize, length: usize| whole.get(at..at + length).map(<[u8]>::to_vec);
        let version = [2, 4].map(|at| order.card16(whole, at).unwrap_or_default());
        let setup = Self {
            order,
            version,
            method: string(HEAD, method).unwrap_or_default(),
            data: string(HEAD + padded(method), data).unwrap_or_default(),
        };
        Ok(Some((setup, length)))
    }

    /// Is one of `keys` in it? How long this takes tells nothing about them but their lengths.
    pub fn shows(&self, keys: &[Vec<u8>]) -> Shown {
        if self.method != METHOD || self.data.is_empty() {
            return Shown::Nothing;
        }
        let mut opens = subtle::Choice::from(0);
        for key in keys {
            opens |= key.ct_eq(&self.data);
        }
        if bool::from(opens) {
            Shown::Right
        } else {
            Shown::Wrong
        }
    }

    /// The same with another authorization, as bytes.
    pub fn with(&self, method: &[u8], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![self.order.byte(), 0];
        // Both are a few bytes long.
        let length = |string: &[u8]| u16::try_from(string.len()).unwrap_or_default();
        let [major, minor] = self.version;
        for field in [major, minor, length(method), length(data), 0] {
            bytes.extend(self.order.write16(field));
        }
        for string in [method, data] {
            bytes.extend(string);
            bytes.resize(padded(bytes.len()), 0);
        }
        bytes
    }
}

/// The answer to a setup that leads nowhere, which clients print: `reason` is ASCII, of up to 255 characters.
pub fn failed(order: Order, reason: &str) -> Vec<u8> {
    let reason = reason.as_bytes();
    let reason = reason.get(..255).unwrap_or(reason);
    let mut bytes = vec![0, u8::try_from(reason.len()).unwrap_or_default()];
    let words = u16::try_from(padded(reason.len()) / 4).unwrap_or_default();
    for field in [11, 0, words] {
        bytes.extend(order.write16(field));
    }
    bytes.extend(reason);
    bytes.resize(padded(bytes.len()), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LITTLE: &[u8] =
        b"l\0\x0b\0\0\0\x12\0\x05\0\0\0MIT-MAGIC-COOKIE-1\0\0\x01\x02\x03\x04\x05\0\0\0";
    const BIG: &[u8] =
        b"B\0\0\x0b\0\0\0\x12\0\x05\0\0MIT-MAGIC-COOKIE-1\0\0\x01\x02\x03\x04\x05\0\0\0";

    #[test]
    fn both_orders_are_read_and_written() {
        for bytes in [LITTLE, BIG] {
            let mut more = bytes.to_vec();
            more.extend(b"a request");
            let (setup, length) = Setup::parse(&more).unwrap().unwrap();
            assert_eq!(length, bytes.len());
            assert_eq!(setup.with(METHOD, &[1, 2, 3, 4, 5]), bytes);
            for end in 0..bytes.len() {
                assert_eq!(Setup::parse(&bytes[..end]), Ok(None), "cut at {end}");
            }
        }
    }

    #[test]
    fn only_the_right_key_in_the_right_way_opens() {
        let keys = [vec![9; 16], vec![1, 2, 3, 4, 5]];
        let shown = |method: &[u8], data: &[u8]| {
            let (setup, _) = Setup::parse(LITTLE).unwrap().unwrap();
            let bytes = setup.with(method, data);
            Setup::parse(&bytes).unwrap().unwrap().0.shows(&keys)
        };
        assert_eq!(shown(METHOD, &[1, 2, 3, 4, 5]), Shown::Right);
        assert_eq!(shown(METHOD, &[9; 16]), Shown::Right);
        assert_eq!(shown(METHOD, &[1, 2, 3, 4]), Shown::Wrong);
        assert_eq!(shown(METHOD, &[9; 17]), Shown::Wrong);
        assert_eq!(shown(METHOD, b""), Shown::Nothing);
        assert_eq!(shown(b"", b""), Shown::Nothing);
        assert_eq!(shown(b"XDM-AUTHORIZATION-1", &[9; 16]), Shown::Nothing);
        let (setup, _) = Setup::parse(LITTLE).unwrap().unwrap();
        assert_eq!(setup.shows(&[]), Shown::Wrong, "no key is no way in");
    }

    #[test]
    fn what_is_no_x11_is_told_at_once() {
        for bytes in [&b"GET / HTTP/1.1"[..], b"\x16\x03\x01", b"RFB 003.008\n"] {
            assert_eq!(Setup::parse(bytes), Err(NotX11));
        }
        assert_eq!(Setup::parse(b"l\0\x0b\0\0\0\xff\xff\x05\0"), Err(NotX11));
    }

    #[test]
    fn a_refusal_is_as_the_protocol_says() {
        assert_eq!(failed(Order::Little, "no!"), b"\0\x03\x0b\0\0\0\x01\0no!\0");
        assert_eq!(failed(Order::Big, "none"), b"\0\x04\0\x0b\0\0\0\x01none");
        assert_eq!(failed(Order::Big, &"x".repeat(300)).len(), 8 + 256);
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes: Vec<u8>) {
            if let Ok(Some((setup, length))) = Setup::parse(&bytes) {
                prop_assert!(length <= LONGEST_SETUP && length <= bytes.len());
                prop_assert_eq!(setup.shows(&[]) == Shown::Right, false);
            }
        }
    }
}
