//! An init lives for months: what comes and goes leaves nothing behind in it.

use std::time::Instant;

use deskinit::supervisor::link::Status;

use crate::support::desk::{Desk, LONG, is_ready, pid};
use crate::support::eventually;
use crate::tools::{Gate, children, crowded, descriptors, init, memory, quick, restart};

/// PID 1 takes no more than this.
const MOST: u64 = 8 << 20;
/// What an allocator may hold more or less of without anything being kept.
const SLACK: u64 = 128 << 10;
const CHILDREN: usize = 50_000;

/// Bytes and descriptors of an init that has nothing to do.
fn holds(desk: &Desk) -> (u64, usize) {
    let init = init(desk);
    eventually("all are reaped, nobody asks", LONG, || {
        let now = (memory(init), descriptors(init));
        std::thread::sleep(std::time::Duration::from_millis(50));
        let quiet = children(init).1 == 0 && now == (memory(init), descriptors(init));
        quiet.then_some(now)
    })
}

fn the_same(before: (u64, usize), after: (u64, usize)) {
    assert_eq!(before.1, after.1);
    assert!(after.0 < before.0 + SLACK, "{before:?} {after:?}");
    assert!(after.0 < MOST, "{after:?}");
}

#[test]
fn children_by_the_thousand_leave_nothing_behind_in_the_init() {
    let _machine = crowded();
    let orphans = |count: usize| {
        format!(
            "n=0; while [ $n -lt {} ]; do \
             (m=0; while [ $m -lt 100 ]; do : & m=$((m+1)); done); n=$((n+1)); done",
            count / 100
        )
    };
    let go = Gate::new();
    let script = format!(
        "{}; echo warm; {}; {}; echo over; sleep 1000",
        orphans(2_000),
        go.wait(),
        orphans(CHILDREN)
    );
    let desk = quick(&["sh", "-c", &script]).start();
    desk.line("[app] warm");
    let before = holds(&desk);
    let since = Instant::now();
    go.open();
    desk.line("[app] over");
    let after = holds(&desk);
    println!(
        "{CHILDREN} orphans in {:?}: {before:?} bytes and descriptors, then {after:?}",
        since.elapsed()
    );
    the_same(before, after);
}

#[test]
fn a_thousand_restarts_leave_nothing_behind_in_the_init() {
    let _machine = crowded();
    // What is kept of the log is bounded; it is full before anything is measured.
    let script = "i=0; while [ $i -lt 4000 ]; do echo $i: a line of which the last ones are kept, and no others; \
                  i=$((i+1)); done; echo warm; sleep 1000";
    let desk = quick(&["sh", "-c", script])
        .services("[service.extra]\ncommand = \"sleep 1000\"\n")
        .start();
    desk.line("[app] warm");
    let mut status = desk.when("the service runs", LONG, |status| is_ready(status, "extra"));
    let mut churn = |times: usize| {
        for _ in 0..times {
            let old = pid(&status, "extra");
            restart(&desk, "extra");
            status = desk.when("another one", LONG, |status: &Status| {
                is_ready(status, "extra") && pid(status, "extra") != old
            });
        }
    };
    // The record of events, too.
    churn(400);
    let before = holds(&desk);
    let since = Instant::now();
    churn(1000);
    let after = holds(&desk);
    println!(
        "1000 restarts in {:?}: {before:?} bytes and descriptors, then {after:?}",
        since.elapsed()
    );
    the_same(before, after);
}
