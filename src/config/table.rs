//! The one table of settings.

/// One setting, under all its names.
#[derive(Debug)]
pub struct Setting {
    /// Canonical name: of the environment variable; in lower case of the key in the file; with dashes of the flag.
    pub name: &'static str,
    /// Other variables that mean the same; two that disagree are an error.
    pub aliases: &'static [&'static str],
    /// What holds when nobody says anything.
    pub default: Option<&'static str>,
    /// What may be given, in words.
    pub allowed: &'static str,
    /// What it does, in a sentence or two.
    pub doc: &'static str,
    /// Never printed, never on a command line; may be given as `NAME_FILE`.
    pub secret: bool,
    /// A flag without a value means true.
    pub boolean: bool,
    /// The value is a list, of which each flag, also under this name, gives a part.
    pub repeated: Option<&'static str>,
}

const NO: &[&str] = &[];

/// Rows are written as calls, so that a row is a line or three and no field is forgotten.
const fn row(
    name: &'static str,
    aliases: &'static [&'static str],
    default: Option<&'static str>,
    allowed: &'static str,
    doc: &'static str,
) -> Setting {
    Setting {
        name,
        aliases,
        default,
        allowed,
        doc,
        secret: false,
        boolean: false,
        repeated: None,
    }
}

const fn switch(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting {
        boolean: true,
        ..row(
            name,
            NO,
            Some(default),
            "1, 0, true, false, yes, no, on, off, enabled or disabled",
            doc,
        )
    }
}

const fn secret(
    name: &'static str,
    aliases: &'static [&'static str],
    doc: &'static str,
) -> Setting {
    Setting {
        secret: true,
        ..row(name, aliases, None, "a non-empty line", doc)
    }
}

/// Variables that give width and height at once, as `1920x1080`.
pub(super) const SIZE_NAMES: &[&str] = &["ABCDESKTOP_GEOMETRY", "VNC_RESOLUTION", "RESOLUTION"];

