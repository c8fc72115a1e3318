//! The small transformer: MiniLM fine-tuned on calls, in eight-bit integers, read where it lies in the program.
//!
//! 1. `tokens` cuts the turn and what went before it into pieces.
//! 2. `forward` sends them through the layers: matrices as integers (`product`), the rest as floats (`attention`).
//! 3. A linear head gives the same scores as the linear stages do.
//!
//! All of it lies in `encoder.bin`, which `recipe/pack.py` writes. Ratings agree between processors to rounding: integer
//! products are exact on all of them, since activations have seven bits.

mod attention;
mod forward;
mod product;
mod tokens;
mod weights;

use rten_simd::SimdOp as _;

use super::features::View;
use super::weights::{HEADS, WeightsError};
use forward::Forward;
use tokens::Tokens;
use weights::Weights;

/// The transformer, ready to score.
pub(super) struct Encoder {
    weights: Weights,
}

impl Encoder {
    /// Reads an encoder file; nothing of it is copied.
    ///
    /// # Errors
    /// [`WeightsError`] when the file was made for another version or is damaged.
    pub(super) fn read(bytes: &'static [u8]) -> Result<Self, WeightsError> {
        Weights::read(bytes).map(|weights| Self { weights })
    }

    /// The heads' raw scores of a turn: sentiment in units of two points around 5, the others as log-odds.
    pub(super) fn score(&self, view: &View) -> [f32; HEADS] {
        let tokens = Tokens::of(view, &self.weights.pieces);
        Forward { weights: &self.weights, tokens: &tokens }.dispatch()
    }
}

#[cfg(test)]
mod tests;
