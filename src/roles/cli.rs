//! The command line, made from the table of settings.

use super::orders::Form;
use super::say;
use crate::config::{
    Config, LogFormat, LogLevel, Mistake, Raw, SETTINGS, Services, effective, setting,
};
use crate::supervisor::link::Record;
use crate::supervisor::logs::OWN_NAME;
use crate::supervisor::plan::Order;
use crate::sys::address;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// `EX_USAGE` of sysexits: the settings are wrong; nothing was started.
pub(super) const EXIT_USAGE: u8 = 64;

/// Read when it exists and `--config` names no other file.
const DEFAULT_FILE: &str = "/etc/deskinit/deskinit.toml";

/// Runs the program; the exit code is that of the role.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(code) = super::names::run(&args) {
        return code;
    }
    let is_run = args.get(1).is_some_and(|word| word == "run");
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(e) => {
            let text = e.render();
            if e.use_stderr() {
                let text = text.to_string();
                say::err(text.trim_end());
                if is_run {
                    let first = text.lines().next().unwrap_or_default();
                    super::run::tell_kubernetes(first);
                }
                return ExitCode::from(EXIT_USAGE);
            }
            return say::all(&text.to_string());
        }
    };
    let Some((role, args)) = matches.subcommand() else {
        return ExitCode::from(EXIT_USAGE);
    };
    match role {
        "health" => super::health::run(super::health::Args {
            live: args.get_flag("live"),
            run_dir: directory(args),
        }),
        "status" => super::status::run(super::status::Args {
            services: names(args),
            follow: args.get_flag("follow"),
            json: args.get_flag("json"),
            run_dir: directory(args),
        }),
        "start" => order(Order::Start, args),
        "stop" => order(Order::Stop, args),
        "restart" => order(Order::Restart, args),
        "signal" => {
            let word = |name| args.get_one::<String>(name).map_or("", String::as_str);
            super::orders::signal(word("signal"), word("service"), form(args), directory(args))
        }
        "await" => {
            let word = |name| args.get_one::<String>(name).map_or("", String::as_str);
            super::wait::run(word("kind"), word("what"))
        }
        "logs" => record(Record::Log, args),
        "events" => record(Record::Events, args),
        "doctor" => {
            let raw = gather(args);
            let services = services(&raw);
            let parsed = Config::parse(raw).map(|(mut config, raw)| {
                command_line(args, &mut config);
                (config, raw)
            });
            super::doctor::run(args.get_flag("json"), parsed, services)
        }
        _ => configured(role, args),
    }
}

fn order(order: Order, args: &ArgMatches) -> ExitCode {
    let seconds = args.get_one::<u64>("timeout").copied().unwrap_or_default();
    let timeout = Duration::from_secs(seconds);
    super::orders::order(order, &names(args), timeout, form(args), directory(args))
}

fn names(args: &ArgMatches) -> Vec<String> {
    let names = args.get_many::<String>("services");
    names.into_iter().flatten().cloned().collect()
}

fn form(args: &ArgMatches) -> Form {
    match args.get_flag("json") {
        true => Form::Json,
        false => Form::Text,
    }
}

fn record(record: Record, args: &ArgMatches) -> ExitCode {
    let args = super::record::Args {
        service: args.get_one::<String>("service").cloned(),
        lines: args.get_one::<usize>("lines").copied().unwrap_or_default(),
        follow: args.get_flag("follow"),
        json: args.get_flag("json"),
        run_dir: directory(args),
    };
    super::record::run(record, args)
}

fn directory(args: &ArgMatches) -> Option<PathBuf> {
    args.get_one::<PathBuf>("run-dir").cloned()
}

/// A command behind `--` is the application.
fn command_line(args: &ArgMatches, config: &mut Config) {
    if let Some(words) = args.get_many::<String>("command") {
        config.application = Some(words.cloned().collect());
    }
}

