//! What an X server has to know of OpenGL to tell its clients: a driver for it that draws nothing.
//!
//! Applications draw with the OpenGL of their own container, and put pictures; of the X server they only want the list of
//! formats that a window can have (GLX, "FBConfigs"). Xvfb takes that list from Mesa's software renderer, and with it 50 MB
//! of LLVM that it never uses: drawing in the server itself ("indirect rendering") is off unless `+iglx` asks for it. This is
//! the list alone, behind the interface that the server loads a driver by.
//!
//! ```text
//!   Xvfb ── LIBGL_DRIVERS_PATH ──► swrast_dri.so (this) ── createNewScreen ──► a screen, and its configs
//!     └─ getConfig/indexConfigAttrib ─► formats ──► GLX clients, which find the same ones in their own driver
//! ```
//!
//! The interface is that of Mesa's `GL/internal/dri_interface.h`, "DRI_Core" 1 and "DRI_SWRast" 4. The formats are those that
//! Mesa's llvmpipe tells, in its order: clients use only those which their own driver has as well, with the same values.
//!
//! Built by `build.rs` for the target's own C library, of which it needs `malloc`: the server frees what it was given.

#![no_std]

use core::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};
use core::ptr::null_mut;

/// Somebody else's or nothing: never looked into.
type Handle = *mut c_void;

#[repr(C)]
pub struct Extension {
    name: *const c_char,
    version: c_int,
}

impl Extension {
    const fn new(name: &'static CStr, version: c_int) -> Self {
        let name = name.as_ptr();
        Self { name, version }
    }
}

/// A list that ends with a null pointer.
#[repr(transparent)]
struct List<const N: usize>([*const Extension; N]);

// SAFETY: the pointers lead to constants.
unsafe impl<const N: usize> Sync for List<N> {}
// SAFETY: the names are constants, everything else is code.
unsafe impl Sync for Extension {}

#[repr(C)]
struct Core {
    base: Extension,
    create_new_screen: extern "C" fn(
        c_int,
        c_int,
        c_uint,
        *const *const Extension,
        *mut *mut *const Config,
        Handle,
    ) -> Handle,
    destroy_screen: extern "C" fn(Handle),
    get_extensions: extern "C" fn(Handle) -> *const *const Extension,
    get_config_attrib: unsafe extern "C" fn(*const Config, c_uint, *mut c_uint) -> c_int,
    index_config_attrib:
        unsafe extern "C" fn(*const Config, c_int, *mut c_uint, *mut c_uint) -> c_int,
    create_new_drawable: extern "C" fn(Handle, *const Config, c_uint, c_uint, Handle) -> Handle,
    destroy_drawable: extern "C" fn(Handle),
    swap_buffers: extern "C" fn(Handle),
    create_new_context: extern "C" fn(Handle, *const Config, Handle, Handle) -> Handle,
    copy_context: extern "C" fn(Handle, Handle, c_ulong) -> c_int,
    destroy_context: extern "C" fn(Handle),
    bind_context: extern "C" fn(Handle, Handle, Handle) -> c_int,
    unbind_context: extern "C" fn(Handle) -> c_int,
}

#[repr(C)]
struct Swrast {
    base: Extension,
    create_new_screen:
        unsafe extern "C" fn(c_int, Handle, *mut *mut *const Config, Handle) -> Handle,
    create_new_drawable: extern "C" fn(Handle, *const Config, Handle) -> Handle,
    create_new_context_for_api:
        extern "C" fn(Handle, c_int, *const Config, Handle, Handle) -> Handle,
    create_context_attribs: extern "C" fn(
        Handle,
        c_int,
        *const Config,
        Handle,
        c_uint,
        *const u32,
        *mut c_uint,
        Handle,
    ) -> Handle,
    create_new_screen2:
        unsafe extern "C" fn(c_int, Handle, Handle, *mut *mut *const Config, Handle) -> Handle,
}

static CORE: Core = Core {
    base: Extension::new(c"DRI_Core", 1),
    create_new_screen: no_screen,
    destroy_screen: nothing,
    get_extensions,
    get_config_attrib,
    index_config_attrib,
    create_new_drawable: no_core_drawable,
    destroy_drawable: nothing,
    swap_buffers: nothing,
    create_new_context: no_context,
    copy_context: no_copy,
    destroy_context: nothing,
    bind_context: no_binding,
    unbind_context: no_unbinding,
};

static SWRAST: Swrast = Swrast {
    base: Extension::new(c"DRI_SWRast", 4),
    create_new_screen,
    create_new_drawable,
    create_new_context_for_api: no_context_for_api,
    create_context_attribs: no_context_attribs,
    create_new_screen2,
};

