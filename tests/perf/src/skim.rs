//! Where messages of a server begin and end, without decoding them: what a client needs to answer in time while it
//! only records (RFC 6143, 7.6 and 7.7; rfbproto.rst for the rest).
//!
//! ```text
//!   Message ──FramebufferUpdate──► Rectangles(left) ──the last──► Message
//! ```

use std::io;

use crate::support::pseudo::number as pseudo;

/// What ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Skimmed {
    /// An update with so many rectangles of pixels, and the size of the screen that it told.
    Update(u32, Option<(u16, u16)>),
    /// A fence that asks for an answer.
    Fence(u32, Vec<u8>),
    /// Continuous updates can be had.
    EndOfContinuousUpdates,
    /// Something else.
    Other,
}

/// Bytes of a pixel, of a Tight pixel, and of a palette index, in the format that noVNC asks for.
const PIXEL: usize = 4;
const TPIXEL: usize = 3;

/// Keeps track of one stream.
#[derive(Debug, Default)]
pub(crate) struct Skimmer {
    /// Rectangles of the update that are still to come; 65535: until LastRect.
    left: Option<u16>,
    rects: u32,
    size: Option<(u16, u16)>,
}

enum Stop {
    More,
    Bad(String),
}

type Step<T> = Result<T, Stop>;

struct Cut<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Cut<'a> {
    fn take(&mut self, n: usize) -> Step<&'a [u8]> {
        let part = self.data.get(self.at..self.at + n).ok_or(Stop::More)?;
        self.at += n;
        Ok(part)
    }

    fn number(&mut self, n: usize) -> Step<usize> {
        Ok(self
            .take(n)?
            .iter()
            .fold(0, |n, b| n << 8 | usize::from(*b)))
    }
}

impl Skimmer {
    /// Takes the next whole step off the data: its length and what it was. `None`: it has not come whole yet.
    pub(crate) fn next(&mut self, data: &[u8]) -> io::Result<Option<(usize, Skimmed)>> {
        let mut cut = Cut { data, at: 0 };
        let step = match self.left {
            None => self.message(&mut cut),
            Some(left) => self.rectangle(&mut cut, left),
        };
        match step {
            Ok(skimmed) => Ok(Some((cut.at, skimmed))),
            Err(Stop::More) => Ok(None),
            Err(Stop::Bad(why)) => Err(io::Error::new(io::ErrorKind::InvalidData, why)),
        }
    }

    fn message(&mut self, cut: &mut Cut<'_>) -> Step<Skimmed> {
        match cut.number(1)? {
            0 => {
                cut.take(1)?;
                let count = cut.number(2)? as u16;
                (self.rects, self.size) = (0, None);
                if count == 0 {
                    return Ok(Skimmed::Update(0, None));
                }
                self.left = Some(count);
                Ok(Skimmed::Other)
            }
            1 => {
                cut.take(3)?;
                let count = cut.number(2)?;
                cut.take(6 * count)?;
                Ok(Skimmed::Other)
            }
            2 => Ok(Skimmed::Other),
            3 => {
                cut.take(3)?;
                let n = cut.number(4)? as u32 as i32;
                cut.take(n.unsigned_abs() as usize)?;
                Ok(Skimmed::Other)
            }
            150 => Ok(Skimmed::EndOfContinuousUpdates),
            248 => {
                cut.take(3)?;
                let flags = cut.number(4)? as u32;
                let n = cut.number(1)?;
                let payload = cut.take(n)?.to_vec();
                if flags >> 31 == 0 {
                    return Ok(Skimmed::Other);
                }
                Ok(Skimmed::Fence(flags, payload))
            }
            250 => {
                cut.take(3)?;
                Ok(Skimmed::Other)
            }
            other => Err(Stop::Bad(format!("server message {other}"))),
        }
    }

    fn rectangle(&mut self, cut: &mut Cut<'_>, left: u16) -> Step<Skimmed> {
        let [x, y, w, h] = [
            cut.number(2)?,
            cut.number(2)?,
            cut.number(2)?,
            cut.number(2)?,
        ];
        let encoding = cut.number(4)? as u32 as i32;
        let mut last = encoding == pseudo::LAST_RECT;
        if let Some(size) = pseudo_body(cut, w, h, encoding)? {
            let accepted = encoding != pseudo::EXTENDED_DESKTOP_SIZE || y == 0;
            if size && accepted {
                self.size = Some((w as u16, h as u16));
            }
        } else {
            pixels(cut, w, h, encoding).map_err(|stop| match stop {
                Stop::Bad(why) => Stop::Bad(format!("at {x},{y} {w}×{h}: {why}")),
                more => more,
            })?;
            self.rects += 1;
        }
        if left != u16::MAX {
            last |= left == 1;
            self.left = Some(left - 1);
        }
        if !last {
            return Ok(Skimmed::Other);
        }
        self.left = None;
        Ok(Skimmed::Update(self.rects, self.size))
    }
}

