//! How far the call so far moves a rating of the words: it explains a line and does not repaint it.
//!
//! Trees say by how much, from the ratings of the caller's earlier turns and from how sure the words are. What they say is
//! bounded by [`most`], whatever came before: clear words stay what they are, and doubtful ones lean to the side of the
//! call. After anger they may sink further than they may rise after calm, as anger does not hide.

use super::features::View;
use super::joint::HEADS;
use super::shape::{centred, length, numbers};

/// How many numbers the trees look at.
pub(super) const PAST: usize = 13;
/// How much an earlier rating counts against the one after it.
const FADING: f32 = 0.6;
/// Ratings below 3.5 are low, in units of two points around neutral.
const LOW: f32 = -0.75;
/// Ratings of the words, and how many points an angry call may lower them at most; straight lines between.
const LOWERED: [(f32, f32); 6] = [(1.0, 0.2), (2.0, 0.25), (3.0, 0.5), (3.8, 0.7), (4.3, 0.3), (5.0, 0.2)];
/// Ratings of the words, and how many points a calm call may raise them at most.
const RAISED: [(f32, f32); 4] = [(2.5, 0.0), (3.2, 0.25), (4.0, 0.35), (5.0, 0.2)];

/// A rating of the words moved by so many points, or by as many of them as history may move it.
pub(super) fn bounded(words: f32, moved: f32) -> f32 {
    let (lowered, raised) = most(words);
    moved.clamp(-lowered, raised)
}

/// The most points by which history may lower this rating of the words, and by which it may raise it.
#[must_use]
pub fn most(words: f32) -> (f32, f32) {
    (super::joint::along(&LOWERED, words), super::joint::along(&RAISED, words))
}

/// The inputs of the trees: the rating of the words (1 to 10), what the linear stage says in context, and the earlier
/// ratings (1 to 10, oldest first, at least one).
pub(super) fn past(view: &View, words: f32, context: &[f32; HEADS], ratings: &[f32]) -> [f32; PAST] {
    let ratings: Vec<f32> = ratings.iter().copied().map(centred).collect();
    let last = ratings.last().copied().unwrap_or_default();
    let before_last = ratings.len().checked_sub(2).map_or(last, |place| ratings[place]);
    let low = ratings.iter().filter(|rating| **rating < LOW).count();
    [
        centred(words),
        context[1],
        context[3],
        context[6],
        last,
        before_last,
        recent(&ratings),
        ratings.iter().copied().reduce(f32::min).unwrap_or_default(),
        ratings.iter().sum::<f32>() / ratings.len().max(1) as f32,
        low.min(3) as f32 / 3.0,
        view.repeated(),
        numbers(view),
        length(view),
    ]
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
