//! Requests that meet on the way: how long the one that got a 491 waits before it goes out again (RFC 3261 section 14.1).

use std::time::Duration;

/// Most times that one REFER is sent again. Its transfer's deadline may be sooner.
pub(super) const MAX_COLLISIONS: u32 = 10;

/// How long to wait: of the two sides whose requests met, the one that made the Call-ID leaves the other one time. `chance` is
/// from 0 to 1.
pub(super) fn pause(owns_call_id: bool, chance: f64) -> Duration {
    // In units of 10 ms.
    let (least, most) = if owns_call_id { (210.0, 400.0) } else { (0.0, 200.0) };
    let units: f64 = least + (most - least) * chance.clamp(0.0, 1.0);
    Duration::from_millis(10).mul_f64(units.round())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bounds_are_those_of_the_rfc() {
        let ms = |owns, chance| pause(owns, chance).as_millis();
        assert_eq!((ms(true, 0.0), ms(true, 1.0)), (2_100, 4_000));
        assert_eq!((ms(false, 0.0), ms(false, 1.0)), (0, 2_000));
    }

    proptest! {
        #[test]
        fn two_sides_never_wait_equally_long_and_count_in_tens(ours in 0.0..=1.0f64, theirs in 0.0..=1.0f64) {
            prop_assert!(pause(true, ours) > pause(false, theirs));
            prop_assert_eq!(pause(false, theirs).as_millis() % 10, 0);
        }
    }
}
