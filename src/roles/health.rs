//! `deskinit health`: the exec probe. Exit 0 when everything is ready, else 1 with what is missing; with `--live` 0 unless
//! something is broken for good, else 1 with what that is.
//!
//! It asks the display server on its socket in the run directory; when nobody is there, it asks `run` why.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;

use super::ask::{ask, object};
use super::find;
use crate::supervisor::link::{self, Phase, SERVE_SOCKET};

/// Docker's and Kubernetes' usual limits are longer than this and the display server's own (1 s for the X server).
const PATIENCE: Duration = Duration::from_secs(3);

/// What the command line said.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// Ask whether it lives, not whether it is ready.
    pub live: bool,
    /// The run directory, when it was named.
    pub run_dir: Option<PathBuf>,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
struct Question {
    path: &'static str,
    /// The answer when it is so.
    yes: &'static str,
    /// What the answer begins with when it is not.
    no: &'static str,
}

const READY: Question = Question {
    path: "/readyz",
    yes: "ready",
    no: "not ready",
};
const LIVE: Question = Question {
    path: "/livez",
    yes: "live",
    no: "not live",
};

/// Answers on standard output.
pub fn run(args: Args) -> ExitCode {
    let question = if args.live { LIVE } else { READY };
    let verdict = find::run_dir(args.run_dir)
        .map_err(|error| error.to_string())
        .and_then(|dir| check(&dir, question));
    match verdict {
        Ok(()) => {
            let _ = writeln!(io::stdout(), "{}", question.yes);
            ExitCode::SUCCESS
        }
        Err(why) => {
            let _ = writeln!(io::stdout(), "{why}");
            ExitCode::FAILURE
        }
    }
}

fn check(dir: &Path, question: Question) -> Result<(), String> {
    let no = question.no;
    match ask(dir, question.path, PATIENCE) {
        Ok((200, _)) => Ok(()),
        Ok((code, body)) => {
            let why = match question.path {
                "/livez" => message(&body),
                _ => missing(&body),
            };
            Err(match why {
                Some(why) => format!("{no}: {why}"),
                None => format!("{no} (status {code})"),
            })
        }
        Err(error) => Err(match link::status(dir, PATIENCE) {
            Ok(status) if status.phase == Phase::Stopping => {
                format!("{no}: stopping: {}", status.message)
            }
            Ok(status) if !status.message.is_empty() => format!("{no}: {}", status.message),
            _ => format!(
                "{no}: nobody answers at {}: {error}",
                dir.join(SERVE_SOCKET).display()
            ),
        }),
    }
}

#[derive(Deserialize)]
struct Readiness {
    #[serde(default)]
    message: Option<String>,
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

fn message(body: &[u8]) -> Option<String> {
    let readiness: Readiness = serde_json::from_slice(object(body)?).ok()?;
    readiness.message
}

/// `wm (none runs), app (no window)`.
fn missing(body: &[u8]) -> Option<String> {
    let readiness: Readiness = serde_json::from_slice(object(body)?).ok()?;
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
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixListener;

    fn answered_with(question: Question, name: &str, answer: &'static str) -> Result<(), String> {
        let dir =
            std::env::temp_dir().join(format!("deskinit-health-{name}-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let listener = UnixListener::bind(dir.join(SERVE_SOCKET)).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let count = stream.read(&mut request).unwrap();
            let wanted = format!("GET {} HTTP/1.1\r\n", question.path);
            assert!(request[..count].starts_with(wanted.as_bytes()));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let verdict = check(&dir, question);
        server.join().unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        verdict
    }

    #[test]
    fn says_what_is_missing() {
        assert_eq!(
            answered_with(
                READY,
                "good",
                "HTTP/1.1 200 OK\r\n\r\n{\"ready\":true,\"parts\":[]}"
            ),
            Ok(())
        );
        let verdict = answered_with(
            READY,
            "bad",
            "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"ready\":false,\"parts\":[{\"name\":\"x\",\"ok\":true},\
             {\"name\":\"wm\",\"ok\":false,\"detail\":\"none runs\"},{\"name\":\"app\",\"ok\":false,\"detail\":\"\"}]}",
        );
        assert_eq!(verdict, Err("not ready: wm (none runs), app".to_owned()));
        assert_eq!(
            answered_with(READY, "odd", "HTTP/1.1 500 Oops\r\n\r\n"),
            Err("not ready (status 500)".to_owned())
        );
        assert!(answered_with(READY, "junk", "hello").is_err());
        let answer = "HTTP/1.1 503 No\r\n\r\n{\"message\":\"wm was given up\",\"parts\":[]}";
        assert_eq!(
            answered_with(LIVE, "given-up", answer),
            Err("not live: wm was given up".to_owned())
        );
    }

    #[test]
    fn nobody_there_is_not_ready() {
        assert!(
            check(Path::new("/nonexistent"), READY)
                .unwrap_err()
                .starts_with("not ready: nobody answers")
        );
    }
}
