//! The stream from a client to the X server, after the setup.

use std::fmt;

use super::{CHANGE_HOSTS, LOCAL_ONLY, Order, SET_ACCESS_CONTROL, step};

const QUERY_EXTENSION: u8 = 98;
/// A core request that nobody has defined: the server answers it with BadRequest.
const UNDEFINED: u8 = 126;
/// A mode that no request has: the server answers it with BadValue.
const NO_MODE: u8 = 0xff;
/// What is looked at of a request: its head, and the longest name of [`LOCAL_ONLY`] in it.
const LOOK: u64 = 24;
/// The longest request that any X server can be told to take (`-maxbigreqsize 127`), in words. Beyond it some of them
/// have lost count of the bytes.
const LONGEST: u32 = 127 * 1024 * 1024 / 4;

/// Where the extensions of this X server begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opcodes {
    /// [`BIG_REQUESTS`](super::BIG_REQUESTS).
    pub big_requests: Option<u8>,
    /// Those of [`LOCAL_ONLY`].
    pub local_only: Vec<u8>,
}

/// A request after which the gate and the server could disagree about where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// It has no length, and requests of the long form were not agreed on.
    NoLength,
    /// It is shorter than its own head.
    TooShort,
    /// It is longer than any server takes.
    TooLong,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLength => "a request without a length",
            Self::TooShort => "a request shorter than its head",
            Self::TooLong => "a request longer than any X server takes",
        })
    }
}

/// Follows the requests of one client.
#[derive(Clone, Debug)]
pub struct Requests {
    order: Order,
    opcodes: Opcodes,
    /// The long form was agreed on.
    big: bool,
    /// Bytes to come of the request that has begun.
    body: u64,
}

/// How long a request is, and where what follows its length begins.
struct Extent {
    bytes: u64,
    fields: usize,
}

impl Requests {
    /// At the first byte after the setup.
    pub fn new(order: Order, opcodes: Opcodes) -> Self {
        Self {
            order,
            opcodes,
            big: false,
            body: 0,
        }
    }

    /// Looks at what has come and changes what must not get through. Returns how many bytes may be sent on; the few that
    /// are left, the head of a request, are to be shown again with what follows them.
    ///
    /// # Errors
    /// The connection must end here.
    pub fn pass(&mut self, bytes: &mut [u8]) -> Result<usize, Violation> {
        let mut done = 0;
        loop {
            done += step(&mut self.body, bytes.len() - done);
            let rest = &mut bytes[done..];
            let Some(extent) = self.extent(rest)? else {
                return Ok(done);
            };
            let look = usize::try_from(extent.bytes.min(LOOK)).unwrap_or_default();
            let Some(head) = rest.get_mut(..look) else {
                return Ok(done);
            };
            self.change(head, extent.fields);
            // As strictly as the strictest server: one that agrees to less only makes this one say no later.
            if Some(head[0]) == self.opcodes.big_requests && head[1] == 0 && extent.bytes == 4 {
                self.big = true;
            }
            self.body = extent.bytes;
        }
    }

    /// `None` while the length is not there.
    fn extent(&self, head: &[u8]) -> Result<Option<Extent>, Violation> {
        let Some(words) = self.order.card16(head, 2) else {
            return Ok(None);
        };
        if words > 0 {
            return Ok(Some(Extent {
                bytes: u64::from(words) * 4,
                fields: 4,
            }));
        }
        if !self.big {
            return Err(Violation::NoLength);
        }
        match self.order.card32(head, 4) {
            None => Ok(None),
            Some(0 | 1) => Err(Violation::TooShort),
            Some(words) if words > LONGEST => Err(Violation::TooLong),
            Some(words) => Ok(Some(Extent {
                bytes: u64::from(words) * 4,
                fields: 8,
            })),
        }
    }

    fn change(&self, head: &mut [u8], fields: usize) {
        match head[0] {
            QUERY_EXTENSION => self.hide(head, fields),
            CHANGE_HOSTS | SET_ACCESS_CONTROL => head[1] = NO_MODE,
            opcode if self.opcodes.local_only.contains(&opcode) => head[0] = UNDEFINED,
            _ => {}
        }
    }

