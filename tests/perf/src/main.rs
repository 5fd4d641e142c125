//! Drives deskinit and its peers, side by side, over the same workloads, and compares what they cost and show.
//!
//! ```text
//!  main ── workloads ── apps (xterm, Chromium, pictures)  ──► screen ◄── server (deskinit, Xvnc, x0vncserver, x11vnc)
//!            │                                                              │
//!            └─ measure ◄── replay (strict decoders) ◄── viewer (records) ◄─┘
//!                  └─► report
//! ```

mod apps;
mod content;
mod cpu;
mod link;
mod machine;
mod measure;
mod options;
mod picture;
mod replay;
mod report;
mod screen;
mod server;
mod skim;
mod stamp;
mod stats;
mod support;
mod svg;
mod viewer;
mod workloads;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use options::Options;
use report::Results;
use workloads::{Setting, WORKLOADS};

/// A result whose error is told and counted, but ends nothing else.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["content", kind, stop] => content::run(kind, stop).map(|()| true),
        given => Options::parse(given).and_then(|options| run(&options)),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("deskinit-perf: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Runs everything that was chosen, in turns: the machine is as busy for one server as for the other. True when every
/// run gave figures.
fn run(options: &Options) -> Outcome<bool> {
    let setting = Setting::new(options.quick);
    let mut results = Results::default();
    let mut failures = 0;
    let before = machine::comparison();
    for workload in WORKLOADS.iter().filter(|w| options.wants(w.name)) {
        for turn in 0..options.repeat {
            for (name, kind) in options.servers(workload) {
                match workload.run(kind, &setting) {
                    Ok(figures) => {
                        let shown = workload.shown.iter().map(|f| {
                            let value = figures.get(f.key).copied().unwrap_or(f64::NAN);
                            format!("{} {}", report::number(value), f.title)
                        });
                        let shown = shown.collect::<Vec<_>>().join(", ");
                        eprintln!("{} {turn} {name}: {shown}", workload.name);
                        results.add(workload.name, name, &figures);
                    }
                    Err(e) => {
                        failures += 1;
                        eprintln!("{} {turn} {name}: FAILED: {e}", workload.name);
                    }
                }
            }
        }
    }
    let after = machine::comparison();
    let machine = format!(
        "{}; two pictures of the screen are compared in {} ms before, and {} ms after.",
        machine::processors(),
        report::number(before),
        report::number(after)
    );
    write(options, &results, &machine)?;
    Ok(failures == 0)
}

fn write(options: &Options, results: &Results, machine: &str) -> Outcome<()> {
    let names = options.columns();
    let table = format!("{machine}\n\n{}", results.table(&names));
    let out = Path::new(&options.out);
    std::fs::create_dir_all(out)?;
    std::fs::write(out.join("results.md"), &table)?;
    let json = serde_json::to_string_pretty(&results.to_json())?;
    std::fs::write(out.join("results.json"), json)?;
    let picture = svg::draw(results, &names);
    std::fs::write(out.join("results.svg"), &picture)?;
    if options.write {
        std::fs::write("tests/perf/results.svg", &picture)?;
        std::fs::write("tests/perf/results.md", &table)?;
    }
    println!("{table}");
    if let Some(path) = &options.compare {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
        let old = Results::from_json(&serde_json::from_str(&text)?)
            .ok_or_else(|| format!("{path} holds no results"))?;
        println!("{}", results.compare(&old, &names));
    }
    Ok(())
}
