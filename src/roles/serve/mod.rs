//! `deskinit serve`: shows an X display to browsers and viewers.
//!
//! One process, without privileges, that may die at any time: `run` starts it again and neither X nor the application
//! notice. Alone it stands in front of any X server, as x0vncserver and x11vnc do.
//!
//! ```text
//!   X display ◄──► desktop ──Sink──► bridge ──► hub ◄── connections ◄── VNC port
//!                     ▲                │Seat      ▲                 ◄── http ◄── web port, serve.sock
//!                     └────────────────┘          └─ uplink ◄──► run (notify, control)
//! ```

mod backend;
mod bridge;
mod metrics;
mod uplink;
mod watch;

use super::access;
use crate::config::{Config, Secret, Sharing};
use crate::desktop::{Desktop, Options as DesktopOptions};
use crate::http::{self, Origins, Site};
use crate::rfb::{AuthPolicy, Features};
use crate::screen::Screen;
use crate::server::{self, Hub, Peer, Pool};
use crate::supervisor::link::{FRAME_BUFFER_VARIABLE, SERVE_SOCKET};
use crate::sys::heap;
use backend::Front;
use bridge::Bridge;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use uplink::Uplink;

/// `EX_UNAVAILABLE`, `EX_OSERR` of sysexits.
pub(super) const EXIT_UNAVAILABLE: u8 = 69;
/// Sessions get this long to tell their viewers that the end has come.
const FAREWELL: Duration = Duration::from_millis(300);

/// The thread that asks the X server for a probe stays: where a fork bomb has left no process, there is no other to be had,
/// and that question is asked all the same.
const FOR_GOOD: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// As do the others, so there are few, however many probes ask at once: they wait for each other anyway.
const THREADS: usize = 4;

