use super::*;
use crate::rfb::flow::Flow;
use std::time::Instant;

const VIDEO: u64 = 1280 * 720;

/// Bytes of a picture that has 136 kB at level 6; real ones are not quite as the table says.
fn encoded(fit: Fit, error: f64) -> u64 {
    let step = fit.quality.map_or(LEVEL_0 + 9, JpegQuality::steps);
    let (size, level_6) = (SIZES[usize::from(step)], SIZES[usize::from(LEVEL_0 + 6)]);
    (fit.pixels as f64 * 0.148 * size / level_6 * error) as u64
}

fn link(rate: Option<f64>) -> Link {
    Link {
        rate,
        ..Link::default()
    }
}

/// As many pixels as that, of a photo that plays.
const fn of(pixels: u64) -> Picture {
    Picture {
        pixels,
        plays: pixels,
        around: 0,
    }
}

fn play(control: &mut Control, rate: Option<f64>, pixels: u64, frames: usize) -> (Fit, u64) {
    let wanted = Some(JpegQuality::of_level(6));
    let mut last = (control.fit(wanted, of(pixels), &link(rate)), 0);
    for frame in 0..frames {
        let fit = control.fit(wanted, of(pixels), &link(rate));
        let bytes = encoded(fit, [0.8, 1.0, 1.2][frame % 3]);
        control.observe(fit.quality, false, fit.pixels, fit.pixels, bytes);
        last = (fit, bytes);
    }
    last
}

#[test]
fn a_video_gets_coarse_rather_than_cut_and_recovers() {
    let mut control = Control::default();
    let (fit, bytes) = play(&mut control, Some(200e3), VIDEO, 20);
    assert_eq!(fit.pixels, VIDEO, "whole");
    assert!(
        bytes <= 55_000,
        "{bytes} bytes are more than a quarter of a second"
    );
    assert!(bytes >= 15_000, "{bytes} bytes: coarser than need be");
    let (fit, _) = play(&mut control, Some(10e6), VIDEO, 20);
    assert_eq!(fit.quality, Some(JpegQuality::of_level(6)));
    let (fit, _) = play(&mut control, None, VIDEO, 1);
    assert_eq!(fit.quality, Some(JpegQuality::of_level(6)));
}

/// A cartoon, which is 0.3 bytes a pixel without loss whatever the level, and half of a photo's as JPEG.
fn draw(control: &mut Control, what: Picture, rate: f64) -> Fit {
    let wanted = Some(JpegQuality::of_level(6));
    for _ in 0..20 {
        let fit = control.fit(wanted, what, &link(Some(rate)));
        match fit.coarse {
            true => {
                let bytes = encoded(fit, 0.5);
                control.observe(fit.quality, true, fit.pixels, fit.pixels, bytes);
            }
            false => {
                let bytes = fit.pixels * 3 / 10;
                control.observe(fit.quality, false, fit.pixels, 0, bytes);
            }
        }
    }
    control.fit(wanted, what, &link(Some(rate)))
}

#[test]
fn a_cartoon_gets_coarse_rather_than_cut_and_recovers() {
    let mut control = Control::default();
    let fit = draw(&mut control, of(VIDEO), 200e3);
    assert!(fit.coarse, "{fit:?}");
    assert_eq!(fit.pixels, VIDEO, "whole");
    let level = fit.quality.map(JpegQuality::level);
    assert!(level > Some(0), "{fit:?}: coarser than need be");
    let fit = draw(&mut control, of(VIDEO), 20e6);
    assert_eq!(
        (fit.quality, fit.coarse),
        (Some(JpegQuality::of_level(6)), false)
    );
    // What does not play is read: rather in parts than blurred.
    let still = Picture {
        pixels: VIDEO,
        plays: 0,
        around: 0,
    };
    let fit = draw(&mut Control::default(), still, 200e3);
    assert!(!fit.coarse && fit.pixels < VIDEO, "{fit:?}");
}

