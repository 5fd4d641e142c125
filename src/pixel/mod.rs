//! Geometry and pixels: what every room above speaks of.
//!
//! Pure values: no socket, no X, no clock. A [`Rect`] is a rectangle of pixels, a [`Region`] a set of pixels kept as
//! disjoint rectangles, a [`PixelFormat`] how a client wants a pixel laid out on the wire, and a [`Frame`] one picture
//! of the screen in the one format this program uses inside. A [`Grid`] is the screen in tiles.

mod format;
mod frame;
mod grid;
mod rect;
mod region;

pub use format::{Channel, PixelFormat, PixelFormatError};
pub use frame::Frame;
pub use grid::Grid;
pub use rect::{Point, Rect};
pub use region::Region;
