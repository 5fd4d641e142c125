//! The operator's own services, and what the files change of the built-in ones.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use super::owners;
use super::services::{Place, XSERVER, client, own_program};
use crate::config::{
    Again, Change, Config, Extra, Fatal, LogTo, Process, Ready, Services, Vocabulary, Words,
};
use crate::roles::wait::Target;
use crate::supervisor::driver::{Errand, Launch, Probe, Readiness};
use crate::supervisor::logs::{FileSpec, Sink, Sinks};
use crate::supervisor::service::{
    After, Codes, GiveUp, Id, OnEnd, OnFatal, Patience, Proof, Restart, Spec, signal_number,
};
use crate::sys::process::{Attributes, Capabilities, Keep, Limit, Resource};

/// A command that asks whether a service is ready has an answer by then, or none.
const PROBE: Duration = Duration::from_secs(10);

/// The words of the system that the files may use.
pub(crate) fn vocabulary() -> Vocabulary {
    Vocabulary {
        resources: Words {
            known: |name| Resource::named(name).is_some(),
            all: Resource::names().collect(),
        },
        capabilities: Words {
            known: |name| Capabilities::named(name).is_some(),
            all: Capabilities::names().collect(),
        },
        signal: signal_number,
    }
}

/// What of root's rights is needed to start the services, when root has become somebody else.
pub(super) fn rights(config: &Config, services: &Services) -> Keep {
    let changed = services.changes.values();
    let extra = services.extra.iter().map(|extra| &extra.common);
    let mut all = changed.chain(extra).map(|change| &change.process);
    let special = all.any(|process| {
        process
            .capabilities
            .as_ref()
            .is_some_and(|names| !names.is_empty())
            || process.nice.is_some_and(|nice| nice < 0)
            || process.oom_score_adj.is_some()
            || !process.limits.is_empty()
    });
    if special || owners::are_named(services) || config.app_nice.is_some_and(|nice| nice < 0) {
        Keep::ForChildren
    } else {
        Keep::Nothing
    }
}

/// Puts the changes into the services that are there, and the extra ones behind them. Returns what is to be said of those
/// that are there already.
pub(super) fn add(place: &Place<'_>, services: &mut Vec<(Spec, Launch)>) -> Vec<String> {
    let mut doubles = Vec::new();
    for (spec, launch) in services.iter_mut() {
        if let Some(change) = place.services.changes.get(&*spec.name) {
            apply(change, spec, launch);
        }
    }
    let built_in = services.len();
    for extra in &place.services.extra {
        // One of supervisord's programs; tables of such a name change the part.
        if services.iter().any(|(spec, _)| *spec.name == *extra.name) {
            let name = &extra.name;
            doubles.push(format!(
                "the program {name} is not started: deskinit has a part of its own of that name"
            ));
            continue;
        }
        let find = |name: &str| {
            let index = services.iter().position(|(spec, _)| *spec.name == *name)?;
            let id = Id(index);
            // A window manager that does not come is not waited for for ever; one of the operator's own need not live
            // on once it has been ready.
            Some(if index < built_in {
                After::Ready(id)
            } else {
                After::Once(id)
            })
        };
        let bound_to = extra.bound_to.as_deref().and_then(find);
        let bound_to = bound_to.map(|after| match after {
            After::Ready(id) | After::Once(id) => id,
        });
        let mut after: Vec<After> = match &extra.after {
            Some(names) => names.iter().filter_map(|name| find(name)).collect(),
            None => vec![After::Ready(XSERVER)],
        };
        if after.is_empty() && extra.after.as_ref().is_some_and(|names| !names.is_empty()) {
            // Parts that are not there: what those would have waited for.
            after.push(After::Ready(XSERVER));
        }
        after.extend(bound_to.map(After::Ready));
        services.push(service(place, extra, after, bound_to));
    }
    doubles
}

fn service(
    place: &Place<'_>,
    extra: &Extra,
    after: Vec<After>,
    bound_to: Option<Id>,
) -> (Spec, Launch) {
    let (program, args) = extra
        .command
        .split_first()
        .map_or(("", [].as_slice()), |(program, args)| (program, args));
    let mut command = client(place, program, args);
    if extra.ready == Ready::Notify {
        let socket = OsString::from(place.dir.notify());
        command.env.push(("NOTIFY_SOCKET".into(), socket));
    }
    let mut spec = Spec {
        after,
        bound_to,
        proof: match extra.ready {
            Ready::Started => Proof::Runs,
            Ready::Lasts(time) => Proof::Lasts(time),
            _ => Proof::Told,
        },
        autostart: extra.autostart,
        part: false,
        group: extra.group.as_deref().map(Arc::from),
        ..Spec::new(&extra.name, &format!("the service {}", extra.name))
    };
    let mut launch = Launch {
        command,
        inherit: Vec::new(),
        links: Vec::new(),
        sinks: Sinks::STDOUT,
        readiness: readiness(&extra.ready),
        before_start: None,
        after_stop: None,
    };
    if let Some(owner) = &extra.owner {
        owners::hand_over(owner, place.accounts, place.who, &mut launch);
    }
    let change = &extra.common;
    if change.ends_all == Some(true) && change.restart_limit.is_none() {
        // Its end is meant, not that of its last restart.
        spec.restart = Restart::Never;
    }
    apply(change, &mut spec, &mut launch);
    (spec, launch)
}