/// Runs until SIGTERM or SIGINT.
pub(super) fn run(config: Config) -> ExitCode {
    heap::give_large_blocks_back();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(FOR_GOOD)
        .max_blocking_threads(THREADS)
        .build();
    let outcome = runtime.and_then(|runtime| runtime.block_on(serve(config)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!("{e}");
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}

async fn serve(mut config: Config) -> io::Result<()> {
    let Some(display) = config.display.clone() else {
        return Err(io::Error::other(
            "DISPLAY: which X display is to be shown? Give --display :N",
        ));
    };
    let uplink = Uplink::from_environment(config.run_dir.as_deref());
    let token = access::ensure_password(&mut config)?;
    let screen = Arc::new(Screen::new(config.size.0, config.size.1));
    let bridge = Arc::new(Bridge::new(uplink.clone(), config.send_cut_text));
    let hub = Hub::new(
        bridge.clone(),
        screen.clone(),
        Pool::new()?,
        policy(&config),
        session_options(&config),
        config.desktop_name.as_str().into(),
    );
    bridge.set_hub(hub.clone());
    tokio::task::spawn_blocking(|| ()).await?;
    let vnc = match config.vnc_port {
        Some(port) => server::bind("VNC_PORT", &config.bind, port)?,
        None => Vec::new(),
    };
    let web = match config.web_port {
        Some(port) => server::bind("NO_VNC_PORT", &config.bind, port)?,
        None => Vec::new(),
    };
    let desktop = Desktop::start(
        desktop_options(&config, &display.to_string(), uplink.is_some()),
        screen,
        bridge.clone(),
    )?;
    bridge.set_desktop(desktop.clone());
    let front = Arc::new(Front::new(
        hub.clone(),
        desktop.clone(),
        uplink.clone(),
        &config,
        listening(&vnc, &web),
    ));
    let site = Arc::new(site(&config, front.clone()));
    let (vnc_at, web_at) = (address(&vnc), address(&web));
    announce(
        &config,
        vnc_at.as_deref(),
        web_at.as_deref(),
        token.as_ref(),
        uplink.is_some(),
    );
    for listener in vnc {
        let hub = hub.clone();
        tokio::spawn(server::listen(listener, "vnc", move |stream, peer| {
            tokio::spawn(server::serve_stream(stream, peer, hub.clone()));
        }));
    }
    if let Some(path) = &config.rfb_unix_socket {
        let hub = hub.clone();
        let listener = server::bind_unix("RFB_UNIX_SOCKET", path)?;
        tokio::spawn(server::listen_unix(listener, "vnc", move |stream, peer| {
            tokio::spawn(server::serve_stream(stream, peer, hub.clone()));
        }));
    }
    for listener in web {
        let site = site.clone();
        tokio::spawn(server::listen(listener, "web", move |stream, _| {
            let peer = http::Peer {
                address: stream.peer_addr().ok(),
                tls: false,
            };
            tokio::spawn(http::serve_connection(stream, peer, site.clone()));
        }));
    }
    if let Some(dir) = &config.run_dir {
        listen_locally(&dir.join(SERVE_SOCKET), site)?;
    }
    if let Some(uplink) = &uplink {
        uplink.listening(web_at.as_deref(), vnc_at.as_deref());
        uplink.start(hub.clone(), &desktop);
    }
    watch::start(desktop.clone(), uplink.clone())?;
    // The first of the threads that stay.
    tokio::task::spawn_blocking(|| ()).await?;
    stopped().await?;
    let reason = front
        .message()
        .unwrap_or_else(|| "the display server is stopping".to_owned());
    hub.close_all(&reason);
    let mut viewers = hub.viewers();
    // Those who do not take the farewell in time are cut off.
    let _ = tokio::time::timeout(FAREWELL, viewers.wait_for(|n| *n == 0)).await;
    tokio::task::spawn_blocking(move || desktop.stop()).await?;
    if let Some(dir) = &config.run_dir {
        // `run` removes the whole directory; alone, nothing else is in it.
        let _ = std::fs::remove_file(dir.join(SERVE_SOCKET));
    }
    if let Some(path) = &config.rfb_unix_socket {
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

fn policy(config: &Config) -> AuthPolicy {
    let secret = |s: &Option<Secret>| {
        s.as_ref()
            .and_then(|s| crate::rfb::Secret::new(s.expose().as_bytes().to_vec()).ok())
    };
    AuthPolicy {
        password: secret(&config.password),
        view_only_password: secret(&config.view_only_password),
        none: config.allow_no_auth,
        view_only: config.view_only,
    }
}

fn session_options(config: &Config) -> server::Options {
    server::Options {
        sharing: match config.sharing {
            Sharing::Client => server::Sharing::Client,
            Sharing::Always => server::Sharing::Always,
            Sharing::Never => server::Sharing::Never,
        },
        max_clients: config.max_clients,
        idle_timeout: config.idle_timeout,
        features: Features {
            clipboard_send: config.send_cut_text,
            clipboard_accept: config.accept_cut_text,
            resize: config.allow_resize,
        },
    }
}

fn desktop_options(config: &Config, display: &str, ours: bool) -> DesktopOptions {
    DesktopOptions {
        display: display.to_owned(),
        xauthority: config.xauthority.clone(),
        // A display of our own was started at the largest size and is shrunk to the wanted one; another's is left as
        // it is.
        size: ours.then_some(config.size),
        background: config.background,
        max_size: config.max_size,
        frame_buffer: std::env::var_os(FRAME_BUFFER_VARIABLE).map(PathBuf::from),
        min_interval: Duration::from_secs(1) / u32::from(config.max_fps.max(1)),
        raw_keyboard: config.raw_keyboard,
        clipboard: config.send_cut_text || config.accept_cut_text,
        send_primary: config.send_primary,
    }
}

fn site(config: &Config, front: Arc<Front>) -> Site {
    let mut site = Site::new(front);
    site.heartbeat = config.heartbeat.unwrap_or_default();
    site.allowed_origins = Origins::parse(&config.allowed_origins).unwrap_or_else(|bad| {
        tracing::warn!("ALLOWED_ORIGINS: {bad}; no other pages may connect");
        Origins::default()
    });
    // Checked when the settings were read.
    site.allowed_hosts = config
        .allowed_hosts
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect();
    site
}

/// Says where the desktop can be seen; with the token when it was made here. Under `run` it is `run` that says so,
/// once, however often this worker is restarted.
fn announce(
    config: &Config,
    vnc: Option<&str>,
    web: Option<&str>,
    token: Option<&Secret>,
    supervised: bool,
) {
    if supervised {
        tracing::debug!(vnc, web, "display server listens");
    } else {
        tracing::info!("{}", access::how(config, token, web, vnc));
    }
    if config.allow_no_auth {
        tracing::warn!(
            "ALLOW_NO_AUTH: everybody who reaches the ports sees and controls this desktop"
        );
    } else if !supervised
        && token.is_none()
        && let Some(warning) = access::cut_warning(config)
    {
        tracing::warn!("{warning}");
    }
}

/// What listens where, for the status.
fn listening(vnc: &[TcpListener], web: &[TcpListener]) -> serde_json::Value {
    let all = |listeners: &[TcpListener]| -> Vec<String> {
        let addresses = listeners.iter().filter_map(|l| l.local_addr().ok());
        addresses.map(|address| address.to_string()).collect()
    };
    serde_json::json!({ "vnc": all(vnc), "web": all(web) })
}

/// Where the first of these can be reached from this machine.
fn address(listeners: &[TcpListener]) -> Option<String> {
    let mut address = listeners.first()?.local_addr().ok()?;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Some(address.to_string())
}

/// The same site on a socket for `deskinit health` and `status`; the directory is private, so nobody is asked.
fn listen_locally(path: &Path, site: Arc<Site>) -> io::Result<()> {
    // A previous worker that was killed left its socket; the directory is ours alone.
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(path)
        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let peer = http::Peer {
                        address: None,
                        tls: false,
                    };
                    tokio::spawn(http::serve_connection(stream, peer, site.clone()));
                }
                Err(e) => {
                    tracing::warn!(error = %e, "cannot accept on serve.sock");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    });
    Ok(())
}

/// Until somebody asks this process to end.
pub(super) async fn stopped() -> io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// A websocket is one more kind of stream with a viewer at its end.
impl server::Transport for http::WsStream {
    fn close_reason(&mut self, reason: &str) {
        // 1001: going away (RFC 6455, 7.4.1).
        self.farewell().set(1001, reason);
    }
}

fn viewer(peer: &http::Peer) -> Peer {
    Peer {
        name: peer.to_string(),
        ip: peer.address.map(|a| a.ip().to_canonical()),
        via: "websocket",
    }
}
