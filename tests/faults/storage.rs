//! Disks that are full, that cannot be written to, that are too small; and a reader who does not read.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::desk::{Builder, Desk, LONG, is_ready, pid};
use crate::support::{TempDir, eventually};
use crate::tools::{count, does_not_spin, init, quick, send};

/// Size of a small disk, and what its memory is given out in, bytes.
const DISK: u64 = 64 << 10;
const PAGE: u64 = 4096;

/// In a mount namespace of its own, where `mounts` were made.
fn mounted(builder: Builder, mounts: &str) -> Option<Desk> {
    let script = format!("{mounts} && exec \"$@\"");
    let Some(builder) = builder.within(&["unshare", "--mount"], &script) else {
        eprintln!("skipped: no mount namespaces here");
        return None;
    };
    Some(builder.start())
}

#[test]
fn a_full_disk_costs_log_lines_that_are_counted_and_nothing_else() {
    let dir = TempDir::new();
    let disk = dir.path().display();
    let over = TempDir::new();
    let over = over.path().join("over");
    let over = over.display();
    let table = format!(
        "[service.chatter]\ncommand = [\"sh\", \"-c\", \"i=0; while [ $i -lt 4000 ]; do echo line $i of a log that is too \
         large for its disk; i=$((i+1)); done; touch {over}; exec sleep 1000\"]\nlog = \"{disk}/chatter.log\"\n\
         ready = {{ file = \"{over}\" }}\n"
    );
    let builder = quick(&["sleep", "1000"]).services(&table);
    // The directory of this run lies beside the one that becomes the small disk.
    let Some(desk) = mounted(
        builder,
        &format!("mount -t tmpfs -o size={DISK} tmpfs {disk}"),
    ) else {
        return;
    };
    let complaint = desk.line("chatter.log cannot be written to: No space left on device");
    let before = desk.when("lines are counted", LONG, |status| {
        // They may be before the application is there.
        status.dropped_lines > 500 && is_ready(status, "app")
    });
    does_not_spin(init(&desk), || std::thread::sleep(Duration::from_secs(2)));
    assert_eq!(count(&desk.lines(), "chatter.log"), 1, "{complaint}");
    let after = desk.status().unwrap();
    for name in ["xserver", "display", "app", "chatter"] {
        assert_eq!(pid(&before, name), pid(&after, name));
    }
    // Nothing more gets into the file: as its own processes see that disk.
    desk.when("all is printed", LONG, |status| is_ready(status, "chatter"));
    let file = format!("/proc/{}/root{disk}/chatter.log", init(&desk));
    let written = fs::read(file).unwrap();
    let written = written.iter().filter(|byte| **byte == b'\n').count() as u64;
    desk.signal(Signal::SIGTERM);
    let (status, lines) = desk.end();
    assert_eq!(status.code(), Some(143));
    // What waited when all was over is among the lost.
    let lost: u64 = lines
        .iter()
        .filter_map(|line| {
            line.split("; ")
                .find_map(|part| part.split_once(" lines were lost"))
        })
        .map(|(number, _)| number.parse::<u64>().unwrap())
        .sum();
    assert!(lost > 1000, "{lines:#?}");
    assert_eq!(written + lost, 4000, "{written} written: {lines:#?}");
}

