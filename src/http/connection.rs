//! One connection of the web port, from its first byte to its end or its upgrade.
//!
//! ```text
//!  HTTP/1.1 ──request──► answer ──► next request (≤ 10 s) … LIFETIME: last answer, close
//!     │
//!     └──upgrade──► 101 sent ──► WsStream ──► Backend::websocket     (this call returns)
//! ```

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use super::limits::{self, Greeting, Watched};
use super::websocket::WsStream;
use super::{Peer, Site, router};

/// Serves one HTTP/1.1 connection until it ends, is upgraded to a websocket (which goes to [`super::Backend`]) or
/// breaks a limit (see [`limits`]). Needs a tokio runtime with timers. Never fails: what went wrong is a line in the
/// log, and concerns nobody but this peer.
pub async fn serve_connection<IO>(io: IO, peer: Peer, site: Arc<Site>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let heard = Arc::new(Mutex::new(Greeting::default()));
    let upgraded: Arc<Mutex<Option<OnUpgrade>>> = Arc::default();

    let service = service_fn(|mut request: hyper::Request<hyper::body::Incoming>| {
        let (site, peer, upgraded) = (Arc::clone(&site), peer.clone(), Arc::clone(&upgraded));
        async move {
            let on_upgrade = hyper::upgrade::on(&mut request);
            let (head, _body) = request.into_parts();
            let answer = router::route(&site, &peer, &head).await;
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                *lock(&upgraded) = Some(on_upgrade);
            }
            // Without the query: somebody may have put a password there.
            debug!(%peer, method = %head.method, path = head.uri.path(), status = answer.status().as_u16(), "request");
            Ok::<_, Infallible>(answer)
        }
    });

    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_TIME)
        .max_headers(limits::HEADERS)
        .max_buf_size(limits::HEAD_BYTES)
        .serve_connection(TokioIo::new(Watched::new(io, Arc::clone(&heard))), service)
        .with_upgrades();
    let mut connection = pin!(connection);

    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = sleep(limits::LIFETIME) => {
            connection.as_mut().graceful_shutdown();
            match timeout(limits::LAST_ANSWER, connection.as_mut()).await {
                Ok(result) => result,
                Err(_) => return debug!(%peer, "closed: an answer was not taken in time"),
            }
        }
    };
    if let Err(error) = result {
        report(&peer, &error, *lock(&heard));
        return;
    }

    let on_upgrade = lock(&upgraded).take();
    if let Some(on_upgrade) = on_upgrade {
        match on_upgrade.await {
            Ok(io) => {
                let stream = WsStream::new(io, site.heartbeat).await;
                site.backend.websocket(stream, peer);
            }
            Err(error) => debug!(%peer, "the websocket was given up: {error}"),
        }
    }
}

/// One line on why a connection ended early. Scanners and health checkers that only connect are no news.
fn report(peer: &Peer, error: &hyper::Error, heard: Greeting) {
    if let Some(language) = heard.language() {
        info!(%peer, "closed: the peer speaks {language}");
    } else if error.is_parse_too_large() {
        info!(%peer, "closed: the request head is larger than {} bytes or {} headers", limits::HEAD_BYTES, limits::HEADERS);
    } else if error.is_parse() {
        info!(%peer, "closed: what came is not HTTP/1.1");
    } else if error.is_timeout() && !heard.is_empty() {
        debug!(%peer, "closed: no whole request within {} s", limits::HEAD_TIME.as_secs());
    } else {
        debug!(%peer, "closed: {error}");
    }
}

/// The value in `mutex`, also after a panic elsewhere: each is written in one step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
