//! The picture for the README: a group of bars for each workload, one bar a server, of its first figure.
//!
//! Bars of a group are as long as their values are to the largest of the group, so every group fills the width; the
//! figures stand at their ends. Colours are neutral, and readable on light and dark ground.

use std::fmt::Write;

use crate::report::{Results, number};

const WIDTH: u32 = 860;
/// Where bars begin, and how long the longest is.
const LEFT: u32 = 420;
const LONGEST: f64 = 360.0;
const BAR: u32 = 13;
const GAP: u32 = 20;

/// What to draw: workloads of which a shorter bar, or a longer one, says something by itself.
const GROUPS: [&str; 10] = [
    "scroll",
    "drag",
    "web",
    "video",
    "photos",
    "latency",
    "video-16",
    "video-zrle",
    "slow",
    "startup",
];

const STYLE: &str = "\
text { font: 12px system-ui, sans-serif; fill: #444 } .title { font-weight: 600; fill: #222 } \
.ours { fill: #2f7d6d } .peer { fill: #9aa4ad } \
@media (prefers-color-scheme: dark) { text { fill: #b5bdc4 } .title { fill: #e3e7ea } \
.ours { fill: #4fae9b } .peer { fill: #66717b } }";

/// Draws the medians of the servers without websockify.
pub(crate) fn draw(results: &Results, servers: &[&str]) -> String {
    let servers: Vec<&str> = servers
        .iter()
        .copied()
        .filter(|s| !s.contains('+'))
        .collect();
    let (mut body, mut y) = (String::new(), 10);
    for workload in results.workloads().filter(|w| GROUPS.contains(&w.name)) {
        let Some(figure) = workload.shown.first() else {
            continue;
        };
        let values: Vec<f64> = servers
            .iter()
            .map(|server| results.median(workload.name, server, figure.key))
            .collect();
        let largest = values
            .iter()
            .copied()
            .filter(|v| v.is_finite())
            .fold(0.0, f64::max);
        if largest <= 0.0 {
            continue;
        }
        let what = if figure.more {
            "more is better"
        } else {
            "less is better"
        };
        let (title, unit) = (escape(workload.title), escape(figure.title));
        let _ = write!(
            body,
            "<text class=\"title\" x=\"10\" y=\"{}\">{title}</text><text x=\"10\" y=\"{}\">{unit} ({what})</text>",
            y + 12,
            y + 28
        );
        for (server, value) in servers.iter().zip(&values) {
            let length = (if value.is_finite() {
                value / largest * LONGEST
            } else {
                0.0
            })
            .max(1.0);
            let class = if *server == "deskinit" {
                "ours"
            } else {
                "peer"
            };
            let _ = write!(
                body,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
                 <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\"/>\
                 <text x=\"{:.1}\" y=\"{}\">{}</text>",
                LEFT - 8,
                y + 11,
                escape(server),
                f64::from(LEFT) + length + 6.0,
                y + 11,
                number(*value)
            );
            body.push('\n');
            y += BAR + 3;
        }
        y += GAP;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" height=\"{y}\" \
         role=\"img\"><title>deskinit and its peers</title><style>{STYLE}</style>\n{body}</svg>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Figures;

    #[test]
    fn the_largest_bar_is_the_longest() {
        let mut results = Results::default();
        results.add("scroll", "deskinit", &Figures::from([("cpu_ms", 2.0)]));
        results.add("scroll", "xvnc", &Figures::from([("cpu_ms", 4.0)]));
        let svg = draw(&results, &["deskinit", "xvnc", "xvnc+ws"]);
        assert!(
            svg.contains(r#"width="180.0""#) && svg.contains(r#"width="360.0""#),
            "{svg}"
        );
        assert!(!svg.contains("+ws"), "{svg}");
    }
}
