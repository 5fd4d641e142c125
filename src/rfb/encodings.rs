//! What a client can do, from the numbers of its SetEncodings message (RFC 6143, 7.5.2 and 7.7–7.8, and the registry of
//! the community's specification).

use crate::encode::{Encoding, JpegQuality, Subsampling};

/// Numbers of pseudo-encodings, of CopyRect and JPEG; those of pictures are [`Encoding`]'s.
pub mod number {
    /// A copy of what the client has elsewhere.
    pub const COPY_RECT: i32 = 1;
    /// Photos as JPEG.
    pub const JPEG: i32 = 21;
    /// JPEG quality 0 to 9.
    pub const QUALITY: std::ops::RangeInclusive<i32> = -32..=-23;
    /// JPEG quality 0 to 100.
    pub const FINE_QUALITY: std::ops::RangeInclusive<i32> = -512..=-412;
    /// Compression level 0 to 9.
    pub const COMPRESS: std::ops::RangeInclusive<i32> = -256..=-247;
    /// The size of the desktop, one screen.
    pub const DESKTOP_SIZE: i32 = -223;
    /// Ends an update whose number of rectangles was not known.
    pub const LAST_RECT: i32 = -224;
    /// A cursor in the client's pixel format and a mask.
    pub const CURSOR: i32 = -239;
    /// A cursor of two colours and a mask.
    pub const X_CURSOR: i32 = -240;
    /// QEMU's key event with a scancode.
    pub const QEMU_KEY: i32 = -258;
    /// QEMU's keyboard lights.
    pub const QEMU_LED: i32 = -261;
    /// The name of the desktop.
    pub const DESKTOP_NAME: i32 = -307;
    /// The size of the desktop with its screens, and requests to change it.
    pub const EXTENDED_DESKTOP_SIZE: i32 = -308;
    /// Shutdown, reboot and reset.
    pub const XVP: i32 = -309;
    /// Marks in both streams.
    pub const FENCE: i32 = -312;
    /// Updates without requests.
    pub const CONTINUOUS_UPDATES: i32 = -313;
    /// A cursor with an alpha channel.
    pub const CURSOR_WITH_ALPHA: i32 = -314;
    /// More than eight pointer buttons.
    pub const EXTENDED_MOUSE_BUTTONS: i32 = -316;
    /// Clipboards in UTF-8, on request.
    pub const EXTENDED_CLIPBOARD: i32 = 0xc0a1_e5ce_u32 as i32;
    /// VMware's cursor, with an alpha channel.
    pub const VMWARE_CURSOR: i32 = 0x574d_5664;
    /// VMware's position of the pointer.
    pub const VMWARE_CURSOR_POSITION: i32 = 0x574d_5666;
    /// VMware's keyboard lights.
    pub const VMWARE_LED: i32 = 0x574d_5668;
}

/// How a client learns the shape of the pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CursorForm {
    /// −314: premultiplied alpha.
    WithAlpha,
    /// 0x574d5664: straight alpha.
    Vmware,
    /// −239: the client's pixels and a mask.
    Pixels,
    /// −240: two colours and a mask.
    TwoColours,
}

/// How a client learns the state of the keyboard's lights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LedForm {
    /// −261.
    Qemu,
    /// 0x574d5668.
    Vmware,
}

/// How a client learns of a new size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResizeForm {
    /// −308; it may also ask for one.
    Extended,
    /// −223.
    Plain,
}

/// What a client can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientCapabilities {
    /// The encoding it prefers among those that are served.
    pub encoding: Encoding,
    /// It prefers JPEG to that, and wants loss: photos go as rectangles of JPEG.
    pub jpeg_rects: bool,
    /// CopyRect.
    pub copy_rect: bool,
    /// JPEG quality; without one the client wants no loss.
    pub quality: Option<JpegQuality>,
    /// Compression level 0–9.
    pub compress: u8,
    /// LastRect.
    pub last_rect: bool,
    /// The best cursor that it draws itself.
    pub cursor: Option<CursorForm>,
    /// It shows where the pointer went when something else moved it.
    pub cursor_position: bool,
    /// How it follows a new size; `None`: not at all.
    pub resize: Option<ResizeForm>,
    /// DesktopName.
    pub name: bool,
    /// QEMU's key event.
    pub qemu_key: bool,
    /// Keyboard lights.
    pub leds: Option<LedForm>,
    /// Fence.
    pub fence: bool,
    /// ContinuousUpdates.
    pub continuous_updates: bool,
    /// ExtendedMouseButtons.
    pub mouse_buttons: bool,
    /// Extended clipboard.
    pub extended_clipboard: bool,
    /// xvp.
    pub xvp: bool,
}

