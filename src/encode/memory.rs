//! What preparing keeps from update to update.

use std::sync::Mutex;

use super::select::Films;

/// What is kept for those who prepare the updates of one screen. What it knows of videos decides how they are sent; what
/// stands still is as exact without it.
#[derive(Debug, Default)]
pub struct Memory {
    pub(super) buffers: Buffers,
    pub(super) films: Films,
}

/// Buffers to be filled again, so that an update does not begin by asking the system for memory.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Buffers {
    /// Most bytes that wait for the next update.
    const MOST: usize = 1 << 20;

    /// An empty buffer.
    pub(super) fn get(&self) -> Vec<u8> {
        let Ok(mut shelf) = self.0.lock() else {
            return Vec::new();
        };
        let buffer = shelf.buffers.pop().unwrap_or_default();
        shelf.bytes -= buffer.capacity();
        buffer
    }

    /// Takes a buffer back.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        if let Ok(mut shelf) = self.0.lock()
            && shelf.bytes + buffer.capacity() <= Self::MOST
        {
            buffer.clear();
            shelf.bytes += buffer.capacity();
            shelf.buffers.push(buffer);
        }
    }
}
