//! How the threads of the desktop reach their X server.

use std::fmt;
use std::path::PathBuf;

use x11rb::rust_connection::RustConnection;

/// Opens connections to one display.
#[derive(Clone, Debug)]
pub struct Connector {
    /// The display, as in `:7`.
    pub display: String,
    /// The file with the cookie.
    pub xauthority: Option<PathBuf>,
}

/// Why there is no connection.
#[derive(Debug)]
pub struct ConnectError(String);

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConnectError {}

impl Connector {
    /// Connects and returns the number of the default screen.
    pub fn connect(&self) -> Result<(RustConnection, usize), ConnectError> {
        RustConnection::connect(Some(&self.display)).map_err(|e| ConnectError(e.to_string()))
    }
}
