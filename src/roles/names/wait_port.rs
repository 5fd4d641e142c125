//! `wait-port [-t MILLISECONDS] [HOST]:PORT`: waits until somebody listens there.
//!
//! Exit codes: 0 somebody does; 1 nobody did in time; 2 the arguments are wrong.

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// One attempt, where no answer comes at all.
const ATTEMPT: Duration = Duration::from_secs(2);

#[derive(Debug, PartialEq, Eq)]
struct Args {
    host: String,
    port: u16,
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
    say(&format!("Waiting for {}:{}.", args.host, args.port));
    if wait(&args) {
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
            _ => target = Some(place(word)?),
        }
    }
    let (host, port) = target.ok_or("where is to be waited?")?;
    Ok(Args {
        host,
        port,
        timeout,
        quiet,
    })
}

/// `8080`, `:8080`, `host:8080`, `[::1]:8080`.
fn place(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let wrong = || format!("{text}: PORT, :PORT or HOST:PORT is wanted");
    if host.contains('/') {
        return Err(wrong());
    }
    let port = port
        .parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(wrong)?;
    let host = if host.is_empty() { "localhost" } else { host };
    Ok((host.to_owned(), port))
}

fn wait(args: &Args) -> bool {
    let end = args.timeout.map(|timeout| Instant::now() + timeout);
    let left = || end.map_or(ATTEMPT, |end| end.saturating_duration_since(Instant::now()));
    loop {
        // A name may come to mean something, or something else, while it is waited for.
        let addresses = (args.host.as_str(), args.port).to_socket_addrs();
        for address in addresses.into_iter().flatten() {
            let patience = left().min(ATTEMPT);
            if patience.is_zero() {
                return false;
            }
            if TcpStream::connect_timeout(&address, patience).is_ok() {
                return true;
            }
        }
        if left().is_zero() {
            return false;
        }
        std::thread::sleep(PAUSE.min(left()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

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
        assert_eq!((args.host.as_str(), args.port), ("10.0.0.7", 6081));
        assert_eq!(args.timeout, Some(Duration::from_millis(1500)));
        assert_eq!(parsed(&["--timeout=0", "80"]).unwrap().timeout, None);
        assert_eq!(parsed(&["[::1]:80"]).unwrap().host, "::1");
        assert_eq!(parsed(&[":80"]).unwrap().host, "localhost");
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

    #[test]
    fn a_listener_is_found_and_none_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut args = Args {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
            timeout: None,
            quiet: true,
        };
        assert!(wait(&args));
        drop(listener);
        args.timeout = Some(Duration::from_millis(1));
        assert!(!wait(&args));
    }
}
