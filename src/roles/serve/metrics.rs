//! Metrics as OpenMetrics text; the names are part of what operators rely on.

use crate::desktop::DesktopStatus;
use crate::server::{AGES, Hub};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::time::Duration;

/// A histogram that was counted elsewhere.
#[derive(Debug)]
struct Ages((Duration, [u64; AGES.len() + 1]));

impl EncodeMetric for Ages {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let Self((total, classes)) = self;
        let ends = AGES.map(|ms| ms as f64 / 1000.0);
        let ends = ends.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = ends.zip(*classes).collect();
        let count = classes.iter().sum();
        encoder.encode_histogram::<NoLabelSet>(total.as_secs_f64(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// The text of one scrape. The counters live where they are counted; the registry is only the way to write them.
pub(super) fn render(hub: &Hub, desktop: &DesktopStatus) -> String {
    let mut registry = Registry::with_prefix("deskinit");
    let s = hub.stats.snapshot();
    for (name, help, value) in [
        ("connections", "Connections accepted", s.connections),
        (
            "connections_refused",
            "Connections refused by a limit",
            s.refused,
        ),
        ("authentication_failures", "Wrong passwords", s.failures),
        ("sessions", "Sessions begun", s.sessions),
        ("updates", "Framebuffer updates sent", s.updates),
        ("sent_bytes", "Bytes to viewers", s.bytes_out),
        ("received_bytes", "Bytes from viewers", s.bytes_in),
        ("grabs", "Times the screen was captured", desktop.grabs),
    ] {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    }
    for (name, help, micros) in [
        ("encode", "Time spent encoding", s.encode_us),
        ("grab", "Time spent reading the screen", desktop.grab_us),
        (
            "diff",
            "Time spent finding what changed and what moved",
            desktop.diff_us,
        ),
    ] {
        let counter = Counter::<f64>::default();
        counter.inc_by(Duration::from_micros(micros).as_secs_f64());
        registry.register_with_unit(name, help, Unit::Seconds, counter);
    }
    for (name, help, value) in [
        ("viewers", "Authenticated viewers", hub.list().len() as i64),
        (
            "idle_seconds",
            "Seconds since a viewer typed, pointed or came",
            i64::try_from(hub.idle().as_secs()).unwrap_or(i64::MAX),
        ),
        (
            "display_up",
            "1 when the X server answers",
            i64::from(desktop.connected),
        ),
        (
            "windows",
            "Windows on the screen",
            i64::from(desktop.windows),
        ),
        (
            "screen_width_pixels",
            "Width of the screen",
            i64::from(desktop.width),
        ),
        (
            "screen_height_pixels",
            "Height of the screen",
            i64::from(desktop.height),
        ),
    ] {
        let gauge = Gauge::<i64>::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    }
    registry.register_with_unit(
        "frame_age",
        "Age of frames when their updates were ready to be sent",
        Unit::Seconds,
        Ages(hub.stats.frame_age.snapshot()),
    );
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}
