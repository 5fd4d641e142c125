//! Parts of a desktop that are there when they are asked for.
//!
//! ```text
//!  xserver ──▶ gate           X11LISTEN=tcp: bound to the X server, of which it has learned where extensions begin
//! ```

use std::io;
use std::time::Duration;

use super::services::{Place, XSERVER, inherited, own_program};
use crate::supervisor::driver::{Launch, Readiness};
use crate::supervisor::service::{After, Patience, Spec};
use crate::sys::memfd;
use crate::sys::process::{Attributes, Command};

/// The gate needs some 10 ms once X answers.
const GATE_START: Duration = Duration::from_secs(15);

/// All that were asked for.
///
/// # Errors
/// No descriptor is left for a secret.
pub(super) fn all(place: &Place<'_>) -> io::Result<Vec<(Spec, Launch)>> {
    let mut parts = Vec::new();
    if place.config.x11_tcp {
        parts.push(gate(place)?);
    }
    Ok(parts)
}

fn gate(place: &Place<'_>) -> io::Result<(Spec, Launch)> {
    let spec = Spec {
        after: vec![After::Ready(XSERVER)],
        bound_to: Some(XSERVER),
        ready_at_once: false,
        patience: Patience::Kill(GATE_START),
        ..Spec::new("gate", "the gate for X11 over TCP")
    };
    let mut env = place.environment.for_display_server(place.settings);
    env.push(("DISPLAY".into(), place.display.name().into()));
    env.push(("XAUTHORITY".into(), place.dir.xauthority().into()));
    env.push(("NOTIFY_SOCKET".into(), place.dir.notify().into()));
    let mut inherit = Vec::new();
    if let Some(key) = &place.config.xauth_key {
        let fd = memfd::sealed("secret", key.hex().as_bytes())?;
        env.push(("XAUTH_KEY_FILE".into(), inherited(&fd).into()));
        inherit.push(fd);
    }
    let command = Command {
        program: own_program().into(),
        args: vec!["gate".into()],
        env,
        attributes: Attributes::default(),
        terminal: false,
    };
    let launch = Launch {
        command,
        inherit,
        link: None,
        readiness: Readiness::Says,
    };
    Ok((spec, launch))
}
