//! `deskinit gate`: lets programs of other machines reach the display by TCP, under X11LISTEN=tcp.
//!
//! The X server itself listens on a Unix socket only. Whoever comes to the gate must come from a network of X11_ALLOW and
//! show a cookie; then the gate connects to that socket and passes on what both sides say (see `xserver::gate` for what it
//! changes on the way). One process, without privileges; `run` starts it again when it dies, which the X server and the
//! programs beside it do not notice.

mod connection;

use std::io;
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use self::connection::Gate;
use super::serve::{EXIT_UNAVAILABLE, stopped};
use crate::config::Config;
use crate::desktop::upstream::{self, Upstream};
use crate::server::{self, Limits};
use crate::xserver::gate::{BIG_REQUESTS, LOCAL_ONLY, Opcodes};

/// Display N of a machine has port 6000 + N.
const FIRST_PORT: u16 = 6000;
/// Half of what an X server takes: programs of its own machine always find room.
const MAX_CLIENTS: usize = 128;
/// For the X server's first answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or SIGINT.
pub(super) fn run(config: &Config) -> ExitCode {
    let outcome = open(config).and_then(|gate| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(listen(config, Arc::new(gate)))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!("{e}");
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}

/// Looks at the X server, before anybody is let in.
fn open(config: &Config) -> io::Result<Gate> {
    let Some(display) = &config.display else {
        return Err(io::Error::other(
            "DISPLAY: which X display is to be reached? Give --display :N",
        ));
    };
    let mut extensions = vec![BIG_REQUESTS];
    extensions.extend(LOCAL_ONLY);
    let Upstream {
        socket,
        authorization,
        opcodes,
    } = upstream::look(
        &display.to_string(),
        config.xauthority.clone(),
        &extensions,
        PATIENCE,
    )?;
    let key = config.xauth_key.as_ref().map(|key| key.expose().to_vec());
    let own = Some(authorization.1.clone()).filter(|cookie| !cookie.is_empty());
    let keys: Vec<Vec<u8>> = key.into_iter().chain(own).collect();
    if keys.is_empty() {
        return Err(io::Error::other(format!(
            "display {display} has no cookie and XAUTH_KEY is not set: nobody could be let in"
        )));
    }
    Ok(Gate {
        socket,
        authorization,
        opcodes: Opcodes {
            big_requests: opcodes.first().copied().flatten(),
            local_only: opcodes.into_iter().skip(1).flatten().collect(),
        },
        keys,
        networks: config.x11_allow.clone(),
        welcome: Limits::new(),
        unwelcome: Limits::new(),
        room: Arc::new(Semaphore::new(MAX_CLIENTS)),
    })
}

async fn listen(config: &Config, gate: Arc<Gate>) -> io::Result<()> {
    let number = config.display.as_ref().map_or(0, |display| display.number);
    let listeners = server::bind(
        "X11LISTEN=tcp",
        &config.bind,
        FIRST_PORT.saturating_add(number),
    )?;
    for listener in listeners {
        if let Ok(address) = listener.local_addr() {
            tracing::info!("programs with the cookie reach display :{number} at {address}");
        }
        let gate = gate.clone();
        tokio::spawn(server::listen(listener, "x11", move |stream, peer| {
            tokio::spawn(gate.clone().receive(stream, peer));
        }));
    }
    if let Some(path) = std::env::var_os("NOTIFY_SOCKET") {
        UnixDatagram::unbound()?.send_to(b"READY=1", path)?;
    }
    stopped().await
}
