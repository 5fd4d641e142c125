//! What the machine can do meanwhile: figures of other days, or of other machines, can be told apart by it.

use std::hint::black_box;
use std::time::Instant;

use crate::screen::SIZE;
use crate::stats::median;

/// Comparisons of which the median counts.
const TIMES: usize = 31;

/// In how many milliseconds this machine now compares two pictures of the screen, pixel by pixel: nobody who has only the
/// pixels can know of a change for less.
pub(crate) fn comparison() -> f64 {
    let pixels = usize::from(SIZE.0) * usize::from(SIZE.1);
    let (one, other) = (vec![7_u32; pixels], vec![7_u32; pixels]);
    let times = [(); TIMES].map(|()| {
        let begun = Instant::now();
        assert!(black_box(&one) == black_box(&other));
        begun.elapsed().as_secs_f64() * 1e3
    });
    median(&times)
}

/// How many processors there are, and what they call themselves.
pub(crate) fn processors() -> String {
    let number = std::thread::available_parallelism().map_or(1, usize::from);
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let name = lines.find(|(key, _)| key.trim() == "model name");
    let name = name.map_or("of an unknown kind", |(_, name)| name.trim());
    format!("{number} × {name}")
}
