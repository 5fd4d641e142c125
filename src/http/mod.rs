//! The web port: the page, the websocket it connects to, the probes and the metrics.
//!
//! One call serves one connection, whatever carries it (TCP, a Unix socket, TLS):
//!
//! ```text
//!  bytes ─► limits ─► hyper: request head ─► router ─┬─ page files        assets
//!             │        8 KiB, 64 headers,            ├─ /livez …          health
//!             │        10 s                          ├─ /metrics, /api/status
//!             │                                      └─ upgrade: origin ─► websocket ─► Backend::websocket
//!             └─ a peer that takes nothing for 60 s is dropped
//! ```
//!
//! Files are looked up by name in a table that the build wrote; there is no file system behind the page, hence no
//! directory and no way out of one. Everything else that the web port knows, it asks of its [`Backend`].

pub mod assets;
mod connection;
pub mod health;
pub mod limits;
pub mod origin;
mod router;
pub mod websocket;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use connection::serve_connection;
pub use health::{Part, Readiness};
pub use origin::{BadOrigin, Host, Origin, OriginError, Origins};
pub use websocket::{Farewell, WsStream};

/// A future that may be awaited on any thread.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the web port shows to the outside: the display server behind it.
pub trait Backend: Send + Sync + 'static {
    /// Is everything there that a user needs? Asked by the probes and by the page; the answer is waited for at most
    /// [`limits::READINESS`].
    fn readiness(&self) -> BoxFuture<Readiness>;

    /// Metrics as OpenMetrics text, closed by its `# EOF` line.
    fn metrics(&self) -> String;

    /// State for people and scripts, without secrets: everybody who reaches the port may read it.
    fn status_json(&self) -> serde_json::Value;

    /// Takes over a websocket whose origin was checked. Nobody is authenticated yet: that is RFB's business.
    fn websocket(&self, stream: WsStream, peer: Peer);
}

/// One web site: what is served, and to whom.
pub struct Site {
    /// Who answers everything that is no file.
    pub backend: Arc<dyn Backend>,
    /// Pages of other origins that may open the websocket; the page's own origin always may.
    pub allowed_origins: Origins,
    /// Names under which the site may be called; empty: any. Addresses and `localhost` always may. With a list, a
    /// name that somebody else made point here (DNS rebinding) is refused.
    pub allowed_hosts: Vec<Host>,
    /// Settings that the operator gives to the page.
    pub page: PageDefaults,
    /// How often a websocket is pinged, so that no proxy takes it for idle; zero: never.
    pub heartbeat: Duration,
}

impl Site {
    /// A site with nothing but its own page: no other origins, any host name, a ping every 20 s.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self {
            backend,
            allowed_origins: Origins::default(),
            allowed_hosts: Vec::new(),
            page: PageDefaults::default(),
            heartbeat: limits::HEARTBEAT,
        }
    }
}

/// Settings of the page, by the names its address takes (`resize`, `quality`, …).
#[derive(Debug, Clone, Default)]
pub struct PageDefaults {
    /// What holds unless the user chose otherwise: `defaults.json`.
    pub defaults: serde_json::Map<String, serde_json::Value>,
    /// What the user cannot change: `mandatory.json`.
    pub mandatory: serde_json::Map<String, serde_json::Value>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Network address; `None` on a Unix socket.
    pub address: Option<SocketAddr>,
    /// The connection is encrypted by us.
    pub tls: bool,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{address}"),
            None => f.write_str("local socket"),
        }
    }
}
