//! The stream from the X server to a client, setup and all.

use super::{CHANGE_HOSTS, Order, SET_ACCESS_CONTROL, step};

/// The head of the setup's answer, up to the length of its rest.
const SETUP: usize = 8;
/// Errors and events have this length, replies have it at least.
const MESSAGE: usize = 32;

const ERROR: u8 = 0;
const REPLY: u8 = 1;
/// An event with a length, as a reply has.
const GENERIC: u8 = 35;
const BAD_VALUE: u8 = 2;
const BAD_ACCESS: u8 = 10;

/// Follows what one client is told.
#[derive(Clone, Debug)]
pub struct Answers {
    order: Order,
    /// The setup was answered.
    set_up: bool,
    /// Bytes to come of the message that has begun.
    body: u64,
}

impl Answers {
    /// At the first byte from the server.
    pub fn new(order: Order) -> Self {
        Self {
            order,
            set_up: false,
            body: 0,
        }
    }

    /// Gives the error for a change of access its true code. Returns how many bytes may be sent on; the few that are left,
    /// the head of a message, are to be shown again with what follows them.
    pub fn pass(&mut self, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        loop {
            done += step(&mut self.body, bytes.len() - done);
            let rest = &mut bytes[done..];
            let Some(length) = self.begin(rest) else {
                return done;
            };
            self.body = length;
        }
    }

    /// The length of the message that begins here, in bytes; `None` while its head is not whole.
    fn begin(&mut self, rest: &mut [u8]) -> Option<u64> {
        if !self.set_up {
            let words = self.order.card16(rest.get(..SETUP)?, 6)?;
            self.set_up = true;
            return Some(SETUP as u64 + u64::from(words) * 4);
        }
        let head = rest.get_mut(..MESSAGE)?;
        let more = match head[0] & 0x7f {
            REPLY | GENERIC => self.order.card32(head, 4)?,
            _ => 0,
        };
        // Byte 10 of an error is the request's opcode.
        if head[0] == ERROR
            && head[1] == BAD_VALUE
            && matches!(head[10], CHANGE_HOSTS | SET_ACCESS_CONTROL)
        {
            head[1] = BAD_ACCESS;
        }
        Some(MESSAGE as u64 + u64::from(more) * 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, second: u8, opcode: u8) -> Vec<u8> {
        let mut bytes = vec![0; MESSAGE];
        (bytes[0], bytes[1], bytes[10]) = (kind, second, opcode);
        bytes
    }

    fn long(order: Order, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = message(kind, 0, 0);
        let words = u32::try_from(content.len() / 4).unwrap();
        bytes[4..8].copy_from_slice(&match order {
            Order::Big => words.to_be_bytes(),
            Order::Little => words.to_le_bytes(),
        });
        bytes.extend(content);
        bytes
    }

    #[test]
    fn only_the_errors_for_changed_access_get_another_code() {
        for order in [Order::Big, Order::Little] {
            let error = message(ERROR, BAD_VALUE, CHANGE_HOSTS);
            let mut stream = vec![1, 0];
            for field in [11, 0, 10] {
                stream.extend(order.write16(field));
            }
            // Messages within others are none.
            stream.extend([0; 8].iter().chain(&error));
            stream.extend(long(order, REPLY, &error));
            stream.extend(long(order, GENERIC, &error));
            stream.extend(message(ERROR, 1, CHANGE_HOSTS));
            stream.extend(message(ERROR, BAD_VALUE, 12));
            stream.extend(message(11, BAD_VALUE, CHANGE_HOSTS));
            let mut expected = stream.clone();
            for opcode in [CHANGE_HOSTS, SET_ACCESS_CONTROL] {
                stream.extend(message(ERROR, BAD_VALUE, opcode));
                expected.extend(message(ERROR, BAD_ACCESS, opcode));
            }
            for piece in [1, 5, 31, 64, 4096] {
                let mut answers = Answers::new(order);
                let (mut held, mut out) = (Vec::new(), Vec::new());
                for piece in stream.chunks(piece) {
                    held.extend(piece);
                    let ready = answers.pass(&mut held);
                    out.extend(held.drain(..ready));
                    assert!(held.len() < MESSAGE);
                }
                assert_eq!(out, expected, "{piece}");
            }
        }
    }
}
