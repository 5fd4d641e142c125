//! The settings as the rest of the program uses them.

use super::listen::Addresses;
use super::network::Network;
use super::parse::{color, hosts, networks, origins, path, rewrites, seconds, umask};
use super::reader::{self, Reader};
use super::secret::{Key, Secret};
use super::source::{Mistake, Raw};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that is in force.
#[derive(Clone, Debug)]
pub struct Config {
    /// The application's words; `None` only in desktop mode or for roles that start none.
    pub application: Option<Vec<String>>,
    /// Live on without an application.
    pub desktop_mode: bool,
    /// The application shows no window.
    pub app_headless: bool,
    /// Signals taken for others; 0 drops the first.
    pub signal_rewrite: Vec<(i32, i32)>,
    /// The application's priority, -20 to 19.
    pub app_nice: Option<i32>,
    /// Name or number of the user to become.
    pub user: Option<String>,
    /// The number of that user.
    pub user_id: Option<u32>,
    /// The number of its group.
    pub group_id: Option<u32>,
    /// Restart the application instead of ending with it.
    pub keep_app_running: bool,
    /// The X display, when one was named.
    pub display: Option<DisplayName>,
    /// Screen size at start, in pixels.
    pub size: (u16, u16),
    /// Largest screen size, in pixels; at least `size`.
    pub max_size: (u16, u16),
    /// 16 or 24.
    pub depth: u8,
    /// Title for viewers; no control characters.
    pub desktop_name: String,
    /// Port for VNC viewers: `None` is off, 0 any free one.
    pub vnc_port: Option<u16>,
    /// Port for browsers: `None` is off, 0 any free one.
    pub web_port: Option<u16>,
    /// A Unix socket for VNC viewers.
    pub rfb_unix_socket: Option<PathBuf>,
    /// Where they listen; loopback only under SECURE_CONNECTION.
    pub bind: Vec<IpAddr>,
    /// SECURE_CONNECTION was asked for.
    pub secure_connection: bool,
    /// Password of viewers.
    pub password: Option<Secret>,
    /// Password of viewers who only watch.
    pub view_only_password: Option<Secret>,
    /// The first password only watches.
    pub view_only: bool,
    /// No authentication at all.
    pub allow_no_auth: bool,
    /// Several viewers at once.
    pub sharing: Sharing,
    /// Viewers at the same time.
    pub max_clients: usize,
    /// End after this long without a viewer.
    pub max_disconnection_time: Option<Duration>,
    /// End after this long with viewers.
    pub max_connection_time: Option<Duration>,
    /// End after this long without input of a viewer.
    pub max_idle_time: Option<Duration>,
    /// Hold the application still after this long without a viewer.
    pub freeze_timeout: Option<Duration>,
    /// Start the application when the first viewer comes.
    pub start_on_connect: bool,
    /// A viewer that neither types nor points for so long is disconnected.
    pub idle_timeout: Option<Duration>,
    /// From SIGTERM to SIGKILL.
    pub grace_period: Duration,
    /// Viewers may resize the screen.
    pub allow_resize: bool,
    /// Clipboard: desktop to viewers.
    pub send_cut_text: bool,
    /// Clipboard: viewers to desktop.
    pub accept_cut_text: bool,
    /// PRIMARY goes to viewers too.
    pub send_primary: bool,
    /// Physical keys instead of characters.
    pub raw_keyboard: bool,
    /// Pictures a second, at most.
    pub max_fps: u16,
    /// Websocket pings.
    pub heartbeat: Option<Duration>,
    /// Foreign pages that may connect; `*` is any.
    pub allowed_origins: Vec<String>,
    /// Names of the web port; empty for any.
    pub allowed_hosts: Vec<String>,
    /// The window manager's words.
    pub window_manager: Vec<String>,
    /// The X server's program.
    pub xserver: String,
    /// More arguments for it.
    pub xserver_args: Vec<String>,
    /// The X server offers the GLX extension.
    pub xserver_glx: bool,
    /// Where sshd listens.
    pub ssh_port: SshPort,
    /// At which addresses: SECURE_CONNECTION is about what is reached through it.
    pub ssh_bind: Vec<IpAddr>,
    /// A sound server of our own.
    pub sound: Sound,
    /// The sound server of programs, where one was named.
    pub pulse_server: Option<String>,
    /// The content of PulseAudio's cookie file, but for its repetition.
    pub pulse_cookie: Option<Secret>,
    /// Others reach the display by TCP.
    pub x11_tcp: bool,
    /// From where; empty for anywhere.
    pub x11_allow: Vec<Network>,
    /// A cookie of the operator's for the display.
    pub xauth_key: Option<Key>,
    /// The cookie also stands in the home directory.
    pub home_xauthority: bool,
    /// Red, green and blue behind all windows.
    pub background: Option<(u8, u8, u8)>,
    /// A picture behind all windows was asked for, which there is not.
    pub wallpaper: Option<String>,
    /// Permissions that files of programs do not get.
    pub umask: Option<u32>,
    /// Cookie file of a display that somebody else started.
    pub xauthority: Option<PathBuf>,
    /// Where sockets are; `None` for the default.
    pub run_dir: Option<PathBuf>,
    /// Where log files are; `None` for where we were started.
    pub log_dir: Option<PathBuf>,
    /// How much is logged.
    pub log_level: LogLevel,
    /// In which form.
    pub log_format: LogFormat,
}

