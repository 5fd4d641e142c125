use super::*;
use crate::pixel::Point;
use proptest::prelude::*;

const WIDTH: u16 = 400;
const HEIGHT: u16 = 300;

/// A picture like text: groups of 7 × 13 pixels, many of them blank, no two lines alike.
fn text(seed: u32) -> Frame {
    let mut frame = Frame::new(WIDTH, HEIGHT);
    for y in 0..HEIGHT {
        let line = u32::from(y / 13);
        for x in 0..WIDTH {
            let glyph = mix(seed ^ line.wrapping_mul(7919) ^ u32::from(x / 7));
            let inked = glyph & 3 != 0 && y % 13 > 1;
            let bit = mix(glyph ^ u32::from(x % 7) << 8 ^ u32::from(y % 13)) & 3 == 0;
            frame.row_mut(y)[usize::from(x)] = if inked && bit { 0 } else { 0xff_ffff };
        }
    }
    frame
}

fn mix(mut x: u32) -> u32 {
    x = (x ^ x >> 16).wrapping_mul(0x7feb_352d);
    x = (x ^ x >> 15).wrapping_mul(0x846c_a68b);
    x ^ x >> 16
}

/// What differs, as a capture finds it: in groups of 16 × 16.
fn damage(old: &Frame, new: &Frame) -> Region {
    let differs = |r: &Rect| !old.rows(*r).eq(new.rows(*r));
    old.bounds().tiles(16, 16).filter(differs).collect()
}

/// Checks that the step leads from the one to the other, exactly and in order.
fn check(old: &Frame, new: &Frame, step: &Step) {
    let mut client = old.clone();
    for m in &step.moves {
        client.copy_within(m.source(), m.to.origin());
    }
    for rect in step.damage.rects() {
        client.copy_from(new, *rect);
    }
    assert!(client == *new, "the step does not lead to the new picture");
}

fn changed(old: &Frame, new: &Frame) -> Difference {
    Difference {
        moved: Vec::new(),
        changed: damage(old, new).rects().to_vec(),
    }
}

fn search(old: &Frame, new: &Frame, hints: &[Move]) -> Step {
    let step = Motion::default().search(Some(old), new, &changed(old, new), hints);
    check(old, new, &step);
    step
}

fn scrolled(old: &Frame, from: Rect, to: Point) -> Frame {
    let mut new = old.clone();
    new.copy_within(from, to);
    new
}

fn fill(frame: &mut Frame, rect: Rect, colour: u32) {
    for y in rect.y..rect.bottom() {
        frame.row_mut(y)[usize::from(rect.x)..usize::from(rect.right())].fill(colour);
    }
}

#[test]
fn a_terminal_scrolls() {
    for lines in [1, 2, 7] {
        let old = text(1);
        let window = Rect::new(30, 20, 300, 260);
        let from = Rect::new(30, 20 + 13 * lines, 300, 260 - 13 * lines);
        let mut new = scrolled(&old, from, window.origin());
        let line = Rect::from_edges(30, 280 - 13 * lines, 330, 280);
        new.copy_from(&text(2), line);
        let step = search(&old, &new, &[]);
        let limit = u64::from(line.area()) + 300 * 48;
        assert!(step.damage.area() <= limit, "{:?}", step.damage);
        assert!(step.moves.len() <= 4, "{:?}", step.moves);
        assert_eq!(step.moves[0].from.y - step.moves[0].to.y, 13 * lines);
    }
}

#[test]
fn a_page_scrolls_beside_a_scroll_bar_and_under_a_head() {
    let old = text(3);
    let mut new = scrolled(&old, Rect::new(0, 60, WIDTH, 203), Point { x: 0, y: 97 });
    new.copy_from(&text(4), Rect::new(0, 60, WIDTH, 37));
    fill(&mut new, Rect::new(384, 0, 16, HEIGHT), 0x80_8080);
    fill(&mut new, Rect::new(385, 100, 14, 40), 0x40_4040);
    let step = search(&old, &new, &[]);
    assert!(
        step.damage.area() < u64::from(WIDTH) * 37 + 20 * 300 + 400 * 16,
        "{}",
        step.damage.area()
    );
}