pub(super) fn readiness(ready: &Ready) -> Readiness {
    let target = match ready {
        Ready::Started | Ready::Lasts(_) => return Readiness::Silent,
        Ready::Notify => return Readiness::Says,
        Ready::Descriptor(number) => return Readiness::Descriptor(*number),
        Ready::Log(text) => return Readiness::Line(text.as_str().into()),
        Ready::Command(words, every) => {
            return Readiness::Probe(Arc::new(Probe {
                errand: errand(words),
                every: *every,
                limit: Some(PROBE),
            }));
        }
        Ready::File(path) => Target::File(path.clone()),
        Ready::Unix(path) => Target::Unix(path.clone()),
        Ready::Tcp(host, port) => Target::Tcp(host.clone(), *port),
    };
    // It waits by itself, and is started again only when something has ended it.
    let [kind, what] = target.words();
    Readiness::Probe(Arc::new(Probe {
        errand: Errand {
            program: own_program().into(),
            args: vec!["await".into(), kind.into(), what.into()],
        },
        every: Duration::from_secs(1),
        limit: None,
    }))
}

fn errand(words: &[String]) -> Errand {
    let mut words = words.iter().map(OsString::from);
    Errand {
        program: words.next().unwrap_or_default(),
        args: words.collect(),
    }
}

fn apply(change: &Change, spec: &mut Spec, launch: &mut Launch) {
    let env = &mut launch.command.env;
    for (name, value) in &change.environment {
        env.retain(|(known, _)| **known != **name);
        env.push((name.into(), value.into()));
    }
    if let Some(signal) = change.stop_signal {
        spec.stop_signal = signal;
        spec.hears_what_came = false;
    }
    spec.stop_timeout = change.stop_timeout.or(spec.stop_timeout);
    if let Some(limit) = change.start_timeout {
        spec.patience = match spec.patience {
            Patience::GoOn(_) => Patience::GoOn(limit),
            Patience::Endless | Patience::Kill(_) => Patience::Kill(limit),
        };
    }
    if let Some(limit) = change.restart_limit {
        spec.give_up = GiveUp {
            never_ready: Some(limit),
            ready_before: Some(limit),
        };
    }
    let codes = change.exit_codes.as_ref();
    let codes = codes.map_or(Codes::ZERO, |codes| codes.iter().copied().collect());
    spec.restart = match change.restart {
        Some(Again::Never) => Restart::Never,
        Some(Again::OnFailure) => Restart::Unless(codes),
        Some(Again::Always) => Restart::Always,
        None => spec.restart,
    };
    (spec.on_end, spec.on_fatal) = match change.ends_all {
        Some(true) => (OnEnd::End, OnFatal::End),
        Some(false) => (OnEnd::Ignore, OnFatal::NotLive),
        None => (spec.on_end, spec.on_fatal),
    };
    spec.on_fatal = match change.on_fatal {
        Some(Fatal::Ignore) => OnFatal::Ignore,
        Some(Fatal::NotLive) => OnFatal::NotLive,
        Some(Fatal::End) => OnFatal::End,
        None => spec.on_fatal,
    };
    for (words, has, hook) in [
        (
            &change.before_start,
            &mut spec.before_start,
            &mut launch.before_start,
        ),
        (
            &change.after_stop,
            &mut spec.after_stop,
            &mut launch.after_stop,
        ),
    ] {
        *hook = words.as_deref().map(errand);
        *has = hook.is_some();
    }
    spec.hook_timeout = change.hook_timeout.unwrap_or(spec.hook_timeout);
    if let Some(log) = &change.log {
        launch.sinks.output = sink(log);
        launch.sinks.copy = None;
    }
    if let Some(log) = &change.error_log {
        let errors = sink(log);
        launch.sinks.errors = Some(errors).filter(|errors| *errors != launch.sinks.output);
    }
    take_over(&change.process, &mut launch.command.attributes);
}

fn sink(log: &LogTo) -> Sink {
    match log {
        LogTo::Stdout => Sink::Stdout,
        LogTo::Nowhere => Sink::Nowhere,
        LogTo::File(file) => Sink::File(FileSpec {
            path: file.path.clone(),
            max_bytes: file.max_bytes,
            backups: file.backups,
        }),
    }
}

fn take_over(process: &Process, attributes: &mut Attributes) {
    if process.directory.is_some() {
        attributes.directory.clone_from(&process.directory);
    }
    attributes.umask = process.umask.or(attributes.umask);
    attributes.nice = process.nice.or(attributes.nice);
    attributes.oom_score_adj = process.oom_score_adj.or(attributes.oom_score_adj);
    if let Some(forbidden) = process.no_new_privileges {
        attributes.no_new_privileges = forbidden;
    }
    if let Some(names) = &process.capabilities {
        let kept = names.iter().filter_map(|name| Capabilities::named(name));
        attributes.capabilities = Some(kept.fold(Capabilities::NONE, Capabilities::and));
    }
    attributes
        .limits
        .extend(process.limits.iter().filter_map(|limit| {
            Some(Limit {
                resource: Resource::named(&limit.resource)?,
                soft: limit.soft.unwrap_or(Limit::INFINITE),
                hard: limit.hard.unwrap_or(Limit::INFINITE),
            })
        }));
}
