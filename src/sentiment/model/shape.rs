//! What the trees see of a turn's words: the linear stages' scores, and the turn's shape.

use super::features::View;
use super::joint::HEADS;

/// How many numbers there are.
pub(super) const SHAPE: usize = 15;
/// A turn of up to this many words is short.
const SHORT: usize = 4;

/// The inputs of the trees, from `own` scores and those in the `context` of the agent's last words.
pub(super) fn shape(view: &View, own: &[f32; HEADS], context: &[f32; HEADS]) -> [f32; SHAPE] {
    let flag = |yes: bool| f32::from(u8::from(yes));
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
        flag(!view.agent.is_empty()),
        flag(view.words.len() <= SHORT),
        numbers(view),
        length(view),
    ]
}

/// In units of two points around neutral.
pub(super) fn centred(rating: f32) -> f32 {
    (rating - 5.0) / 2.0
}

/// How many of the words are numbers (0 to 1).
pub(super) fn numbers(view: &View) -> f32 {
    view.words.iter().filter(|word| word.is_number()).count() as f32 / view.words.len().max(1) as f32
}

/// The number of words, on a scale where twice as many are always as much more.
pub(super) fn length(view: &View) -> f32 {
    (view.words.len() as f32).ln_1p() / 3.0
}