/// However little the link carries, and whatever it is: nothing is added to a queue that makes it late.
#[test]
fn what_would_fit_without_loss_is_coarse_no_longer() {
    let mut control = Control::default();
    let wanted = Some(JpegQuality::of_level(6));
    assert!(draw(&mut control, of(VIDEO), 200e3).coarse);
    // It has become plainer, which its JPEGs do not tell.
    for _ in 0..12 {
        control.sampled(Sample {
            pixels: VIDEO / 8,
            lossy: 0,
            bytes: 1500,
        });
    }
    let fit = control.fit(wanted, of(VIDEO), &link(Some(200e3)));
    assert!(!fit.coarse, "{fit:?}");
}

#[test]
fn what_fits_an_empty_link_waits_for_it_as_it_is() {
    let wanted = Some(JpegQuality::of_level(6));
    let mut control = Control::default();
    // 15 kB each time, 150 ms of the link.
    let (pixels, rate) = (60_000, 100e3);
    for _ in 0..20 {
        control.observe(wanted, false, pixels, 0, 15_000);
    }
    let mut fit = |queued| {
        let link = Link {
            queued,
            ..link(Some(rate))
        };
        control.fit(wanted, of(pixels), &link)
    };
    let free = fit(1000);
    assert_eq!((free.coarse, free.later), (false, None), "{free:?}");
    let busy = fit(14_000);
    assert_eq!((busy.coarse, busy.pixels), (false, pixels), "{busy:?}");
    let later = busy.later.expect("until it is free");
    // 5 kB may go before it; the other 9 take 90 ms.
    assert!(later.as_millis().abs_diff(90) < 5, "{later:?}");
}

#[test]
fn what_goes_with_it_counts_where_it_is_coarse() {
    let wanted = Some(JpegQuality::of_level(6));
    let ragged = |around| Picture {
        pixels: VIDEO / 2,
        plays: VIDEO / 2,
        around,
    };
    let mut levels = [0, VIDEO / 2].map(|around| {
        let mut control = Control::default();
        let fit = draw(&mut control, ragged(around), 200e3);
        assert!(fit.coarse, "{fit:?}");
        assert_eq!(fit.pixels, VIDEO / 2 + around, "all of it");
        assert!(control.is_coarse());
        // Sharp, what is around stays out of it.
        let sharp = control.fit(wanted, ragged(around), &link(Some(20e6)));
        assert_eq!((sharp.coarse, sharp.pixels), (false, VIDEO / 2));
        fit.quality.map(JpegQuality::level)
    });
    levels.reverse();
    assert!(levels.is_sorted() && levels[0] < levels[1], "{levels:?}");
}

#[test]
fn what_does_not_get_smaller_is_cut() {
    let mut control = Control::default();
    let wanted = Some(JpegQuality::of_level(6));
    for _ in 0..20 {
        let fit = control.fit(wanted, of(VIDEO), &link(Some(200e3)));
        // As JPEG or not, nearly all of it went without loss.
        let (lossy, bytes) = (fit.pixels / 50, fit.pixels * 3 / 10);
        control.observe(fit.quality, fit.coarse, fit.pixels, lossy, bytes);
    }
    let fit = control.fit(wanted, of(VIDEO), &link(Some(200e3)));
    assert!(fit.pixels < VIDEO / 4, "{fit:?}");
}

