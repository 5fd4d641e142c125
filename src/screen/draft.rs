//! The next picture while it is written, and what of the one before is needed until it is known how the one came from the
//! other.
//!
//! ```text
//!   in place            the rows that are about to be overwritten are kept, if somebody says so
//!   in another buffer   the one before is there as it was: nothing has to be kept
//! ```

use std::sync::Arc;

use super::log::Step;
use super::swap::Screen;
use crate::pixel::Frame;

/// A private buffer, equal to the latest frame until it is written to. To be published or given back; one that is dropped is
/// published as something that is new everywhere, for there may be no other copy.
#[derive(Debug)]
pub struct Draft<'a> {
    screen: &'a Screen,
    frame: Frame,
    base: u64,
    past: Past,
    is_open: bool,
}

/// What becomes of a draft.
pub(super) struct Finished {
    pub(super) frame: Frame,
    /// The generation that it was made from.
    pub(super) base: u64,
    pub(super) past: Past,
}

impl<'a> Draft<'a> {
    pub(super) const fn new(screen: &'a Screen, frame: Frame, base: u64, past: Past) -> Self {
        Self {
            screen,
            frame,
            base,
            past,
            is_open: true,
        }
    }

    pub(super) fn finish(mut self) -> Finished {
        self.close()
    }

    fn close(&mut self) -> Finished {
        self.is_open = false;
        Finished {
            frame: std::mem::replace(&mut self.frame, Frame::new(0, 0)),
            base: self.base,
            past: std::mem::take(&mut self.past),
        }
    }

    /// The pixels to write, and where rows of them are kept as they were.
    pub const fn write(&mut self) -> (&mut Frame, &mut Past) {
        (&mut self.frame, &mut self.past)
    }

    /// The pixels as they are.
    pub const fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The picture that it was made from; to be believed where rows were kept before they were written, and where nothing
    /// was written.
    pub const fn before(&self) -> Before<'_> {
        Before {
            now: &self.frame,
            past: &self.past,
        }
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.is_open {
            let finished = self.close();
            let step = Step::whole(finished.frame.bounds());
            self.screen.take_over(finished, step);
        }
    }
}

/// A buffer that is not shown.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) frame: Frame,
    /// Which picture it is; `None` for anything.
    pub(super) generation: Option<u64>,
}

/// The picture that a draft was made from.
#[derive(Debug, Default)]
pub struct Past {
    whole: Option<Arc<Frame>>,
    /// Of the size of the draft; anything but for the rows that were kept.
    rows: Option<Spare>,
    /// Empty when there are none.
    kept: Vec<bool>,
}

impl Past {
    /// It is there as it was.
    pub(super) const fn whole(frame: Arc<Frame>) -> Self {
        Self {
            whole: Some(frame),
            rows: None,
            kept: Vec::new(),
        }
    }

    /// It is overwritten. `spare`, of the same size, is for rows of it.
    pub(super) const fn overwritten(spare: Option<Spare>) -> Self {
        Self {
            whole: None,
            rows: spare,
            kept: Vec::new(),
        }
    }

    /// The buffer for rows, and whether it has been used.
    pub(super) fn into_spare(self) -> Option<(Spare, bool)> {
        Some((self.rows?, !self.kept.is_empty()))
    }

    /// Keeps a row that is about to be written for the first time.
    pub fn keep(&mut self, frame: &Frame, y: u16) {
        if self.whole.is_some() {
            return;
        }
        if self.kept.is_empty() {
            self.kept.resize(usize::from(frame.height()), false);
        }
        let kept = &mut self.kept[usize::from(y)];
        if !std::mem::replace(kept, true) {
            let rows = self.rows.get_or_insert_with(|| Spare {
                frame: Frame::new(frame.width(), frame.height()),
                generation: None,
            });
            rows.generation = None;
            rows.frame.row_mut(y).copy_from_slice(frame.row(y));
        }
    }

    fn row(&self, y: u16) -> Option<&[u32]> {
        if let Some(frame) = &self.whole {
            return Some(frame.row(y));
        }
        let kept = self.kept.get(usize::from(y)).copied();
        self.rows
            .as_ref()
            .filter(|_| kept == Some(true))
            .map(|rows| rows.frame.row(y))
    }
}

/// The rows of a picture, wherever they are.
pub trait Rows {
    /// The pixels of one row.
    fn row(&self, y: u16) -> &[u32];
}

impl Rows for Frame {
    fn row(&self, y: u16) -> &[u32] {
        self.row(y)
    }
}

/// A picture as it was.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// As it is now.
    pub now: &'a Frame,
    /// What was kept of it.
    pub past: &'a Past,
}

impl Rows for Before<'_> {
    fn row(&self, y: u16) -> &[u32] {
        self.past.row(y).unwrap_or_else(|| self.now.row(y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_overwritten_is_there_as_it_was() {
        let screen = Screen::new(5, 4);
        let old = Frame::new(5, 4);
        let mut other = old.clone();
        other.row_mut(1)[1] = 9;
        for past in [
            Past::overwritten(None),
            Past::overwritten(Some(Spare {
                frame: other,
                generation: Some(1),
            })),
            Past::whole(Arc::new(old.clone())),
        ] {
            let mut draft = Draft::new(&screen, old.clone(), 1, past);
            for (y, x) in [(2, 1), (0, 4), (2, 3)] {
                let (frame, past) = draft.write();
                past.keep(frame, y);
                frame.row_mut(y)[x] += 7;
            }
            let before = draft.before();
            for y in 0..4 {
                assert_eq!(Rows::row(&before, y), old.row(y));
            }
        }
    }
}