    /// No extension's name begins with a zero byte.
    fn hide(&self, head: &mut [u8], fields: usize) {
        let Some(length) = self.order.card16(head, fields) else {
            return;
        };
        let name = fields + 4;
        let asked = head.get_mut(name..name + usize::from(length));
        if let Some(asked) = asked
            && LOCAL_ONLY.iter().any(|hidden| hidden.as_bytes() == asked)
        {
            asked[0] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn opcodes() -> Opcodes {
        Opcodes {
            big_requests: Some(133),
            local_only: vec![130],
        }
    }

    fn request(order: Order, opcode: u8, second: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![opcode, second];
        let words = 1 + body.len().div_ceil(4);
        bytes.extend(order.write16(u16::try_from(words).unwrap()));
        bytes.extend(body);
        bytes.resize(words * 4, 0);
        bytes
    }

    fn big(order: Order, opcode: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![opcode, 0, 0, 0];
        let words = 2 + u32::try_from(body.len().div_ceil(4)).unwrap();
        bytes.extend(match order {
            Order::Big => words.to_be_bytes(),
            Order::Little => words.to_le_bytes(),
        });
        bytes.extend(body);
        bytes.resize(words as usize * 4, 0);
        bytes
    }

    fn query(order: Order, name: &str) -> Vec<u8> {
        let mut body = order.write16(u16::try_from(name.len()).unwrap()).to_vec();
        body.extend([0, 0]);
        body.extend(name.as_bytes());
        body
    }

    /// What comes out when all of it comes in pieces of this size.
    fn passed(order: Order, bytes: &[u8], piece: usize) -> Result<Vec<u8>, Violation> {
        let mut requests = Requests::new(order, opcodes());
        let (mut held, mut out) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            held.extend(piece);
            let ready = requests.pass(&mut held)?;
            out.extend(held.drain(..ready));
            assert!(held.len() < LOOK as usize, "only a head is held back");
        }
        Ok(out)
    }

    #[test]
    fn local_extensions_are_asked_for_under_a_name_that_nobody_has() {
        for order in [Order::Big, Order::Little] {
            for hidden in LOCAL_ONLY {
                let asked = request(order, QUERY_EXTENSION, 0, &query(order, hidden));
                let mut spoiled = asked.clone();
                spoiled[8] = 0;
                assert_eq!(passed(order, &asked, 5).unwrap(), spoiled, "{hidden}");
            }
            for known in ["BIG-REQUESTS", "MIT-SHM2", "MIT-SH", "RANDR", ""] {
                let asked = request(order, QUERY_EXTENSION, 0, &query(order, known));
                assert_eq!(passed(order, &asked, 5).unwrap(), asked, "{known}");
            }
        }
    }

    #[test]
    fn the_door_is_not_opened_from_outside_however_the_request_is_written() {
        for order in [Order::Big, Order::Little] {
            let mut stream = request(order, 127, 0, &[]);
            stream.extend(request(order, SET_ACCESS_CONTROL, 0, &[]));
            stream.extend(request(order, CHANGE_HOSTS, 0, &[0, 0, 0, 4, 10, 0, 0, 1]));
            stream.extend(request(order, 130, 1, &[1; 12]));
            stream.extend(request(order, 133, 0, &[]));
            let at = stream.len();
            stream.extend(big(order, CHANGE_HOSTS, &[0; 8]));
            stream.extend(big(order, QUERY_EXTENSION, &query(order, "XFree86-DGA")));
            stream.extend(big(order, 72, &[7; 1000]));
            let mut expected = stream.clone();
            expected[5] = NO_MODE;
            expected[9] = NO_MODE;
            expected[20] = UNDEFINED;
            expected[at + 1] = NO_MODE;
            expected[at + 16 + 12] = 0;
            for piece in [1, 2, 3, 7, 64, 4096] {
                assert_eq!(passed(order, &stream, piece).unwrap(), expected, "{piece}");
            }
        }
    }

    #[test]
    fn where_the_next_request_begins_is_never_in_doubt() {
        let order = Order::Little;
        let unagreed = big(order, 72, &[0; 8]);
        assert_eq!(passed(order, &unagreed, 3), Err(Violation::NoLength));
        let agreed = |words: u32| {
            let mut stream = request(order, 133, 0, &[]);
            stream.extend([72, 0, 0, 0]);
            stream.extend(words.to_le_bytes());
            passed(order, &stream, 3)
        };
        assert_eq!(agreed(0), Err(Violation::TooShort));
        assert_eq!(agreed(1), Err(Violation::TooShort));
        assert_eq!(agreed(2).unwrap().len(), 12);
        assert_eq!(agreed(LONGEST + 1), Err(Violation::TooLong));
        assert_eq!(agreed(u32::MAX), Err(Violation::TooLong));
        // The server takes no agreement that is written wrong.
        for wrong in [request(order, 133, 0, &[0; 4]), request(order, 133, 1, &[])] {
            let stream = [wrong, unagreed.clone()].concat();
            assert_eq!(passed(order, &stream, 64), Err(Violation::NoLength));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_out_the_same_however_they_are_cut(bytes: Vec<u8>, piece in 1_usize..40) {
            let whole = passed(Order::Little, &bytes, bytes.len().max(1));
            let pieces = passed(Order::Little, &bytes, piece);
            prop_assert_eq!(whole.is_ok(), pieces.is_ok());
            if let (Ok(whole), Ok(pieces)) = (whole, pieces) {
                prop_assert_eq!(whole, pieces);
            }
        }
    }
}