/// The body of a pseudo-rectangle: whether it tells a size; `None`: the rectangle carries pixels.
fn pseudo_body(cut: &mut Cut<'_>, w: usize, h: usize, encoding: i32) -> Step<Option<bool>> {
    let mask = w.div_ceil(8) * h;
    match encoding {
        pseudo::LAST_RECT
        | pseudo::QEMU_KEY
        | pseudo::EXTENDED_MOUSE_BUTTONS
        | pseudo::VMWARE_CURSOR_POSITION => {}
        pseudo::DESKTOP_SIZE => return Ok(Some(true)),
        pseudo::EXTENDED_DESKTOP_SIZE => {
            let count = cut.number(1)?;
            cut.take(3 + 16 * count)?;
            return Ok(Some(true));
        }
        pseudo::DESKTOP_NAME => {
            let n = cut.number(4)?;
            cut.take(n)?;
        }
        pseudo::CURSOR => drop(cut.take(w * h * PIXEL + mask)?),
        pseudo::X_CURSOR if w * h == 0 => {}
        pseudo::X_CURSOR => drop(cut.take(6 + 2 * mask)?),
        pseudo::CURSOR_WITH_ALPHA => drop(cut.take(4 + w * h * 4)?),
        pseudo::VMWARE_CURSOR => {
            let kind = cut.take(2)?[0];
            cut.take(w * h * if kind == 0 { 2 * PIXEL } else { 4 })?;
        }
        pseudo::QEMU_LED => drop(cut.take(1)?),
        pseudo::VMWARE_LED => drop(cut.take(4)?),
        _ => return Ok(None),
    }
    Ok(Some(false))
}

fn pixels(cut: &mut Cut<'_>, w: usize, h: usize, encoding: i32) -> Step<()> {
    match encoding {
        0 => drop(cut.take(w * h * PIXEL)?),
        1 => drop(cut.take(4)?),
        2 => {
            let count = cut.number(4)?;
            cut.take(PIXEL + count * (PIXEL + 8))?;
        }
        5 => {
            for top in (0..h).step_by(16) {
                for left in (0..w).step_by(16) {
                    hextile(cut, (w - left).min(16), (h - top).min(16))?;
                }
            }
        }
        6 | 16 => {
            let n = cut.number(4)?;
            cut.take(n)?;
        }
        7 | -260 => tight(cut, w, h)?,
        other => return Err(Stop::Bad(format!("encoding {other} was not asked for"))),
    }
    Ok(())
}

fn hextile(cut: &mut Cut<'_>, w: usize, h: usize) -> Step<()> {
    let flags = cut.number(1)?;
    if flags & 1 != 0 {
        cut.take(w * h * PIXEL)?;
        return Ok(());
    }
    cut.take(PIXEL * ((flags >> 1 & 1) + (flags >> 2 & 1)))?;
    if flags & 8 != 0 {
        let count = cut.number(1)?;
        cut.take(count * if flags & 16 != 0 { PIXEL + 2 } else { 2 })?;
    }
    Ok(())
}

fn tight(cut: &mut Cut<'_>, w: usize, h: usize) -> Step<()> {
    let control = cut.number(1)?;
    let size = match control >> 4 {
        8 => return cut.take(TPIXEL).map(drop),
        // JPEG, and PNG of TightPNG.
        9 | 10 => {
            let n = compact_length(cut)?;
            return cut.take(n).map(drop);
        }
        method @ 0..=7 => match if method & 4 != 0 { cut.number(1)? } else { 0 } {
            0 | 2 => w * h * TPIXEL,
            1 => {
                let colours = cut.number(1)? + 1;
                cut.take(colours * TPIXEL)?;
                if colours == 2 {
                    w.div_ceil(8) * h
                } else {
                    w * h
                }
            }
            other => return Err(Stop::Bad(format!("Tight: filter {other}"))),
        },
        other => return Err(Stop::Bad(format!("Tight: compression {other}"))),
    };
    let n = if size < 12 {
        size
    } else {
        compact_length(cut)?
    };
    cut.take(n).map(drop)
}

fn compact_length(cut: &mut Cut<'_>) -> Step<usize> {
    let mut n = 0;
    for shift in [0, 7, 14] {
        let b = cut.number(1)?;
        n |= if shift == 14 { b } else { b & 0x7f } << shift;
        if b & 0x80 == 0 {
            break;
        }
    }
    Ok(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fill, a copy, LastRect, a fence: cut at every place.
    #[test]
    fn ends_are_found_however_it_arrives() {
        let mut stream = vec![0, 0, 0xff, 0xff];
        let mut rect = |encoding: i32, body: &[u8]| {
            stream.extend([0, 1, 0, 2, 0, 30, 0, 40]);
            stream.extend(encoding.to_be_bytes());
            stream.extend(body);
        };
        rect(7, &[0x80, 1, 2, 3]);
        rect(1, &[0, 0, 0, 0]);
        rect(-224, &[]);
        stream.extend([248, 0, 0, 0, 0x80, 0, 0, 3, 2, 7, 8]);
        for chunk in 1..stream.len() {
            let (mut skimmer, mut at, mut seen) = (Skimmer::default(), 0, Vec::new());
            for end in (0..stream.len()).step_by(chunk).chain([stream.len()]) {
                while let Some((n, what)) = skimmer.next(&stream[at..end]).expect("no error") {
                    at += n;
                    seen.push(what);
                }
            }
            seen.retain(|what| *what != Skimmed::Other);
            let fence = Skimmed::Fence(0x8000_0003, vec![7, 8]);
            assert_eq!(seen, [Skimmed::Update(2, None), fence], "chunks of {chunk}");
            assert_eq!(at, stream.len());
        }
    }
}