#[test]
fn a_table_scrolls_sideways() {
    let old = text(5);
    let mut new = scrolled(&old, Rect::new(0, 40, 350, 200), Point { x: 50, y: 40 });
    fill(&mut new, Rect::new(0, 40, 50, 200), 0xff_ffff);
    let step = search(&old, &new, &[]);
    assert!(step.damage.area() < 66 * 216, "{}", step.damage.area());
}

#[test]
fn a_window_is_dragged_over_text() {
    let (mut old, mut new) = (text(6), text(6));
    let window = Rect::new(100, 50, 150, 120);
    let now = Rect::new(131, 41, 150, 120);
    let source = text(7);
    for (frame, at) in [(&mut old, window), (&mut new, now)] {
        for y in 0..at.h {
            let row = &source.row(y)[..usize::from(at.w)];
            frame.row_mut(at.y + y)[usize::from(at.x)..usize::from(at.right())]
                .copy_from_slice(row);
        }
    }
    let hint = Move {
        to: now,
        from: window.origin(),
    };
    let step = search(&old, &new, &[hint]);
    assert_eq!(step.moves.len(), 1);
    // What appears again, in groups of 16.
    assert!(step.damage.area() < 12_000, "{}", step.damage.area());
    // A hint that is wrong is worth nothing.
    let wrong = Move {
        to: now,
        from: Point { x: 0, y: 0 },
    };
    assert_eq!(search(&old, &new, &[wrong]).moves, []);
    let still = Move {
        to: now,
        from: now.origin(),
    };
    assert_eq!(search(&old, &new, &[still]).moves, []);
}

#[test]
fn two_windows_scroll_by_different_amounts() {
    let old = text(8);
    let mut new = scrolled(&old, Rect::new(0, 26, 180, 274), Point { x: 0, y: 0 });
    new.copy_within(Rect::new(220, 0, 180, 261), Point { x: 220, y: 39 });
    let step = search(&old, &new, &[]);
    let offsets: Vec<i32> = step.moves.iter().map(|m| m.offset().1).collect();
    assert!(
        offsets.contains(&-26) && offsets.contains(&39),
        "{offsets:?}"
    );
}

/// A picture of which nothing is there before it is asked for.
struct Unread<'a> {
    whole: &'a Frame,
    pixels: u32,
}

impl Picture for Unread<'_> {
    fn read(&mut self, rect: Rect, out: &mut Vec<u32>) {
        self.pixels += rect.area();
        (&mut &*self.whole).read(rect, out);
    }
}

#[test]
fn a_scroll_is_guessed_from_a_few_columns_of_the_damage() {
    let old = text(1);
    let window = Rect::new(30, 20, 300, 260);
    let mut new = scrolled(&old, Rect::new(30, 46, 300, 234), window.origin());
    new.copy_from(&text(2), Rect::new(30, 254, 300, 26));
    let mut unread = Unread {
        whole: &new,
        pixels: 0,
    };
    let mut motion = Motion::default();
    let guesses = motion.guess(&old, &mut unread, &Region::from(window), &[]);
    // Its last rows come from below the screen.
    let scroll = Move {
        to: Rect::new(30, 20, 300, 254),
        from: Point { x: 30, y: 46 },
    };
    assert_eq!(guesses, [scroll]);
    assert!(unread.pixels * 3 < window.area(), "{}", unread.pixels);
    // What proved true is tried before anything is voted for.
    let proven = Difference {
        moved: vec![Move {
            to: Rect::new(30, 20, 300, 234),
            ..scroll
        }],
        changed: vec![Rect::new(30, 254, 300, 26)],
    };
    let rest = Region::from(proven.changed[0]);
    assert!(!motion.looks_back(&rest, &proven.moved, &[]));
    assert!(!motion.looks_back(&rest, &proven.moved, &guesses), "bare");
    let cursor = Region::from(Rect::new(100, 60, 8, 13));
    assert!(motion.looks_back(&cursor, &proven.moved, &guesses));
    check(
        &old,
        &new,
        &motion.search::<Frame>(None, &new, &proven, &[]),
    );
    unread.pixels = 0;
    let again = motion.guess(&old, &mut unread, &Region::from(window), &[]);
    assert_eq!(again, [scroll]);
    assert!(unread.pixels < 16 * 128, "{}", unread.pixels);
    // A window that was dragged leaves a frame, in which nothing is looked for.
    let hint = Move {
        to: Rect::new(40, 30, 200, 150),
        from: Point { x: 32, y: 24 },
    };
    let mut damage = Region::from(hint.to);
    damage.add(hint.source());
    unread.pixels = 0;
    assert_eq!(motion.guess(&old, &mut unread, &damage, &[hint]), [hint]);
    assert_eq!(unread.pixels, 0);
}

