//! Children that nobody asked for, by the thousand.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::desk::{Builder, LONG};
use crate::support::eventually;
use crate::tools::{Gate, children, crowded, init, question, quick, send};

/// A hundred times a hundred grandchildren of an application, handed to the init; they end all at once, and a service
/// with 4 among them. The application ends with 7, when it is allowed to.
struct Crowd {
    orphans: Gate,
    application: Gate,
}

const CROWD: usize = 10_000;

impl Crowd {
    fn new() -> Self {
        Self {
            orphans: Gate::new(),
            application: Gate::new(),
        }
    }

    fn builder(&self) -> Builder {
        let script = format!(
            "n=0; while [ $n -lt 100 ]; do \
             (m=0; while [ $m -lt 100 ]; do {} & m=$((m+1)); done); n=$((n+1)); done; \
             echo all are there; {}; exit 7",
            self.orphans.wait(),
            self.application.wait()
        );
        let table = format!(
            "[service.worker]\ncommand = [\"sh\", \"-c\", \"{}; exit 4\"]\nrestart = \"never\"\n",
            self.orphans.wait()
        );
        quick(&["sh", "-c", &script]).services(&table)
    }
}

fn reaped_at_once(builder: Builder, crowd: &Crowd) {
    let desk = builder.start();
    desk.line("[app] all are there");
    let init = init(&desk);
    assert!(children(init).0 >= CROWD);
    // They become zombies while nobody can reap them.
    send(init, Signal::SIGSTOP);
    crowd.orphans.open();
    eventually("all have ended", LONG, || {
        (children(init).1 >= CROWD).then_some(())
    });
    let answer = question(&desk);
    let since = Instant::now();
    send(init, Signal::SIGCONT);
    answer();
    let answered = since.elapsed();
    eventually("no zombies", LONG, || (children(init).1 == 0).then_some(()));
    let reaped = since.elapsed();
    println!("{CROWD} zombies: the status after {answered:?}, all reaped after {reaped:?}");
    assert!(reaped < Duration::from_secs(2), "{reaped:?}");
    desk.when("the end of the service was seen", LONG, |status| {
        let worker = status.services.iter().find(|one| one.name == "worker");
        worker.is_some_and(|one| one.last_exit.as_deref() == Some("code 4"))
    });
    crowd.application.open();
    let (status, lines) = desk.end();
    assert_eq!(status.code(), Some(7));
    let last = lines.last().unwrap();
    assert_eq!(last, "[run] the application has ended, code 7; exit code 7");
}

#[test]
fn ten_thousand_zombies_are_reaped_within_two_seconds() {
    let _machine = crowded();
    let crowd = Crowd::new();
    reaped_at_once(crowd.builder(), &crowd);
}

#[test]
fn ten_thousand_zombies_are_reaped_by_a_pid_1() {
    let _machine = crowded();
    let crowd = Crowd::new();
    let Some(builder) = crowd.builder().into_pid_1() else {
        eprintln!("skipped: no pid namespaces here");
        return;
    };
    reaped_at_once(builder, &crowd);
}

/// They may end while everything does.
#[test]
fn ten_thousand_orphans_do_not_outlast_the_grace_period() {
    let _machine = crowded();
    let crowd = Crowd::new();
    let desk = crowd.builder().env("GRACE_PERIOD", "20").start();
    desk.line("[app] all are there");
    let since = Instant::now();
    desk.signal(Signal::SIGTERM);
    let (status, lines) = desk.end();
    println!("stopped {CROWD} orphans in {:?}", since.elapsed());
    assert_eq!(status.code(), Some(143), "{lines:#?}");
    assert!(since.elapsed() < Duration::from_secs(21));
}
