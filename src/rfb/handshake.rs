//! From the first byte to an authenticated client (RFC 6143, 7.1 to 7.3.1).
//!
//! ```text
//!  greeting ─► Version ──3.7, 3.8──► Choice ──VncAuth──► Response ──right──┐
//!                 │                    └─────None──────────────────────────┤
//!                 └──3.3──► (the server decides) ─VncAuth─► Response ─right┤
//!                                └───────None─────────────────────────────┴─► Init ─► Done(Authenticated)
//!
//!  every state ─► Over: a wrong version, choice or response, or a refusal; with a reason where the version has one
//! ```
//!
//! `Init` is reached by [`Entry`] alone, which only a successful step makes; so no order of messages leads around it.

use std::fmt;
use std::sync::Arc;

use super::auth::{AuthPolicy, Permission};
use super::input::InputBuffer;
use super::offer::{Accepted, Offer, SecurityType};
use super::version::{GREETING, Version, VersionError};

/// A client that has passed the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// The version that both speak.
    pub version: Version,
    /// What it may do.
    pub permission: Permission,
    /// It agrees that others stay connected (ClientInit, 7.3.1).
    pub shared: bool,
}

/// Where a handshake stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// It needs more bytes.
    More,
    /// The client is in.
    Done(Authenticated),
    /// It is over; what was written to the output still has to be sent.
    Failed(HandshakeError),
}

/// Why a client did not come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// No RFB, or a version that is none.
    Version(VersionError),
    /// It chose a security type that was not offered.
    NotOffered(u8),
    /// A wrong password.
    WrongPassword,
    /// The server would not have it, for this reason.
    Refused(String),
    /// Nothing lets anybody in: neither a password nor the permission to do without.
    NoWayIn,
    /// The handshake was over before.
    Over,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(e) => e.fmt(f),
            Self::NotOffered(n) => {
                write!(
                    f,
                    "the client chose security type {n}, which was not offered"
                )
            }
            Self::WrongPassword => f.write_str("wrong password"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::NoWayIn => f.write_str("neither a password nor security type None is configured"),
            Self::Over => f.write_str("the handshake has ended"),
        }
    }
}

impl std::error::Error for HandshakeError {}

/// Proof that a security type was passed; made where one is, and nowhere else.
#[derive(Debug)]
struct Entry(Permission);

#[derive(Debug)]
enum State {
    Version,
    Choice { version: Version, offer: Offer },
    Response { version: Version },
    Init { version: Version, entry: Entry },
    Over,
}

/// The handshake of one connection.
#[derive(Debug)]
pub struct Handshake {
    policy: Arc<AuthPolicy>,
    challenge: [u8; 16],
    refusal: Option<String>,
    state: State,
}

impl Handshake {
    /// A handshake that has not begun. `challenge` must be fresh random bytes.
    pub fn new(policy: Arc<AuthPolicy>, challenge: [u8; 16]) -> Self {
        Self {
            policy,
            challenge,
            refusal: None,
            state: State::Version,
        }
    }

    /// Writes what the server says first.
    pub fn greeting(&mut self, out: &mut Vec<u8>) {
        out.extend(GREETING);
    }

    /// Turns the client away with a reason that it can show, as soon as the protocol has a place for one. Nothing may be
    /// written before the client's version is known, so `out` may stay empty; [`Handshake::receive`] then writes it.
    pub fn refuse(&mut self, reason: &str, out: &mut Vec<u8>) {
        if let State::Response { version } = self.state {
            // The client reads a result next, whatever it is about to send.
            failed(version, reason, out);
            self.state = State::Over;
        }
        self.refusal = Some(reason.to_owned());
    }

    /// True while a person may be typing a password: time for a longer deadline.
    pub fn waits_for_a_person(&self) -> bool {
        matches!(self.state, State::Response { .. })
    }

