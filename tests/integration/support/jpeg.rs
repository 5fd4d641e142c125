//! JPEG files in a stream (the JPEG encoding, 21 in rfbproto.rst), and what they show.

use std::io::{self, Read};

use super::decode::{bad, bytes, u8, u16};

/// Reads one file, up to its end marker: nothing says how long it is.
///
/// Tables may be left out if an earlier file had them; this server always sends whole files, which is checked.
fn file(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut seen = Vec::new();
    let mut marker = [u8(input)?, u8(input)?];
    loop {
        let [0xff, name] = marker else {
            return bad(format!("JPEG: {marker:?} where a marker must be"));
        };
        if seen.is_empty() != (name == 0xd8) {
            return bad("JPEG: it does not begin with SOI");
        }
        seen.push(name);
        file.extend_from_slice(&marker);
        match name {
            0xd8 => marker = [u8(input)?, u8(input)?],
            0xd9 => break,
            _ => {
                let length = u16(input)?;
                if length < 2 {
                    return bad(format!("JPEG: a segment of {length} bytes"));
                }
                file.extend_from_slice(&length.to_be_bytes());
                file.extend(bytes(input, usize::from(length) - 2)?);
                marker = if name == 0xda {
                    scan(input, &mut file)?
                } else {
                    [u8(input)?, u8(input)?]
                };
            }
        }
    }
    // Quantisation, Huffman tables, frame, scan.
    match [0xdb, 0xc4, 0xc0, 0xda].iter().find(|n| !seen.contains(n)) {
        Some(missing) => bad(format!("JPEG: no segment {missing:x} in {seen:x?}")),
        None => Ok(file),
    }
}

/// Reads data up to the next marker, which is returned.
fn scan(input: &mut impl Read, file: &mut Vec<u8>) -> io::Result<[u8; 2]> {
    loop {
        let byte = u8(input)?;
        if byte != 0xff {
            file.push(byte);
            continue;
        }
        match u8(input)? {
            // Stuffing and restarts belong to the data.
            next @ (0 | 0xd0..=0xd7) => file.extend_from_slice(&[byte, next]),
            next => return Ok([byte, next]),
        }
    }
}

/// Reads a file that must be `w` × `h`; its pixels.
pub(crate) fn read(input: &mut impl Read, w: usize, h: usize) -> io::Result<Vec<u32>> {
    pixels(&file(input)?, w, h)
}

/// The pixels of a file that must be `w` × `h`.
pub(crate) fn pixels(file: &[u8], w: usize, h: usize) -> io::Result<Vec<u32>> {
    let picture = turbojpeg::decompress(file, turbojpeg::PixelFormat::RGB)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    if (picture.width, picture.height) != (w, h) {
        return bad(format!(
            "a JPEG of {}×{} in a rectangle of {w}×{h}",
            picture.width, picture.height
        ));
    }
    let rgb = |p: &[u8]| u32::from(p[0]) << 16 | u32::from(p[1]) << 8 | u32::from(p[2]);
    let rows = picture.pixels.chunks(picture.pitch);
    Ok(rows
        .flat_map(|row| row[..w * 3].chunks(3).map(rgb))
        .collect())
}
