//! `connectcount.sh`: one number, the browsers that watch the desktop now. Only those count that were let in: a probe
//! that connects is none.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use crate::roles::ask::{ask, object};
use crate::roles::find;
use crate::roles::orders::EXIT_NOBODY;

const PATIENCE: Duration = Duration::from_secs(3);

/// Prints the number; without an answer nothing but the reason, since a zero would say that nobody watches.
pub(super) fn run() -> ExitCode {
    match count() {
        Ok(number) => {
            let _ = writeln!(io::stdout(), "{number}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            let _ = writeln!(io::stderr(), "connectcount.sh: {why}");
            ExitCode::from(EXIT_NOBODY)
        }
    }
}

fn count() -> Result<usize, String> {
    let dir = find::run_dir(None).map_err(|error| error.to_string())?;
    let (_, body) = ask(&dir, "/api/status", PATIENCE)
        .map_err(|error| format!("the display server does not answer: {error}"))?;
    let status = object(&body).and_then(|object| serde_json::from_slice::<Value>(object).ok());
    let clients = status
        .as_ref()
        .and_then(|status| status.get("clients")?.as_array())
        .ok_or("the display server's answer is not understood")?;
    Ok(browsers(clients))
}

fn browsers(clients: &[Value]) -> usize {
    let via = |client: &&Value| client.get("via").is_some_and(|via| via == "websocket");
    clients.iter().filter(via).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_of_the_other_port_are_not_browsers() {
        let clients = ["websocket", "vnc", "websocket"].map(|via| serde_json::json!({"via": via}));
        assert_eq!(browsers(&clients), 2);
        assert_eq!(browsers(&[]), 0);
    }
}
