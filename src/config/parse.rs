//! Values of single settings: text into what it means, or nothing when it means nothing.

use std::path::PathBuf;
use std::time::Duration;

use super::network::Network;

pub(super) fn networks(value: &str) -> Option<Vec<Network>> {
    let list = value.split(',').map(str::trim).filter(|n| !n.is_empty());
    list.map(Network::parse).collect()
}

pub(super) fn seconds(value: &str) -> Option<Option<Duration>> {
    let n: u32 = value.parse().ok()?;
    Some((n > 0).then(|| Duration::from_secs(u64::from(n))))
}

pub(super) fn rewrites(value: &str) -> Option<Vec<(i32, i32)>> {
    value
        .split(',')
        .map(|pair| {
            let (from, to) = pair.split_once(':')?;
            let from: i32 = from.trim().parse().ok()?;
            let to: i32 = to.trim().parse().ok()?;
            // KILL and STOP never arrive; what tells of children is not the outside's to change.
            let fine = (1..=64).contains(&from)
                && !matches!(from, 9 | 17 | 19)
                && (0..=64).contains(&to)
                && to != 17;
            fine.then_some((from, to))
        })
        .collect()
}

pub(super) fn path(value: &str) -> Option<PathBuf> {
    (!value.is_empty()).then(|| PathBuf::from(value))
}

pub(super) fn color(value: &str) -> Option<(u8, u8, u8)> {
    let digits = value.strip_prefix('#')?;
    let digits: Option<Vec<u8>> = digits
        .chars()
        .map(|c| u8::try_from(c.to_digit(16)?).ok())
        .collect();
    match *digits? {
        [r, g, b] => Some((r * 17, g * 17, b * 17)),
        [a, b, c, d, e, f] => Some((a << 4 | b, c << 4 | d, e << 4 | f)),
        _ => None,
    }
}

pub(super) fn origins(value: &str) -> Option<Vec<String>> {
    let list = value.split(',').map(str::trim).filter(|o| !o.is_empty());
    list.map(|o| {
        let rest = o.strip_prefix("https://").or(o.strip_prefix("http://"));
        let fine = o == "*" || rest.is_some_and(|h| !h.is_empty() && !h.contains('/'));
        fine.then(|| o.to_ascii_lowercase())
    })
    .collect()
}

pub(super) fn hosts(value: &str) -> Option<Vec<String>> {
    let list = value.split(',').map(str::trim).filter(|h| !h.is_empty());
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    list.map(|h| h.chars().all(fine).then(|| h.to_ascii_lowercase()))
        .collect()
}

/// Three or four octal digits.
pub(super) fn umask(value: &str) -> Option<u32> {
    let octal = value.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let mask = u32::from_str_radix(value, 8).ok()?;
    let fine = octal && matches!(value.len(), 3 | 4) && mask <= 0o777;
    fine.then_some(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_parsed() {
        assert_eq!(color("#6ec6f0"), Some((0x6e, 0xc6, 0xf0)));
        assert_eq!(color("#fA0"), Some((0xff, 0xaa, 0)));
        for bad in ["", "#", "6ec6f0", "#6ec6f", "#6ec6fg", "blue"] {
            assert_eq!(color(bad), None, "{bad}");
        }
    }

    #[test]
    fn masks_are_octal() {
        assert_eq!(umask("027"), Some(0o27));
        assert_eq!(umask("0077"), Some(0o77));
        for bad in ["", "27", "0o27", "1777", "+27", "888"] {
            assert_eq!(umask(bad), None, "{bad}");
        }
    }
}
