//! A recording played again into the strict client of the integration tests: afterwards, when time does not matter.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use crate::support::client::{Client, Event, Login};
use crate::support::decode::{Decoder, Update, number};
use crate::support::wire::Transport;
use crate::viewer::{Arrival, Recording, novnc_format};

/// The recording as a stream; what the client says to it is lost.
struct Tape {
    bytes: Vec<u8>,
    at: usize,
}

impl Read for Tape {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = (&self.bytes[self.at..]).read(buf)?;
        self.at += n;
        Ok(n)
    }
}

impl Write for Tape {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Tape {
    fn set_timeout(&self, _: Duration) -> io::Result<()> {
        Ok(())
    }
}

/// The picture as it was after each update.
pub(crate) struct Replay {
    client: Client,
    arrivals: std::vec::IntoIter<Arrival>,
    shown: Vec<u32>,
    end: usize,
}

/// One update, decoded.
pub(crate) struct Shown {
    pub(crate) at: Instant,
    /// Bytes since the update before.
    pub(crate) bytes: usize,
    /// Some pixel is another than before.
    pub(crate) changed: bool,
    /// Pixels drawn, and those of them that were copied.
    pub(crate) pixels: u64,
    pub(crate) copied: u64,
}

impl Replay {
    pub(crate) fn new(recording: Recording) -> io::Result<Self> {
        let tape = Tape {
            bytes: recording.bytes,
            at: 0,
        };
        let mut client = Client::login(tape, &Login::none())?;
        client.set_pixel_format(novnc_format())?;
        Ok(Self {
            shown: client.picture().pixels().to_vec(),
            client,
            arrivals: recording.arrivals.into_iter(),
            end: 0,
        })
    }

    /// The next update; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Shown>> {
        let Some(arrival) = self.arrivals.next() else {
            return Ok(None);
        };
        let update = loop {
            match self.client.event(Duration::from_secs(1)) {
                Ok(Some(Event::Update(update))) => break update,
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(e) => return Err(e),
            }
        };
        let mut shown = Shown {
            at: arrival.at,
            bytes: arrival.end - self.end,
            changed: false,
            pixels: 0,
            copied: 0,
        };
        self.end = arrival.end;
        self.note(&update, &mut shown);
        Ok(Some(shown))
    }

    pub(crate) fn picture(&self) -> &Decoder {
        self.client.picture()
    }

    /// Takes over what was drawn, and looks whether it is new.
    fn note(&mut self, update: &Update, shown: &mut Shown) {
        let picture = self.client.picture();
        let width = usize::from(picture.size().0);
        if self.shown.len() != picture.pixels().len() {
            self.shown = picture.pixels().to_vec();
            shown.changed = true;
            return;
        }
        for drawn in &update.drawn {
            let area = u64::from(drawn.rect.area());
            shown.pixels += area;
            if drawn.encoding == number::COPY_RECT {
                shown.copied += area;
            }
            for y in drawn.rect.y..drawn.rect.bottom() {
                let at = usize::from(y) * width + usize::from(drawn.rect.x);
                let row = at..at + usize::from(drawn.rect.w);
                let (new, old) = (&picture.pixels()[row.clone()], &mut self.shown[row]);
                if new != old {
                    shown.changed = true;
                    old.copy_from_slice(new);
                }
            }
        }
    }
}
