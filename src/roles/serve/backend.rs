//! What the web port tells about the display: readiness, status, metrics; and where its websockets go.

use super::metrics;
use super::uplink::Uplink;
use crate::config::Config;
use crate::desktop::Desktop;
use crate::encode;
use crate::http::{self, Backend, BoxFuture, Part, Readiness, WsStream};
use crate::server::{ClientInfo, Hub, serve_stream};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A display that does not answer within this is not ready.
const ANSWER: Duration = Duration::from_secs(1);

/// The answers of the web port.
pub(super) struct Front {
    hub: Arc<Hub>,
    desktop: Desktop,
    uplink: Option<Arc<Uplink>>,
    /// No window is to be waited for.
    windowless: bool,
    /// Addresses by port.
    listening: Value,
    /// Ready once: the startup probe has passed.
    started: Arc<AtomicBool>,
}

impl Front {
    pub(super) fn new(
        hub: Arc<Hub>,
        desktop: Desktop,
        uplink: Option<Arc<Uplink>>,
        config: &Config,
        listening: Value,
    ) -> Self {
        Self {
            hub,
            desktop,
            uplink,
            windowless: config.app_headless || config.desktop_mode,
            listening,
            started: Arc::default(),
        }
    }

    /// What `run` says to people, when there is one.
    pub(super) fn message(&self) -> Option<String> {
        self.uplink.as_ref().and_then(|u| u.message())
    }

    async fn look(
        desktop: Desktop,
        managed: bool,
        windows: bool,
        message: Option<String>,
    ) -> (Vec<Part>, Option<String>) {
        let asked = desktop.clone();
        // A hung X server keeps a thread, never the event loop.
        let answers = tokio::task::spawn_blocking(move || asked.probe(ANSWER))
            .await
            .unwrap_or(false);
        let status = desktop.status();
        let part = |name: &str, ok: bool, good: String, bad: String| Part {
            name: name.to_owned(),
            ok,
            detail: if ok { good } else { bad },
        };
        let problem = status
            .problem
            .clone()
            .unwrap_or_else(|| "does not answer within 1 s".to_owned());
        let mut parts = vec![
            part(
                "xserver",
                answers,
                format!("{}x{}", status.width, status.height),
                problem,
            ),
            part(
                "capture",
                status.connected && status.capturing,
                format!("{} grabs", status.grabs),
                "the capture is not running".to_owned(),
            ),
        ];
        if managed {
            let wm = status.window_manager.clone();
            parts.push(part(
                "window-manager",
                wm.is_some(),
                wm.unwrap_or_default(),
                "no window manager runs yet".to_owned(),
            ));
        }
        if windows {
            parts.push(part(
                "application",
                status.windows > 0,
                format!("{} windows", status.windows),
                "the application has no window yet".to_owned(),
            ));
        }
        let missing = parts.iter().find(|p| !p.ok);
        let waiting = missing.map(|p| match p.name.as_str() {
            "window-manager" => "starting: waiting for the window manager".to_owned(),
            "application" => "starting: waiting for the application's first window".to_owned(),
            "xserver" => format!("the X server: {}", p.detail),
            _ => p.detail.clone(),
        });
        (parts, message.or(waiting))
    }
}

impl Backend for Front {
    fn readiness(&self) -> BoxFuture<Readiness> {
        let desktop = self.desktop.clone();
        // In front of somebody else's display nobody promised a window manager or an application.
        let managed = self.uplink.as_ref().is_some_and(|u| u.has_window_manager());
        let application = self.uplink.as_ref().is_some_and(|u| u.has_application());
        let windows = application && !self.windowless;
        let message = self.message();
        // Answering at all is what being alive means of this worker: `run` replaces one that does not.
        let broken = self.uplink.as_ref().and_then(|u| u.not_live());
        let ending = self.uplink.as_ref().is_some_and(|u| u.ending());
        let started = self.started.clone();
        Box::pin(async move {
            let (parts, message) = Self::look(desktop, managed, windows, message).await;
            let ready = !ending && parts.iter().all(|p| p.ok);
            Readiness {
                ready,
                broken,
                started: started.fetch_or(ready, Ordering::Relaxed) || ready,
                message,
                parts,
            }
        })
    }

