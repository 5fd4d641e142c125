//! The cookie that X clients must show, and the file they find it in.
//!
//! One entry of the Xauthority format (libXau, `AuFileWrite`): big-endian 16-bit family, then address, display number,
//! method and data, each with a 16-bit length before it. The family is FamilyWild, which fits whatever the container's
//! host name is, now and after a rename.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const FAMILY_WILD: u16 = 0xffff;
const METHOD: &[u8] = b"MIT-MAGIC-COOKIE-1";

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

    /// Writes it to a new file, mode 0600; an existing file, or a link in its place, is an error.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn write(&self, path: &Path, display: u16) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(&self.entry(display))
    }

    fn entry(&self, display: u16) -> Vec<u8> {
        let mut entry = FAMILY_WILD.to_be_bytes().to_vec();
        for field in [&[], display.to_string().as_bytes(), METHOD, &self.0] {
            // All of them are a few bytes long.
            entry.extend(u16::try_from(field.len()).unwrap_or_default().to_be_bytes());
            entry.extend(field);
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_entry_is_as_xau_writes_it() {
        let entry = Cookie([0xab; 16]).entry(7);
        let mut expected = b"\xff\xff\0\0\0\x017\0\x12MIT-MAGIC-COOKIE-1\0\x10".to_vec();
        expected.extend([0xab; 16]);
        assert_eq!(entry, expected);
    }

    #[test]
    fn the_file_is_private_and_never_overwrites() {
        let path = std::env::temp_dir().join(format!("deskinit-cookie-{}", std::process::id()));
        let cookie = Cookie::random().unwrap();
        cookie.write(&path, 1).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            cookie.write(&path, 1).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/nonexistent/target", &path).unwrap();
        assert!(
            cookie.write(&path, 1).is_err(),
            "a planted link is not followed"
        );
        std::fs::remove_file(&path).unwrap();
    }
}