impl ClientCapabilities {
    /// Compression level of a client that names none: light work on both sides.
    pub const DEFAULT_COMPRESS: u8 = 2;

    /// A client that has listed nothing: Raw, which everybody must know (7.7.1).
    pub const NONE: Self = Self {
        encoding: Encoding::Raw,
        jpeg_rects: false,
        copy_rect: false,
        quality: None,
        compress: Self::DEFAULT_COMPRESS,
        last_rect: false,
        cursor: None,
        cursor_position: false,
        resize: None,
        name: false,
        qemu_key: false,
        leds: None,
        fence: false,
        continuous_updates: false,
        mouse_buttons: false,
        extended_clipboard: false,
        xvp: false,
    };

    /// Reads a list, in the client's order of preference: of two entries that exclude each other the first counts.
    pub fn new(list: &[i32]) -> Self {
        let has = |n: i32| list.contains(&n);
        let level = |range: std::ops::RangeInclusive<i32>| {
            let found = list.iter().find(|n| range.contains(n));
            found.map(|n| (n - range.start()) as u8)
        };
        let encoding = list.iter().find_map(|n| Encoding::from_number(*n));
        let encoding = encoding.unwrap_or(Encoding::Raw);
        let place = |n: i32| list.iter().position(|l| *l == n).unwrap_or(list.len());
        let quality = quality(
            level(number::QUALITY),
            level(number::FINE_QUALITY),
            list.iter().find_map(|n| subsampling(*n)),
        );
        // Best picture first: a shape with alpha, then the client's pixels, then two colours.
        let cursor = [
            (number::CURSOR_WITH_ALPHA, CursorForm::WithAlpha),
            (number::VMWARE_CURSOR, CursorForm::Vmware),
            (number::CURSOR, CursorForm::Pixels),
            (number::X_CURSOR, CursorForm::TwoColours),
        ];
        let leds = [
            (number::QEMU_LED, LedForm::Qemu),
            (number::VMWARE_LED, LedForm::Vmware),
        ];
        // A client that lists both gets only the extended form.
        let resize = [
            (number::EXTENDED_DESKTOP_SIZE, ResizeForm::Extended),
            (number::DESKTOP_SIZE, ResizeForm::Plain),
        ];
        Self {
            encoding,
            // It has no lossless form: without a quality it is as if it were not listed.
            jpeg_rects: quality.is_some() && place(number::JPEG) < place(encoding.number()),
            copy_rect: has(number::COPY_RECT),
            quality,
            compress: level(number::COMPRESS).unwrap_or(Self::DEFAULT_COMPRESS),
            last_rect: has(number::LAST_RECT),
            cursor: first(&cursor, has),
            cursor_position: has(number::VMWARE_CURSOR_POSITION),
            resize: first(&resize, has),
            name: has(number::DESKTOP_NAME),
            qemu_key: has(number::QEMU_KEY),
            leds: first(&leds, has),
            fence: has(number::FENCE),
            // Without fences a server has no idea how far behind the client is: updates stay on request.
            continuous_updates: has(number::CONTINUOUS_UPDATES) && has(number::FENCE),
            mouse_buttons: has(number::EXTENDED_MOUSE_BUTTONS),
            extended_clipboard: has(number::EXTENDED_CLIPBOARD),
            xvp: has(number::XVP),
        }
    }
}

/// The subsampling that a number of TurboVNC's asks for.
const fn subsampling(listed: i32) -> Option<Subsampling> {
    match listed {
        -768 => Some(Subsampling::None),
        -766 => Some(Subsampling::Half),
        // A sample for every 8 or 16 pixels is more than decoders take: the most that all do.
        -767 | -764 | -763 => Some(Subsampling::Quarter),
        -765 => Some(Subsampling::Grey),
        _ => None,
    }
}

