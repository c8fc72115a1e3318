//! The way through the layers, of one turn at a time.
//!
//! Matrices are multiplied as integers: each token's numbers are brought to 0..=[`LEVELS`] with a scale and a zero of
//! their own. Everything else is done in floats.

use std::ops::Range;

use rten_gemm::{GemmError, GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_simd::{SimdOp as _, SimdUnaryOp as _};
use rten_tensor::NdTensorView;
use rten_vecmath::{Gelu, Softmax};

use super::super::weights::HEADS;
use super::tokens::Tokens;
use super::weights::{ATTENTION, INNER, Layer, Linear, Norm, WIDTH, Weights};

/// Seven bits: products of these with the weights stay exact on processors that add them in sixteen bits.
const LEVELS: f32 = 127.0;
/// Layer normalisation's guard against division by zero, as in training.
const EPSILON: f32 = 1e-12;
/// Numbers that are added side by side, so that the compiler may use vectors; the order is the same everywhere.
const LANES: usize = 16;
/// Numbers per attention head.
const HEAD: usize = WIDTH / ATTENTION;

/// The heads' raw scores.
pub(super) fn run(weights: &Weights, tokens: &Tokens) -> [f32; HEADS] {
    // The shapes are this file's own, so that no product can fail; a score of nothing says nothing.
    scores(weights, tokens).unwrap_or_default()
}

fn scores(weights: &Weights, tokens: &Tokens) -> Result<[f32; HEADS], GemmError> {
    let kernels = Kernels::default();
    let mut x = embedded(weights, tokens);
    let Some((last, before)) = weights.layers.split_last() else { return Ok([0.0; HEADS]) };
    for layer in before {
        x = kernels.layer(layer, &x, x.len() / WIDTH)?;
    }
    // The last layer is worked out for the first token only; the turn's own tokens are averaged below it.
    let mean = mean(&x[..tokens.own * WIDTH]);
    let first = kernels.layer(last, &x, 1)?;
    Ok(std::array::from_fn(|head| {
        let row = weights.head.part(head * 2 * WIDTH, 2 * WIDTH);
        let inputs = first.iter().chain(&mean);
        weights.head_bias.at(head) + row.iter().zip(inputs).map(|(w, x)| w * x).sum::<f32>()
    }))
}

/// Words, places and kinds, added and normalised.
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

fn mean(x: &[f32]) -> Vec<f32> {
    let (rows, _) = x.as_chunks::<WIDTH>();
    let mut sum = vec![0.0; WIDTH];
    for row in rows {
        sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    sum.iter_mut().for_each(|sum| *sum /= rows.len().max(1) as f32);
    sum
}

#[derive(Default)]
struct Kernels {
    integers: GemmExecutor<u8, i8, i32>,
    floats: GemmExecutor<f32>,
}

impl Kernels {
    /// One layer's result for the first `tokens` tokens, which see all.
    fn layer(&self, layer: &Layer, x: &[f32], tokens: usize) -> Result<Vec<f32>, GemmError> {
        let mut y = self.attention(layer, x, tokens)?;
        add(&mut y, x);
        normalise(&mut y, &layer.norm1);
        let mut inner = self.linear(&layer.up, &y, 0..INNER)?;
        Gelu {}.map_mut(&mut inner);
        let mut z = self.linear(&layer.down, &inner, 0..WIDTH)?;
        add(&mut z, &y);
        normalise(&mut z, &layer.norm2);
        Ok(z)
    }

    fn attention(&self, layer: &Layer, x: &[f32], tokens: usize) -> Result<Vec<f32>, GemmError> {
        let count = x.len() / WIDTH;
        let queries = self.linear(&layer.qkv, &x[..tokens * WIDTH], 0..WIDTH)?;
        let keys = self.linear(&layer.qkv, x, WIDTH..2 * WIDTH)?;
        let values = self.linear(&layer.qkv, x, 2 * WIDTH..3 * WIDTH)?;
        let queries = NdTensorView::from_data([tokens, WIDTH], &queries[..]);
        let keys = NdTensorView::from_data([count, WIDTH], &keys[..]);
        let values = NdTensorView::from_data([count, WIDTH], &values[..]);
        let mut shares = vec![0.0; tokens * count];
        let mut part = vec![0.0; tokens * HEAD];
        let mut seen = vec![0.0; tokens * WIDTH];
        for head in 0..ATTENTION {
            let columns = head * HEAD..(head + 1) * HEAD;
            let (q, k) = (queries.slice((.., columns.clone())), keys.slice((.., columns.clone())));
            let scaled = GemmOptions { alpha: 1.0 / (HEAD as f32).sqrt(), ..GemmOptions::default() };
            self.floats.gemm(&mut shares, GemmInputA::Unpacked(q), GemmInputB::Unpacked(k.transposed()), scaled)?;
            for row in shares.chunks_exact_mut(count) {
                Softmax::new_mut(row).dispatch();
            }
            let shares = NdTensorView::from_data([tokens, count], &shares[..]);
            let v = values.slice((.., columns.clone()));
            self.floats.gemm(
                &mut part,
                GemmInputA::Unpacked(shares),
                GemmInputB::Unpacked(v),
                GemmOptions::default(),
            )?;
            for (to, from) in seen.chunks_exact_mut(WIDTH).zip(part.chunks_exact(HEAD)) {
                to[columns.clone()].copy_from_slice(from);
            }
        }
        self.linear(&layer.out, &seen, 0..WIDTH)
    }

    /// Some outputs of a matrix, for all tokens of `x`.
    fn linear(&self, linear: &Linear, x: &[f32], outputs: Range<usize>) -> Result<Vec<f32>, GemmError> {
        debug_assert!(outputs.end <= linear.outputs);
        let input = Levels::of(x, linear.inputs);
        let (tokens, count) = (input.scales.len(), outputs.len());
        let matrix = &linear.matrix[outputs.start * linear.inputs..outputs.end * linear.inputs];
        let a = NdTensorView::from_data([tokens, linear.inputs], &input.levels[..]);
        let b = NdTensorView::from_data([count, linear.inputs], matrix);
        let mut sums = vec![0i32; tokens * count];
        let (a, b) = (GemmInputA::Unpacked(a), GemmInputB::Unpacked(b.transposed()));
        self.integers.gemm(&mut sums, a, b, GemmOptions::default())?;
        // The zeros' part is taken off here: given to the kernels, they are mixed up from the ninth row of a tile on
        // (rten-gemm 0.27, AVX-512).
        let totals: Vec<i32> = linear.totals(outputs.clone()).collect();
        let scale: Vec<f32> = linear.scale.part(outputs.start, count).iter().collect();
        let bias: Vec<f32> = linear.bias.part(outputs.start, count).iter().collect();
        let mut out = vec![0.0; sums.len()];
        let rows = out.chunks_exact_mut(count).zip(sums.chunks_exact(count)).zip(input.scales.iter().zip(&input.zeros));
        for ((out, sums), (by, zero)) in rows {
            for ((((out, sum), total), scale), bias) in out.iter_mut().zip(sums).zip(&totals).zip(&scale).zip(&bias) {
                *out = (sum - zero * total) as f32 * (by * scale) + bias;
            }
        }
        Ok(out)
    }
}

/// Numbers as levels of seven bits, each row with a scale and a zero of its own.
struct Levels {
    levels: Vec<u8>,
    scales: Vec<f32>,
    zeros: Vec<i32>,
}

impl Levels {
    fn of(x: &[f32], width: usize) -> Self {
        /// Adding this to a number between 0 and 2^22 leaves its nearest integer in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        let rows = x.len() / width;
        let (mut levels, mut scales) = (vec![0; x.len()], Vec::with_capacity(rows));
        let mut zeros = Vec::with_capacity(rows);
        for (row, levels) in x.chunks_exact(width).zip(levels.chunks_exact_mut(width)) {
            let (low, high) = ends(row);
            let scale = if high > low { (high - low) / LEVELS } else { 1.0 };
            let zero = (-low / scale).round();
            for (level, x) in levels.iter_mut().zip(row) {
                let near = x / scale + zero;
                let near = if near > 0.0 { near } else { 0.0 };
                let near = if near < LEVELS { near } else { LEVELS };
                *level = (near + ROUND).to_bits() as u8;
            }
            scales.push(scale);
            zeros.push(zero as i32);
        }
        Self { levels, scales, zeros }
    }
}

/// The smallest and the largest number of a row, 0 included, so that 0 is a level.
fn ends(row: &[f32]) -> (f32, f32) {
    let (mut low, mut high) = ([0.0f32; LANES], [0.0f32; LANES]);
    for part in row.as_chunks::<LANES>().0 {
        for ((low, high), x) in low.iter_mut().zip(&mut high).zip(part) {
            *low = if *x < *low { *x } else { *low };
            *high = if *x > *high { *x } else { *high };
        }
    }
    (low.into_iter().fold(0.0, f32::min), high.into_iter().fold(0.0, f32::max))
}

fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

fn normalise(x: &mut [f32], norm: &Norm) {
    let gain: Vec<f32> = norm.gain.iter().collect();
    let bias: Vec<f32> = norm.bias.iter().collect();
    for row in x.chunks_exact_mut(WIDTH) {
        let mean = sum(row, |x| x) / WIDTH as f32;
        let variance = sum(row, |x| (x - mean) * (x - mean)) / WIDTH as f32;
        let by = 1.0 / (variance + EPSILON).sqrt();
        for ((x, gain), bias) in row.iter_mut().zip(&gain).zip(&bias) {
            *x = (*x - mean) * by * gain + bias;
        }
    }
}

fn sum(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    for part in row.as_chunks::<LANES>().0 {
        sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += of(*x));
    }
    sums.into_iter().sum()
}