/// Tells clients that they need not flush when they change contexts, which is theirs to do.
static FLUSH_CONTROL: Extension = Extension::new(c"DRI_FlushControl", 1);

static DRIVER: List<3> = List([
    &raw const CORE.base,
    &raw const SWRAST.base,
    core::ptr::null(),
]);
static SCREEN: List<2> = List([&raw const FLUSH_CONTROL, core::ptr::null()]);

/// The driver's entry.
#[unsafe(no_mangle)]
pub extern "C" fn __driDriverGetExtensions_swrast() -> *const *const Extension {
    DRIVER.0.as_ptr()
}

/// What is known of a format: number and value of each attribute.
type Attributes = [(c_uint, c_uint); 31];

/// In memory that the server frees.
#[repr(C)]
pub struct Config(Attributes);

/// Sizes and masks of red, green, blue and alpha, and whether it may be sRGB.
struct Format {
    sizes: [c_uint; 4],
    masks: [c_uint; 4],
    srgb: c_uint,
}

const fn format(sizes: [c_uint; 4], masks: [c_uint; 4], srgb: c_uint) -> Format {
    Format { sizes, masks, srgb }
}

const TEN: [c_uint; 4] = [0x3ff0_0000, 0x000f_fc00, 0x3ff, 0xc000_0000];
const TEN_REVERSED: [c_uint; 4] = [0x3ff, 0x000f_fc00, 0x3ff0_0000, 0xc000_0000];
const EIGHT: [c_uint; 4] = [0xff_0000, 0xff00, 0xff, 0xff00_0000];

const fn opaque([red, green, blue, _]: [c_uint; 4]) -> [c_uint; 4] {
    [red, green, blue, 0]
}

static FORMATS: [Format; 9] = [
    format([10, 10, 10, 2], TEN, 0),
    format([10, 10, 10, 0], opaque(TEN), 0),
    format([10, 10, 10, 2], TEN_REVERSED, 0),
    format([10, 10, 10, 0], opaque(TEN_REVERSED), 0),
    format([8, 8, 8, 8], EIGHT, 0),
    format([8, 8, 8, 0], opaque(EIGHT), 0),
    format([8, 8, 8, 8], EIGHT, 1),
    format([8, 8, 8, 0], opaque(EIGHT), 1),
    format([5, 6, 5, 0], [0xf800, 0x7e0, 0x1f, 0], 0),
];

/// Bits of depth and stencil.
const DEPTHS: [(c_uint, c_uint); 5] = [(0, 0), (16, 0), (24, 0), (24, 8), (32, 0)];

const UNDEFINED: c_uint = 0x8063;
const COPY: c_uint = 0x8062;
/// Whether there are two buffers, and what becomes of the one behind.
const SWAPS: [(c_uint, c_uint); 3] = [(0, UNDEFINED), (1, UNDEFINED), (1, COPY)];

/// Samples of a pixel, and bits of an accumulation buffer's colours (which makes it slow): all depths with those of the first
/// line, and then all with those of the second.
const EXTRAS: [&[(c_uint, c_uint)]; 2] = [&[(0, 0), (0, 16)], &[(4, 0)]];

const COUNT: usize =
    FORMATS.len() * DEPTHS.len() * SWAPS.len() * (EXTRAS[0].len() + EXTRAS[1].len());

const SLOW: c_uint = 1;
const NONE: c_uint = 0x8000;
const DONT_CARE: c_uint = c_uint::MAX;

fn configs() -> impl Iterator<Item = Attributes> {
    FORMATS.iter().flat_map(|format| {
        EXTRAS.iter().flat_map(move |extras| {
            DEPTHS.iter().flat_map(move |depth| {
                SWAPS.iter().flat_map(move |swap| {
                    extras
                        .iter()
                        .map(move |extra| attributes(format, *depth, *swap, *extra))
                })
            })
        })
    })
}

fn attributes(
    format: &Format,
    (depth, stencil): (c_uint, c_uint),
    (double, swap): (c_uint, c_uint),
    (samples, accumulated): (c_uint, c_uint),
) -> Attributes {
    let [red, green, blue, alpha] = format.sizes;
    let [red_mask, green_mask, blue_mask, alpha_mask] = format.masks;
    let caveat = if accumulated > 0 { SLOW } else { 0 };
    [
        (1, red + green + blue + alpha),
        (3, red),
        (4, green),
        (5, blue),
        (7, alpha),
        (9, depth),
        (10, stencil),
        (11, accumulated),
        (12, accumulated),
        (13, accumulated),
        (14, accumulated),
        (15, c_uint::from(samples > 0)),
        (16, samples),
        // RGBA.
        (17, 1),
        (18, caveat),
        (20, double),
        // Not transparent.
        (24, NONE),
        (25, DONT_CARE),
        (26, DONT_CARE),
        (27, DONT_CARE),
        (28, DONT_CARE),
        (30, red_mask),
        (31, green_mask),
        (32, blue_mask),
        (33, alpha_mask),
        (40, swap),
        // Can be a texture: with and without alpha, one- and two-dimensional, and a rectangle.
        (43, 1),
        (44, 1),
        (46, 7),
        // Which line is the first.
        (47, DONT_CARE),
        (48, format.srgb),
    ]
}

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
}