/// A percentage says more than a level does, and a subsampling more than either. Alone it says nothing about loss.
fn quality(
    level: Option<u8>,
    percent: Option<u8>,
    subsampling: Option<Subsampling>,
) -> Option<JpegQuality> {
    let level = level.map(JpegQuality::of_level);
    let quality = match (percent, level) {
        (Some(percent), Some(level)) => JpegQuality::new(percent, level.subsampling()),
        (Some(percent), None) => JpegQuality::of_percent(percent),
        (None, level) => level?,
    };
    Some(subsampling.map_or(quality, |s| quality.with_subsampling(s)))
}

/// The first of several forms whose number was listed.
fn first<T: Copy>(forms: &[(i32, T)], has: impl Fn(i32) -> bool) -> Option<T> {
    forms.iter().find(|(n, _)| has(*n)).map(|(_, form)| *form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What noVNC 1.7 lists, in its order.
    const NOVNC: &[i32] = &[
        1,
        7,
        -260,
        16,
        21,
        5,
        2,
        6,
        0,
        -26,
        -254,
        -223,
        -224,
        -258,
        -261,
        -308,
        -309,
        -312,
        -313,
        -307,
        -1_063_131_698,
        -316,
        0x574d_5664,
        -239,
    ];

    #[test]
    fn novnc() {
        let c = ClientCapabilities::new(NOVNC);
        assert_eq!(
            c,
            ClientCapabilities {
                encoding: Encoding::Tight,
                jpeg_rects: false,
                copy_rect: true,
                quality: Some(JpegQuality::of_level(6)),
                compress: 2,
                last_rect: true,
                cursor: Some(CursorForm::Vmware),
                cursor_position: false,
                resize: Some(ResizeForm::Extended),
                name: true,
                qemu_key: true,
                leds: Some(LedForm::Qemu),
                fence: true,
                continuous_updates: true,
                mouse_buttons: true,
                extended_clipboard: true,
                xvp: true,
            }
        );
    }

    #[test]
    fn the_first_of_two_counts() {
        let c = ClientCapabilities::new(&[16, 7, -23, -32, -247, -256]);
        assert_eq!(
            (c.encoding, c.quality, c.compress),
            (Encoding::Zrle, Some(JpegQuality::of_level(9)), 9)
        );
        assert_eq!(ClientCapabilities::new(&[]), ClientCapabilities::NONE);
        assert!(!ClientCapabilities::new(&[-313]).continuous_updates);
    }

    #[test]
    fn jpeg_is_for_those_who_prefer_it_and_want_loss() {
        let of = |list: &[i32]| {
            let c = ClientCapabilities::new(list);
            (c.encoding, c.jpeg_rects)
        };
        assert_eq!(of(&[21, 16, 7, -26]), (Encoding::Zrle, true));
        assert_eq!(of(&[21, -26]), (Encoding::Raw, true));
        assert_eq!(of(&[21, 16, 7]), (Encoding::Zrle, false));
        assert_eq!(of(&[16, 21, -26]), (Encoding::Zrle, false));
        assert_eq!(of(&[2, -260]), (Encoding::Rre, false));
        assert_eq!(of(&[-260, 7, -26]), (Encoding::TightPng, false));
    }

    #[test]
    fn finer_levels_win_over_coarse_ones() {
        let of = |list: &[i32]| {
            let quality = ClientCapabilities::new(list).quality?;
            Some((quality.percent(), quality.subsampling()))
        };
        use Subsampling::{Grey, Half, None as Full, Quarter};
        assert_eq!(of(&[7]), None);
        assert_eq!(of(&[7, -765]), None, "a subsampling is no wish for JPEG");
        assert_eq!(of(&[7, -27]), Some((77, Half)));
        assert_eq!(of(&[7, -27, -417]), Some((95, Half)));
        assert_eq!(of(&[7, -417, -27, -768]), Some((95, Full)));
        assert_eq!(of(&[7, -412]), Some((100, Full)));
        assert_eq!(of(&[7, -512]), Some((1, Quarter)));
        assert_eq!(of(&[7, -23, -765]), Some((100, Grey)));
        let thinned = [-768, -767, -766, -765, -764, -763].map(|n| of(&[-23, n]).map(|q| q.1));
        let expected = [Full, Quarter, Half, Grey, Quarter, Quarter];
        assert_eq!(thinned, expected.map(Some));
    }

    proptest! {
        #[test]
        fn no_list_is_harmful(list: Vec<i32>) {
            let c = ClientCapabilities::new(&list);
            prop_assert!(c.compress <= 9);
        }
    }
}
