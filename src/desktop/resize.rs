//! Giving the screen another size, by RANDR.
//!
//! There is never a moment without an output, so that no program sees its monitor go away:
//!
//! ```text
//!   mode of the wanted size (made, if there is none)
//!     → screen as large as both the old and the new size → CRTC to the new mode → screen to the new size
//!     → modes made for earlier sizes deleted
//! ```
//!
//! Works on Xvfb (up to the size it was started with) and Xvnc, 1–5 ms.

use x11rb::connection::RequestConnection;
use x11rb::errors::{ConnectionError, ReplyError};
use x11rb::protocol::randr::{
    self, ConnectionExt as _, Crtc, GetCrtcInfoReply, GetScreenResourcesCurrentReply, Mode,
    ModeFlag, ModeInfo, NotifyMask, Output, Rotation, SetConfig,
};
use x11rb::protocol::xproto::Window;
use x11rb::x11_utils::X11Error;

use super::connect::Link;
use super::types::ResizeError;

/// Modes of this program are known by their names.
const PREFIX: &str = "deskinit-";

/// Millimetres of so many pixels, at the 96 dpi that programs expect of a screen without a panel.
fn millimetres(pixels: u16) -> u32 {
    (u32::from(pixels) * 254 + 480) / 960
}

/// Why a resize did not happen.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection is gone.
    Lost(ConnectionError),
    /// The screen keeps its size.
    Refused(ResizeError),
}

impl From<ConnectionError> for Failure {
    fn from(e: ConnectionError) -> Self {
        Self::Lost(e)
    }
}

impl From<ReplyError> for Failure {
    fn from(e: ReplyError) -> Self {
        match e {
            ReplyError::ConnectionError(e) => Self::Lost(e),
            ReplyError::X11Error(e) => refused(describe(&e)),
        }
    }
}

fn refused(why: String) -> Failure {
    Failure::Refused(ResizeError::Refused(why))
}

fn describe(e: &X11Error) -> String {
    format!(
        "{:?} in {}",
        e.error_kind,
        e.request_name.unwrap_or("a request")
    )
}

/// Asks for notice of new sizes. False when the server is too old to be resized.
pub(super) fn watch(link: &Link, root: Window) -> Result<bool, ReplyError> {
    if link
        .extension_information(randr::X11_EXTENSION_NAME)?
        .is_none()
    {
        return Ok(false);
    }
    let version = link.randr_query_version(1, 3)?.reply()?;
    link.randr_select_input(root, NotifyMask::SCREEN_CHANGE)?
        .check()?;
    Ok((version.major_version, version.minor_version) >= (1, 3))
}

/// Gives the screen a size; `limit` is the largest that the settings allow.
pub(super) fn resize(
    link: &Link,
    root: Window,
    current: (u16, u16),
    wanted: (u16, u16),
    limit: (u16, u16),
) -> Result<(), Failure> {
    if wanted == current {
        return Ok(());
    }
    let range = link.randr_get_screen_size_range(root)?;
    let resources = link.randr_get_screen_resources_current(root)?;
    let (range, resources) = (range.reply()?, resources.reply()?);
    let min = (range.min_width.max(1), range.min_height.max(1));
    let max = (range.max_width.min(limit.0), range.max_height.min(limit.1));
    if wanted.0 < min.0 || wanted.1 < min.1 || wanted.0 > max.0 || wanted.1 > max.1 {
        return Err(Failure::Refused(ResizeError::OutOfRange { min, max }));
    }
    let monitor = Monitor::find(link, &resources)?;
    let mode = monitor.mode(link, root, &resources, wanted)?;
    let larger = (current.0.max(wanted.0), current.1.max(wanted.1));
    if larger != current {
        set_screen_size(link, root, larger)?;
    }
    if let Err(e) = monitor.set_mode(link, &resources, mode) {
        if larger != current {
            // Best effort: the old size fits the old mode.
            let _ = set_screen_size(link, root, current);
        }
        return Err(e);
    }
    if larger != wanted {
        set_screen_size(link, root, wanted)?;
    }
    monitor.forget_modes(link, &resources, mode)?;
    Ok(())
}

fn set_screen_size(link: &Link, root: Window, size: (u16, u16)) -> Result<(), Failure> {
    let (mm_width, mm_height) = (millimetres(size.0), millimetres(size.1));
    link.randr_set_screen_size(root, size.0, size.1, mm_width, mm_height)?
        .check()?;
    Ok(())
}

/// The one part of the screen that shows something.
struct Monitor {
    crtc: Crtc,
    output: Output,
    /// What the output can show, as far as the server knows.
    modes: Vec<Mode>,
}

