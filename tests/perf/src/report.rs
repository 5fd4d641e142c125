//! Results: kept run by run, shown as medians and ratios.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::measure::Figures;
use crate::stats::median;
use crate::workloads::{Figure, WORKLOADS, Workload};

/// Every run: workload → server → runs, in the order of their repetition.
#[derive(Default)]
pub(crate) struct Results(BTreeMap<String, BTreeMap<String, Vec<BTreeMap<String, f64>>>>);

/// Whether a server is one of the peers.
fn peer(server: &str) -> bool {
    !server.starts_with("deskinit")
}

impl Results {
    /// Notes a run; a failed one has no figures.
    pub(crate) fn add(&mut self, workload: &str, server: &str, figures: &Figures) {
        let runs = self.0.entry(workload.to_owned()).or_default();
        // JSON knows no infinity: a figure per frame without frames is none.
        let finite = figures.iter().filter(|(_, value)| value.is_finite());
        let figures = finite
            .map(|(key, value)| ((*key).to_owned(), *value))
            .collect();
        runs.entry(server.to_owned()).or_default().push(figures);
    }

    /// The median of a figure; NaN when nobody has it.
    pub(crate) fn median(&self, workload: &str, server: &str, key: &str) -> f64 {
        let runs = self.0.get(workload).and_then(|w| w.get(server));
        let values: Vec<f64> = runs
            .into_iter()
            .flatten()
            .filter_map(|f| f.get(key).copied())
            .collect();
        median(&values)
    }

    /// deskinit's figure as a part of the best peer's, both of the same repetition; the median of that.
    fn ratio(&self, workload: &str, figure: &Figure) -> f64 {
        let Some(servers) = self.0.get(workload) else {
            return f64::NAN;
        };
        let Some(ours) = servers.get("deskinit") else {
            return f64::NAN;
        };
        let ratios: Vec<f64> = (0..ours.len())
            .map(|n| {
                let of = |runs: &[BTreeMap<String, f64>]| runs.get(n)?.get(figure.key).copied();
                let peers = servers
                    .iter()
                    .filter(|(name, _)| peer(name) && !name.contains('+'));
                let values = peers
                    .filter_map(|(_, runs)| of(runs))
                    .filter(|v| v.is_finite());
                let best = values.reduce(if figure.more { f64::max } else { f64::min });
                of(ours).unwrap_or(f64::NAN) / best.unwrap_or(f64::NAN)
            })
            .collect();
        median(&ratios)
    }

    /// Workloads that have results, in the order of the table.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = &'static Workload> {
        WORKLOADS.iter().filter(|w| self.0.contains_key(w.name))
    }

    /// A Markdown table.
    pub(crate) fn table(&self, servers: &[&str]) -> String {
        let mut text = String::from("| workload | |");
        for server in servers {
            let _ = write!(text, " {server} |");
        }
        text.push_str(" deskinit : best peer |\n|---|---|");
        text.push_str(&"---|".repeat(servers.len() + 1));
        text.push('\n');
        for workload in self.workloads() {
            for (n, figure) in workload.shown.iter().enumerate() {
                let title = if n == 0 { workload.title } else { "" };
                let _ = write!(text, "| {title} | {} |", figure.title);
                for server in servers {
                    let _ = write!(
                        text,
                        " {} |",
                        number(self.median(workload.name, server, figure.key))
                    );
                }
                let _ = writeln!(text, " {} |", number(self.ratio(workload.name, figure)));
            }
        }
        text
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "workloads": self.0 })
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        serde_json::from_value(value.get("workloads")?.clone())
            .ok()
            .map(Self)
    }

    /// How every figure stands to that of an earlier run.
    pub(crate) fn compare(&self, old: &Self, servers: &[&str]) -> String {
        let mut text = String::from(
            "| workload | | server | before | now | now : before |\n|---|---|---|---|---|---|\n",
        );
        for workload in self.workloads() {
            for figure in workload.shown {
                for server in servers {
                    let of = |results: &Self| results.median(workload.name, server, figure.key);
                    let (before, now) = (of(old), of(self));
                    if before.is_nan() || now.is_nan() {
                        continue;
                    }
                    let ratio = number(now / before);
                    let (before, now) = (number(before), number(now));
                    let (title, what) = (workload.name, figure.title);
                    let _ = writeln!(
                        text,
                        "| {title} | {what} | {server} | {before} | {now} | {ratio} |"
                    );
                }
            }
        }
        text
    }
}

/// Three digits, or a dash.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "–".to_owned(),
        a if a >= 100.0 || a == 0.0 => format!("{value:.0}"),
        a if a >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_to_the_best_peer_of_the_same_repetition() {
        let mut results = Results::default();
        for (ours, xvnc, x11vnc) in [(2.0, 4.0, 8.0), (3.0, 9.0, 3.0), (10.0, 5.0, 20.0)] {
            for (server, value) in [("deskinit", ours), ("xvnc", xvnc), ("x11vnc", x11vnc)] {
                results.add("scroll", server, &Figures::from([("cpu_ms", value)]));
            }
        }
        let figure = Figure {
            key: "cpu_ms",
            title: "",
            more: false,
        };
        assert_eq!(results.ratio("scroll", &figure), 1.0);
        assert_eq!(results.median("scroll", "xvnc", "cpu_ms"), 5.0);
        let back = Results::from_json(&results.to_json()).expect("its own");
        assert_eq!(back.median("scroll", "deskinit", "cpu_ms"), 3.0);
    }
}
