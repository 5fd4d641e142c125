//! Services that crash again and again: the pause between two starts grows, and everybody is told the truth meanwhile.

use std::process::Command;

use deskinit::supervisor::link::{Phase, ServiceState};

use crate::support::TempDir;
use crate::support::desk::{Builder, DESKINIT, LONG, is_ready, pid};
use crate::tools::events;

/// Seconds from each start to the next: what the pause is, besides what a start takes.
fn pauses(times: &[f64]) {
    let steps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    println!("seconds from start to start: {steps:.2?}");
    for (step, pause) in steps.iter().zip([0.0, 0.5, 1.0, 2.0, 4.0]) {
        assert!(*step >= pause && *step < pause + 0.7, "{steps:?}");
    }
}

#[test]
fn an_application_in_a_crash_loop_is_tried_with_growing_pauses_and_probes_say_so() {
    let dir = TempDir::new();
    let mended = dir.path().join("mended");
    let script = format!("test -e {} && exec xterm; exit 1", mended.display());
    let desk = Builder::new(&["sh", "-c", &script])
        .env("KEEP_APP_RUNNING", "1")
        .start();
    let starts = events(&desk, "app").filter(|entry| entry.state == Some(ServiceState::Starting));
    let times: Vec<f64> = starts.take(5).map(|entry| entry.time).collect();
    pauses(&times);
    let status = desk.when("it is told", LONG, |status| {
        let said = &status.message;
        said.contains("the application has ended, code 1, starting it again")
    });
    assert_eq!(status.phase, Phase::Starting);
    let health = || {
        let mut command = Command::new(DESKINIT);
        let command = command.args(["health", "--run-dir"]).arg(desk.run_dir());
        command.output().unwrap().status.code()
    };
    assert_eq!(health(), Some(1));
    let answer = desk.get("/readyz");
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("application"), "{}", answer.body);
    assert_eq!(desk.get("/startupz").status, 503);
    assert_eq!(
        desk.get("/livez").status,
        200,
        "another container would not do better"
    );
    std::fs::write(&mended, "").unwrap();
    let after = desk.up();
    assert_eq!(desk.get("/readyz").status, 200);
    assert_eq!(health(), Some(0));
    for name in ["xserver", "display", "wm"] {
        assert_eq!(pid(&status, name), pid(&after, name));
    }
}

#[test]
fn a_service_in_a_crash_loop_leaves_the_desktop_as_it_is() {
    let desk = Builder::new(&["xterm"])
        .services("[service.loop]\ncommand = \"sh -c 'exit 1'\"\n")
        .start();
    let starts = events(&desk, "loop").filter(|entry| entry.state == Some(ServiceState::Ready));
    let times: Vec<f64> = starts.take(5).map(|entry| entry.time).collect();
    pauses(&times);
    desk.when("it is told", LONG, |status| {
        let said = &status.message;
        is_ready(status, "app")
            && said.contains("the service loop has ended, code 1, starting it again")
    });
    assert_eq!(desk.get("/readyz").status, 200);
    assert_eq!(desk.get("/livez").status, 200);
}