/// `[host]:N[.screen]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName {
    /// Empty for a local display.
    pub host: String,
    /// The display number.
    pub number: u16,
}

impl DisplayName {
    /// Parses the usual form of `DISPLAY`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, rest) = text.rsplit_once(':')?;
        let number = match rest.split_once('.') {
            Some((number, screen)) => {
                screen.parse::<u16>().ok()?;
                number
            }
            None => rest,
        };
        if host.contains(char::is_whitespace) {
            return None;
        }
        // Beyond this the TCP port 6000 + N would not exist.
        let number = number.parse().ok().filter(|n| *n <= 59_535)?;
        Some(Self {
            host: host.to_owned(),
            number,
        })
    }
}

impl std::fmt::Display for DisplayName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.number)
    }
}

/// Whether sshd is started, and at which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SshPort {
    /// At the usual one when keys are mounted.
    WithKeys,
    /// Never.
    Off,
    /// At this one.
    On(u16),
}

/// Whether a sound server is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    /// When there is a cookie for it, and no other server was named.
    WithCookie,
    /// Never.
    Off,
    /// Always.
    On,
}

/// What happens to the viewers who are there when another comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// What the new viewer asks for.
    Client,
    /// They stay.
    Always,
    /// They go.
    Never,
}

/// Log levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors: one object a line.
    Json,
}

impl Config {
    /// Parses all values; `Err` holds every mistake, not only the first.
    ///
    /// Nothing here is fatal for a role that does not use it: what only one role needs (an application, say) that role
    /// checks with [`Config::missing_application`].
    pub fn parse(raw: Raw) -> Result<(Self, Raw), Vec<Mistake>> {
        let mut r = Reader::new(raw);
        let config = Self::read(&mut r);
        let (raw, mistakes) = r.finish();
        if mistakes.is_empty() {
            Ok((config, raw))
        } else {
            Err(mistakes)
        }
    }

