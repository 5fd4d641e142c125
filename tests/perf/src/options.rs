//! The command line.

use crate::Outcome;
use crate::server::{KINDS, Kind};
use crate::workloads::{WORKLOADS, Workload};

/// What to measure, and how.
#[derive(Debug)]
pub(crate) struct Options {
    /// Shorter runs, one of each.
    pub(crate) quick: bool,
    /// Runs of each server.
    pub(crate) repeat: usize,
    /// An earlier results.json to compare with.
    pub(crate) compare: Option<String>,
    /// Where results go.
    pub(crate) out: String,
    /// Keep table and picture in the project, for its README.
    pub(crate) write: bool,
    only: Vec<String>,
    servers: Option<Vec<String>>,
}

impl Options {
    pub(crate) fn parse(args: &[&str]) -> Outcome<Self> {
        let mut options = Self {
            quick: false,
            repeat: 0,
            compare: None,
            out: "target/bench".to_owned(),
            write: false,
            only: Vec::new(),
            servers: None,
        };
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let mut args = args.iter();
        while let Some(&arg) = args.next() {
            let mut value = || {
                args.next()
                    .copied()
                    .ok_or_else(|| format!("{arg} wants a value"))
            };
            match arg {
                "--quick" => options.quick = true,
                "--write" => options.write = true,
                "--repeat" => options.repeat = value()?.parse()?,
                "--compare" => options.compare = Some(value()?.to_owned()),
                "--out" => options.out = value()?.to_owned(),
                "--only" => options.only = list(value()?),
                "--servers" => options.servers = Some(list(value()?)),
                other => return Err(format!("{other:?}: {}", usage()).into()),
            }
        }
        if options.repeat == 0 {
            options.repeat = if options.quick { 1 } else { 3 };
        }
        let unknown = |names: &[String], known: &[&str]| {
            names
                .iter()
                .find(|name| !known.contains(&name.as_str()))
                .cloned()
        };
        let workloads: Vec<&str> = WORKLOADS.iter().map(|w| w.name).collect();
        let servers = KINDS.map(|(name, _)| name);
        let wrong = unknown(&options.only, &workloads)
            .or_else(|| unknown(options.servers.as_deref().unwrap_or_default(), &servers));
        match wrong {
            Some(name) => Err(format!("{name:?}: {}", usage()).into()),
            None => Ok(options),
        }
    }

    pub(crate) fn wants(&self, workload: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == workload)
    }

    /// The servers of a workload, in the order of their turns.
    pub(crate) fn servers(&self, workload: &Workload) -> Vec<(&'static str, Kind)> {
        let wanted = |name: &str| match &self.servers {
            Some(names) => names.iter().any(|n| n == name),
            None => workload.web || !name.contains('+'),
        };
        KINDS.into_iter().filter(|(name, _)| wanted(name)).collect()
    }

    /// The columns of the table.
    pub(crate) fn columns(&self) -> Vec<&'static str> {
        let chosen = WORKLOADS.iter().filter(|w| self.wants(w.name));
        let all: Vec<_> = chosen
            .flat_map(|w| self.servers(w))
            .map(|(name, _)| name)
            .collect();
        KINDS
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| all.contains(name))
            .collect()
    }
}

fn usage() -> String {
    let workloads: Vec<&str> = WORKLOADS.iter().map(|w| w.name).collect();
    let servers = KINDS.map(|(name, _)| name);
    format!(
        "scripts/bench [--quick] [--repeat N] [--only WORKLOAD,…] [--servers SERVER,…] [--compare OLD.json] [--out DIRECTORY] [--write]\n\
         workloads: {}\nservers: {}",
        workloads.join(" "),
        servers.join(" ")
    )
}
