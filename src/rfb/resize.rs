//! Who knows of which size: what the desktop has, what the client was told, what it has asked for.
//!
//! Every SetDesktopSize is answered by one ExtendedDesktopSize rectangle, in order, none merged (noVNC blocks every
//! later resize until it is answered). No update in the new size goes before the client was told of it, and an update
//! that tells it holds no pixels.

use std::collections::VecDeque;

use super::client::ScreenLayout;
use super::encodings::ResizeForm;
use super::server::{self, ResizeReason, ResizeStatus};
use crate::pixel::Rect;

/// Requests and answers that may wait; a client that does not read its answers gets no more.
const MAX_WAITING: usize = 32;

/// A request on its way.
#[derive(Debug)]
struct Asked {
    layout: ScreenLayout,
    /// Refused at once, but not to be answered before those that came first.
    refused: Option<ResizeStatus>,
}

/// The sizes of one client's desktop.
#[derive(Debug)]
pub struct Sizes {
    told: (u16, u16),
    actual: ScreenLayout,
    asked: VecDeque<Asked>,
    due: VecDeque<(ResizeReason, ResizeStatus, ScreenLayout)>,
}

impl Sizes {
    /// ServerInit has told the client this size.
    pub fn new(width: u16, height: u16) -> Self {
        Self {
            told: (width, height),
            actual: ScreenLayout::single(width, height),
            asked: VecDeque::new(),
            due: VecDeque::new(),
        }
    }

    /// The size that frames have.
    pub fn actual(&self) -> (u16, u16) {
        (self.actual.width, self.actual.height)
    }

    /// The pixels that exist on both sides.
    pub fn common(&self) -> Rect {
        let (width, height) = self.actual();
        Rect::sized(width.min(self.told.0), height.min(self.told.1))
    }

    /// The client asks for a size. True when the desktop is to be asked; otherwise the answer is settled. `allowed` is
    /// what permission and settings say.
    pub fn ask(&mut self, layout: ScreenLayout, allowed: bool) -> bool {
        let refused = if !allowed {
            Some(ResizeStatus::Prohibited)
        } else if !layout.is_valid() {
            Some(ResizeStatus::Invalid)
        } else if self.asked.len() + self.due.len() >= MAX_WAITING {
            Some(ResizeStatus::OutOfResources)
        } else {
            None
        };
        let go_on = refused.is_none();
        self.asked.push_back(Asked { layout, refused });
        self.settle();
        go_on
    }

    /// True when so many requests wait that the connection should end.
    pub fn is_flooded(&self) -> bool {
        self.asked.len() + self.due.len() > 2 * MAX_WAITING
    }

    /// The desktop has another size, for no reason of this client's. True when it really is another.
    pub fn changed(&mut self, width: u16, height: u16, reason: ResizeReason) -> bool {
        if self.actual() == (width, height) {
            return false;
        }
        self.actual = ScreenLayout::single(width, height);
        if let Some((ResizeReason::Server | ResizeReason::OtherClient, ..)) = self.due.back() {
            self.due.pop_back();
        }
        self.due
            .push_back((reason, ResizeStatus::Done, self.actual.clone()));
        true
    }

    /// The desktop's answer to the requests that were passed on; its size is now this. True when that is another.
    pub fn answered(&mut self, width: u16, height: u16, status: ResizeStatus) -> bool {
        let before = self.actual();
        if before != (width, height) {
            self.actual = ScreenLayout::single(width, height);
        }
        for Asked { layout, refused } in std::mem::take(&mut self.asked) {
            let status = refused.unwrap_or(status);
            let as_asked = (layout.width, layout.height) == (width, height);
            if status == ResizeStatus::Done && as_asked {
                // A success echoes exactly what was asked for.
                self.actual = layout;
            }
            self.due
                .push_back((ResizeReason::Client, status, self.actual.clone()));
        }
        before != (width, height)
    }

    /// The client wants to know the size.
    pub fn inquired(&mut self) {
        if !self
            .due
            .iter()
            .any(|(reason, ..)| *reason == ResizeReason::Server)
        {
            let layout = self.actual.clone();
            self.due
                .push_back((ResizeReason::Server, ResizeStatus::Done, layout));
        }
    }