    fn read(r: &mut Reader) -> Self {
        let size = (
            r.or("DISPLAY_WIDTH", 1280, reader::side),
            r.or("DISPLAY_HEIGHT", 1024, reader::side),
        );
        let max = r.or("MAX_SIZE", (3840, 2160), reader::size);
        if r.given("MAX_SIZE") && (max.0 < size.0 || max.1 < size.1) {
            r.mistake(format!(
                "MAX_SIZE={}x{}: is smaller than the screen at start ({}x{})",
                max.0, max.1, size.0, size.1
            ));
        }
        let listen = Addresses::read(r);
        let allow_no_auth = r.switch("ALLOW_NO_AUTH");
        let password = r.secret("VNC_PASSWORD");
        let view_only_password = r.secret("VNC_VIEW_ONLY_PASSWORD");
        if allow_no_auth && (password.is_some() || view_only_password.is_some()) {
            r.mistake("ALLOW_NO_AUTH=1: a password is set too; unset one of them".to_owned());
        }
        let cut = |s: &Secret| s.expose().bytes().take(8).collect::<Vec<_>>();
        if let (Some(a), Some(b)) = (&password, &view_only_password)
            && cut(a) == cut(b)
        {
            r.mistake("VNC_VIEW_ONLY_PASSWORD: has the same first 8 characters as VNC_PASSWORD, which are all that RFB compares".to_owned());
        }
        let xauth_key = r.key("XAUTH_KEY");
        Self {
            application: r.command("APPLICATION").filter(|words| !words.is_empty()),
            desktop_mode: r.switch("DESKTOP_MODE"),
            app_headless: r.switch("APP_HEADLESS"),
            app_nice: r.value("APP_NICENESS", |v| {
                v.parse().ok().filter(|n| (-20..=19).contains(n))
            }),
            signal_rewrite: r.or("SIGNAL_REWRITE", Vec::new(), rewrites),
            user: r.or("USER", None, |v| {
                Some((!v.is_empty()).then(|| v.to_owned()))
            }),
            user_id: r.value("USER_ID", reader::id),
            group_id: r.value("GROUP_ID", reader::id),
            keep_app_running: r.switch("KEEP_APP_RUNNING"),
            display: r.value("DISPLAY", DisplayName::parse),
            size,
            max_size: (max.0.max(size.0), max.1.max(size.1)),
            depth: r.or("VNC_COL_DEPTH", 24, |v| {
                v.parse().ok().filter(|d| matches!(d, 16 | 24))
            }),
            desktop_name: r.or("DESKTOP_NAME", String::new(), |v| {
                Some(v.chars().filter(|c| !c.is_control()).take(255).collect())
            }),
            vnc_port: r.or("VNC_PORT", None, reader::port),
            web_port: r.or("NO_VNC_PORT", None, reader::port),
            rfb_unix_socket: r.or("RFB_UNIX_SOCKET", None, |v| match v {
                "off" => Some(None),
                name => path(name).map(Some),
            }),
            bind: listen.inside,
            secure_connection: listen.secure,
            password,
            view_only_password,
            view_only: r.switch("VNC_VIEW_ONLY"),
            allow_no_auth,
            sharing: r.or("SHARED", Sharing::Client, |v| match v {
                "client" => Some(Sharing::Client),
                "always" => Some(Sharing::Always),
                "never" => Some(Sharing::Never),
                _ => None,
            }),
            max_clients: r.or("MAX_CLIENTS", 32, |v| {
                v.parse().ok().filter(|n| (1..=1024).contains(n))
            }),
            max_disconnection_time: r.or("MAX_DISCONNECTION_TIME", None, seconds),
            max_connection_time: r.or("MAX_CONNECTION_TIME", None, seconds),
            max_idle_time: r.or("MAX_IDLE_TIME", None, seconds),
            freeze_timeout: r.or("FREEZE_TIMEOUT", None, seconds),
            start_on_connect: r.switch("START_ON_CONNECT"),
            idle_timeout: r.or("IDLE_TIMEOUT", None, seconds),
            grace_period: r
                .or("GRACE_PERIOD", None, |v| {
                    seconds(v).filter(|s| s.is_some_and(|s| s.as_secs() <= 3600))
                })
                .unwrap_or(Duration::from_secs(8)),
            allow_resize: r.switch("ALLOW_RESIZE"),
            send_cut_text: r.switch("SENDCUTTEXT"),
            accept_cut_text: r.switch("ACCEPTCUTTEXT"),
            send_primary: r.switch("SEND_PRIMARY"),
            raw_keyboard: r.switch("RAW_KEYBOARD"),
            max_fps: r.or("MAX_FPS", 60, |v| {
                v.parse().ok().filter(|n| (1..=240).contains(n))
            }),
            heartbeat: r.or("WEBSOCKET_HEARTBEAT", None, seconds),
            allowed_origins: r.or("ALLOWED_ORIGINS", Vec::new(), origins),
            allowed_hosts: r.or("ALLOWED_HOSTS", Vec::new(), hosts),
            window_manager: r.command("WINDOW_MANAGER").unwrap_or_default(),
            xserver: r.or("XSERVER", String::new(), |v| {
                (!v.is_empty()).then(|| v.to_owned())
            }),
            xserver_args: r.command("XSERVER_ARGS").unwrap_or_default(),
            xserver_glx: r.switch("XSERVER_GLX"),
            ssh_port: r.or("SSH_PORT", SshPort::WithKeys, |v| match reader::port(v)? {
                None => Some(SshPort::Off),
                Some(0) => None,
                Some(port) => Some(SshPort::On(port)),
            }),
            ssh_bind: listen.outside,
            sound: r.or("PULSEAUDIO", Sound::WithCookie, |v| {
                Some(if reader::boolean(v)? {
                    Sound::On
                } else {
                    Sound::Off
                })
            }),
            pulse_server: r.value("PULSE_SERVER", |v| (!v.is_empty()).then(|| v.to_owned())),
            pulse_cookie: pulse_cookie(r),
            x11_tcp: r.or("X11LISTEN", false, |v| Some(v.eq_ignore_ascii_case("tcp"))),
            x11_allow: r.or("X11_ALLOW", Vec::new(), networks),
            home_xauthority: r
                .value("HOME_XAUTHORITY", reader::boolean)
                .unwrap_or(xauth_key.is_some()),
            xauth_key,
            background: r.value("BACKGROUND_COLOR", color),
            wallpaper: r.value("SET_DEFAULT_WALLPAPER", |v| Some(v.to_owned())),
            umask: r.value("UMASK", umask),
            xauthority: r.value("XAUTHORITY", path),
            run_dir: r.value("RUN_DIR", path),
            log_dir: r.value("LOG_DIR", path),
            log_level: r.or("LOG_LEVEL", LogLevel::Info, |v| match v {
                "error" => Some(LogLevel::Error),
                "warn" => Some(LogLevel::Warn),
                "info" => Some(LogLevel::Info),
                "debug" => Some(LogLevel::Debug),
                "trace" => Some(LogLevel::Trace),
                _ => None,
            }),
            log_format: r.or("LOG_FORMAT", LogFormat::Text, |v| match v {
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                _ => None,
            }),
        }
    }