/// The roles that need the settings.
fn configured(role: &str, args: &ArgMatches) -> ExitCode {
    let raw = gather(args);
    let services = match role {
        "run" | "config" => services(&raw),
        _ => Ok(Services::default()),
    };
    let parsed = Config::parse(raw).and_then(|(mut config, mut raw)| {
        if role == "run" {
            command_line(args, &mut config);
            if let Some(mistake) = config.missing_application() {
                return Err(vec![mistake]);
            }
            super::run::settle(&mut config, &mut raw);
        }
        Ok((config, raw))
    });
    let (config, raw, services) = match (parsed, services) {
        (Ok((config, raw)), Ok(services)) => (config, raw, services),
        (parsed, services) => {
            let mut mistakes = parsed.err().unwrap_or_default();
            mistakes.extend(services.err().unwrap_or_default());
            if role == "run" {
                let all: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
                super::run::tell_kubernetes(&all.join("; "));
            }
            return refuse(&mistakes);
        }
    };
    if role == "config" {
        return say::all(&effective(&raw));
    }
    let level = match config.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // As `run` calls the services that these are.
    let service = match role {
        "serve" => "display",
        "run" => OWN_NAME,
        "gate" => "gate",
        _ => "sshd",
    };
    let json = config.log_format == LogFormat::Json;
    crate::telemetry::init(level, json.then_some(service));
    match role {
        "run" => super::run::run(&config, &services, &raw),
        "gate" => super::gate::run(&config),
        "sshd" => super::sshd::run(&config),
        _ => super::serve::run(config),
    }
}

fn services(raw: &Raw) -> Result<Services, Vec<Mistake>> {
    let variables = std::env::vars_os();
    let text = variables.filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.into_string().ok()?))
    });
    Services::read(raw, &super::run::vocabulary(), text)
}

fn refuse(mistakes: &[Mistake]) -> ExitCode {
    for mistake in mistakes {
        say::err(format_args!("deskinit: {mistake}"));
    }
    say::err(
        "deskinit: nothing was started; `deskinit help run` lists the settings, `deskinit config` shows what is in force",
    );
    ExitCode::from(EXIT_USAGE)
}

/// File, environment and flags, one above the other.
fn gather(args: &ArgMatches) -> Raw {
    let mut raw = Raw::new();
    let named = args
        .get_one::<PathBuf>("config")
        .cloned()
        .or_else(|| std::env::var_os("DESKINIT_CONFIG").map(PathBuf::from));
    match &named {
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => raw.file(path, &text),
            Err(e) => raw.unreadable(path, &e),
        },
        None => {
            let path = Path::new(DEFAULT_FILE);
            raw.look_beside(path);
            match std::fs::read_to_string(path) {
                Ok(text) => raw.file(path, &text),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                // Going on without what it says could open what it closes.
                Err(e) => raw.unreadable(path, &e),
            }
        }
    }
    let lookup = |name: &str| std::env::var(name).ok();
    raw.env(lookup);
    for row in SETTINGS {
        if let Some(values) = args.try_get_many::<String>(row.name).ok().flatten() {
            let values: Vec<&str> = values.map(String::as_str).collect();
            raw.flag(row, values.join(","));
        }
    }
    if args.try_get_one::<bool>("desktop").ok().flatten() == Some(&true)
        && let Some(row) = setting("DESKTOP_MODE")
    {
        raw.flag(row, "1".to_owned());
    }
    raw.abcdesktop(lookup, address::own);
    raw
}

