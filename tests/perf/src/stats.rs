//! Quantiles, medians and ratios.

/// The value below which the part `q` (0 to 1) of them lies, interpolated; NaN of none.
pub(crate) fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = q * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Peak signal-to-noise ratio in dB of 8-bit colours, over pixels `0x00RRGGBB`; infinite when equal.
pub(crate) fn psnr(pairs: impl Iterator<Item = (u32, u32)>) -> f64 {
    let (mut sum, mut count) = (0u64, 0u64);
    for (a, b) in pairs {
        for shift in [16, 8, 0] {
            let d = i64::from(a >> shift & 0xff) - i64::from(b >> shift & 0xff);
            sum += (d * d) as u64;
        }
        count += 3;
    }
    10.0 * (255.0 * 255.0 / (sum as f64 / count as f64)).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated() {
        let values = [4.0, 1.0, 3.0, 2.0, f64::NAN];
        assert_eq!(median(&values), 2.5);
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(quantile(&values, 1.0), 4.0);
        assert!((quantile(&values, 0.95) - 3.85).abs() < 1e-9);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn psnr_of_a_known_error() {
        // An error of 1 in each colour: 20 log10(255).
        let one = psnr([(0x10_2030, 0x11_2131)].into_iter());
        assert!((one - 48.130_803).abs() < 1e-5, "{one}");
        assert_eq!(psnr([(5, 5)].into_iter()), f64::INFINITY);
    }
}