/// A film as large as a full HD screen: whole, and no older, though coarser than a client can ask for. A page is read.
#[test]
fn only_what_plays_gets_worse_than_level_0() {
    let (wanted, rate) = (Some(JpegQuality::of_level(6)), 80e3);
    for (plays, guessed, blind) in [
        (true, false, false),
        (true, true, false),
        (true, true, true),
        (false, false, false),
    ] {
        let what = Picture {
            pixels: VIDEO,
            plays: if plays { VIDEO } else { 0 },
            around: 0,
        };
        let mut control = Control::default();
        let mut fit = |queued| {
            let link = Link {
                queued,
                guessed,
                blind,
                ..link(Some(rate))
            };
            let fit = control.fit(wanted, what, &link);
            let bytes = encoded(fit, 1.0);
            control.observe(fit.quality, fit.coarse, fit.pixels, fit.pixels, bytes);
            (fit, bytes)
        };
        for _ in 0..20 {
            fit(0);
        }
        let ((free, bytes), (busy, _)) = (fit(0), fit(15_000));
        if plays && !blind {
            assert_eq!((free.pixels, free.later), (VIDEO, None), "whole");
            assert!(bytes <= 16_384 && bytes > 10_000, "{bytes}");
            // Who waits for a queue gets it as good as without one.
            assert_eq!((busy.quality, busy.pixels), (free.quality, VIDEO));
            // Of whom that is a guess, so little may always go.
            assert_eq!(busy.later.is_some(), !guessed);
            let percent = free.quality.map(JpegQuality::percent);
            assert!(percent < Some(15), "{percent:?}");
        } else {
            // A guess is wrong by a factor now and then.
            assert!(blind || free.pixels < VIDEO, "{free:?}");
            assert_eq!(free.quality, Some(JpegQuality::of_level(0)));
        }
    }
}

#[test]
fn small_things_between_two_pictures_make_them_no_better() {
    let wanted = Some(JpegQuality::of_level(6));
    let seen = |rate: f64, between: &[u64]| {
        let mut control = Control::default();
        let mut seen = Vec::new();
        for frame in 0..60 {
            let fit = control.fit(wanted, of(VIDEO), &link(Some(rate)));
            seen.push(fit.quality.map(JpegQuality::steps));
            let bytes = encoded(fit, [0.9, 1.0, 1.1][frame % 3]);
            control.observe(fit.quality, fit.coarse, fit.pixels, fit.pixels, bytes);
            for pixels in between {
                let small = Picture {
                    plays: 0,
                    ..of(*pixels)
                };
                control.fit(wanted, small, &link(Some(rate)));
            }
        }
        seen
    };
    // At some of them a better one would fit, but not well.
    for rate in (200..2000).step_by(20).map(|rate| f64::from(rate) * 1e3) {
        assert_eq!(seen(rate, &[]), seen(rate, &[0, 100]), "{rate}");
    }
}

#[test]
fn what_has_too_many_bytes_is_encoded_once_more() {
    let mut control = Control::default();
    let (fit, bytes) = play(&mut control, Some(600e3), VIDEO, 20);
    let (limit, quality) = (fit.limit.expect("slow"), fit.quality.expect("wanted"));
    let lowered = |bytes| limit.lowered(quality, bytes).map(JpegQuality::steps);
    assert_eq!(lowered(bytes), None);
    assert_eq!(lowered(130_000), None, "not too much");
    let steps = quality.steps();
    assert!(lowered(200_000).is_some_and(|lower| lower < steps && lower > LEVEL_0));
    assert_eq!(lowered(4_000_000), Some(LEVEL_0), "and no worse");
    // What is coarse may be coarser than any level.
    let fit = draw(&mut control, of(VIDEO), 200e3);
    let (limit, quality) = (fit.limit.expect("slow"), fit.quality.expect("wanted"));
    assert_eq!(
        limit.lowered(quality, 1 << 30).map(JpegQuality::steps),
        Some(0)
    );
    let fast = control.fit(Some(quality), of(VIDEO), &link(Some(10e6)));
    assert_eq!(fast.limit, None, "what others may share");
}

#[test]
fn what_is_small_stays_sharp_beside_it() {
    let mut control = Control::default();
    play(&mut control, Some(200e3), VIDEO, 20);
    let wanted = Some(JpegQuality::of_level(6));
    assert_eq!(
        control
            .fit(wanted, of(100 * 100), &link(Some(200e3)))
            .quality,
        wanted
    );
}

