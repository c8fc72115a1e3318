//! Both views of a turn's words as one rating, and the scales of the other numbers. The recipe's `joint.py` chose the
//! numbers, on calls that nothing is trained on.

/// Heads of a linear stage: sentiment, below 2.75, below 3.5, above 6.5, frustration, urgency, filler.
pub(super) const HEADS: usize = 7;

/// How much the transformer counts against the trees.
const TRANSFORMER: f32 = 0.5;
/// Means, and the ratings that they become: squared error draws means to the middle of the scale.
const CURVE: [(f32, f32); 6] = [(1.0, 1.0), (3.48, 2.97), (4.8, 4.7), (6.3, 6.6), (7.6, 9.0), (10.0, 10.0)];
/// From here up to 5.0 nothing was heard: the rubric's neutral is exactly 5.
const NEUTRAL_FROM: f32 = 4.75;
/// Frustration likewise: means, and what they become.
const FRUSTRATION: [(f32, f32); 8] =
    [(0.0, 0.0), (0.12, 0.03), (0.2, 0.15), (0.42, 0.48), (0.67, 0.8), (0.765, 0.9), (0.86, 0.99), (1.0, 1.0)];
/// Urgency likewise.
const URGENCY: [(f32, f32); 3] = [(0.0, 0.0), (0.4, 0.4), (1.0, 1.0)];

/// The rating of the words, 1 to 10, from what each view makes of them.
pub(super) fn words(transformer: f32, trees: f32) -> f32 {
    along(&CURVE, TRANSFORMER * transformer + (1.0 - TRANSFORMER) * trees)
}

/// The rating of the words as history moves it; near-neutral becomes neutral.
pub(super) fn sentiment(words: f32, history: f32) -> f32 {
    let rating = words + history;
    if (NEUTRAL_FROM..5.0).contains(&rating) { 5.0 } else { rating.clamp(1.0, 10.0) }
}

/// Frustration, 0 to 1, from what each view makes of it.
pub(super) fn frustration(transformer: f32, trees: f32) -> f32 {
    along(&FRUSTRATION, f32::midpoint(transformer, trees))
}

/// Urgency, 0 to 1, from what each view makes of it.
pub(super) fn urgency(transformer: f32, trees: f32) -> f32 {
    along(&URGENCY, f32::midpoint(transformer, trees))
}

/// How likely the rating is near: from how likely the trees alone think themselves near, how far the two views lie apart,
/// where the rating lies, and how likely the turn is filler. A logistic regression on turns that neither view was trained on.
pub(super) fn confidence(trees: f32, apart: f32, words: f32, filler: f32) -> f32 {
    let trees = trees.clamp(0.02, 0.98);
    let from_neutral = (words - 5.0).abs();
    // Between a complaint and a remark it is hardest to tell.
    let doubtful = (1.0 - (words - 3.6).abs() / 1.2).max(0.0);
    probability(
        0.69 * (trees / (1.0 - trees)).ln() - 0.31 * apart - 0.83 * doubtful + 1.06 * (1.0 - from_neutral).max(0.0)
            - 0.95 * (words - 6.0).max(0.0)
            + 0.83 * from_neutral
            + 1.33 * filler
            + 0.1,
    )
}

/// A probability from log-odds.
pub(super) fn probability(odds: f32) -> f32 {
    1.0 / (1.0 + (-odds).exp())
}

/// Straight lines between knots, and level beyond them.
pub(super) fn along(knots: &[(f32, f32)], x: f32) -> f32 {
    let place = knots.partition_point(|knot| knot.0 < x);
    match (place.checked_sub(1).and_then(|before| knots.get(before)), knots.get(place)) {
        (Some((x0, y0)), Some((x1, y1))) => y0 + (x - x0) * (y1 - y0) / (x1 - x0),
        (Some((_, end)), None) | (None, Some((_, end))) => *end,
        (None, None) => x,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scales_keep_the_order_and_the_ends() {
        for knots in [&CURVE[..], &FRUSTRATION[..], &URGENCY[..]] {
            assert!(knots.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1), "{knots:?}");
            let ends = (knots[0], knots[knots.len() - 1]);
            assert_eq!((ends.0.0, ends.1.0), (ends.0.1, ends.1.1), "{knots:?}");
        }
        assert_eq!((along(&CURVE, 0.5), along(&CURVE, 11.0)), (1.0, 10.0));
    }

    #[test]
    fn near_neutral_is_neutral() {
        assert_eq!([4.7, 4.8, 4.99, 5.01].map(|words| sentiment(words, 0.0)), [4.7, 5.0, 5.0, 5.01]);
        assert_eq!(sentiment(1.1, -0.3), 1.0);
    }
}
