//! Flow control over links on a virtual clock.

use super::*;

const TICK: Duration = Duration::from_millis(1);

/// A link of so many bytes a second behind an unbounded queue, and a client that answers at once.
struct Link {
    rate: f64,
    delay: Duration,
    busy_until: Instant,
    arriving: VecDeque<(Instant, u32)>,
}

impl Link {
    fn new(rate: f64, delay: Duration, now: Instant) -> Self {
        Self {
            rate,
            delay,
            busy_until: now,
            arriving: VecDeque::new(),
        }
    }

    fn send(&mut self, bytes: u64, id: Option<u32>, now: Instant) {
        let start = self.busy_until.max(now);
        self.busy_until = start + Duration::from_secs_f64(bytes as f64 / self.rate);
        self.arriving
            .extend(id.map(|id| (self.busy_until + self.delay, id)));
    }

    fn deliver(&mut self, flow: &mut Flow, now: Instant) {
        while let Some((at, id)) = self.arriving.front().copied() {
            if at > now {
                break;
            }
            self.arriving.pop_front();
            flow.answered(id, at);
        }
    }
}

/// Sends updates of `size` bytes as often as allowed for ten seconds; returns bytes a second in the last five, and
/// the longest queue in seconds in them.
fn run(rate: f64, delay: Duration, size: u64) -> (f64, f64) {
    let start = Instant::now();
    let mut now = start;
    let mut flow = Flow::default();
    flow.enable_fences();
    let mut link = Link::new(rate, delay, start);
    let hello = flow.sent(10, now);
    link.send(10, hello, now);
    let (mut bytes, mut queue) = (0, 0.0f64);
    while now < start + Duration::from_secs(10) {
        link.deliver(&mut flow, now);
        let late = now > start + Duration::from_secs(5);
        while flow.ready(now) == Ready::Now {
            assert!(flow.in_flight() <= MAX_WINDOW + size);
            flow.begin(now);
            let id = flow.sent(size, now);
            link.send(size, id, now);
            if late {
                bytes += size;
            }
        }
        if late {
            queue = queue.max((link.busy_until.saturating_duration_since(now)).as_secs_f64());
        }
        now += TICK;
    }
    (bytes as f64 / 5.0, queue)
}

#[test]
fn it_fills_links_and_not_queues() {
    for (rate, delay, size) in [
        (10e6, 50, 20_000),
        (10e6, 50, 200_000),
        (1e6, 30, 10_000),
        (100e6, 1, 100_000),
        (2e6, 200, 30_000),
    ] {
        let (throughput, queue) = run(rate, Duration::from_millis(delay), size);
        assert!(
            throughput > 0.9 * rate,
            "{rate} {delay} {size}: {throughput}"
        );
        // Less than a round trip of queue, and the update that is being sent.
        let (one, round_trip) = (size as f64 / rate, delay as f64 / 1000.0);
        assert!(
            queue < round_trip.max(0.02) + one,
            "{rate} {delay} {size}: queue of {queue} s"
        );
    }
}

#[test]
fn a_slow_link_has_one_update_in_flight() {
    let (throughput, queue) = run(200e3, Duration::from_millis(5), 40_000);
    assert!(throughput > 150e3, "{throughput}");
    assert!(queue < 0.45, "{queue}");
}

