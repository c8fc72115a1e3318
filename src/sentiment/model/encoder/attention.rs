//! What tokens see in each other: each head's share of every token's values.

use rten_simd::ops::{BitOps as _, FloatOps as _, NumOps as _};
use rten_simd::{Isa, SimdUnaryOp as _};
use rten_vecmath::Exp;

use super::forward::sum;
use super::weights::{ATTENTION, LANES, WIDTH};

/// Numbers per head.
const HEAD: usize = WIDTH / ATTENTION;
/// Tokens that look at once, so that what they look at is fetched once for all.
const TOGETHER: usize = 4;

/// Where a head's numbers stand while they are worked out.
pub(super) struct Attention {
    /// All tokens, in whole [`LANES`].
    width: usize,
    /// A row per dimension, so that one query meets many keys side by side.
    keys: Vec<f32>,
    /// How much a few tokens see of each.
    shares: Vec<f32>,
}

impl Attention {
    pub(super) fn new(tokens: usize) -> Self {
        let width = tokens.next_multiple_of(LANES);
        Self { width, keys: vec![0.0; HEAD * width], shares: vec![0.0; TOGETHER * width] }
    }

    /// What the tokens of `queries` see in all tokens; keys and values stand in one row per token.
    #[inline(always)]
    pub(super) fn see<I: Isa>(&mut self, isa: I, queries: &[f32], keys_and_values: &[f32], seen: &mut [f32]) {
        let keys_and_values = keys_and_values.as_chunks().0;
        let (queries, few) = queries.as_chunks::<WIDTH>().0.as_chunks();
        let (seen, rest) = seen.as_chunks_mut::<WIDTH>().0.as_chunks_mut();
        for at in (0..WIDTH).step_by(HEAD) {
            self.turn_keys(keys_and_values, at);
            for (queries, seen) in queries.iter().zip(&mut *seen) {
                self.look::<I, TOGETHER>(isa, queries, keys_and_values, at, seen);
            }
            for (query, seen) in few.iter().zip(&mut *rest) {
                let (query, seen) = (std::array::from_ref(query), std::array::from_mut(seen));
                self.look::<I, 1>(isa, query, keys_and_values, at, seen);
            }
        }
    }

    #[inline(always)]
    fn turn_keys(&mut self, rows: &[[f32; 2 * WIDTH]], at: usize) {
        // Filled up with the last key, which leaves the best fit what it is.
        let rows = rows.iter().chain(rows.last().into_iter().cycle()).take(self.width);
        for (token, row) in rows.enumerate() {
            for (keys, key) in self.keys.chunks_exact_mut(self.width).zip(&row[at..at + HEAD]) {
                keys[token] = *key;
            }
        }
    }

    /// What some tokens see with the head that begins at `at`.
    #[inline(always)]
    fn look<I: Isa, const COUNT: usize>(
        &mut self,
        isa: I,
        queries: &[[f32; WIDTH]; COUNT],
        rows: &[[f32; 2 * WIDTH]],
        at: usize,
        seen: &mut [[f32; WIDTH]; COUNT],
    ) {
        let (ops, width) = (isa.f32(), self.width);
        let by = 1.0 / (HEAD as f32).sqrt();
        for from in (0..width).step_by(ops.len()) {
            let mut fits = [ops.zero(); COUNT];
            for (dimension, keys) in self.keys.chunks_exact(width).enumerate() {
                let keys = ops.load(&keys[from..]);
                for (fits, query) in fits.iter_mut().zip(queries) {
                    *fits = ops.mul_add(ops.splat(query[at + dimension]), keys, *fits);
                }
            }
            for (shares, fits) in self.shares.chunks_exact_mut(width).zip(fits) {
                ops.store(ops.mul(fits, ops.splat(by)), &mut shares[from..]);
            }
        }
        let shares = &mut self.shares[..COUNT * width];
        for shares in shares.chunks_exact_mut(width) {
            let most = largest(shares);
            shares.iter_mut().for_each(|share| *share -= most);
        }
        Exp {}.map_mut(shares);
        let mut totals = [0.0; COUNT];
        for (total, shares) in totals.iter_mut().zip(shares.chunks_exact_mut(width)) {
            shares[rows.len()..].fill(0.0);
            *total = sum(shares);
        }
        for from in (at..at + HEAD).step_by(ops.len()) {
            let mut sums = [ops.zero(); COUNT];
            for (token, row) in rows.iter().enumerate() {
                let values = ops.load(&row[WIDTH + from..]);
                for (number, sum) in sums.iter_mut().enumerate() {
                    *sum = ops.mul_add(ops.splat(shares[number * width + token]), values, *sum);
                }
            }
            for ((seen, sum), total) in seen.iter_mut().zip(sums).zip(totals) {
                ops.store(ops.div(sum, ops.splat(total)), &mut seen[from..]);
            }
        }
    }
}

/// The largest of whole [`LANES`] of numbers, compared side by side.
#[inline(always)]
fn largest(numbers: &[f32]) -> f32 {
    let mut most = [f32::MIN; LANES];
    for block in numbers.as_chunks::<LANES>().0 {
        most.iter_mut().zip(block).for_each(|(most, x)| *most = if *x > *most { *x } else { *most });
    }
    most.into_iter().fold(f32::MIN, f32::max)
}
