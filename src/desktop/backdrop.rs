//! The colour behind all windows: the root window's background, as `xsetroot -solid` sets it.

use x11rb::connection::Connection;
use x11rb::errors::ReplyError;
use x11rb::protocol::xproto::{ChangeWindowAttributesAux, Colormap, ConnectionExt as _, Window};

use super::connect::Link;

/// Fills it. Programs that draw there themselves (desktops with icons, `feh`) win over it.
pub(super) fn fill(
    link: &Link,
    root: Window,
    colors: Colormap,
    (red, green, blue): (u8, u8, u8),
) -> Result<(), ReplyError> {
    let wide = |part: u8| u16::from(part) * 0x101;
    let color = link.alloc_color(colors, wide(red), wide(green), wide(blue))?;
    let pixel = color.reply()?.pixel;
    let change = ChangeWindowAttributesAux::new().background_pixel(pixel);
    link.change_window_attributes(root, &change)?.check()?;
    link.clear_area(false, root, 0, 0, 0, 0)?.check()?;
    link.flush()?;
    Ok(())
}
