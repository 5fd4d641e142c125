//! Finding a cookie in an Xauthority file.
//!
//! The file is a sequence of entries, each a family and four counted strings, big-endian: address, display number,
//! name of the method, data (Xau(3)).

use std::fs;
use std::io;
use std::path::Path;

use x11rb::reexports::x11rb_protocol::xauth::Family;

/// The one method in use.
pub(super) const MIT_MAGIC_COOKIE_1: &[u8] = b"MIT-MAGIC-COOKIE-1";

/// No such file has a reason to be larger; it is read whole.
const LARGEST: u64 = 1 << 20;

/// The cookie for a display at an address. `None` when the file holds none that could fit.
pub(super) fn lookup(
    path: &Path,
    family: Family,
    address: &[u8],
    number: u16,
) -> io::Result<Option<Vec<u8>>> {
    if fs::metadata(path)?.len() > LARGEST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "larger than any Xauthority file",
        ));
    }
    Ok(select(&fs::read(path)?, family, address, number))
}

struct Entry<'a> {
    family: Family,
    address: &'a [u8],
    number: &'a [u8],
    name: &'a [u8],
    data: &'a [u8],
}

/// The best entry: this very address, else any address, else (on this machine) the entry of another host name, because
/// a container's name may have changed since the cookie was made.
fn select(file: &[u8], family: Family, address: &[u8], number: u16) -> Option<Vec<u8>> {
    let number = number.to_string();
    let mut best: Option<(u8, &[u8])> = None;
    for entry in entries(file) {
        let right_display = entry.number.is_empty() || entry.number == number.as_bytes();
        if !right_display || entry.name != MIT_MAGIC_COOKIE_1 {
            continue;
        }
        let score = if entry.family == family && entry.address == address {
            3
        } else if entry.family == Family::WILD {
            2
        } else if entry.family == Family::LOCAL && family == Family::LOCAL {
            1
        } else {
            continue;
        };
        if best.is_none_or(|(other, _)| score > other) {
            best = Some((score, entry.data));
        }
    }
    best.map(|(_, data)| data.to_vec())
}

/// The whole entries of a file; what is cut off at its end is ignored.
fn entries(mut rest: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    std::iter::from_fn(move || {
        let family = Family::from(u16::from_be_bytes(*rest.split_off(..2)?.as_array()?));
        let mut string = || {
            let length = u16::from_be_bytes(*rest.split_off(..2)?.as_array()?);
            rest.split_off(..usize::from(length))
        };
        Some(Entry {
            family,
            address: string()?,
            number: string()?,
            name: string()?,
            data: string()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(family: u16, address: &str, number: &str, name: &[u8], data: &[u8]) -> Vec<u8> {
        let mut bytes = family.to_be_bytes().to_vec();
        for part in [address.as_bytes(), number.as_bytes(), name, data] {
            bytes.extend((part.len() as u16).to_be_bytes());
            bytes.extend(part);
        }
        bytes
    }

    #[test]
    fn the_nearest_entry_wins() {
        let cookie = MIT_MAGIC_COOKIE_1;
        let mut file = entry(256, "elsewhere", "7", cookie, b"other host");
        assert_eq!(
            select(&file, Family::LOCAL, b"here", 7).as_deref(),
            Some(&b"other host"[..])
        );
        assert_eq!(select(&file, Family::INTERNET, &[10, 0, 0, 1], 7), None);
        file.extend(entry(65535, "", "", cookie, b"any"));
        file.extend(entry(256, "here", "8", cookie, b"other display"));
        assert_eq!(
            select(&file, Family::LOCAL, b"here", 7).as_deref(),
            Some(&b"any"[..])
        );
        file.extend(entry(256, "here", "7", b"XDM-AUTHORIZATION-1", b"unknown"));
        file.extend(entry(256, "here", "7", cookie, b"exact"));
        assert_eq!(
            select(&file, Family::LOCAL, b"here", 7).as_deref(),
            Some(&b"exact"[..])
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(file: Vec<u8>) {
            let _ = select(&file, Family::LOCAL, b"here", 7);
        }
    }
}