/// A client that takes `work` for each update, however small, over a road of that length; 60 times a second there is
/// something new. Returns how old what it shows is at most, after a second, and how many updates a second it shows.
fn run_small(road: Duration, work: Duration) -> (Duration, u32) {
    let start = Instant::now();
    let mut now = start;
    let mut flow = Flow::default();
    flow.enable_fences();
    let mut free = start;
    let mut arriving: VecDeque<(Instant, Instant, Option<u32>)> = VecDeque::new();
    let (mut oldest, mut shown) = (Duration::ZERO, 0);
    let mut frame = start;
    while now < start + Duration::from_secs(5) {
        while let Some((at, from, id)) = arriving.front().copied()
            && at <= now
        {
            arriving.pop_front();
            flow.answered(id.expect("a fence"), at);
            if from > start + Duration::from_secs(1) {
                oldest = oldest.max(at - from);
            }
            shown += 1;
        }
        if now >= frame && flow.ready(now) == Ready::Now {
            flow.begin(now);
            let id = flow.sent(50, now);
            free = free.max(now + road / 2) + work;
            arriving.push_back((free + road / 2, now, id));
            frame = now + Duration::from_millis(16);
        }
        now += TICK;
    }
    (oldest, shown / 5)
}

#[test]
fn small_updates_queue_no_more_than_large_ones() {
    for (road, work, rate) in [
        (2, 50, 19),
        (100, 50, 19),
        (200, 2, 59),
        (2, 2, 59),
        (2, 200, 4),
    ] {
        let [road, work] = [road, work].map(Duration::from_millis);
        let (oldest, shown) = run_small(road, work);
        assert!(shown >= rate, "{road:?} {work:?}: {shown} a second");
        let late = road + work + LATE + 2 * work;
        assert!(oldest <= late, "{road:?} {work:?}: {oldest:?}");
    }
}

#[test]
fn a_silent_client_is_not_sent_more() {
    let now = Instant::now();
    let mut flow = Flow::default();
    flow.enable_fences();
    flow.sent(1, now);
    flow.answered(0, now + TICK);
    for _ in 0..1000 {
        if flow.ready(now) == Ready::Now {
            flow.sent(10_000, now);
        }
    }
    assert!(flow.in_flight() < INITIAL_WINDOW + 10_000);
    assert_eq!(flow.ready(now + Duration::from_secs(3600)), Ready::Later);
}

#[test]
fn whoever_never_answers_has_no_fences() {
    let now = Instant::now();
    let mut flow = Flow::default();
    flow.enable_fences();
    flow.sent(MAX_WINDOW, now);
    assert_eq!(flow.ready(now), Ready::At(now + MUTE));
    flow.requested(now);
    assert_ne!(flow.ready(now), Ready::Now);
    flow.requested(now + MUTE);
    assert_eq!(flow.ready(now + MUTE), Ready::Now);
    assert_eq!(flow.in_flight(), 0);
}

/// Takes what is on its way to a client without fences, so late, when it asks for more.
fn ask(flow: &mut Flow, bytes: u64, from: Instant, took: Duration) {
    flow.begin(from);
    assert_eq!(flow.sent(bytes, from), None);
    flow.requested(from + took);
    flow.waiting(0, false, from + took);
}

#[test]
fn how_late_a_client_asks_is_known_by_what_is_next_to_nothing() {
    let now = Instant::now();
    let mut flow = Flow::default();
    ask(&mut flow, 40_000, now, 500 * TICK);
    assert!(flow.link(now).guessed && flow.link(now).blind);
    ask(&mut flow, 50, now, 400 * TICK);
    assert!(flow.link(now).guessed && !flow.link(now).blind);
    flow.enable_fences();
    assert!(!flow.link(now).guessed && !flow.link(now).blind);
}

#[test]
fn the_first_that_a_client_takes_by_asking_tells_nothing() {
    let now = Instant::now();
    let mut flow = Flow::default();
    let mut taken = 0;
    while flow.link(now).untried {
        ask(&mut flow, 30_000, now, TICK);
        taken += 30_000;
    }
    assert!(taken > 2 * INITIAL_WINDOW, "{taken}");
    assert_eq!(flow.rate(), None, "it is not slow");
}