#[test]
fn a_modem_gets_part_of_it_and_something_always_goes() {
    let mut control = Control::default();
    let (fit, bytes) = play(&mut control, Some(20e3), 4 * VIDEO, 20);
    assert!(fit.pixels < 4 * VIDEO);
    let last = JpegQuality::of_level(0).lowered(JpegQuality::BELOW);
    assert_eq!(fit.quality, Some(last));
    assert!(bytes <= 2 * LEAST, "{bytes}");
    for (rate, queued) in [(0.0, 0), (1.0, u64::MAX), (f64::INFINITY, 0)] {
        let link = Link {
            queued,
            ..link(Some(rate))
        };
        assert!(control.fit(None, of(VIDEO), &link).pixels > 0);
    }
}

#[test]
fn a_picture_waits_for_the_one_before_it_rather_than_being_cut() {
    let mut control = Control::default();
    let (_, bytes) = play(&mut control, Some(200e3), VIDEO, 20);
    let wanted = Some(JpegQuality::of_level(6));
    let behind = |queued| Link {
        queued,
        ..link(Some(200e3))
    };
    let fit = control.fit(wanted, of(VIDEO), &behind(bytes * 2));
    let later = fit.later.expect("it does not fit behind two");
    let left = bytes * 2 - (later.as_secs_f64() * 200e3) as u64;
    let fit = control.fit(wanted, of(VIDEO), &behind(left));
    assert_eq!((fit.pixels, fit.later), (VIDEO, None), "{left}");
    // A link that will never carry it at once.
    let fit = control.fit(wanted, of(VIDEO * 9), &behind(bytes * 2));
    assert!(fit.pixels < VIDEO * 9 && fit.later.is_none(), "{fit:?}");
}

#[test]
fn what_comes_again_leaves_room_for_what_has_changed() {
    let mut control = Control::default();
    play(&mut control, Some(200e3), VIDEO, 20);
    let link = link(Some(200e3));
    let alone = control.again(0, false, &link);
    assert!(control.again(VIDEO / 4, false, &link) < alone);
    assert!(control.again(VIDEO * 100, false, &link) > 0);
    let guessed = Link {
        guessed: true,
        ..link
    };
    assert!(control.again(0, true, &guessed) > control.again(0, false, &guessed));
}

#[test]
fn a_client_that_wants_no_loss_gets_none() {
    let mut control = Control::default();
    for _ in 0..20 {
        let fit = control.fit(None, of(VIDEO), &link(Some(200e3)));
        assert_eq!(fit.quality, None);
        control.observe(None, false, fit.pixels, 0, fit.pixels * 3);
    }
    let fit = control.fit(None, of(VIDEO), &link(Some(200e3)));
    assert!(
        (14_000..18_000).contains(&fit.pixels),
        "{} pixels",
        fit.pixels
    );
}

#[test]
fn what_comes_first_is_small_until_the_link_is_known() {
    let mut control = Control::default();
    let wanted = Some(JpegQuality::of_level(6));
    let untried = Link {
        untried: true,
        ..Link::default()
    };
    let screen = 1920 * 1080;
    let first = control.fit(wanted, of(screen), &untried).pixels;
    assert!((300_000..600_000).contains(&first), "{first}");
    // Hardly anything on it, so the link is not known any better.
    for _ in 0..2 {
        control.observe(wanted, false, first, 0, 2000);
    }
    let next = control.fit(wanted, of(screen), &untried);
    assert_eq!((next.pixels, next.quality), (screen, wanted));
    // What nobody expected: it ends there, and is no worse.
    let limit = next.limit.expect("nothing is known");
    assert_eq!(limit.end(), FIRST as usize);
    assert_eq!(limit.lowered(JpegQuality::of_level(6), 1 << 20), None);
    // A program that wants the picture as it is.
    let guessed = Link {
        guessed: true,
        ..untried
    };
    assert_eq!(
        Control::default().fit(None, of(screen), &guessed).pixels,
        screen
    );
    assert_eq!(
        Control::default()
            .fit(wanted, of(screen), &link(None))
            .pixels,
        screen
    );
}

