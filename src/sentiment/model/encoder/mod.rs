//! The small transformer: MiniLM fine-tuned on calls, in eight-bit integers, read where it lies in the program.
//!
//! 1. `tokens` cuts the turn and what went before it into pieces.
//! 2. `forward` sends them through the layers: matrices as integers (rten's kernels), the rest as floats.
//! 3. A linear head gives the same scores as the linear stages do.
//!
//! All of it lies in `encoder.bin`, which `recipe/pack.py` writes. Ratings agree between processors to rounding: integer
//! products are exact on all of them, since activations have seven bits ([`forward::LEVELS`]).

mod forward;
mod tokens;
mod weights;

use std::cell::OnceCell;

use super::features::View;
use super::weights::{HEADS, WeightsError};
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
        on_this_thread(|| forward::run(&self.weights, &tokens))
    }
}

/// Runs the kernels on the calling thread alone: they ask rayon how many threads there are, and without a pool of one
/// would start as many as the machine has cores, in each of thousands of processes.
fn on_this_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread_local! {
        static POOL: OnceCell<Option<rayon::ThreadPool>> = const { OnceCell::new() };
    }
    POOL.with(|pool| {
        let alone = || rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().ok();
        match pool.get_or_init(alone) {
            Some(pool) => pool.install(work),
            // This thread belongs to a pool already.
            None => work(),
        }
    })
}

#[cfg(test)]
mod tests;