/// # Safety
/// `configs` can be written to.
unsafe extern "C" fn create_new_screen(
    _: c_int,
    _: Handle,
    out: *mut *mut *const Config,
    _: Handle,
) -> Handle {
    // SAFETY: memory of its own for as many pointers and one; all are written before they are read, and the last is null.
    // What could not be had ends the list.
    unsafe {
        let list = malloc((COUNT + 1) * size_of::<*const Config>()).cast::<*const Config>();
        if list.is_null() {
            return null_mut();
        }
        let mut end = list;
        for attributes in configs().take(COUNT) {
            let config = malloc(size_of::<Config>()).cast::<Config>();
            if config.is_null() {
                break;
            }
            config.write(Config(attributes));
            end.write(config);
            end = end.add(1);
        }
        end.write(null_mut());
        out.write(list);
    }
    something()
}

/// # Safety
/// As [`create_new_screen`].
unsafe extern "C" fn create_new_screen2(
    number: c_int,
    loader: Handle,
    _: Handle,
    out: *mut *mut *const Config,
    data: Handle,
) -> Handle {
    // SAFETY: as promised.
    unsafe { create_new_screen(number, loader, out, data) }
}

/// # Safety
/// `config` is one of ours; the others can be written to.
unsafe extern "C" fn index_config_attrib(
    config: *const Config,
    index: c_int,
    attribute: *mut c_uint,
    value: *mut c_uint,
) -> c_int {
    // SAFETY: as promised.
    let attributes = unsafe { &(*config).0 };
    let found = usize::try_from(index).ok().and_then(|n| attributes.get(n));
    let Some(found) = found else {
        return 0;
    };
    // SAFETY: as promised.
    unsafe {
        attribute.write(found.0);
        value.write(found.1);
    }
    1
}

/// # Safety
/// `config` is one of ours; `value` can be written to.
unsafe extern "C" fn get_config_attrib(
    config: *const Config,
    attribute: c_uint,
    value: *mut c_uint,
) -> c_int {
    // SAFETY: as promised.
    let attributes = unsafe { &(*config).0 };
    let Some((_, found)) = attributes.iter().find(|(number, _)| *number == attribute) else {
        return 0;
    };
    // SAFETY: as promised.
    unsafe { value.write(*found) };
    1
}

extern "C" fn get_extensions(_: Handle) -> *const *const Extension {
    SCREEN.0.as_ptr()
}

/// A handle that is not null.
fn something() -> Handle {
    (&raw const FLUSH_CONTROL).cast_mut().cast()
}

/// Windows and pixmaps that clients draw to, themselves.
extern "C" fn create_new_drawable(_: Handle, _: *const Config, _: Handle) -> Handle {
    something()
}

extern "C" fn nothing(_: Handle) {}

extern "C" fn no_screen(
    _: c_int,
    _: c_int,
    _: c_uint,
    _: *const *const Extension,
    _: *mut *mut *const Config,
    _: Handle,
) -> Handle {
    null_mut()
}

extern "C" fn no_core_drawable(
    _: Handle,
    _: *const Config,
    _: c_uint,
    _: c_uint,
    _: Handle,
) -> Handle {
    null_mut()
}

extern "C" fn no_context(_: Handle, _: *const Config, _: Handle, _: Handle) -> Handle {
    null_mut()
}

extern "C" fn no_context_for_api(
    _: Handle,
    _: c_int,
    _: *const Config,
    _: Handle,
    _: Handle,
) -> Handle {
    null_mut()
}

extern "C" fn no_context_attribs(
    _: Handle,
    _: c_int,
    _: *const Config,
    _: Handle,
    _: c_uint,
    _: *const u32,
    _: *mut c_uint,
    _: Handle,
) -> Handle {
    null_mut()
}

extern "C" fn no_copy(_: Handle, _: Handle, _: c_ulong) -> c_int {
    0
}

extern "C" fn no_binding(_: Handle, _: Handle, _: Handle) -> c_int {
    0
}

extern "C" fn no_unbinding(_: Handle) -> c_int {
    0
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here does.
    loop {}
}
