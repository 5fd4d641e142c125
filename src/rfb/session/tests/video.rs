//! H.264 in a session: who gets it, and who does not any more.

use super::world::NOVNC;
use super::*;
use crate::encode::Encoder;
use crate::pixel::Frame;
use crate::rfb::version::Version;
use crate::screen::Step;

const FRAME: Duration = Duration::from_millis(33);

/// A film on a screen of its own size, and a client that takes what comes.
struct Cinema {
    session: Session,
    encoder: Encoder,
    screen: Frame,
    input: InputBuffer,
    now: Instant,
}

impl Cinema {
    fn new(list: &[i32]) -> Self {
        let now = Instant::now();
        let session = Session::new(Start {
            version: Version::V3_8,
            permission: Permission::Full,
            width: 321,
            height: 240,
            name: "film".to_owned(),
            features: Features::default(),
            now,
        });
        let mut cinema = Self {
            session,
            encoder: Encoder::new(),
            screen: Frame::new(321, 240),
            input: InputBuffer::new(),
            now,
        };
        let mut hello = vec![2, 0];
        hello.extend((list.len() as u16).to_be_bytes());
        hello.extend(list.iter().flat_map(|n| n.to_be_bytes()));
        hello.extend([150, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        cinema.say(&hello);
        cinema
    }

    fn say(&mut self, bytes: &[u8]) {
        assert_eq!(self.input.push(bytes), bytes.len());
        self.session
            .receive(&mut self.input, self.now)
            .expect("sound");
    }

    /// So many pictures, all of which go; each is confirmed, or none is. How many were sent as video.
    fn play(&mut self, pictures: u32, confirm: bool) -> u32 {
        let mut videos = 0;
        for n in 0..pictures {
            self.now += FRAME;
            for y in 0..240 {
                for (x, p) in (0u32..).zip(self.screen.row_mut(y)) {
                    *p = (x / 3 + n * 5) % 256 * 0x0001_0201;
                }
            }
            self.session.stepped(&Step::whole(self.screen.bounds()));
            while let Poll::Update(mut job) = self.session.poll(self.now) {
                videos += u32::from(job.order.video.is_some());
                let encoded = job
                    .encode(&mut self.encoder, &self.screen)
                    .expect("the size");
                self.session.finish(job, encoded, self.now);
            }
            let sent = std::mem::take(self.session.output());
            if confirm {
                self.confirm(&sent);
            }
        }
        videos
    }

    /// Answers the fences that measure, wherever they are in what was sent.
    fn confirm(&mut self, sent: &[u8]) {
        let fence = [248, 0, 0, 0, 0x80, 0, 0, 1, 5, PING];
        for at in 0..sent.len().saturating_sub(fence.len()) {
            if sent[at..].starts_with(&fence) {
                let id = &sent[at + fence.len()..at + fence.len() + 4];
                let answer = [&[248, 0, 0, 0, 0, 0, 0, 1, 5, PING], id].concat();
                self.say(&answer);
            }
        }
    }

    fn stalls(&mut self) -> usize {
        let mut stalls = 0;
        while let Some(effect) = self.session.next_effect() {
            stalls += usize::from(effect == Effect::Notice(Notice::VideoStalled));
        }
        stalls
    }
}

fn list(more: &[i32]) -> Vec<i32> {
    let mut list = vec![50, 7];
    list.extend(NOVNC);
    list.retain(|n| !more.contains(n));
    list
}

#[test]
fn what_keeps_moving_goes_as_video() {
    let mut cinema = Cinema::new(&list(&[]));
    assert_eq!(
        cinema.play(25, true),
        0,
        "not before it has moved for a second"
    );
    assert!(cinema.play(60, true) > 40);
    let ways = cinema.session.stats().ways;
    assert!(ways.h264.pixels > 40 * 320 * 240, "{ways:?}");
    // The last column, which makes the sides odd, is no part of it.
    assert!(ways.total().pixels > ways.h264.pixels);
    assert!(cinema.session.stats().lossy_pixels >= 320 * 240);
    assert_eq!(cinema.stalls(), 0);
}

#[test]
fn nobody_else_gets_it() {
    for without in [[50, 0], [-312, -313], [-26, 0]] {
        let mut cinema = Cinema::new(&list(&without));
        assert_eq!(cinema.play(100, true), 0, "without {without:?}");
    }
}

#[test]
fn who_does_not_confirm_is_spared() {
    let mut cinema = Cinema::new(&list(&[]));
    assert!(cinema.play(80, true) > 20);
    cinema.play(120, false);
    assert_eq!(cinema.stalls(), 1);
    assert_eq!(cinema.play(100, true), 0);
    assert_eq!(cinema.stalls(), 0);
}
