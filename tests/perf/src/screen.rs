//! Displays of our own, and drawing on them.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use deskinit::desktop::connect::{Connector, Link};
use deskinit::sys::shm::Segment;
use deskinit::xserver::display::Display;
use x11rb::connection::Connection;
use x11rb::protocol::shm::ConnectionExt as _;
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, CreateGCAux, CreateWindowAux,
    EventMask, Gcontext, ImageFormat, Window, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

use crate::Outcome;

/// Size of every display.
pub(crate) const SIZE: (u16, u16) = (1920, 1080);

/// A directory that goes with its value.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new(name: &str) -> io::Result<Self> {
        let path =
            std::env::temp_dir().join(format!("deskinit-perf-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process that is killed with its value.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn pid(&self) -> i32 {
        self.0.id() as i32
    }
}

/// Longest that a process may take for its end before it is killed. One that is killed at once cannot give back its System V
/// memory (x11vnc has some sixty pieces), and after some sixty of them the system has no more.
const GRACE: Duration = Duration::from_millis(500);

impl Drop for Process {
    fn drop(&mut self) {
        use nix::sys::signal::{Signal, kill};
        let family = crate::cpu::family(&[self.pid()]);
        let _ = kill(nix::unistd::Pid::from_raw(self.pid()), Signal::SIGTERM);
        let end = Instant::now() + GRACE;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
        for pid in family.into_iter().filter(|pid| *pid != self.pid()) {
            let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Takes a display number that nobody has, high enough to be out of the way of people.
pub(crate) fn claim() -> Outcome<Display> {
    (60..1000)
        .find_map(|number| Display::claim(Some(number), None).ok())
        .ok_or_else(|| "no display number is free".into())
}

/// An X server with a cookie, on a number of its own.
pub(crate) struct Screen {
    server: Process,
    claim: Display,
    dir: TempDir,
}

impl Screen {
    /// Starts `program` with the arguments that every X server here gets, and more.
    pub(crate) fn start(program: &str, args: &[&str]) -> Outcome<Self> {
        let claim = claim()?;
        let number = claim.number();
        let dir = TempDir::new(&format!("screen{number}"))?;
        let authority = dir.path().join("Xauthority");
        write_cookie(&authority)?;
        let mut child = Command::new(program)
            .arg(format!(":{number}"))
            .args(args)
            .args([
                "-displayfd",
                "1",
                "-noreset",
                "-nolisten",
                "tcp",
                "-nolisten",
                "local",
                "-auth",
            ])
            .arg(&authority)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(dir.path().join("x.log"))?)
            .spawn()
            .map_err(|e| format!("{program}: {e}"))?;
        let stdout = child.stdout.take().ok_or("no pipe")?;
        let server = Process(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.trim() != number.to_string() {
            let log = std::fs::read_to_string(dir.path().join("x.log"))?;
            return Err(format!("{program} did not start: {log}").into());
        }
        Ok(Self { server, claim, dir })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.server.pid()
    }

    pub(crate) fn display(&self) -> String {
        format!(":{}", self.claim.number())
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.dir.path().join("Xauthority")
    }

    /// A command that sees this display, with a home of its own, silent.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("DISPLAY", self.display())
            .env("XAUTHORITY", self.authority())
            .env("HOME", self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    pub(crate) fn spawn(&self, program: &str, args: &[&str]) -> Outcome<Process> {
        let child = self.command(program).args(args).spawn();
        Ok(Process(child.map_err(|e| format!("{program}: {e}"))?))
    }

    pub(crate) fn canvas(&self) -> Outcome<Canvas> {
        Canvas::new(&self.display(), &self.authority())
    }

    /// The window manager, up to the moment when it manages windows.
    pub(crate) fn openbox(&self) -> Outcome<Process> {
        let process = self.spawn("openbox", &["--sm-disable"])?;
        let canvas = self.canvas()?;
        let check = canvas.atom(b"_NET_SUPPORTING_WM_CHECK")?;
        wait_for("openbox", || {
            let property =
                canvas
                    .link
                    .get_property(false, canvas.root, check, AtomEnum::WINDOW, 0, 1);
            Ok((property?.reply()?.value_len > 0).then_some(()))
        })?;
        Ok(process)
    }
}

/// A cookie of 16 random bytes for any address and display (Xauth(3): family FamilyWild).
pub(crate) fn write_cookie(path: &Path) -> Outcome<()> {
    let mut cookie = [0; 16];
    getrandom::fill(&mut cookie).map_err(|e| e.to_string())?;
    let mut entry = vec![0xff, 0xff, 0, 0, 0, 0];
    for part in [&b"MIT-MAGIC-COOKIE-1"[..], &cookie] {
        entry.extend((part.len() as u16).to_be_bytes());
        entry.extend(part);
    }
    Ok(std::fs::write(path, entry)?)
}

/// Looks every few milliseconds until there is something; gives up after 20 s.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(format!("not within 20 s: {what}").into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A connection to a display that draws.
pub(crate) struct Canvas {
    pub(crate) link: Link,
    pub(crate) root: Window,
    pub(crate) gc: Gcontext,
}

/// Pictures of one size in memory that the X server sees too.
pub(crate) struct Album {
    segment: u32,
    file: File,
    width: u16,
    height: u16,
}

impl Canvas {
    pub(crate) fn new(display: &str, authority: &Path) -> Outcome<Self> {
        let connector = Connector::new(display, Some(authority.to_owned()))?;
        let (link, screen) = connector.connect()?;
        let root = link.setup().roots[screen].root;
        let gc = link.generate_id()?;
        link.create_gc(gc, root, &CreateGCAux::new().graphics_exposures(0))?;
        Ok(Self { link, root, gc })
    }

    pub(crate) fn atom(&self, name: &[u8]) -> Outcome<u32> {
        Ok(self.link.intern_atom(false, name)?.reply()?.atom)
    }

    /// Waits until the server has done all that was asked for.
    pub(crate) fn sync(&self) -> Outcome<()> {
        self.link.get_input_focus()?.reply()?;
        Ok(())
    }

    /// A mapped window; the window manager leaves it alone unless it is `managed`.
    pub(crate) fn window(&self, x: i16, y: i16, w: u16, h: u16, managed: bool) -> Outcome<Window> {
        let window = self.link.generate_id()?;
        let attributes = CreateWindowAux::new()
            .override_redirect(u32::from(!managed))
            .background_pixel(0x20_3040)
            .event_mask(EventMask::KEY_PRESS | EventMask::STRUCTURE_NOTIFY);
        let class = WindowClass::INPUT_OUTPUT;
        self.link
            .create_window(0, window, self.root, x, y, w, h, 0, class, 0, &attributes)?;
        if managed {
            // Asks for this very place: bits 0 and 2 are the user's position and the program's.
            let hints: [u32; 18] = std::array::from_fn(|i| if i == 0 { 5 } else { 0 });
            let (property, kind) = (AtomEnum::WM_NORMAL_HINTS, AtomEnum::WM_SIZE_HINTS);
            let mode = x11rb::protocol::xproto::PropMode::REPLACE;
            self.link
                .change_property32(mode, window, property, kind, &hints)?;
        }
        self.link.map_window(window)?;
        self.sync()?;
        if managed {
            wait_for("a frame around the window", || {
                let parent = self.link.query_tree(window)?.reply()?.parent;
                let listed = self.clients()?.contains(&window);
                Ok((parent != self.root && listed).then_some(()))
            })?;
        }
        Ok(window)
    }

    /// A picture as the background of a window: the server repaints it without asking.
    pub(crate) fn background(&self, window: Window, w: u16, h: u16, pixels: &[u32]) -> Outcome<()> {
        let album = self.album(w, h, &[pixels])?;
        let pixmap = self.link.generate_id()?;
        self.link.create_pixmap(24, pixmap, self.root, w, h)?;
        self.put(pixmap, &album, 0, (0, 0))?;
        self.sync()?;
        let attributes = ChangeWindowAttributesAux::new().background_pixmap(pixmap);
        self.link.change_window_attributes(window, &attributes)?;
        self.link.free_pixmap(pixmap)?;
        self.link.shm_detach(album.segment)?;
        self.link.clear_area(false, window, 0, 0, 0, 0)?;
        self.sync()
    }

    /// Shares pictures with the server.
    pub(crate) fn album(&self, width: u16, height: u16, pictures: &[&[u32]]) -> Outcome<Album> {
        let size = usize::from(width) * usize::from(height) * 4;
        let memory = Segment::new(size * pictures.len())?;
        let file = File::from(memory.duplicate()?);
        let mut bytes = Vec::with_capacity(size);
        for (picture, at) in pictures.iter().zip((0..).step_by(size)) {
            bytes.clear();
            bytes.extend(picture.iter().flat_map(|p| p.to_le_bytes()));
            file.write_all_at(&bytes, at)?;
        }
        let segment = self.link.generate_id()?;
        self.link
            .shm_attach_fd(segment, memory.duplicate()?, false)?
            .check()?;
        Ok(Album {
            segment,
            file,
            width,
            height,
        })
    }

    /// ShmPutImage of a whole picture.
    pub(crate) fn put(&self, to: u32, album: &Album, number: usize, at: (i16, i16)) -> Outcome<()> {
        let (w, h) = (album.width, album.height);
        let offset = album.offset(number) as u32;
        let format = ImageFormat::Z_PIXMAP.into();
        let segment = album.segment;
        self.link.shm_put_image(
            to, self.gc, w, h, 0, 0, w, h, at.0, at.1, 24, format, false, segment, offset,
        )?;
        self.link.flush()?;
        Ok(())
    }

    /// The screen as it is, `0x00RRGGBB`.
    pub(crate) fn screenshot(&self) -> Outcome<Vec<u32>> {
        self.sync()?;
        let (w, h) = SIZE;
        let format = ImageFormat::Z_PIXMAP;
        let image = self
            .link
            .get_image(format, self.root, 0, 0, w, h, !0)?
            .reply()?;
        let pixel = |p: &[u8]| u32::from_le_bytes([p[0], p[1], p[2], 0]);
        Ok(image.data.chunks_exact(4).map(pixel).collect())
    }

    /// Windows of applications that are on the screen.
    pub(crate) fn clients(&self) -> Outcome<Vec<Window>> {
        let list = self.atom(b"_NET_CLIENT_LIST")?;
        let property = self
            .link
            .get_property(false, self.root, list, AtomEnum::WINDOW, 0, 64);
        let property = property?.reply()?;
        Ok(property
            .value32()
            .map(Iterator::collect)
            .unwrap_or_default())
    }
}

impl Album {
    fn offset(&self, number: usize) -> u64 {
        number as u64 * u64::from(self.width) * u64::from(self.height) * 4
    }

    /// Writes a row of pixels into a picture, which the server must not be reading just now.
    pub(crate) fn write(&self, number: usize, x: u16, y: u16, row: &[u32]) -> Outcome<()> {
        let bytes: Vec<u8> = row.iter().flat_map(|p| p.to_le_bytes()).collect();
        let at = self.offset(number) + (u64::from(y) * u64::from(self.width) + u64::from(x)) * 4;
        Ok(self.file.write_all_at(&bytes, at)?)
    }
}
