//! Asks the display server on its socket in the run directory, which needs no port, no password and no network.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::supervisor::link::SERVE_SOCKET;

/// No answer of ours is longer.
const LONGEST: usize = 1024 * 1024;

/// Status code and body of `path`.
pub(super) fn ask(dir: &Path, path: &str, patience: Duration) -> io::Result<(u16, Vec<u8>)> {
    let end = Instant::now() + patience;
    let mut stream = UnixStream::connect(dir.join(SERVE_SOCKET))?;
    stream.set_write_timeout(Some(patience))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    // Our servers close after the answer, but an answer is not waited for beyond the limit, drip as it may.
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || answer.len() > LONGEST {
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

/// The object in a body, which may have come in chunks: the object is what counts.
pub(super) fn object(body: &[u8]) -> Option<&[u8]> {
    let from = body.iter().position(|&byte| byte == b'{')?;
    let to = body.iter().rposition(|&byte| byte == b'}')? + 1;
    body.get(from..to)
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
