//! From a request to its response.
//!
//! ```text
//!  method? ─ no ► 405    body? ─ yes ► 400    Host? ─ no ► 400, 421
//!
//!  path ─┬─ file ► 200, 304
//!        ├─ probe ► 200, 503
//!        ├─ /websockify, or / with Upgrade ► 101, 400, 403, 426
//!        └─ anything else ► 404
//! ```
//! There are no redirects, so there is no open one.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode, Version};
use tracing::{debug, info};

use super::assets::{self, Asset};
use super::health::{Probe, Readiness};
use super::websocket::{self, Upgrade};
use super::{Peer, Site, limits, origin};

/// What a request is answered with; bodies are always in memory.
pub(super) type Answer = Response<Full<Bytes>>;

/// Answers `request`; after 101 (switching protocols) the connection is a websocket.
pub(super) async fn route(site: &Site, peer: &Peer, request: &Parts) -> Answer {
    if request.method != Method::GET && request.method != Method::HEAD {
        return refuse_method();
    }
    if announces_body(request) {
        // Not read either; and one whose length is said twice is how requests are smuggled past proxies.
        let mut answer = text(StatusCode::BAD_REQUEST, "a request here has no body".into());
        set(&mut answer, header::CONNECTION, "close");
        return answer;
    }
    let required = request.version > Version::HTTP_10;
    if let Err(refused) = origin::check_host(&request.headers, &site.allowed_hosts, required) {
        info!(%peer, "request refused: {refused}");
        let status = match refused {
            origin::Refused::UnknownHost(_) => StatusCode::MISDIRECTED_REQUEST,
            _ => StatusCode::BAD_REQUEST,
        };
        return text(status, refused.to_string());
    }

    let path = request.uri.path();
    if websocket::is_asked_for(&request.headers) && matches!(path, "/" | "/websockify") {
        return upgrade(site, peer, request);
    }
    answer(site, path, request).await
}

async fn answer(site: &Site, path: &str, request: &Parts) -> Answer {
    match path {
        "/livez" => probe(site, Probe::Live).await,
        "/readyz" | "/healthz" => probe(site, Probe::Ready).await,
        "/startupz" => probe(site, Probe::Startup).await,
        "/metrics" => {
            const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            fresh(StatusCode::OK, OPEN_METRICS, site.backend.metrics())
        }
        "/api/status" => json(StatusCode::OK, &site.backend.status_json()),
        "/defaults.json" => json(StatusCode::OK, &site.page.defaults.clone().into()),
        "/mandatory.json" => json(StatusCode::OK, &site.page.mandatory.clone().into()),
        "/websockify" => {
            let mut answer = text(
                StatusCode::UPGRADE_REQUIRED,
                "this address is for websockets".into(),
            );
            set(&mut answer, header::UPGRADE, "websocket");
            answer
        }
        _ => match assets::find(path) {
            Some(asset) => file(site, asset, request),
            None => text(StatusCode::NOT_FOUND, "not found".into()),
        },
    }
}

fn upgrade(site: &Site, peer: &Peer, request: &Parts) -> Answer {
    if let Err(refused) = origin::check_origin(&request.headers, &site.allowed_origins) {
        info!(%peer, "websocket refused: {refused}");
        return text(StatusCode::FORBIDDEN, refused.to_string());
    }
    let upgrade = match Upgrade::parse(request) {
        Ok(upgrade) => upgrade,
        Err(error) => {
            info!(%peer, "websocket refused: {error}");
            let mut answer = text(error.status(), error.to_string());
            if error.status() == StatusCode::UPGRADE_REQUIRED {
                set(&mut answer, header::SEC_WEBSOCKET_VERSION, "13");
            }
            return answer;
        }
    };
    let mut answer = bare(StatusCode::SWITCHING_PROTOCOLS, Bytes::new());
    set(&mut answer, header::CONNECTION, "Upgrade");
    set(&mut answer, header::UPGRADE, "websocket");
    set(&mut answer, header::SEC_WEBSOCKET_ACCEPT, &upgrade.accept);
    if upgrade.binary {
        set(&mut answer, header::SEC_WEBSOCKET_PROTOCOL, "binary");
    }
    debug!(%peer, "websocket opened");
    answer
}

async fn probe(site: &Site, probe: Probe) -> Answer {
    let readiness = tokio::time::timeout(limits::READINESS, site.backend.readiness())
        .await
        .unwrap_or_else(|_| Readiness::unanswered());
    let status = if readiness.passes(probe) {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &readiness.body(probe))
}

fn file(site: &Site, asset: &'static Asset, request: &Parts) -> Answer {
    let selected = asset.select(&request.headers);
    let status = if selected.body.is_some() {
        StatusCode::OK
    } else {
        StatusCode::NOT_MODIFIED
    };
    let mut answer = bare(status, selected.body.unwrap_or_default());
    set(&mut answer, header::CONTENT_TYPE, asset.content_type);
    set(&mut answer, header::ETAG, &selected.etag);
    set(&mut answer, header::VARY, "Accept-Encoding");
    // Revalidated at every visit: after an update nobody runs half of the old page.
    set(&mut answer, header::CACHE_CONTROL, "no-cache");
    if selected.gzip {
        set(&mut answer, header::CONTENT_ENCODING, "gzip");
    }
    set(&mut answer, header::CONTENT_SECURITY_POLICY, &policy(site));
    answer
}

/// What the page may load: its own files, pictures that noVNC makes (`data:`, `blob:`), any websocket (the address
/// of another host is a setting of the page). Frames only for those who may connect anyway.
fn policy(site: &Site) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
         connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'{}",
        site.allowed_origins.sources()
    )
}

fn announces_body(request: &Parts) -> bool {
    let lengths = request.headers.get_all(header::CONTENT_LENGTH);
    request.headers.contains_key(header::TRANSFER_ENCODING)
        || lengths.iter().any(|length| length.as_bytes() != b"0")
}

fn refuse_method() -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD".into());
    set(&mut answer, header::ALLOW, "GET, HEAD");
    // Its body is not read: there is no telling where the next request would start.
    set(&mut answer, header::CONNECTION, "close");
    answer
}

fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    fresh(status, "application/json", format!("{value}\n"))
}

fn text(status: StatusCode, mut line: String) -> Answer {
    line.push('\n');
    fresh(status, "text/plain; charset=utf-8", line)
}

/// An answer that is true only now.
fn fresh(status: StatusCode, content_type: &str, body: String) -> Answer {
    let mut answer = bare(status, body.into());
    set(&mut answer, header::CONTENT_TYPE, content_type);
    set(&mut answer, header::CACHE_CONTROL, "no-store");
    answer
}

/// An answer with the headers that all have.
fn bare(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    set(&mut answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut answer, header::REFERRER_POLICY, "no-referrer");
    answer
}

fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    // All values are ours and printable; one that were not is better left out than a panic.
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}