#[test]
fn standard_output_on_a_full_disk_is_tried_again_and_what_was_lost_is_told() {
    let dir = TempDir::new();
    let disk = dir.path().display();
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i of a log that is too large for its disk; i=$((i+1)); done; \
                  sleep 1000";
    let mounts = format!("mount -t tmpfs -o size={DISK} tmpfs {disk} && exec >{disk}/log");
    let Some(desk) = mounted(quick(&["sh", "-c", script]), &mounts) else {
        return;
    };
    let before = desk.when("lines are counted", LONG, |status| {
        status.dropped_lines > 5000
    });
    let init = init(&desk);
    does_not_spin(init, || std::thread::sleep(Duration::from_secs(2)));
    // As its own processes see that disk.
    let log = format!("/proc/{init}/root{disk}/log");
    let make_room = || {
        let log = fs::File::options().write(true).open(&log).unwrap();
        log.set_len(0).unwrap();
    };
    make_room();
    eventually("the count of what was lost", LONG, || {
        // While it is full nothing is written: what is not there when it is read is not taken away with it either.
        let full =
            fs::metadata(&log).is_ok_and(|log| log.blocks() * 512 >= DISK && log.len() % PAGE == 0);
        let text = String::from_utf8_lossy(&fs::read(&log).ok()?).into_owned();
        if text.contains("lines were dropped") {
            return Some(());
        }
        if full {
            // With what had waited.
            make_room();
        }
        None
    });
    let after = desk.status().unwrap();
    for name in ["xserver", "display", "app"] {
        assert_eq!(pid(&before, name), pid(&after, name));
    }
    send(init, Signal::SIGTERM);
    assert_eq!(desk.code(), 143);
}

#[test]
fn a_reader_who_stops_reading_holds_nobody_up_and_is_told_what_was_dropped() {
    let script = "i=0; while [ $i -lt 60000 ]; do echo line $i; i=$((i+1)); done; sleep 1000";
    let mut desk = quick(&["sh", "-c", script]).unread().start();
    let before = desk.when("lines are dropped", LONG, |status| {
        status.dropped_lines > 1000
    });
    does_not_spin(init(&desk), || std::thread::sleep(Duration::from_secs(1)));
    let after = desk.when("all is well", LONG, |status| {
        ["xserver", "display", "app"]
            .iter()
            .all(|name| is_ready(status, name))
    });
    for name in ["xserver", "display", "app"] {
        assert_eq!(pid(&before, name), pid(&after, name));
    }
    desk.read();
    desk.line("lines were dropped");
    let counted = eventually("it has printed all", LONG, || {
        // What it starts last: `sleep`.
        let last = deskinit::sys::procfs::descendants(pid(&after, "app"));
        last.first().and(desk.status())
    });
    desk.signal(Signal::SIGTERM);
    let (_, lines) = desk.end();
    // Emitted is delivered and reported as dropped, where it was. Nobody else says anything meanwhile but the display
    // server, that input is connected, which may be among what was dropped.
    let delivered = count(&lines, "[app] line ") as u64;
    let told = lines.iter().filter_map(|line| {
        let (count, _) = line
            .strip_prefix("[run] ")?
            .split_once(" lines were dropped here")?;
        count.parse::<u64>().ok()
    });
    let told: u64 = told.sum();
    assert!(told > 1000);
    let missing = count(&lines, "input is connected") == 0;
    let emitted = 60_000 + u64::from(missing);
    assert_eq!(delivered + told, emitted, "{counted:?}");
}

#[test]
fn a_small_dev_shm_and_a_root_that_cannot_be_written_to() {
    let small = "mount -t tmpfs -o size=1m tmpfs /dev/shm";
    // All but /tmp, where the run directory and the sockets of X are.
    let locked = "mount --bind / /mnt && mount -o remount,ro,bind /mnt && mount --rbind /tmp /mnt/tmp && \
                  mount --rbind /dev /mnt/dev && mount --rbind /proc /mnt/proc && cd /mnt && exec chroot /mnt";
    let mounts = format!("{small} && {locked}");
    let script = "touch /root/x 2>/dev/null && echo written; exec xterm";
    let builder = Builder::new(&["sh", "-c", script]);
    let Some(builder) = builder.within(&["unshare", "--mount"], &format!("{mounts} \"$@\"")) else {
        eprintln!("skipped: no mount namespaces here");
        return;
    };
    let desk = builder.start();
    let status = desk.up();
    assert!(is_ready(&status, "app"));
    assert_eq!(count(&desk.lines(), "[app] written"), 0);
    desk.signal(Signal::SIGTERM);
    assert_eq!(desk.code(), 0, "xterm's own");
}
