//! How long ago, as people write it: `90m`, `12h`, `30d`, `4w`.

use std::time::Duration;

/// Reads minutes, hours, days or weeks.
///
/// # Errors
/// What would be right.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number with m, h, d or w behind it, e.g. 30d".to_owned();
    let (digits, unit) = text.split_at(text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    let minutes: u64 = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 60 * 24,
        "w" => 60 * 24 * 7,
        _ => return Err(wrong()),
    };
    count.checked_mul(minutes * 60).map(Duration::from_secs).ok_or_else(wrong)
}

/// So long before now, Unix time in ms.
pub(super) fn before(now_ms: u64, ago: Duration) -> u64 {
    now_ms.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_nothing_else() {
        for (text, seconds) in [("90m", 5_400), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600), ("0d", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "30", "d", "-1d", "1y", "1.5h", "99999999999999999999d", "9999999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