const HEX: &str = "hexadecimal digits, an even number of them";
const PORT: &str = "a port, 1 to 65535; 0 for any free one; off";

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    row(
        "APPLICATION",
        NO,
        None,
        "a command line; quotes group words",
        "The application to run; a command after `--` wins over it. When it ends, everything ends with its exit code.",
    ),
    switch(
        "DESKTOP_MODE",
        "0",
        "Let X server, display and window manager live on without an application (flag: `--desktop`).",
    ),
    switch(
        "APP_HEADLESS",
        "0",
        "The application shows no window: ready does not wait for one. Where `run` was started at a terminal, the application has it. Unset, and started there with an interactive shell (`run -- bash`): 1.",
    ),
    switch(
        "KEEP_APP_RUNNING",
        "0",
        "Start the application again when it ends, instead of ending with it.",
    ),
    row(
        "APP_NICENESS",
        NO,
        None,
        "-20 (first) to 19 (last)",
        "Priority of the application, as nice(1) has it; below 0 needs a right that containers rarely have. `nice` in `[service.app]` wins.",
    ),
    Setting {
        repeated: Some("rewrite"),
        ..row(
            "SIGNAL_REWRITE",
            NO,
            None,
            "pairs of signal numbers, as 15:2,1:0; 0 drops the first",
            "Takes one signal for another (flag: `--rewrite 15:2`, once for each pair or all in one). What was SIGTERM (15) or SIGINT (2), or becomes that, stops everything, and asks the application to end by the second of the pair; any other goes to the application.",
        )
    },
    row(
        "USER",
        NO,
        None,
        "the name of an account, or a user id",
        "`run` started as root becomes this user for good, before it starts anything, with this user's groups and without root's rights. Started as anybody else it stays who it is.",
    ),
    row(
        "USER_ID",
        &["PUID"],
        None,
        "a user id, 0 to 4294967294",
        "The same, by number; no account need exist. It wins over the number of USER's account.",
    ),
    row(
        "GROUP_ID",
        &["PGID"],
        None,
        "a group id, 0 to 4294967294",
        "The group of that user; by default that of the account, or without an account the number of the user.",
    ),
    row(
        "DISPLAY",
        NO,
        None,
        ":N, for `serve` also HOST:N",
        "The X display. Unset, `run` takes the first free number.",
    ),
    row(
        "DISPLAY_WIDTH",
        &["X11_SIZE_WIDTH"],
        Some("1280"),
        "16 to 16384 pixels",
        "Width of the screen at start. ABCDESKTOP_GEOMETRY, VNC_RESOLUTION and RESOLUTION give both sides, as 1920x1080.",
    ),
    row(
        "DISPLAY_HEIGHT",
        &["X11_SIZE_HEIGHT"],
        Some("1024"),
        "16 to 16384 pixels",
        "Height of the screen at start.",
    ),
    row(
        "MAX_SIZE",
        NO,
        Some("3840x2160"),
        "WIDTHxHEIGHT, up to 16384x16384",
        "Largest size a viewer may ask for. The X server starts with memory for it, 4 bytes a pixel; of Xvfb's the part that the screen does not use is given back.",
    ),
    row(
        "VNC_COL_DEPTH",
        NO,
        Some("24"),
        "16 or 24",
        "Depth of the screen in bits.",
    ),
    row(
        "DESKTOP_NAME",
        NO,
        Some("deskinit"),
        "text",
        "Name of the desktop, shown as title by viewers.",
    ),
    row("VNC_PORT", NO, Some("5900"), PORT, "Port for VNC viewers."),
    row(
        "NO_VNC_PORT",
        NO,
        Some("5800"),
        PORT,
        "Port for browsers: the page, the websocket, probes and metrics. Where ABCDESKTOP_RUN_DIR or ABCDESKTOP_LOG_DIR is set, 6081 by default.",
    ),
    row(
        "RFB_UNIX_SOCKET",
        NO,
        None,
        "a path; off",
        "A Unix socket for VNC viewers of the same user, who are asked for the password as anybody is. Where ABCDESKTOP_RUN_DIR or ABCDESKTOP_LOG_DIR is set, /tmp/.x11vnc by default.",
    ),
    row(
        "BIND_ADDRESS",
        NO,
        Some("0.0.0.0"),
        "IP addresses, separated by commas",
        "Where ports listen.",
    ),
    row(
        "CONTAINER_IP_ADDR",
        &["POD_IP"],
        None,
        "an IP address",
        "The container's own address. Where BIND_ADDRESS is not given, ports listen there and on 127.0.0.1 only, instead of everywhere. Where ABCDESKTOP_RUN_DIR or ABCDESKTOP_LOG_DIR is set, it is looked for, as `hostname -i` does.",
    ),
    switch(
        "DISABLE_REMOTEIP_FILTERING",
        "0",
        "Listen everywhere in spite of CONTAINER_IP_ADDR.",
    ),
    switch(
        "SECURE_CONNECTION",
        "0",
        "1: all ports but SSH_PORT listen on loopback only, to be reached through an SSH tunnel or a sidecar.",
    ),
    secret(
        "VNC_PASSWORD",
        &["VNC_PW"],
        "Password of viewers; RFB's own authentication uses its first 8 characters. Without one it is that of /var/secrets/$POD_NAMESPACE/vnc/password, if that is there; else a random token is made and shown once on the log.",
    ),
    secret(
        "VNC_VIEW_ONLY_PASSWORD",
        NO,
        "A second password whose viewers only watch.",
    ),
    switch("VNC_VIEW_ONLY", "0", "The password only watches."),
    switch(
        "ALLOW_NO_AUTH",
        "0",
        "The one way to run without authentication: anybody who reaches the ports sees and controls the desktop.",
    ),
    row(
        "SHARED",
        NO,
        Some("client"),
        "client, always or never",
        "Several viewers at once: as the viewer asks (one that asks for exclusive use ends the others), always, or never (a new one ends the others).",
    ),
    row(
        "MAX_CLIENTS",
        NO,
        Some("32"),
        "1 to 1024",
        "Viewers at the same time.",
    ),
    row(
        "MAX_DISCONNECTION_TIME",
        NO,
        Some("0"),
        "seconds; 0 for never",
        "End with code 0 when no authenticated viewer was there for that long, counted from the start too.",
    ),
    row(
        "MAX_CONNECTION_TIME",
        NO,
        Some("0"),
        "seconds; 0 for never",
        "End with code 0 when somebody has been there for that long, counted from the first viewer since nobody was.",
    ),
    row(
        "MAX_IDLE_TIME",
        NO,
        Some("0"),
        "seconds; 0 for never",
        "End with code 0 when no viewer has typed, pointed or come for that long.",
    ),
    row(
        "IDLE_TIMEOUT",
        NO,
        Some("0"),
        "seconds; 0 for never",
        "Disconnect a viewer that has not typed or pointed for that long.",
    ),
    row(
        "FREEZE_TIMEOUT",
        NO,
        Some("0"),
        "seconds; 0 for never",
        "Hold the application still (SIGSTOP, for it and all that it started) when no authenticated viewer was there for that long; it goes on when one comes. It takes no CPU meanwhile, and answers nobody. One that has shown no window yet is not ready, and goes on; under APP_HEADLESS=1 it need not show one.",
    ),
    switch(
        "START_ON_CONNECT",
        "0",
        "Start the application only when the first authenticated viewer comes. Until then everything else is ready, and says so.",
    ),
    row(
        "GRACE_PERIOD",
        NO,
        Some("8"),
        "1 to 3600 seconds",
        "Time for everything to stop after SIGTERM, before SIGKILL; half of it is for windows to close. Keep it below that of the container engine.",
    ),
    switch(
        "ALLOW_RESIZE",
        "1",
        "Viewers may change the size of the screen.",
    ),
    switch(
        "SENDCUTTEXT",
        "1",
        "The desktop's clipboard goes to viewers.",
    ),
    switch(
        "ACCEPTCUTTEXT",
        "1",
        "Viewers' clipboards go to the desktop.",
    ),
    switch(
        "SEND_PRIMARY",
        "1",
        "Text selected with the mouse (PRIMARY) goes to viewers too, not only the clipboard.",
    ),
    switch(
        "RAW_KEYBOARD",
        "0",
        "Press the physical keys that a viewer names and leave the layout to the desktop, instead of typing the characters the viewer means.",
    ),
    row(
        "MAX_FPS",
        NO,
        Some("60"),
        "1 to 240",
        "Pictures a second, at most.",
    ),
    row(
        "WEBSOCKET_HEARTBEAT",
        &["WEBSOCKIFY_HEARTBEAT", "NOVNC_HEARTBEAT"],
        Some("20"),
        "seconds; 0 for never",
        "Ping idle websockets, so that proxies do not drop them.",
    ),
    row(
        "ALLOWED_ORIGINS",
        NO,
        Some(""),
        "origins as https://host:port, separated by commas; * for any",
        "Pages of other sites that may open the websocket. The page's own site always may.",
    ),
    row(
        "ALLOWED_HOSTS",
        NO,
        Some(""),
        "host names, separated by commas; empty for any",
        "Names under which browsers may call the web port; another one that was made to point here is refused (DNS rebinding). Addresses and localhost always may.",
    ),
    row(
        "WINDOW_MANAGER",
        NO,
        Some("openbox"),
        "a command line",
        "The window manager.",
    ),
    row("XSERVER", NO, Some("Xvfb"), "a program", "The X server."),
    row(
        "XSERVER_ARGS",
        NO,
        Some(""),
        "a command line",
        "More arguments for the X server.",
    ),
    switch(
        "XSERVER_GLX",
        "1",
        "OpenGL by GLX for applications, which draw with the OpenGL of their own container. Only with `+iglx` in `XSERVER_ARGS` the X server draws for them, and takes 50 MB more.",
    ),
    row(
        "XAUTHORITY",
        NO,
        None,
        "a file",
        "`serve` and `gate` alone: the cookie file of the display.",
    ),
    row(
        "X11LISTEN",
        NO,
        Some("off"),
        "tcp; anything else is off",
        "tcp: programs of other machines reach the display by TCP at port 6000 + N of BIND_ADDRESS, through `deskinit gate`, with the cookie XAUTH_KEY. The X server itself never listens there.",
    ),
    row(
        "X11_ALLOW",
        NO,
        Some(""),
        "networks as 10.0.0.0/8 or fd00::/8, separated by commas; empty for any",
        "From where programs may come under X11LISTEN=tcp; the cookie is asked for in any case.",
    ),
    Setting {
        allowed: HEX,
        ..secret(
            "XAUTH_KEY",
            NO,
            "A cookie (MIT-MAGIC-COOKIE-1) that opens the display besides the one made for each run: for programs in other containers, which find it in their ~/.Xauthority.",
        )
    },
    row(
        "SSH_PORT",
        NO,
        None,
        "a port, 1 to 65535; off",
        "sshd at this port of BIND_ADDRESS, also under SECURE_CONNECTION: for tunnels to the other ports, by key only, for the user of the desktop, who must not be root. Unset: at port 22 when `ssh_secret/authorized_keys` is in HOME and sshd is installed. Keys are looked for there and in `.ssh/authorized_keys`.",
    ),
    row(
        "PULSEAUDIO",
        NO,
        None,
        "1, 0, true, false, yes, no, on, off, enabled or disabled",
        "A PulseAudio server for the programs of the desktop. Unset: when PULSEAUDIO_COOKIE is given, PULSE_SERVER is not, and pulseaudio is installed.",
    ),
    row(
        "PULSE_SERVER",
        NO,
        None,
        "as PulseAudio reads it",
        "The sound server of programs. Unset: our own when it runs; else, where sshd runs, tcp:localhost:34567, for a client's own by `ssh -R 34567:localhost:4713`.",
    ),
    Setting {
        allowed: "32 hexadecimal digits",
        ..secret(
            "PULSEAUDIO_COOKIE",
            NO,
            "Written 8 times to `.config/pulse/cookie` in HOME, where programs find it to show it to the sound server. Our own then also listens at TCP 4713: on loopback, under X11LISTEN=tcp at BIND_ADDRESS.",
        )
    },
    row(
        "HOME_XAUTHORITY",
        NO,
        None,
        "1, 0, true, false, yes, no, on, off, enabled or disabled",
        "The cookie of the display (XAUTH_KEY, if given) stands in ~/.Xauthority beside those of other displays while `run` lives, for containers that share the home. Unset: when XAUTH_KEY is given.",
    ),
    row(
        "BACKGROUND_COLOR",
        &["ABCDESKTOP_BG_COLOR"],
        None,
        "#rrggbb or #rgb",
        "Colour of the screen behind all windows. Where ABCDESKTOP_RUN_DIR or ABCDESKTOP_LOG_DIR is set, #6ec6f0 by default.",
    ),
    row(
        "SET_DEFAULT_WALLPAPER",
        NO,
        None,
        "a file",
        "Not shown, which the log says: a picture behind all windows is for a program that runs as a service (feh, hsetroot).",
    ),
    row(
        "UMASK",
        NO,
        None,
        "three or four octal digits, as 027",
        "Permissions that files of programs do not get. Default: as `run` was started; abcdesktop's images have 027.",
    ),
    row(
        "RUN_DIR",
        &["ABCDESKTOP_RUN_DIR"],
        None,
        "a directory",
        "Sockets and the cookie; closed to everybody else. Default: /tmp/.deskinit-UID-DISPLAY. In one that is named also start.txt (when) and supervisord.pid (the process id of `run`).",
    ),
    row(
        "SERVICES_DIR",
        NO,
        Some("/etc/deskinit/services.d"),
        "a directory",
        "Its *.toml files hold more services, as [service.NAME] tables.",
    ),
    row(
        "SUPERVISOR_CONF_DIR",
        NO,
        Some("/etc/supervisor/conf.d"),
        "a directory; off",
        "Its *.conf files hold programs as supervisord reads them; those that deskinit itself stands for are left out.",
    ),
    row(
        "LOG_DIR",
        &["ABCDESKTOP_LOG_DIR"],
        None,
        "a directory",
        "Where log files of services are whose path does not begin with /. Default: where `run` was started. When it is named, what the X server, the display server and the window manager print stands also in xserver.log, websockify.log and openbox.log there.",
    ),
    row(
        "LOG_LEVEL",
        NO,
        Some("info"),
        "error, warn, info, debug or trace",
        "How much is logged.",
    ),
    row(
        "LOG_FORMAT",
        NO,
        Some("text"),
        "text or json",
        "Form of log lines. As json each has time (seconds since 1970), service and message, those of the display server a level; what a service prints as JSON itself stays as it is.",
    ),
];

/// The setting of that canonical name.
pub fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.name == name)
}

impl Setting {
    /// The canonical name and the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// The long flag, without the two dashes.
    pub fn flag(&self) -> String {
        let flag = self.name.to_ascii_lowercase().replace('_', "-");
        if self.secret {
            return format!("{flag}-file");
        }
        flag
    }
}

/// Every variable that can hold a secret or the path of one: what children must not inherit.
pub fn secret_names() -> Vec<String> {
    SETTINGS
        .iter()
        .filter(|s| s.secret)
        .flat_map(Setting::names)
        .flat_map(|n| [n.to_owned(), format!("{n}_FILE")])
        .collect()
}

/// Every variable that this program reads as a setting: `run` takes them out of the environment of `serve` before it
/// puts in what is in force, so that a flag and an alias cannot disagree there.
pub fn all_names() -> Vec<String> {
    let mut names = secret_names();
    names.extend(SETTINGS.iter().flat_map(Setting::names).map(str::to_owned));
    names.extend(SIZE_NAMES.iter().map(|n| (*n).to_owned()));
    names
}
