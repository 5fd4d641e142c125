//! How good a JPEG is: a percentage and how much colour is thinned out.
//!
//! Clients name a level 0–9, or a percentage and a subsampling (TurboVNC's finer pseudo-encodings), or both. Whichever it
//! was becomes one [`JpegQuality`], which can only get worse from there ([`JpegQuality::lowered`]).

/// How many pixels share one sample of colour. In the order of what is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subsampling {
    /// None: 4:4:4.
    None,
    /// Two side by side: 4:2:2.
    Half,
    /// Two by two: 4:2:0.
    Quarter,
    /// No colour at all.
    Grey,
}

impl Subsampling {
    /// The name that people know it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "4:4:4",
            Self::Half => "4:2:2",
            Self::Quarter => "4:2:0",
            Self::Grey => "grey",
        }
    }
}

/// The quality of a JPEG.
///
/// INVARIANT: the percentage is 1–100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JpegQuality {
    percent: u8,
    subsampling: Subsampling,
    /// Somebody asked for this subsampling: it stays also in what moves.
    chosen: bool,
}

/// What moves keeps all of its colour from this percentage on: who wants so much wants it in videos, too.
const FINE: u8 = 80;

/// What moves is better by so many percent, of the bytes that thinned out colour saves.
const MOVING: u8 = 4;

/// What the levels 0–9 mean. The percentages and subsamplings are those that users of TigerVNC know the levels by, so
/// that a level looks the same whichever server is at the other end.
const LEVELS: [JpegQuality; 10] = {
    use Subsampling::{Half, None, Quarter};
    [
        JpegQuality::new(15, Quarter),
        JpegQuality::new(29, Quarter),
        JpegQuality::new(41, Quarter),
        JpegQuality::new(42, Half),
        JpegQuality::new(62, Half),
        JpegQuality::new(77, Half),
        JpegQuality::new(79, None),
        JpegQuality::new(86, None),
        JpegQuality::new(92, None),
        JpegQuality::new(100, None),
    ]
};

/// Worse than level 0, for a picture that is soon followed by another one and would not come whole: what it shows is still
/// made out.
const BELOW: [JpegQuality; 4] = {
    use Subsampling::Quarter;
    [
        JpegQuality::new(2, Quarter),
        JpegQuality::new(4, Quarter),
        JpegQuality::new(6, Quarter),
        JpegQuality::new(10, Quarter),
    ]
};

impl JpegQuality {
    /// On libjpeg's scale; what is outside 1–100 is taken as the nearest.
    pub const fn new(percent: u8, subsampling: Subsampling) -> Self {
        let percent = match percent {
            0 => 1,
            1..=100 => percent,
            _ => 100,
        };
        Self {
            percent,
            subsampling,
            chosen: false,
        }
    }

    /// Of a client's quality level 0–9; more is taken as 9.
    pub const fn of_level(level: u8) -> Self {
        LEVELS[if level > 9 { 9 } else { level as usize }]
    }

    /// Of a percentage whose subsampling nobody named: that of the nearest level below.
    pub const fn of_percent(percent: u8) -> Self {
        Self::new(
            percent,
            Self::of_level(Self::new(percent, Subsampling::None).level()).subsampling,
        )
    }

    /// libjpeg's scale, 1–100.
    pub const fn percent(self) -> u8 {
        self.percent
    }

    /// How much colour is thinned out.
    pub const fn subsampling(self) -> Subsampling {
        self.subsampling
    }

    /// The same percentage with a subsampling that somebody asked for.
    #[must_use]
    pub const fn with_subsampling(self, subsampling: Subsampling) -> Self {
        Self {
            subsampling,
            chosen: true,
            ..self
        }
    }

    /// For a picture that another one follows at once: a sample of colour for four pixels, as nearly all videos come with,
    /// and a better percentage in return. About as many bytes, and a third less work, for this server and the client.
    #[must_use]
    pub fn moving(self) -> Self {
        if self.chosen || self.percent >= FINE || self.subsampling >= Subsampling::Quarter {
            return self;
        }
        Self::new(self.percent + MOVING, Subsampling::Quarter)
    }

