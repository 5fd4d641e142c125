//! How the C library's allocator treats large blocks.

use std::alloc::{GlobalAlloc, Layout, System};

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

/// The C library's allocator. Large blocks come in huge pages where the system has some: a picture is gone through from
/// end to end many times a second, and with pages of 4 KiB a tenth of that is looking addresses up.
struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

impl Heap {
    /// Says that this block is for huge pages, which are whole ones within it: it takes no more memory than without.
    fn advise(block: *mut u8, layout: Layout) -> *mut u8 {
        if layout.size() >= LARGE as usize && !block.is_null() {
            // SAFETY: no page size is larger than a block that is, and `sysconf` only reads.
            let page =
                usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
            let skip = block.addr().next_multiple_of(page) - block.addr();
            let length = (layout.size() - skip) / page * page;
            // SAFETY: whole pages within a block that was just allocated and that nobody else knows yet. The advice
            // changes no byte of it. A system that does not take it goes on as before.
            unsafe { libc::madvise(block.add(skip).cast(), length, libc::MADV_HUGEPAGE) };
        }
        block
    }
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: what the caller promises.
        Self::advise(unsafe { System.alloc(layout) }, layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: what the caller promises.
        Self::advise(unsafe { System.alloc_zeroed(layout) }, layout)
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: what the caller promises.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: what the caller promises.
        unsafe { System.dealloc(block, layout) }
    }
}