#[test]
fn bytes_are_saved_where_they_are_dear() {
    let mut control = Control::default();
    let rates = [None, Some(6e6), Some(2e6), Some(6e6), Some(9e6), Some(6e6)];
    let thrifty = rates.map(|rate| control.thrifty(&link(rate)));
    assert_eq!(thrifty, [false, false, true, true, false, false]);
}

/// A video over a link of 200 kB/s to a client without fences, which asks again when it has all of an update, or when
/// one begins to come. How good the last pictures were, and how old its newest one ever was after two seconds.
fn video_by_requests(early: bool) -> (u8, f64) {
    let (rate, seconds) = (200e3, 20.0);
    let start = Instant::now();
    let (mut flow, mut control) = (Flow::default(), Control::default());
    let wanted = Some(JpegQuality::of_level(6));
    // When the link is free, when the client asks next, and updates on their way: of when, and when they are there.
    let (mut free, mut asks) = (0.0f64, 0.0);
    let mut coming: Vec<(f64, f64)> = Vec::new();
    let (mut level, mut oldest, mut newest, mut time) = (6, 0.0f64, 0.0, 0.0);
    while time < seconds {
        let now = start + Duration::from_secs_f64(time);
        let waits = ((free - time) * rate - 64.0 * 1024.0).max(0.0);
        if time >= asks {
            flow.requested(now);
        }
        flow.waiting(waits as u64, false, now);
        if time >= asks && waits == 0.0 {
            let fit = control.fit(wanted, of(VIDEO), &flow.link(now));
            let bytes = encoded(fit, [0.9, 1.0, 1.1][coming.len() % 3]);
            control.observe(fit.quality, false, fit.pixels, fit.pixels, bytes);
            level = fit.quality.map_or(9, JpegQuality::level);
            flow.sent(bytes, now);
            let begins = free.max(time);
            free = begins + bytes as f64 / rate;
            asks = if early { begins + 0.01 } else { free + 0.01 };
            coming.push((time, free + 0.005));
        }
        while let Some((taken, _)) = coming.iter().find(|(t, at)| *at <= time && *t > newest) {
            newest = *taken;
        }
        if time > 2.0 {
            oldest = oldest.max(time - newest);
        }
        time += 0.001;
    }
    (level, oldest)
}

#[test]
fn a_client_without_fences_gets_coarse_and_new_pictures_on_a_slow_link() {
    for early in [false, true] {
        let (level, oldest) = video_by_requests(early);
        assert!(level < 6, "{early}: as good as on a fast link");
        assert!(oldest <= 0.5, "{early}: {oldest} s");
    }
}

#[test]
fn parts_go_round() {
    let mut control = Control::default();
    let region = Region::from(Rect::sized(100, 100));
    let mut rows = Vec::new();
    for _ in 0..5 {
        let part = control.part(&region, 3000);
        rows.push((part.bounds().y, part.bounds().bottom()));
    }
    assert_eq!(rows, [(0, 30), (30, 60), (60, 90), (90, 100), (0, 30)]);
    assert_eq!(control.part(&region, 10_000), region);
}

#[test]
fn text_is_not_cut_as_if_it_were_a_photo() {
    let mut control = Control::default();
    play(&mut control, Some(200e3), VIDEO, 20);
    let wanted = Some(JpegQuality::of_level(6));
    for _ in 0..20 {
        let fit = control.fit(wanted, of(1 << 20), &link(Some(200e3)));
        control.observe(fit.quality, false, fit.pixels, 0, fit.pixels / 50);
    }
    let fit = control.fit(wanted, of(1 << 20), &link(Some(200e3)));
    assert_eq!((fit.quality, fit.pixels), (wanted, 1 << 20));
}
