//! Several viewers at once: who stays, who goes, and that nobody waits for another.

use std::time::{Duration, Instant};

use super::resize::{prepare, viewer};
use super::{EXTRAS, SOON, Stage, shows};
use crate::support::client::{Client, Login};
use crate::support::decode::number;
use crate::support::draw::{Painter, Random};
use crate::support::pictures::picture;
use crate::support::pseudo::number as pseudo;
use crate::support::serve::PASSWORD;
use crate::support::xvfb;
use deskinit::pixel::Rect;

fn exclusive(stage: &Stage) -> Client {
    let login = Login {
        shared: false,
        ..Login::password(PASSWORD)
    };
    stage.serve.login(&login).expect("logs in")
}

/// Waits for the end of a connection.
fn is_closed(client: &mut Client) -> bool {
    let end = Instant::now() + SOON;
    while Instant::now() < end {
        if client.event(Duration::from_millis(100)).is_err() {
            return true;
        }
    }
    false
}

fn works(stage: &Stage, client: &mut Client) {
    stage.put(&picture(64, 48, 7, 4), 10, 10);
    stage.follow(client);
}

#[test]
fn viewers_share_until_one_wants_the_desktop_alone() {
    let stage = Stage::new((320, 200), &[]);
    let (mut one, mut two) = (viewer(&stage), viewer(&stage));
    works(&stage, &mut one);
    works(&stage, &mut two);
    let mark = stage.serve.mark();
    let mut alone = exclusive(&stage);
    prepare(&mut alone);
    assert!(is_closed(&mut one) && is_closed(&mut two));
    stage.serve.line(mark, &["disconnected", "for itself"]);
    works(&stage, &mut alone);
    // It may be joined later.
    let mut later = viewer(&stage);
    works(&stage, &mut later);
    works(&stage, &mut alone);
    stage.serve.viewers(2);
}

#[test]
fn one_who_only_watches_ends_nobody() {
    let stage = Stage::new((320, 200), &[("VNC_VIEW_ONLY_PASSWORD", "watch")]);
    let mut full = viewer(&stage);
    let login = Login {
        shared: false,
        ..Login::password("watch")
    };
    let mut watcher = stage.serve.login(&login).expect("logs in");
    prepare(&mut watcher);
    works(&stage, &mut full);
    works(&stage, &mut watcher);
}

#[test]
fn the_operator_decides_who_shares() {
    let never = Stage::new((320, 200), &[("SHARED", "never")]);
    let mut one = viewer(&never);
    let mut two = viewer(&never);
    assert!(is_closed(&mut one));
    works(&never, &mut two);
    drop(never);

    let always = Stage::new((320, 200), &[("SHARED", "always"), ("MAX_CLIENTS", "2")]);
    let mut one = viewer(&always);
    let mut two = exclusive(&always);
    prepare(&mut two);
    works(&always, &mut one);
    let mark = always.serve.mark();
    // A third one is let in by its password and sent away by the limit.
    if let Ok(mut three) = always.serve.login(&Login::password(PASSWORD)) {
        assert!(is_closed(&mut three));
    }
    always.serve.line(mark, &["WARN", "MAX_CLIENTS"]);
    works(&always, &mut two);
    drop(one);
    always.serve.viewers(1);
    let mut again = viewer(&always);
    works(&always, &mut again);
}

/// Something like a page that is read: text and photos that scroll by.
fn browse(stage: &Stage, random: &mut Random, steps: u16) {
    let painter = Painter::on(&stage.link, stage.root);
    for step in 0..steps {
        painter.copy((0, 60), (0, 0), 1920, 1020);
        painter.fill(0xffffff, 0, 1020, 1920, 60);
        for _ in 0..40 {
            painter.fill(
                0x202020,
                random.below_u16(1900),
                1020 + random.below_u16(50),
                6,
                9,
            );
        }
        if step % 4 == 0 {
            let photo = picture(400, 300, u64::from(random.next()), 10);
            stage.put(&photo, random.below_u16(1500) as i16, 700);
        }
        xvfb::sync(&stage.link);
    }
}

#[test]
fn memory_is_bounded_and_a_viewer_that_never_reads_holds_nobody_up() {
    let stage = Stage::new((1920, 1080), &[]);
    stage.put(&picture(1920, 1080, 3, 60), 0, 0);
    let connect = || {
        let mut client = stage.serve.viewer();
        let list = [
            &[number::TIGHT, pseudo::quality(6), pseudo::compress(2)][..],
            &EXTRAS,
        ];
        client.set_encodings(&list.concat()).expect("connected");
        client.request_all(false).expect("connected");
        let all = Rect::sized(1920, 1080);
        client.continuous_updates(true, all).expect("connected");
        client
    };
    let mut random = Random::new(11);
    let mut fast = connect();
    for _ in 0..6 {
        browse(&stage, &mut random, 8);
        fast.event(SOON).expect("connected");
    }
    stage.follow(&mut fast);
    let one = stage.serve.memory("VmHWM");
    println!(
        "worker with one viewer: {} KiB, its peak {one} KiB",
        stage.serve.memory("VmRSS")
    );

    let stalled = connect();
    let before = fast.counts().updates;
    for _ in 0..6 {
        browse(&stage, &mut random, 8);
        let screen = stage.screen();
        fast.until(SOON, |c| shows(c, &screen))
            .expect("the fast one has it");
    }
    assert!(fast.counts().updates >= before + 6);
    let two = stage.serve.memory("VmHWM");
    println!(
        "with a stalled one beside: {} KiB, its peak {two} KiB",
        stage.serve.memory("VmRSS")
    );
    assert!(one < 40 * 1024, "one viewer: {one} KiB");
    assert!(two < 60 * 1024, "one of two stalled: {two} KiB");
    drop(stalled);
    stage.serve.viewers(1);
}
