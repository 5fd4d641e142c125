//! `wait-port [-t MILLISECONDS] [HOST]:PORT`: waits until somebody listens there.
//!
//! Exit codes: 0 somebody does; 1 nobody did in time; 2 the arguments are wrong.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use crate::config::host_port;
use crate::roles::wait::{Target, wait};

#[derive(Debug, PartialEq, Eq)]
struct Args {
    target: Target,
    /// Zero on the command line is for ever.
    timeout: Option<Duration>,
    quiet: bool,
}

pub(super) fn run(args: &[String]) -> ExitCode {
    let args = match parse(args) {
        Ok(args) => args,
        Err(why) => {
            let _ = writeln!(
                io::stderr(),
                "wait-port: {why}\nusage: wait-port [-t MILLISECONDS] [-o silent] [HOST]:PORT"
            );
            return ExitCode::from(2);
        }
    };
    let mut out = io::stdout();
    let mut say = |text: &str| {
        if !args.quiet {
            let _ = writeln!(out, "{text}");
        }
    };
    say(&format!("Waiting for {}.", args.target));
    if wait(&args.target, args.timeout) {
        say("Connected!");
        ExitCode::SUCCESS
    } else {
        say("Timeout");
        ExitCode::FAILURE
    }
}

fn parse(args: &[String]) -> Result<Args, String> {
    let (mut target, mut timeout, mut quiet) = (None, None, false);
    let mut words = args.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ => (word, None),
        };
        let mut value = || {
            attached
                .or_else(|| words.next())
                .ok_or_else(|| format!("{name} needs a value"))
        };
        match name {
            "-t" | "--timeout" => {
                let text = value()?;
                let milliseconds: u64 = text
                    .parse()
                    .map_err(|_| format!("{name} {text}: a number of milliseconds is wanted"))?;
                timeout = Some(Duration::from_millis(milliseconds)).filter(|t| !t.is_zero());
            }
            "-o" | "--output" => quiet = value()? == "silent",
            // What it does anyway.
            "--wait-for-dns" => {}
            _ if name.starts_with('-') => return Err(format!("{name} is not known")),
            _ if target.is_some() => return Err("one target is enough".to_owned()),
            _ => {
                let place = host_port(word);
                let wrong = || format!("{word}: PORT, :PORT or HOST:PORT is wanted");
                target = Some(place.ok_or_else(wrong)?);
            }
        }
    }
    let (host, port) = target.ok_or("where is to be waited?")?;
    Ok(Args {
        target: Target::Tcp(host, port),
        timeout,
        quiet,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Args, String> {
        parse(
            &words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn targets_and_times_are_read() {
        let args = parsed(&["-t", "1500", "10.0.0.7:6081"]).unwrap();
        assert_eq!(args.target, Target::Tcp("10.0.0.7".to_owned(), 6081));
        assert_eq!(args.timeout, Some(Duration::from_millis(1500)));
        assert_eq!(parsed(&["--timeout=0", "80"]).unwrap().timeout, None);
        for (word, host) in [("[::1]:80", "::1"), (":80", "localhost")] {
            let target = parsed(&[word]).unwrap().target;
            assert_eq!(target, Target::Tcp(host.to_owned(), 80));
        }
        for wrong in [
            &[][..],
            &["-t"],
            &["-t", "soon", "80"],
            &["x:0"],
            &["x:99999"],
            &["http://x:80/"],
            &["-q", "80"],
            &["80", "81"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }
}
