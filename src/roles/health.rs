//! `deskinit health`: the exec probe. Exit 0 when everything is ready, else 1 with what is missing.
//!
//! It asks the display server on its socket in the run directory, which needs no port, no password and no network; when
//! nobody is there, it asks `run` why.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::find;
use crate::supervisor::link::{self, Phase, SERVE_SOCKET};

/// Docker's and Kubernetes' usual limits are longer than this and the display server's own (1 s for the X server).
const PATIENCE: Duration = Duration::from_secs(3);
/// No answer of ours is longer.
const LONGEST: u64 = 64 * 1024;

/// What the command line said.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// The run directory, when it was named.
    pub run_dir: Option<PathBuf>,
}

/// Answers on standard output.
pub fn run(args: Args) -> ExitCode {
    let verdict = find::run_dir(args.run_dir)
        .map_err(|error| error.to_string())
        .and_then(|dir| check(&dir));
    match verdict {
        Ok(()) => {
            let _ = writeln!(io::stdout(), "ready");
            ExitCode::SUCCESS
        }
        Err(why) => {
            let _ = writeln!(io::stdout(), "{why}");
            ExitCode::FAILURE
        }
    }
}

fn check(dir: &Path) -> Result<(), String> {
    match ask(dir) {
        Ok((200, _)) => Ok(()),
        Ok((code, body)) => {
            Err(missing(&body).unwrap_or_else(|| format!("not ready (status {code})")))
        }
        Err(error) => Err(match link::status(dir, PATIENCE) {
            Ok(status) if status.phase == Phase::Stopping => {
                format!("not ready: stopping: {}", status.message)
            }
            Ok(status) if !status.message.is_empty() => format!("not ready: {}", status.message),
            _ => format!(
                "not ready: nobody answers at {}: {error}",
                dir.join(SERVE_SOCKET).display()
            ),
        }),
    }
}

/// Status code and body of `/readyz`.
fn ask(dir: &Path) -> io::Result<(u16, Vec<u8>)> {
    let end = Instant::now() + PATIENCE;
    let mut stream = UnixStream::connect(dir.join(SERVE_SOCKET))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    // Our servers close after the answer, but an answer is not waited for beyond the limit, drip as it may.
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || answer.len() as u64 > LONGEST {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    split(&answer).ok_or_else(|| io::Error::other("not an HTTP answer"))
}

fn split(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..at)?).ok()?;
    let code = head
        .strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .get(..3)?
        .parse()
        .ok()?;
    Some((code, answer.get(at + 4..)?.to_vec()))
}

#[derive(Deserialize)]
struct Readiness {
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    name: String,
    ok: bool,
    #[serde(default)]
    detail: String,
}

/// `not ready: wm (none runs), app (no window)`.
fn missing(body: &[u8]) -> Option<String> {
    // The body may have come in chunks: the object is what counts.
    let from = body.iter().position(|&byte| byte == b'{')?;
    let to = body.iter().rposition(|&byte| byte == b'}')? + 1;
    let readiness: Readiness = serde_json::from_slice(body.get(from..to)?).ok()?;
    let parts: Vec<String> = readiness
        .parts
        .iter()
        .filter(|part| !part.ok)
        .map(|part| {
            if part.detail.is_empty() {
                part.name.clone()
            } else {
                format!("{} ({})", part.name, part.detail)
            }
        })
        .collect();
    (!parts.is_empty()).then(|| format!("not ready: {}", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn answered_with(name: &str, answer: &'static str) -> Result<(), String> {
        let dir =
            std::env::temp_dir().join(format!("deskinit-health-{name}-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let listener = UnixListener::bind(dir.join(SERVE_SOCKET)).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let count = stream.read(&mut request).unwrap();
            assert!(request[..count].starts_with(b"GET /readyz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let verdict = check(&dir);
        server.join().unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        verdict
    }

    #[test]
    fn says_what_is_missing() {
        assert_eq!(
            answered_with(
                "good",
                "HTTP/1.1 200 OK\r\n\r\n{\"ready\":true,\"parts\":[]}"
            ),
            Ok(())
        );
        let verdict = answered_with(
            "bad",
            "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"ready\":false,\"parts\":[{\"name\":\"x\",\"ok\":true},\
             {\"name\":\"wm\",\"ok\":false,\"detail\":\"none runs\"},{\"name\":\"app\",\"ok\":false,\"detail\":\"\"}]}",
        );
        assert_eq!(verdict, Err("not ready: wm (none runs), app".to_owned()));
        assert_eq!(
            answered_with("odd", "HTTP/1.1 500 Oops\r\n\r\n"),
            Err("not ready (status 500)".to_owned())
        );
        assert!(answered_with("junk", "hello").is_err());
    }

    #[test]
    fn nobody_there_is_not_ready() {
        assert!(
            check(Path::new("/nonexistent"))
                .unwrap_err()
                .starts_with("not ready: nobody answers")
        );
    }
}