impl Monitor {
    fn find(link: &Link, resources: &GetScreenResourcesCurrentReply) -> Result<Self, Failure> {
        let cookies: Vec<_> = resources
            .crtcs
            .iter()
            .map(|c| link.randr_get_crtc_info(*c, resources.config_timestamp))
            .collect::<Result<_, _>>()?;
        let mut crtcs: Vec<(Crtc, GetCrtcInfoReply)> = Vec::new();
        for (crtc, cookie) in resources.crtcs.iter().zip(cookies) {
            crtcs.push((*crtc, cookie.reply()?));
        }
        let unsupported = |why| Failure::Refused(ResizeError::Unsupported(why));
        let active = |(_, info): &&(Crtc, GetCrtcInfoReply)| info.mode != 0;
        if crtcs.iter().filter(active).count() > 1 {
            return Err(unsupported("it has several monitors"));
        }
        let (crtc, info) = crtcs
            .iter()
            .find(active)
            .or(crtcs.first())
            .ok_or(unsupported("it has no monitor"))?;
        let output = *info
            .outputs
            .first()
            .or(info.possible.first())
            .ok_or(unsupported("its monitor has no output"))?;
        let modes = link
            .randr_get_output_info(output, resources.config_timestamp)?
            .reply()?
            .modes;
        Ok(Self {
            crtc: *crtc,
            output,
            modes,
        })
    }

    /// A mode of this size, made and added to the output if need be.
    fn mode(
        &self,
        link: &Link,
        root: Window,
        resources: &GetScreenResourcesCurrentReply,
        (width, height): (u16, u16),
    ) -> Result<Mode, Failure> {
        let fits = |m: &&ModeInfo| (m.width, m.height) == (width, height);
        let known = |m: &&ModeInfo| self.modes.contains(&m.id);
        if let Some(mode) = resources.modes.iter().filter(fits).find(known) {
            return Ok(mode.id);
        }
        let name = format!("{PREFIX}{width}x{height}");
        let named = mode_names(resources).find(|(_, n)| *n == name.as_bytes());
        let mode = match named {
            Some((mode, _)) => mode,
            None => {
                let info = ModeInfo {
                    id: 0,
                    width,
                    height,
                    // As if refreshed 60 times a second, which is what programs look for.
                    dot_clock: u32::from(width)
                        .saturating_mul(u32::from(height))
                        .saturating_mul(60),
                    hsync_start: width,
                    hsync_end: width,
                    htotal: width,
                    hskew: 0,
                    vsync_start: height,
                    vsync_end: height,
                    vtotal: height,
                    name_len: name.len() as u16,
                    mode_flags: ModeFlag::from(0u32),
                };
                link.randr_create_mode(root, info, name.as_bytes())?
                    .reply()?
                    .mode
            }
        };
        link.randr_add_output_mode(self.output, mode)?.check()?;
        Ok(mode)
    }

    fn set_mode(
        &self,
        link: &Link,
        resources: &GetScreenResourcesCurrentReply,
        mode: Mode,
    ) -> Result<(), Failure> {
        let reply = link
            .randr_set_crtc_config(
                self.crtc,
                x11rb::CURRENT_TIME,
                resources.config_timestamp,
                0,
                0,
                mode,
                Rotation::ROTATE0,
                &[self.output],
            )?
            .reply()?;
        if reply.status == SetConfig::SUCCESS {
            Ok(())
        } else {
            Err(refused(format!("SetCrtcConfig: {:?}", reply.status)))
        }
    }

    /// Deletes the modes that this program made before, but for the one in use.
    fn forget_modes(
        &self,
        link: &Link,
        resources: &GetScreenResourcesCurrentReply,
        current: Mode,
    ) -> Result<(), ConnectionError> {
        let old = mode_names(resources)
            .filter(|(mode, name)| *mode != current && name.starts_with(PREFIX.as_bytes()));
        for (mode, _) in old {
            // Fails for one that another output uses: then it stays.
            link.randr_delete_output_mode(self.output, mode)?
                .ignore_error();
            link.randr_destroy_mode(mode)?.ignore_error();
        }
        Ok(())
    }
}

/// The modes with their names, which come as one string without separators.
fn mode_names(resources: &GetScreenResourcesCurrentReply) -> impl Iterator<Item = (Mode, &[u8])> {
    let mut names = resources.names.as_slice();
    resources.modes.iter().map_while(move |mode| {
        let name = names.split_off(..usize::from(mode.name_len))?;
        Some((mode.id, name))
    })
}
