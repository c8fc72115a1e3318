//! The way through the layers, of one turn at a time.
//!
//! Matrices are multiplied as integers (`product`), everything else is done in floats: code that the compiler makes
//! anew for each kind of processor, in the same order on all.

use rten_simd::{Isa, SimdOp, SimdUnaryOp as _};
use rten_vecmath::Gelu;

use super::super::weights::HEADS;
use super::attention::Attention;
use super::product::{Kernel, Levels};
use super::tokens::Tokens;
use super::weights::{INNER, LANES, Layer, NARROW, Norm, WIDE, WIDTH, Weights};

/// Layer normalisation's guard against division by zero, as in training.
const EPSILON: f32 = 1e-12;

/// A turn and what it is scored with; evaluates to the heads' raw scores.
pub(super) struct Forward<'a> {
    pub(super) weights: &'a Weights,
    pub(super) tokens: &'a Tokens,
}

impl SimdOp for Forward<'_> {
    type Output = [f32; HEADS];

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> [f32; HEADS] {
        let Self { weights, tokens } = self;
        let Some((last, before)) = weights.layers.split_last() else { return [0.0; HEADS] };
        let mut x = embedded(weights, tokens);
        let mut work = Work::new(tokens.rows.len());
        for layer in before {
            work.layer(isa, layer, &mut x, tokens.rows.len());
        }
        // The last layer is worked out for the first token only; the turn's own tokens are averaged below it.
        let mean = mean(&x[..tokens.own * WIDTH]);
        work.layer(isa, last, &mut x, 1);
        std::array::from_fn(|head| {
            let row = weights.head.part(head * 2 * WIDTH, 2 * WIDTH);
            let inputs = x[..WIDTH].iter().chain(&mean);
            weights.head_bias.at(head) + row.iter().zip(inputs).map(|(w, x)| w * x).sum::<f32>()
        })
    }
}

/// Words, places and kinds, added and normalised.
#[inline(always)]
fn embedded(weights: &Weights, tokens: &Tokens) -> Vec<f32> {
    let mut x = Vec::with_capacity(tokens.rows.len() * WIDTH);
    for (place, row) in tokens.rows.iter().enumerate() {
        let kind = weights.kinds[usize::from(place >= tokens.own)];
        let parts = weights.words.row(*row).zip(weights.places.row(place)).zip(kind.iter());
        x.extend(parts.map(|((word, place), kind)| word + place + kind));
    }
    normalise(&mut x, &weights.norm);
    x
}

fn mean(x: &[f32]) -> [f32; WIDTH] {
    let (rows, _) = x.as_chunks::<WIDTH>();
    let mut sum = [0.0; WIDTH];
    for row in rows {
        sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    sum.map(|sum| sum / rows.len().max(1) as f32)
}

/// Where the layers' numbers stand while a turn is scored, a row per token; each layer writes over the last one's.
struct Work {
    kernel: Kernel,
    narrow: Levels<NARROW>,
    wide: Levels<WIDE>,
    queries: Vec<f32>,
    /// Both in one row.
    keys_and_values: Vec<f32>,
    attention: Attention,
    /// What the tokens have seen in each other.
    seen: Vec<f32>,
    y: Vec<f32>,
    inner: Vec<f32>,
}

impl Work {
    fn new(tokens: usize) -> Self {
        Self {
            kernel: Kernel::fastest(),
            narrow: Levels::default(),
            wide: Levels::default(),
            queries: vec![0.0; tokens * WIDTH],
            keys_and_values: vec![0.0; tokens * 2 * WIDTH],
            attention: Attention::new(tokens),
            seen: vec![0.0; tokens * WIDTH],
            y: vec![0.0; tokens * WIDTH],
            inner: vec![0.0; tokens * INNER],
        }
    }

    /// Puts the first `tokens` tokens, which see all, through a layer.
    #[inline(always)]
    fn layer<I: Isa>(&mut self, isa: I, layer: &Layer, x: &mut [f32], tokens: usize) {
        const OUTPUTS: usize = WIDTH / LANES;
        let Self { kernel, narrow, wide, queries, keys_and_values, attention, seen, y, inner } = self;
        let (queries, seen) = (&mut queries[..tokens * WIDTH], &mut seen[..tokens * WIDTH]);
        let (y, inner) = (&mut y[..tokens * WIDTH], &mut inner[..tokens * INNER]);
        narrow.fill(x);
        kernel.multiply(&layer.qkv, 0..OUTPUTS, narrow, queries);
        kernel.multiply(&layer.qkv, OUTPUTS..3 * OUTPUTS, narrow, keys_and_values);
        attention.see(isa, queries, keys_and_values, seen);
        narrow.fill(seen);
        kernel.multiply(&layer.out, 0..OUTPUTS, narrow, y);
        let x = &mut x[..tokens * WIDTH];
        add(y, x);
        normalise(y, &layer.norm1);
        narrow.fill(y);
        kernel.multiply(&layer.up, 0..INNER / LANES, narrow, inner);
        Gelu {}.map_mut(inner);
        wide.fill(inner);
        kernel.multiply(&layer.down, 0..OUTPUTS, wide, x);
        add(x, y);
        normalise(x, &layer.norm2);
    }
}

#[inline(always)]
fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

#[inline(always)]
fn normalise(x: &mut [f32], norm: &Norm) {
    for row in x.as_chunks_mut::<WIDTH>().0 {
        let mean = sum(row) / WIDTH as f32;
        row.iter_mut().for_each(|x| *x -= mean);
        let variance = sum_of(row, |x| x * x) / WIDTH as f32;
        let by = 1.0 / (variance + EPSILON).sqrt();
        for ((x, gain), bias) in row.iter_mut().zip(&norm.gain).zip(&norm.bias) {
            *x = *x * by * gain + bias;
        }
    }
}

/// Whole [`LANES`] of numbers, added up side by side, so that the compiler may use vectors.
#[inline(always)]
pub(super) fn sum(numbers: &[f32]) -> f32 {
    sum_of(numbers, |x| x)
}

#[inline(always)]
fn sum_of(numbers: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    for part in numbers.as_chunks::<LANES>().0 {
        sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += of(*x));
    }
    sums.into_iter().sum()
}
