//! A connection from its first byte to its last: admission, handshake, session, goodbye.
//!
//! ```text
//!  admit ──► greeting ──► handshake ──► join ──► session (task) ──► bye
//!    │ too many               │ wrong        │ too many
//!    └─► refused              └─► delay,     └─► told why
//!        with the reason          reason
//! ```

use super::hub::Hub;
use super::link::{Link, Transport};
use super::task::Task;
use super::{Peer, Stats};
use crate::rfb::{Authenticated, Handshake, HandshakeError, InputBuffer, Progress, ProtocolError};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A machine answers each step of the handshake within this.
const STEP: Duration = Duration::from_secs(10);
/// One that is refused may say its version within this.
const REFUSAL: Duration = Duration::from_secs(1);
/// A person types a password within this.
const TYPING: Duration = Duration::from_secs(120);

/// Why a connection ended, for the log.
pub(super) enum End {
    /// The client closed it.
    Closed,
    /// The connection broke.
    Io(io::Error),
    /// It was too slow to say who it is.
    TimedOut,
    /// It could not be let in.
    Handshake(HandshakeError),
    /// It broke the protocol.
    Protocol(ProtocolError),
    /// This server ended it.
    Server(Arc<str>),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by the viewer"),
            Self::Io(e) => write!(f, "connection lost: {e}"),
            Self::TimedOut => f.write_str("no complete handshake in time"),
            Self::Handshake(e) => write!(f, "{e}"),
            Self::Protocol(e) => write!(f, "protocol error: {e}"),
            Self::Server(reason) => f.write_str(reason),
        }
    }
}

impl From<io::Error> for End {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Io(e),
        }
    }
}

/// Serves one client until it goes.
pub async fn serve_stream<S: Transport>(stream: S, peer: Peer, hub: Arc<Hub>) {
    Stats::add(&hub.stats.connections, 1);
    let mut link = Link::new(stream);
    let ticket = match hub.limits.admit(peer.ip, Instant::now()) {
        Ok(ticket) => ticket,
        Err(refusal) => {
            Stats::add(&hub.stats.refused, 1);
            tracing::debug!(%peer, %refusal, "connection refused");
            turn_away(&mut link, &hub, &refusal.to_string()).await;
            return;
        }
    };
    let entered = match enter(&mut link, &peer, &hub).await {
        Ok(entered) => entered,
        Err(end) => {
            match &end {
                // Probes and port scans: of no interest to anybody.
                End::Closed | End::Io(_) | End::TimedOut => {
                    tracing::debug!(%peer, %end, "no session")
                }
                _ => tracing::warn!(%peer, %end, "no session"),
            }
            return;
        }
    };
    drop(ticket);
    let member = match hub.join(&peer, entered.permission, entered.shared) {
        Ok(member) => member,
        Err(reason) => {
            tracing::warn!(%peer, %reason, "viewer refused");
            link.farewell(&reason).await;
            return;
        }
    };
    Stats::add(&hub.stats.sessions, 1);
    tracing::info!(%peer, client = member.id, permission = ?entered.permission, "viewer connected");
    let id = member.id;
    let mut task = Task::new(link, member, hub.clone(), &entered);
    let end = match task.run().await {
        Err(end) => end,
        Ok(never) => match never {},
    };
    match &end {
        End::Protocol(_) => tracing::warn!(%peer, client = id, %end, "viewer disconnected"),
        _ => tracing::info!(%peer, client = id, %end, "viewer disconnected"),
    }
    let reason = match &end {
        End::Server(reason) => reason.to_string(),
        End::Protocol(e) => e.to_string(),
        _ => String::new(),
    };
    // Its keys are released before the farewell, which may wait for a slow peer.
    task.leave().farewell(&reason).await;
}

/// Says no in the protocol's own way, so that viewers show the reason: for that its version must be known.
async fn turn_away<S: Transport>(link: &mut Link<S>, hub: &Hub, reason: &str) {
    let mut handshake = Handshake::new(hub.policy.clone(), [0; 16]);
    handshake.greeting(&mut link.output);
    handshake.refuse(reason, &mut link.output);
    let mut input = InputBuffer::new();
    let refused = async {
        while link.turn(&mut input).await.is_ok()
            && matches!(
                handshake.receive(&mut input, &mut link.output),
                Progress::More
            )
        {}
    };
    // One that does not say its version goes without a reason.
    let _ = tokio::time::timeout(REFUSAL, refused).await;
    link.farewell(reason).await;
}

/// The handshake, with its time limits.
async fn enter<S: Transport>(
    link: &mut Link<S>,
    peer: &Peer,
    hub: &Hub,
) -> Result<Authenticated, End> {
    let mut challenge = [0; 16];
    getrandom::fill(&mut challenge).map_err(|e| End::Io(io::Error::other(e.to_string())))?;
    let mut handshake = Handshake::new(hub.policy.clone(), challenge);
    handshake.greeting(&mut link.output);
    let mut input = InputBuffer::new();
    let begun = Instant::now();
    loop {
        let wait = if handshake.waits_for_a_person() {
            TYPING.saturating_sub(begun.elapsed())
        } else {
            STEP
        };
        let turn = tokio::time::timeout(wait, link.turn(&mut input)).await;
        turn.map_err(|_| End::TimedOut)??;
        match handshake.receive(&mut input, &mut link.output) {
            Progress::More => {}
            Progress::Done(entered) => {
                link.early = input;
                return Ok(entered);
            }
            Progress::Failed(error) => {
                if matches!(error, HandshakeError::WrongPassword) {
                    Stats::add(&hub.stats.failures, 1);
                    tokio::time::sleep(hub.limits.failed(peer.ip, Instant::now())).await;
                }
                link.farewell(&error.to_string()).await;
                return Err(End::Handshake(error));
            }
        }
    }
}