fn command() -> Command {
    let words = Arg::new("command")
        .value_name("COMMAND")
        .num_args(0..)
        .last(true)
        .help("The application and its arguments");
    let desktop = Arg::new("desktop")
        .long("desktop")
        .action(ArgAction::SetTrue)
        .help("Run a desktop without an application");
    let live = Arg::new("live")
        .long("live")
        .action(ArgAction::SetTrue)
        .help("Ask whether it lives: 0 unless a service was given up that everything else needs to be replaced for");
    let run_dir = Arg::new("run-dir")
        .long("run-dir")
        .value_name("DIR")
        .value_parser(clap::value_parser!(PathBuf))
        .help("The run directory, when there are several");
    let json = Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("For programs");
    let service = Arg::new("service")
        .value_name("NAME")
        .help("Only of this service");
    let services = Arg::new("services")
        .value_name("NAME")
        .num_args(1..)
        .required(true)
        .help("Services, as `deskinit status` names them");
    let timeout = Arg::new("timeout")
        .long("timeout")
        .value_name("SECONDS")
        .value_parser(clap::value_parser!(u64))
        .default_value("30")
        .help("How long to wait until it is so");
    let follow = Arg::new("follow")
        .long("follow")
        .short('f')
        .action(ArgAction::SetTrue)
        .help("Go on with what comes");
    let lines = Arg::new("lines")
        .long("lines")
        .short('n')
        .value_name("N")
        .value_parser(clap::value_parser!(usize))
        .default_value("100")
        .help("Begin with the last N");
    let order = |name: &'static str, about: &'static str| {
        let command = Command::new(name).about(about);
        command.args([&services, &timeout, &json, &run_dir])
    };
    let record = |name: &'static str, about: &'static str| {
        let command = Command::new(name).about(about);
        command.args([&service, &lines, &follow, &json, &run_dir])
    };
    let signal = Command::new("signal")
        .about("Send a signal to the main process of a service")
        .args([
            Arg::new("signal")
                .value_name("SIGNAL")
                .required(true)
                .help("Name or number"),
            service.clone().required(true),
            json.clone(),
            run_dir.clone(),
        ]);
    let settings = |c: Command| c.arg(config_file()).args(flags());
    Command::new("deskinit")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Starts an X server, a window manager and an application, and shows them to browsers and VNC viewers")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(settings(Command::new("run").about(
            "Start X server, display, window manager and application, and be their init",
        )).arg(&desktop).arg(&words))
        .subcommand(settings(Command::new("serve").about(
            "Show an X display that is already there to browsers and viewers",
        )))
        .subcommand(settings(Command::new("gate").about(
            "Let programs of other machines reach an X display of this one by TCP, with its cookie or XAUTH_KEY",
        )))
        .subcommand(settings(Command::new("config").about(
            "Print the settings in force and where each came from",
        )))
        .subcommand(Command::new("health").about("Exit 0 when the desktop is ready, for probes").arg(live).arg(run_dir.clone()))
        .subcommand(Command::new("status").about("What runs, and since when").args([
            &services.clone().required(false).num_args(0..),
            &follow,
            &json,
            &run_dir,
        ]))
        .subcommand(order("start", "Start a service that does not run, and what it needs"))
        .subcommand(order("stop", "Stop a service until it is started again"))
        .subcommand(order("restart", "Stop a service and start it again"))
        .subcommand(signal)
        .subcommand(settings(Command::new("sshd").hide(true).about("The service sshd of a run")))
        .subcommand(Command::new("await").hide(true).about("Wait until something is there").args([
            Arg::new("kind").required(true).value_parser(["file", "unix", "tcp"]),
            Arg::new("what").required(true),
        ]))
        .subcommand(record("logs", "What the services printed lately"))
        .subcommand(record("events", "What became of the services lately"))
        .subcommand(settings(Command::new("doctor").about(
            "Look for what is wrong with the container, before or during a run; exit 1 when something is",
        )).args([json, desktop, words]))
}

fn config_file() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Settings as TOML, keys in lower case [default: /etc/deskinit/deskinit.toml if it exists]")
}

fn flags() -> impl Iterator<Item = Arg> {
    SETTINGS.iter().map(|row| {
        let mut help = format!("{} [{}]", row.doc, row.allowed);
        if row.secret {
            help.push_str(" [file]");
        }
        if let Some(default) = row.default.filter(|d| !d.is_empty()) {
            help = format!("{help} [default: {default}]");
        }
        let arg = Arg::new(row.name)
            .long(row.flag())
            .value_name(if row.secret { "FILE" } else { "VALUE" })
            .help(help)
            .hide_short_help(false);
        if row.boolean {
            arg.num_args(0..=1)
                .require_equals(true)
                .default_missing_value("1")
        } else if let Some(name) = row.repeated {
            arg.visible_alias(name).action(ArgAction::Append)
        } else {
            arg
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn flags_win_and_switches_need_no_value() {
        let matches = command()
            .try_get_matches_from([
                "deskinit",
                "run",
                "--vnc-port",
                "7",
                "--vnc-view-only",
                "--rewrite=15:2",
                "--signal-rewrite",
                "1:0,3:15",
                "--",
                "a",
                "-b",
            ])
            .unwrap();
        let (_, args) = matches.subcommand().unwrap();
        let (config, _) = Config::parse(gather(args)).unwrap();
        assert_eq!(config.vnc_port, Some(7));
        assert!(config.view_only);
        assert_eq!(config.signal_rewrite, [(15, 2), (1, 0), (3, 15)]);
        let words: Vec<_> = args.get_many::<String>("command").unwrap().collect();
        assert_eq!(words, ["a", "-b"]);
    }
}