#[test]
fn moves_that_go_on_are_one() {
    let m = |x: u16, y: u16, h: u16, dy: i32| {
        let from = Point {
            x: 7,
            y: (i32::from(y) - dy) as u16,
        };
        let to = Rect::new(x, y, 50, h);
        Move { to, from }
    };
    let joined = |moves: &[Move]| {
        let mut found = Difference::default();
        moves.iter().for_each(|m| found.push_move(*m));
        found.moved
    };
    let up = [m(7, 10, 20, -5), m(7, 30, 4, -5)];
    assert_eq!(joined(&up), [m(7, 10, 24, -5)]);
    let down = [m(7, 30, 4, 5), m(7, 10, 20, 5)];
    assert_eq!(joined(&down), [m(7, 10, 24, 5)]);
    for apart in [
        [up[1], up[0]],
        [down[1], down[0]],
        [up[0], m(7, 31, 4, -5)],
        [up[0], m(7, 30, 4, -6)],
        [up[0], m(8, 30, 4, -5)],
    ] {
        assert_eq!(joined(&apart), apart);
    }
}

#[test]
fn what_was_moved_before_is_searched_no_more_and_not_copied_from() {
    let old = text(1);
    let known = Move {
        to: Rect::new(20, 20, 160, 200),
        from: Point { x: 20, y: 59 },
    };
    // And another one, to where the first one comes from and from where it went.
    let other = Move {
        to: Rect::new(200, 10, 160, 250),
        from: Point { x: 20, y: 36 },
    };
    let mut moved = old.clone();
    moved.copy_within(known.source(), known.to.origin());
    let mut new = moved.clone();
    new.copy_within(other.source(), other.to.origin());
    let difference = Difference {
        moved: vec![known],
        changed: damage(&moved, &new).rects().to_vec(),
    };
    let rest: Region = difference.changed.iter().copied().collect();
    let mut motion = Motion::default();
    assert!(motion.looks_back(&rest, &difference.moved, &[other]));
    let step = motion.search(Some(&moved), &new, &difference, &[other]);
    check(&old, &new, &step);
    assert_eq!(step.moves[0], known);
}

/// A search as a writer makes it: with the picture before only if it is asked for. True when it was.
fn next(motion: &mut Motion, old: &Frame, new: &Frame) -> (Step, bool) {
    let difference = changed(old, new);
    let rest: Region = difference.changed.iter().copied().collect();
    let looks_back = motion.looks_back(&rest, &difference.moved, &[]);
    let step = motion.search(looks_back.then_some(old), new, &difference, &[]);
    check(old, new, &step);
    (step, looks_back)
}

#[test]
fn a_video_is_left_alone_after_a_while() {
    let mut motion = Motion::default();
    let mut searched = 0;
    for i in 0..100 {
        let (_, looked) = next(&mut motion, &text(2 * i), &text(2 * i + 1));
        searched += u32::from(looked);
    }
    assert!((7..=12).contains(&searched), "{searched}");
    // It looks again now and then, and finds what moves.
    let old = text(500);
    let new = scrolled(&old, Rect::new(0, 26, WIDTH, 274), Point { x: 0, y: 0 });
    let mut found = |most| (0..most).any(|_| !next(&mut motion, &old, &new).0.moves.is_empty());
    assert!(found(1 + vain::MAX_PAUSE));
    // And from then on at once.
    assert!(found(1));
}

