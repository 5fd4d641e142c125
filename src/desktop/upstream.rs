//! What somebody who stands between an X server and its clients must know of it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::ConnectionExt as _;

use super::connect::{Authorization, Connector};

/// An X server of this machine.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its socket.
    pub socket: PathBuf,
    /// What it wants to be shown.
    pub authorization: Authorization,
    /// First opcodes of the extensions asked for, in that order; `None` for one that it does not have.
    pub opcodes: Vec<Option<u8>>,
}

/// Asks the server of `display`.
///
/// # Errors
/// It is not on this machine, cannot be reached, or went away.
pub fn look(
    display: &str,
    xauthority: Option<PathBuf>,
    extensions: &[&str],
    patience: Duration,
) -> io::Result<Upstream> {
    let connector = Connector::new(display, xauthority).map_err(io::Error::other)?;
    let (directory, name) = connector.socket().ok_or_else(|| {
        io::Error::other(format!(
            "DISPLAY={display}: only a display of this machine can be reached by its socket"
        ))
    })?;
    let (link, authorization) = connector
        .connect_showing(patience)
        .map_err(io::Error::other)?;
    let mut opcodes = Vec::new();
    for extension in extensions {
        let reply = link
            .query_extension(extension.as_bytes())
            .map_err(io::Error::other)?
            .reply()
            .map_err(io::Error::other)?;
        opcodes.push(reply.present.then_some(reply.major_opcode));
    }
    let _ = link.flush();
    Ok(Upstream {
        socket: directory.join(name),
        authorization,
        opcodes,
    })
}