#[test]
fn what_went_without_a_fence_holds_nothing_up() {
    let now = Instant::now();
    let mut flow = Flow::default();
    flow.enable_fences();
    for _ in 0..MAX_PINGS {
        assert!(flow.sent(10, now).is_some());
    }
    assert_eq!(flow.sent(40_000, now), None);
    assert!(!flow.is_relaxed(false, now));
    for id in 0..MAX_PINGS as u32 {
        flow.answered(id, now + TICK);
    }
    assert_eq!(flow.in_flight(), 40_000);
    let later = now + TICK;
    assert!(
        flow.is_relaxed(false, later),
        "nothing will ever be answered"
    );
    assert_eq!(flow.queued(later), 0);
}

#[test]
fn what_has_left_queues_no_more() {
    let mut now = Instant::now();
    let mut flow = Flow::default();
    flow.enable_fences();
    let mut link = Link::new(200e3, 10 * TICK, now);
    let hello = flow.sent(10, now);
    link.send(10, hello, now);
    for _ in 0..20 {
        let id = flow.sent(20_000, now);
        link.send(20_000, id, now);
        now += 100 * TICK;
        link.deliver(&mut flow, now);
        now += 20 * TICK;
        link.deliver(&mut flow, now);
    }
    assert_eq!(flow.link(now).queued, 0);
    // Three at once: what is before the next is what the link has left of them.
    for bytes in [20_000, 10_000, 10_000] {
        let id = flow.sent(bytes, now);
        link.send(bytes, id, now);
    }
    for _ in 0..200 {
        link.deliver(&mut flow, now);
        let left = link.busy_until.saturating_duration_since(now).as_secs_f64() * 200e3;
        let queued = flow.link(now).queued as f64;
        assert!((queued - left).abs() < 5000.0, "{queued}, not {left}");
        now += TICK;
    }
    assert_eq!(flow.link(now + 20 * TICK).queued, 0);
}

#[test]
fn a_pause_forgets() {
    let now = Instant::now();
    let mut flow = Flow::default();
    flow.enable_fences();
    assert!(flow.begin(now));
    flow.sent(1000, now);
    assert!(!flow.begin(now));
    flow.answered(0, now + TICK);
    assert_eq!(flow.base_round_trip(), Some(TICK));
    assert!(flow.begin(now + TICK + IDLE));
    assert_eq!(flow.base_round_trip(), None);
}

#[test]
fn the_rate_of_a_slow_link_is_known_and_that_of_a_fast_one_is_not() {
    let known = |rate: f64, size: u64, until: u32| {
        let mut now = Instant::now();
        let end = now + until * TICK;
        let mut flow = Flow::default();
        flow.enable_fences();
        let mut link = Link::new(rate, 10 * TICK, now);
        while now < end {
            link.deliver(&mut flow, now);
            if flow.ready(now) == Ready::Now {
                if flow.begin(now) {
                    let id = flow.sent(14, now);
                    link.send(14, id, now);
                }
                let id = flow.sent(size, now);
                link.send(size, id, now);
            }
            now += TICK;
        }
        flow.rate()
    };
    for (rate, size) in [
        (200e3, 40_000),
        (200e3, 10_000),
        (20e3, 40_000),
        (1e6, 100_000),
    ] {
        let seen = known(rate, size, 5000).expect("a rate");
        assert!(
            (0.8 * rate..1.2 * rate).contains(&seen),
            "{rate}, {size}: {seen}"
        );
    }
    assert_eq!(known(100e6, 100_000, 2000), None);
}

#[test]
fn a_link_that_gets_faster_is_believed() {
    let mut now = Instant::now();
    let mut flow = Flow::default();
    flow.enable_fences();
    let mut send = |flow: &mut Flow, takes: u32| {
        let id = flow.sent(40_000, now).expect("a fence");
        now += takes * TICK;
        flow.answered(id, now);
    };
    for takes in [5, 200, 200, 200] {
        send(&mut flow, takes);
    }
    assert!(flow.rate().expect("a rate") < 250e3);
    for _ in 0..20 {
        send(&mut flow, 10);
    }
    assert!(flow.rate().expect("a rate") > 2e6);
}