    /// Takes as much as there is. After `Failed`, send `out`, then close; after a wrong password, wait before sending.
    pub fn receive(&mut self, input: &mut InputBuffer, out: &mut Vec<u8>) -> Progress {
        loop {
            // `Over` stands in while a step runs: a step that fails leaves it there.
            match std::mem::replace(&mut self.state, State::Over) {
                State::Version => {
                    let Some(bytes) = input.take::<12>() else {
                        if !b"RFB ".starts_with(&input.peek()[..input.len().min(4)]) {
                            return failure(HandshakeError::Version(VersionError::NotRfb));
                        }
                        self.state = State::Version;
                        return Progress::More;
                    };
                    match Version::parse(&bytes) {
                        Ok(version) => match self.security(version, out) {
                            Ok(state) => self.state = state,
                            Err(error) => return failure(error),
                        },
                        Err(error) => return failure(HandshakeError::Version(error)),
                    }
                }
                State::Choice { version, offer } => {
                    let Some([choice]) = input.take() else {
                        self.state = State::Choice { version, offer };
                        return Progress::More;
                    };
                    match offer.accept(choice) {
                        Ok(accepted) => match self.begin(version, accepted, out) {
                            Ok(state) => self.state = state,
                            Err(error) => return failure(error),
                        },
                        Err(choice) => {
                            let error = HandshakeError::NotOffered(choice);
                            failed(version, &error.to_string(), out);
                            return failure(error);
                        }
                    }
                }
                State::Response { version } => {
                    let Some(response) = input.take::<16>() else {
                        self.state = State::Response { version };
                        return Progress::More;
                    };
                    match self.policy.check_vnc_auth(&self.challenge, &response) {
                        Some(permission) => match self.enter(version, Entry(permission), out) {
                            Ok(state) => self.state = state,
                            Err(error) => return failure(error),
                        },
                        None => {
                            failed(version, "Wrong password", out);
                            return failure(HandshakeError::WrongPassword);
                        }
                    }
                }
                State::Init { version, entry } => {
                    let Some([shared]) = input.take() else {
                        self.state = State::Init { version, entry };
                        return Progress::More;
                    };
                    return Progress::Done(Authenticated {
                        version,
                        permission: entry.0,
                        shared: shared != 0,
                    });
                }
                State::Over => {
                    let refused = self.refusal.take().map(HandshakeError::Refused);
                    return failure(refused.unwrap_or(HandshakeError::Over));
                }
            }
        }
    }

    /// The version is known: offer or dictate a security type, or say why there is none.
    fn security(&mut self, version: Version, out: &mut Vec<u8>) -> Result<State, HandshakeError> {
        let offer = match self.refusal.take() {
            Some(reason) => Err(HandshakeError::Refused(reason)),
            None => Offer::new(&self.policy).ok_or(HandshakeError::NoWayIn),
        };
        match (offer, version) {
            (Ok(offer), Version::V3_3) => {
                let accepted = offer.dictate(out);
                self.begin(version, accepted, out)
            }
            (Ok(offer), _) => {
                offer.write(out);
                Ok(State::Choice { version, offer })
            }
            (Err(error), _) => {
                // No security types, then why (7.1.2): the one failure that has a reason in all versions.
                match version {
                    Version::V3_3 => out.extend(0u32.to_be_bytes()),
                    _ => out.push(0),
                }
                let reason = match &error {
                    HandshakeError::Refused(reason) => reason.clone(),
                    _ => "The server lets nobody in".to_owned(),
                };
                write_reason(&reason, out);
                Err(error)
            }
        }
    }

    /// A security type was chosen: its first step.
    fn begin(
        &mut self,
        version: Version,
        accepted: Accepted,
        out: &mut Vec<u8>,
    ) -> Result<State, HandshakeError> {
        match accepted.security_type() {
            SecurityType::None => {
                let entry = Entry(self.policy.main_permission());
                match (version, self.refusal.take()) {
                    (Version::V3_8, refusal) => {
                        self.refusal = refusal;
                        self.enter(version, entry, out)
                    }
                    // Before 3.8 nothing is said after None (7.2.1), so there is no place for a reason either.
                    (_, Some(reason)) => Err(HandshakeError::Refused(reason)),
                    (_, None) => Ok(State::Init { version, entry }),
                }
            }
            SecurityType::VncAuth => {
                out.extend(self.challenge);
                Ok(State::Response { version })
            }
        }
    }

    /// A security type was passed: SecurityResult (7.1.3), unless the client was refused meanwhile.
    fn enter(
        &mut self,
        version: Version,
        entry: Entry,
        out: &mut Vec<u8>,
    ) -> Result<State, HandshakeError> {
        if let Some(reason) = self.refusal.take() {
            failed(version, &reason, out);
            return Err(HandshakeError::Refused(reason));
        }
        out.extend(0u32.to_be_bytes());
        Ok(State::Init { version, entry })
    }
}

fn failure(error: HandshakeError) -> Progress {
    Progress::Failed(error)
}

/// SecurityResult "failed", with its reason where the version has one.
fn failed(version: Version, reason: &str, out: &mut Vec<u8>) {
    out.extend(1u32.to_be_bytes());
    if version >= Version::V3_8 {
        write_reason(reason, out);
    }
}

fn write_reason(reason: &str, out: &mut Vec<u8>) {
    out.extend((reason.len() as u32).to_be_bytes());
    out.extend(reason.as_bytes());
}

#[cfg(test)]
mod tests;