    /// The highest level that is no better, 0–9; 0 also of what is worse than all.
    pub const fn level(self) -> u8 {
        let mut level = 9;
        while level > 0 && LEVELS[level as usize].percent > self.percent {
            level -= 1;
        }
        level
    }

    /// The steps that there are below level 0.
    pub const BELOW: u8 = BELOW.len() as u8;

    /// How often it can be lowered by a step: [`JpegQuality::BELOW`] times from level 0.
    pub fn steps(self) -> u8 {
        let worse = |step: &&Self| step.percent < self.percent;
        BELOW.iter().chain(&LEVELS).filter(worse).count() as u8
    }

    /// Worse by so many levels, for a link that does not carry more: down to level 0, further by [`JpegQuality::BELOW`]
    /// steps, and never more colour than now.
    #[must_use]
    pub fn lowered(self, steps: u8) -> Self {
        let mut lowered = self;
        for _ in 0..steps.min(self.steps()) {
            let mut all = BELOW.iter().chain(&LEVELS);
            let below = all.rfind(|l| l.percent < lowered.percent);
            let Some(below) = below else { break };
            lowered = Self {
                percent: below.percent,
                subsampling: below.subsampling.max(self.subsampling),
                ..self
            };
        }
        lowered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn levels_are_those_that_users_know() {
        let known = [0, 3, 5, 6, 8, 9, 200].map(|n| {
            let quality = JpegQuality::of_level(n);
            (quality.percent(), quality.subsampling())
        });
        use Subsampling::{Half, None, Quarter};
        assert_eq!(
            known,
            [
                (15, Quarter),
                (42, Half),
                (77, Half),
                (79, None),
                (92, None),
                (100, None),
                (100, None)
            ]
        );
        for level in 0..=9 {
            assert_eq!(JpegQuality::of_level(level).level(), level);
        }
        assert_eq!(JpegQuality::of_percent(0), JpegQuality::new(1, Quarter));
        assert_eq!(JpegQuality::of_percent(70), JpegQuality::new(70, Half));
        assert_eq!(JpegQuality::of_percent(255), JpegQuality::of_level(9));
    }

    #[test]
    fn it_is_lowered_level_by_level() {
        let best = JpegQuality::of_level(9);
        for level in 0..=9 {
            assert_eq!(best.lowered(9 - level), JpegQuality::of_level(level));
        }
        let (below, last) = (best.lowered(11), best.lowered(255));
        assert_eq!((below.percent(), below.level()), (6, 0));
        assert_eq!(
            (last.percent(), last.subsampling()),
            (2, Subsampling::Quarter)
        );
        assert_eq!(JpegQuality::of_level(0).steps(), JpegQuality::BELOW);
        let odd = JpegQuality::new(80, Subsampling::Grey);
        assert_eq!(odd.lowered(1), JpegQuality::new(79, Subsampling::Grey));
        let worst = JpegQuality::new(1, Subsampling::None);
        assert_eq!(worst.lowered(4), worst);
    }

    #[test]
    fn what_moves_has_less_colour_unless_somebody_asked_for_it() {
        let level = JpegQuality::of_level(6);
        assert_eq!(level.moving(), JpegQuality::new(83, Subsampling::Quarter));
        for kept in [
            level.with_subsampling(Subsampling::None),
            level.with_subsampling(Subsampling::None).lowered(1),
            level.with_subsampling(Subsampling::Grey),
            JpegQuality::of_level(7),
            JpegQuality::of_level(2),
        ] {
            assert_eq!(kept.moving(), kept);
        }
    }

    proptest! {
        #[test]
        fn lowering_is_by_steps_and_never_better(percent in 0u8..=110, a in 0u8..6, b in 0u8..6) {
            let quality = JpegQuality::of_percent(percent);
            let once = quality.lowered(a);
            prop_assert_eq!(once.lowered(b), quality.lowered(a + b));
            prop_assert_eq!(once.steps(), quality.steps().saturating_sub(a));
            prop_assert!(once.percent() <= quality.percent());
            prop_assert!(once.subsampling() >= quality.subsampling());
        }
    }
}
