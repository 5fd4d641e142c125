//! The cookie that X clients must show, and the file they find it in.
//!
//! Entries of the Xauthority format (libXau, `AuFileWrite`): big-endian 16-bit family, then address, display number,
//! method and data, each with a 16-bit length before it. The family is FamilyWild, which fits whatever the container's
//! host name is, now and after a rename.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub(super) const FAMILY_WILD: u16 = 0xffff;
/// The one method in use.
pub(super) const METHOD: &[u8] = b"MIT-MAGIC-COOKIE-1";

/// 128 bits from the kernel.
pub struct Cookie([u8; 16]);

impl Cookie {
    /// A new one.
    ///
    /// # Errors
    /// The kernel has no randomness to give.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(bytes))
    }

    /// The cookie itself.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Writes it to a new file, mode 0600; an existing file, or a link in its place, is an error. Clients take the first
    /// entry; the X server takes them all, so `more`, a cookie that others know, opens it as well.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn write(&self, path: &Path, display: u16, more: Option<&[u8]>) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let cookies = std::iter::once(&self.0[..]).chain(more);
        let entries: Vec<u8> = cookies.flat_map(|data| entry(display, data)).collect();
        file.write_all(&entries)
    }
}

pub(super) fn entry(display: u16, data: &[u8]) -> Vec<u8> {
    let mut entry = FAMILY_WILD.to_be_bytes().to_vec();
    for field in [&[], display.to_string().as_bytes(), METHOD, data] {
        // All of them are far shorter.
        entry.extend(u16::try_from(field.len()).unwrap_or_default().to_be_bytes());
        entry.extend(field);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_entry_is_as_xau_writes_it() {
        let entry = entry(7, &[0xab; 16]);
        let mut expected = b"\xff\xff\0\0\0\x017\0\x12MIT-MAGIC-COOKIE-1\0\x10".to_vec();
        expected.extend([0xab; 16]);
        assert_eq!(entry, expected);
    }

    #[test]
    fn the_file_is_private_and_never_overwrites() {
        let path = std::env::temp_dir().join(format!("deskinit-cookie-{}", std::process::id()));
        let cookie = Cookie::random().unwrap();
        cookie.write(&path, 1, Some(&[7])).unwrap();
        let expected = [entry(1, &cookie.0), entry(1, &[7])].concat();
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            cookie.write(&path, 1, None).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/nonexistent/target", &path).unwrap();
        assert!(
            cookie.write(&path, 1, None).is_err(),
            "a planted link is not followed"
        );
        std::fs::remove_file(&path).unwrap();
    }
}
