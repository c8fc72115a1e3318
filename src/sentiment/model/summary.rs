//! What the trees look at: the linear stages' scores, the ratings so far, and the turn's shape.

use super::features::View;
use super::weights::HEADS;

/// How many numbers there are.
pub(super) const INPUTS: usize = 22;
/// A turn of up to this many words is short.
const SHORT: usize = 4;
/// How much an earlier rating counts against the one after it.
const FADING: f32 = 0.6;
/// Ratings below 3.5 are low, in units of two points around neutral.
const LOW: f32 = -0.75;

/// The inputs of the trees, from `own` and `context` scores and the earlier ratings (1 to 10, oldest first).
pub(super) fn summary(view: &View, own: &[f32; HEADS], context: &[f32; HEADS], ratings: &[f32]) -> [f32; INPUTS] {
    let ratings: Vec<f32> = ratings.iter().copied().map(centred).collect();
    let last = ratings.last().copied().unwrap_or_default();
    let before_last = ratings.len().checked_sub(2).map_or(last, |place| ratings[place]);
    let count = ratings.len().max(1) as f32;
    let low = ratings.iter().filter(|rating| **rating < LOW).count();
    let words = view.words.len();
    let numbers = view.words.iter().filter(|word| word.is_number()).count();
    [
        centred(context[0]),
        context[1],
        context[2],
        context[3],
        context[4],
        context[5],
        context[6],
        centred(own[0]),
        own[1],
        own[2],
        own[3],
        last,
        before_last,
        recent(&ratings),
        ratings.iter().copied().reduce(f32::min).unwrap_or_default(),
        ratings.iter().sum::<f32>() / count,
        low.min(3) as f32 / 3.0,
        if ratings.is_empty() { 0.0 } else { 1.0 },
        if words <= SHORT { 1.0 } else { 0.0 },
        view.repeated(),
        numbers as f32 / words.max(1) as f32,
        (words as f32).ln_1p() / 3.0,
    ]
}

/// In units of two points around neutral.
fn centred(rating: f32) -> f32 {
    (rating - 5.0) / 2.0
}

/// The mean of the ratings, later ones weighing more.
fn recent(ratings: &[f32]) -> f32 {
    let (mut sum, mut total, mut weight) = (0.0, 0.0, 1.0);
    for rating in ratings.iter().rev() {
        sum += weight * rating;
        total += weight;
        weight *= FADING;
    }
    if total > 0.0 { sum / total } else { 0.0 }
}