    fn metrics(&self) -> String {
        metrics::render(&self.hub, &self.desktop.status())
    }

    fn status_json(&self) -> Value {
        let d = self.desktop.status();
        let clients: Vec<Value> = self.hub.list().iter().map(client).collect();
        json!({
            "message": self.message(),
            "listening": self.listening,
            "display": {
                "connected": d.connected,
                "problem": d.problem,
                "width": d.width,
                "height": d.height,
                "window_manager": d.window_manager,
                "windows": d.windows,
                "grabs": d.grabs,
                "last_grab_us": d.last_grab_us,
                "last_diff_us": d.last_diff_us,
                "frames": d.frames,
                "connections": d.connections,
                "shared_memory": d.shared_memory,
                "in_place": d.in_place,
            },
            "viewers": clients.len(),
            "clients": clients,
        })
    }

    fn websocket(&self, stream: WsStream, peer: http::Peer) {
        tokio::spawn(serve_stream(stream, super::viewer(&peer), self.hub.clone()));
    }
}

/// One viewer, without its address: whoever reaches the port may read this.
fn client(c: &ClientInfo) -> Value {
    let mut fields = json!({
        "id": c.id,
        "via": c.peer.via,
        "permission": format!("{:?}", c.permission),
        "seconds": c.since.elapsed().as_secs(),
        "updates_per_second": tenths(c.rates.updates),
        "kilobytes_per_second": tenths(c.rates.bytes / 1000.0),
    });
    let (Some(stats), Some(map)) = (&c.stats, fields.as_object_mut()) else {
        return fields;
    };
    let figures = json!({
        "encoding": stats.encoding.name(),
        "jpeg_rectangles": stats.jpeg_rects,
        "quality": stats.quality.map(|q| q.percent()),
        "quality_in_use": stats.fitted.map(|q| q.percent()),
        "subsampling": stats.quality.map(|q| q.subsampling().name()),
        "bits_per_pixel": stats.format.bytes_per_pixel() * 8,
        "continuous_updates": stats.continuous,
        "round_trip_ms": stats.round_trip.map(|t| tenths(t.as_secs_f64() * 1000.0)),
        "base_round_trip_ms": stats.base_round_trip.map(|t| tenths(t.as_secs_f64() * 1000.0)),
        "link_kilobytes_per_second": stats.rate.map(|rate| tenths(rate / 1000.0)),
        "frame_age_ms": c.frame_age.map(|t| tenths(t.as_secs_f64() * 1000.0)),
        "playing_pixels": stats.playing_pixels,
        "window_bytes": stats.window,
        "bytes_in_flight": stats.in_flight,
        "updates": stats.updates,
        "rectangles": stats.rects,
        "bytes": stats.bytes,
        "pixels": stats.pixels,
        "refreshed_pixels": stats.refreshed_pixels,
        "pending_pixels": stats.pending_pixels,
        "lossy_pixels": stats.lossy_pixels,
        "ways": ways(&stats.ways),
        "requests": stats.requests,
        "inputs": stats.inputs,
    });
    if let Value::Object(figures) = figures {
        map.extend(figures);
    }
    fields
}

/// Where a viewer's pixels went, by name of the way.
fn ways(stats: &encode::Stats) -> Value {
    let one = |(name, tally): (&'static str, encode::Tally)| {
        let figures = json!({
            "rectangles": tally.rects,
            "pixels": tally.pixels,
            "bytes": tally.bytes,
        });
        (name.to_owned(), figures)
    };
    Value::Object(stats.ways().into_iter().map(one).collect())
}

/// More digits would be noise.
fn tenths(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}