    /// Is there something to tell a client that follows in this form?
    pub fn is_due(&self, form: Option<ResizeForm>) -> bool {
        match form {
            Some(ResizeForm::Extended) => !self.due.is_empty() || self.told != self.actual(),
            Some(ResizeForm::Plain) => self.told != self.actual(),
            None => false,
        }
    }

    /// Writes the rectangles, and returns their number.
    pub fn write(&mut self, form: Option<ResizeForm>, out: &mut Vec<u8>) -> u32 {
        let (width, height) = self.actual();
        match form {
            None => 0,
            Some(ResizeForm::Plain) => {
                server::desktop_size(out, width, height);
                self.due.clear();
                self.told = (width, height);
                1
            }
            Some(ResizeForm::Extended) => {
                // The last rectangle must be the truth, whatever the answers before it say.
                let last = self.due.back().map(|(.., l)| (l.width, l.height));
                if last != Some((width, height)) {
                    self.inquired();
                }
                let count = self.due.len() as u32;
                for (reason, status, layout) in self.due.drain(..) {
                    server::extended_desktop_size(out, reason, status, &layout);
                }
                self.told = (width, height);
                count
            }
        }
    }

    /// Moves what was refused out of the queue once nothing older waits.
    fn settle(&mut self) {
        while let Some(status) = self.asked.front().and_then(|asked| asked.refused) {
            self.asked.pop_front();
            self.due
                .push_back((ResizeReason::Client, status, self.actual.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENDED: Option<ResizeForm> = Some(ResizeForm::Extended);

    /// Reason, status, width and height of every rectangle.
    fn told(sizes: &mut Sizes) -> Vec<[u16; 4]> {
        let mut out = Vec::new();
        let count = sizes.write(EXTENDED, &mut out);
        assert_eq!(out.len(), count as usize * 32, "one screen each");
        let fields = |r: &[u8]| [0, 2, 4, 6].map(|i| u16::from_be_bytes([r[i], r[i + 1]]));
        out.chunks(32).map(fields).collect()
    }

    #[test]
    fn every_request_is_answered_in_order() {
        let mut sizes = Sizes::new(100, 100);
        assert!(sizes.ask(ScreenLayout::single(200, 200), true));
        assert!(!sizes.ask(ScreenLayout::single(0, 5), true));
        assert!(
            !sizes.is_due(EXTENDED),
            "the first one waits for the desktop"
        );
        assert!(sizes.answered(200, 200, ResizeStatus::Done));
        assert_eq!(sizes.common(), Rect::sized(100, 100));
        assert_eq!(told(&mut sizes), [[1, 0, 200, 200], [1, 3, 200, 200]]);
        assert_eq!(sizes.common(), Rect::sized(200, 200));
        assert!(!sizes.ask(ScreenLayout::single(50, 50), false));
        assert_eq!(told(&mut sizes), [[1, 1, 200, 200]]);
    }

    #[test]
    fn changes_merge_and_answers_do_not() {
        let mut sizes = Sizes::new(100, 100);
        assert!(sizes.changed(10, 10, ResizeReason::Server));
        assert!(sizes.changed(20, 20, ResizeReason::OtherClient));
        assert!(!sizes.changed(20, 20, ResizeReason::Server));
        assert_eq!(told(&mut sizes), [[2, 0, 20, 20]]);
        for _ in 0..2 {
            assert!(sizes.ask(ScreenLayout::single(9, 9), true));
        }
        sizes.answered(20, 20, ResizeStatus::OutOfResources);
        assert_eq!(told(&mut sizes), [[1, 2, 20, 20]; 2]);
    }

    #[test]
    fn requests_without_end_are_a_flood() {
        let mut sizes = Sizes::new(100, 100);
        for _ in 0..100 {
            sizes.ask(ScreenLayout::single(9, 9), true);
        }
        assert!(sizes.is_flooded());
    }

    #[test]
    fn a_client_that_cannot_follow_keeps_what_fits() {
        let mut sizes = Sizes::new(100, 100);
        sizes.changed(50, 200, ResizeReason::Server);
        assert!(!sizes.is_due(None));
        assert_eq!(sizes.common(), Rect::sized(50, 100));
        let mut out = Vec::new();
        assert_eq!(sizes.write(Some(ResizeForm::Plain), &mut out), 1);
        assert_eq!(sizes.common(), Rect::sized(50, 200));
    }
}
