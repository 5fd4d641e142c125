//! How much a file system holds.

use nix::sys::statvfs::statvfs;

/// Total and free bytes; `None` when it cannot be known.
pub fn of(path: &str) -> Option<(u64, u64)> {
    let is = statvfs(path).ok()?;
    let block = is.fragment_size();
    Some((is.blocks() * block, is.blocks_available() * block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_have_a_size() {
        let (total, free) = of("/tmp").unwrap();
        assert!(total > 0 && free <= total);
        assert_eq!(of("/nonexistent"), None);
    }
}
