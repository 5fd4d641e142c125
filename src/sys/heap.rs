//! How the C library's allocator treats large blocks.

/// Blocks from this size on go back to the system when they are freed: pictures of the screen, which come and go with
/// its size. Updates are smaller, and are used again.
const LARGE: libc::c_int = 4 << 20;

/// Fixes the size from which on blocks are mapped by themselves. Left to itself the allocator raises it when such a block
/// is freed; later pictures then lie between small blocks, and their memory is never given back. To be called before
/// threads are started. Only a hint: an allocator that does not know it goes on as before.
pub fn give_large_blocks_back() {
    // SAFETY: sets two numbers of the allocator; nothing else runs yet that could allocate at the same time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}
