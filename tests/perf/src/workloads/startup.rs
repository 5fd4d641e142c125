//! A whole stack, from nothing to a picture in the browser: X server, display server, websocket, openbox, xterm.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::cpu::{Spent, pss};
use crate::link::Address;
use crate::measure::Figures;
use crate::screen::{Canvas, Process, SIZE, TempDir, claim, wait_for, write_cookie};
use crate::server::{Kind, Program, deskinit, free_port};
use crate::viewer::{Manner, Taste, Viewer};

/// What the peers need around them, as an entry point of a container has it: `$X` is the X server's command line, `$S`
/// the display server's, if there is one. Everything begins as soon as the socket of X is there, but the application when
/// openbox is ready: beside it, its window may come late or never.
const ENTRY_POINT: &str = r#"
$X >/dev/null 2>&1 &
until [ -S "/tmp/.X11-unix/X${DISPLAY#:}" ]; do sleep 0.01; done
if [ -n "$S" ]; then $S >/dev/null 2>&1 & fi
websockify "$WEB" "127.0.0.1:$VNC" >/dev/null 2>&1 &
exec openbox --sm-disable --startup xterm >/dev/null 2>&1
"#;

/// Time to the first picture through the websocket and to the first window; CPU time and memory two seconds later.
pub(super) fn stack(kind: Kind) -> Outcome<Figures> {
    let claim = claim()?;
    let display = format!(":{}", claim.number());
    let dir = TempDir::new("startup")?;
    let (vnc, web) = (free_port()?, free_port()?);
    let (mut command, authority) = match kind.program {
        // It claims the display by itself.
        Program::Deskinit => {
            drop(claim);
            desk(dir.path(), vnc)?
        }
        program => {
            // X servers of Debian write a lock of their own.
            drop(claim);
            script(program, &display, dir.path(), vnc)?
        }
    };
    command
        .env("DISPLAY", &display)
        .env("HOME", dir.path())
        .env("WEB", format!("127.0.0.1:{web}"))
        .env("NO_VNC_PORT", web.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let begin = Instant::now();
    let process = Process(command.spawn()?);
    let viewing = thread::spawn(move || -> Outcome<(Duration, Viewer)> {
        let address = Address {
            port: web,
            web: true,
        };
        wait_for("a picture through the websocket", || {
            let viewer = Viewer::connect(address, Manner::new(Taste::Quality6));
            let seen = viewer.and_then(|viewer| viewer.first_update().map(|()| viewer));
            Ok(seen.ok().map(|viewer| (begin.elapsed(), viewer)))
        })
    });
    let canvas = wait_for(
        "the X server",
        || Ok(Canvas::new(&display, &authority).ok()),
    )?;
    wait_for("a window", || {
        Ok((!canvas.clients()?.is_empty()).then_some(()))
    })?;
    let window = begin.elapsed();
    let (frame, viewer) = viewing.join().map_err(|_| "a panic")??;
    thread::sleep(Duration::from_secs(2));
    let roots = [process.pid()];
    let figures = Figures::from([
        ("frame_ms", frame.as_secs_f64() * 1000.0),
        ("window_ms", window.as_secs_f64() * 1000.0),
        ("cpu_s", Spent::now(&roots).total().as_secs_f64()),
        ("pss_mb", pss(&roots) as f64 / 1e6),
    ]);
    viewer.finish();
    Ok(figures)
}

fn desk(dir: &Path, vnc: u16) -> Outcome<(Command, PathBuf)> {
    let run_dir = dir.join("run");
    let mut command = Command::new(deskinit());
    command
        .args(["run", "--", "xterm"])
        .env("RUN_DIR", &run_dir)
        .env("VNC_PORT", vnc.to_string())
        .env("BIND_ADDRESS", "127.0.0.1")
        .env("ALLOW_NO_AUTH", "1")
        .env("DISPLAY_WIDTH", SIZE.0.to_string())
        .env("DISPLAY_HEIGHT", SIZE.1.to_string());
    Ok((command, run_dir.join("Xauthority")))
}

fn script(program: Program, display: &str, dir: &Path, vnc: u16) -> Outcome<(Command, PathBuf)> {
    let authority = dir.join("Xauthority");
    write_cookie(&authority)?;
    let cookie = authority.display();
    let (w, h) = SIZE;
    let common = format!("-auth {cookie} -nolisten tcp -noreset");
    let xvfb = format!("Xvfb {display} -screen 0 {w}x{h}x24 {common}");
    let none = "-SecurityTypes None -localhost -AlwaysShared -UseBlacklist=0";
    let (x, server) = match program {
        Program::Xvnc => (
            format!(
                "Xtigervnc {display} -geometry {w}x{h} -depth 24 -rfbport {vnc} {none} {common}"
            ),
            String::new(),
        ),
        Program::X0vncserver => (
            xvfb,
            format!("X0tigervnc -display {display} -rfbport {vnc} {none}"),
        ),
        _ => (
            xvfb,
            format!(
                "x11vnc -display {display} -rfbport {vnc} -localhost -no6 -forever -shared -nopw"
            ),
        ),
    };
    let mut command = Command::new("sh");
    command
        .args(["-c", ENTRY_POINT])
        .env("X", x)
        .env("S", server)
        .env("VNC", vnc.to_string())
        .env("XAUTHORITY", &authority);
    Ok((command, authority))
}