    /// The mistake of asking for nothing to run.
    pub fn missing_application(&self) -> Option<Mistake> {
        (self.application.is_none() && !self.desktop_mode).then(|| {
            Mistake("APPLICATION: nothing to run; name a command (deskinit run -- COMMAND…), set APPLICATION, or ask for a desktop without one (--desktop or DESKTOP_MODE=1)".to_owned())
        })
    }

    /// `run` started as root is to become somebody else.
    pub fn names_another_user(&self) -> bool {
        match (self.user_id, self.user.as_deref()) {
            (Some(id), _) => id != 0,
            (None, user) => user.is_some_and(|user| user != "root" && user != "0"),
        }
    }

    /// True when the password is longer than RFB's own authentication uses.
    pub fn password_is_cut(&self) -> bool {
        [&self.password, &self.view_only_password]
            .into_iter()
            .flatten()
            .any(|s| s.expose().len() > 8)
    }
}

/// The very digits, for PulseAudio compares these, not what they stand for.
fn pulse_cookie(r: &mut Reader) -> Option<Secret> {
    let text = r.secret("PULSEAUDIO_COOKIE")?;
    let fine = text.expose().len() == 32 && text.expose().chars().all(|c| c.is_ascii_hexdigit());
    if !fine {
        r.mistake("PULSEAUDIO_COOKIE: expected 32 hexadecimal digits".to_owned());
    }
    fine.then_some(text)
}

#[cfg(test)]
mod tests;