#[test]
fn what_scrolls_beside_a_video_is_found() {
    let mut motion = Motion::default();
    let video = Rect::new(0, 0, WIDTH, 100);
    let mut new = text(7);
    for i in 0..100 {
        let old = new.clone();
        let picture = text(100 + i);
        let mut drawn: Vec<u16> = (video.y..video.bottom()).collect();
        let scrolls = i % 10 == 9;
        if scrolls {
            let from = Rect::new(0, 143, WIDTH, HEIGHT - 143);
            new.copy_within(from, Point { x: 0, y: 130 });
            drawn.extend(HEIGHT - 13..HEIGHT);
        }
        for row in drawn {
            new.row_mut(row).copy_from_slice(picture.row(row));
        }
        let (step, looked) = next(&mut motion, &old, &new);
        assert_eq!(!step.moves.is_empty(), scrolls, "picture {i}");
        assert!(
            !step.moves.iter().any(|m| m.to.y < video.bottom()),
            "picture {i}"
        );
        assert!(looked || !scrolls);
    }
}

prop_compose! {
    fn rect()(x in 0..WIDTH - 60, y in 0..HEIGHT - 60)
        (x in Just(x), y in Just(y), w in 40..=WIDTH - x, h in 40..=HEIGHT - y) -> Rect {
        Rect::new(x, y, w, h)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever moved, was drawn over or hinted at: the step leads from one picture to the other.
    #[test]
    fn any_step_is_exact(
        seed: u32,
        moved in proptest::collection::vec((rect(), 0u16..WIDTH, 0u16..HEIGHT), 0..4),
        drawn in proptest::collection::vec((rect(), 0u32..3), 0..3),
        hints in proptest::collection::vec((rect(), 0u16..WIDTH, 0u16..HEIGHT), 0..3),
        blank: bool,
    ) {
        let old = if blank { Frame::new(WIDTH, HEIGHT) } else { text(seed) };
        let mut new = old.clone();
        let fits = |r: &Rect, x: u16, y: u16| x + r.w <= WIDTH && y + r.h <= HEIGHT;
        let mut told: Vec<Move> = Vec::new();
        for (from, x, y) in moved.into_iter().filter(|(r, x, y)| fits(r, *x, *y)) {
            new.copy_within(from, Point { x, y });
            told.push(Move { to: Rect::new(x, y, from.w, from.h), from: from.origin() });
        }
        for (rect, colour) in drawn {
            fill(&mut new, rect, colour);
        }
        // Hints may lie beyond the screen, as windows do.
        told.extend(hints.into_iter().map(|(r, x, y)| Move {
            to: Rect::new(x, y, r.w, r.h),
            from: r.origin(),
        }));
        search(&old, &new, &told);
        search(&old, &new, &[]);
    }
}

#[test]
fn columns_that_are_the_same_in_all_lines_are_no_witnesses() {
    // A listing: what stands at the beginning of its lines is the same in each.
    let line = |y: u16| u32::from(y / 13);
    let listing = |first: u32| {
        let mut frame = Frame::new(WIDTH, HEIGHT);
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                let seed = if x < 280 { 0 } else { first + line(y) };
                let bit = mix(seed ^ u32::from(x / 2) << 8 ^ u32::from(y % 13) << 20) & 3 == 0;
                frame.row_mut(y)[usize::from(x)] = if bit { 0 } else { 0xff_ffff };
            }
        }
        frame
    };
    let mut motion = Motion::default();
    for n in 0..3 {
        let (old, new) = (listing(n), listing(n + 1));
        let mut unread = Unread {
            whole: &new,
            pixels: 0,
        };
        let window = Region::from(old.bounds());
        let guesses = motion.guess(&old, &mut unread, &window, &[]);
        let dy: Vec<i32> = guesses.iter().map(|m| m.offset().1).collect();
        assert_eq!(dy, [-13]);
        // The first ones are voted for by the right columns at once, the others need no vote any more.
        let most = 16 * 6 * 48 + if n == 0 { u32::from(HEIGHT) * 48 } else { 0 };
        assert!(unread.pixels <= most, "{n}: {}", unread.pixels);
        motion.search::<Frame>(
            None,
            &new,
            &Difference {
                moved: guesses,
                changed: Vec::new(),
            },
            &[],
        );
    }
}
