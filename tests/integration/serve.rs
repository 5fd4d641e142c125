//! The whole display server as a process, in front of real X servers, with viewers that count pixels.

mod alone;
mod clipboard;
mod convergence;
mod faults;
mod hostile;
mod input;
mod login;
mod resize;
mod sharing;
mod slow;
mod watching;
mod websocket;

use std::time::{Duration, Instant};

use deskinit::pixel::{Frame, Rect};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{ConnectionExt as _, CreateGCAux, ImageFormat, Window};

use crate::support::client::{Client, Event};
use crate::support::decode::seen_as;
use crate::support::draw::screenshot;
use crate::support::serve::Serve;
use crate::support::xvfb::{self, Config, XServer};
use deskinit::desktop::connect::Link;

/// Generous: these tests run beside others on two cores.
const SOON: Duration = Duration::from_secs(20);

/// Everything that a viewer such as noVNC lists beside its encodings of pixels.
const EXTRAS: [i32; 11] = {
    use crate::support::pseudo::number as n;
    [
        crate::support::decode::number::COPY_RECT,
        n::DESKTOP_SIZE,
        n::LAST_RECT,
        n::EXTENDED_DESKTOP_SIZE,
        n::FENCE,
        n::CONTINUOUS_UPDATES,
        n::DESKTOP_NAME,
        n::CURSOR,
        n::QEMU_LED,
        n::QEMU_KEY,
        n::EXTENDED_MOUSE_BUTTONS,
    ]
};

/// A display of this size with a server in front of it.
struct Stage {
    // Dropped first: it is in front of the other.
    serve: Serve,
    server: XServer,
    link: Link,
    root: Window,
}

impl Stage {
    fn new(size: (u16, u16), variables: &[(&str, &str)]) -> Self {
        let server = XServer::with(Config {
            size,
            ..Config::default()
        });
        let serve = Serve::start(&server, variables).connected();
        let (link, root) = server.connect();
        Self {
            serve,
            server,
            link,
            root,
        }
    }

    /// The screen as it is now.
    fn screen(&self) -> Frame {
        screenshot(&self.link, self.root)
    }

    /// A picture somewhere on the screen.
    fn put(&self, picture: &Frame, x: i16, y: i16) {
        put(&self.link, self.root, picture, x, y);
    }

    /// Waits until the viewer shows the screen as it is.
    fn follow(&self, client: &mut Client) {
        let screen = self.screen();
        client
            .until(SOON, |c| shows(c, &screen))
            .unwrap_or_else(|e| panic!("{e}: {}", differences(client, &screen)));
    }
}

/// Draws a picture, in as many requests as it takes.
fn put(link: &Link, window: Window, picture: &Frame, x: i16, y: i16) {
    let gc = link.generate_id().expect("an id");
    link.create_gc(gc, window, &CreateGCAux::new())
        .expect("sent");
    let (width, height) = (picture.width(), picture.height());
    let rows = (200_000 / (usize::from(width) * 4)).max(1) as u16;
    let mut top = 0;
    while top < height {
        let count = rows.min(height - top);
        let part = picture.rows(Rect::new(0, top, width, count));
        let data: Vec<u8> = part.flatten().flat_map(|p| p.to_le_bytes()).collect();
        link.put_image(
            ImageFormat::Z_PIXMAP,
            window,
            gc,
            width,
            count,
            x,
            y + top as i16,
            0,
            24,
            &data,
        )
        .expect("sent");
        top += count;
    }
    link.free_gc(gc).expect("sent");
    xvfb::sync(link);
}

/// Is the viewer's picture the screen, as its pixel format can show it?
fn shows(client: &Client, screen: &Frame) -> bool {
    let (format, picture) = (client.format(), client.picture());
    let same = |(a, b): (&u32, &u32)| *a == seen_as(format, *b);
    picture.size() == (screen.width(), screen.height())
        && picture.pixels().iter().zip(screen.pixels()).all(same)
}

/// What is different, for the message of a failed test.
fn differences(client: &Client, screen: &Frame) -> String {
    let (format, picture) = (client.format(), client.picture());
    let sizes = (picture.size(), (screen.width(), screen.height()));
    if sizes.0 != sizes.1 {
        return format!("sizes {sizes:?}");
    }
    let pairs = picture.pixels().iter().zip(screen.pixels());
    let wrong: Vec<usize> = pairs
        .enumerate()
        .filter(|(_, (a, b))| **a != seen_as(format, **b))
        .map(|(i, _)| i)
        .collect();
    let width = usize::from(screen.width());
    let first = wrong.first().map(|i| (i % width, i / width));
    format!("{} pixels differ, the first at {first:?}", wrong.len())
}

/// Answers fences and takes updates until the time is over.
fn idle(client: &mut Client, time: Duration) -> u64 {
    let (end, before) = (Instant::now() + time, client.counts().updates);
    while let Some(left) = end
        .checked_duration_since(Instant::now())
        .filter(|d| !d.is_zero())
    {
        let _: Option<Event> = client.event(left).expect("connected");
    }
    client.counts().updates - before
}
