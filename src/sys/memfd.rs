//! Files in memory that children inherit as descriptors: secrets, never in their arguments or environment; pixels; never
//! on a disk.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{Mode, fchmod};

/// A memory file that holds `content` and can never change again. Close-on-exec: whoever shall inherit it is told
/// (see `sys::process`). Readers open `/proc/self/fd/N`, so each starts at the beginning.
///
/// # Errors
/// No descriptor or no memory is left.
pub fn sealed(name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    fchmod(&fd, Mode::S_IRUSR)?;
    let mut file = File::from(fd);
    file.write_all(content)?;
    let fd = OwnedFd::from(file);
    let seals = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(fd)
}

/// An empty memory file that whoever inherits it may write to, size and seal.
///
/// # Errors
/// No descriptor is left.
pub fn blank(name: &str) -> io::Result<OwnedFd> {
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    fchmod(&fd, Mode::S_IRUSR | Mode::S_IWUSR)?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsRawFd;

    #[test]
    fn can_be_read_again_and_again_but_not_written() {
        let fd = sealed("test", b"canary").unwrap();
        for _ in 0..2 {
            let mut text = String::new();
            File::open(format!("/proc/self/fd/{}", fd.as_raw_fd()))
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            assert_eq!(text, "canary");
        }
        assert!(File::from(fd).write_all(b"x").is_err());
    }
}
