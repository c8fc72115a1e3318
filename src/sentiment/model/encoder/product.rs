//! Products of a matrix with tokens, in whole numbers.
//!
//! A token's numbers are brought to 0..=[`LEVELS`] with a scale and a zero of their own, and multiplied with eight-bit
//! weights into 32-bit sums, which are exact on every processor. The weights lie in the file as the kernels read them
//! ([`Panel`]), so that nothing is rearranged or copied when a turn is rated; general libraries do that at every product,
//! which takes longer than the product does.

use std::ops::Range;

use super::weights::{LANES, Linear, Panel, QUAD};

/// Seven bits: two products of these with weights fit into the sixteen bits in which AVX2 adds them.
const LEVELS: f32 = 127.0;

/// Tokens of `QUADS` times [`QUAD`] numbers each, as levels of seven bits.
#[derive(Default)]
pub(super) struct Levels<const QUADS: usize> {
    rows: Vec<[[u8; QUAD]; QUADS]>,
    scales: Vec<f32>,
    zeros: Vec<i32>,
}

impl<const QUADS: usize> Levels<QUADS> {
    /// Takes on the levels of these tokens.
    #[inline(always)]
    pub(super) fn fill(&mut self, x: &[f32]) {
        let width = QUADS * QUAD;
        self.rows.resize(x.len() / width, [[0; QUAD]; QUADS]);
        self.scales.clear();
        self.zeros.clear();
        for (row, levels) in x.chunks_exact(width).zip(&mut self.rows) {
            let (low, high) = ends(row);
            let scale = if high > low { (high - low) / LEVELS } else { 1.0 };
            let zero = (-low / scale).round();
            for (level, x) in levels.as_flattened_mut().iter_mut().zip(row) {
                *level = nearest(x / scale + zero);
            }
            self.scales.push(scale);
            self.zeros.push(zero as i32);
        }
    }
}

/// The nearest level, in a form that the compiler turns into vectors.
#[inline(always)]
fn nearest(x: f32) -> u8 {
    /// Adding this to a number between 0 and 2^22 leaves its nearest integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = if x > 0.0 { x } else { 0.0 };
    let x = if x < LEVELS { x } else { LEVELS };
    (x + ROUND).to_bits() as u8
}

/// The smallest and the largest number of a row, 0 included, so that 0 is a level.
#[inline(always)]
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

/// What multiplies here. Can be had for what this machine can do only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel(Instructions);

#[derive(Debug, Clone, Copy)]
enum Instructions {
    /// AVX-512 with dot products of bytes.
    #[cfg(target_arch = "x86_64")]
    Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What the compiler makes of it, on any processor.
    Plain,
}

impl Kernel {
    /// The fastest of [`Self::all`].
    pub(super) fn fastest() -> Self {
        Self::all().next().unwrap_or(Self(Instructions::Plain))
    }

    /// What this machine can do, fastest first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let special = [
            (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni"))
                .then_some(Instructions::Vnni),
            is_x86_feature_detected!("avx2").then_some(Instructions::Avx2),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let special = [None];
        special.into_iter().flatten().chain([Instructions::Plain]).map(Self)
    }

    /// The outputs of some panels of a matrix for the first tokens of `input`: a row of `out` per token.
    pub(super) fn multiply<const QUADS: usize>(
        self,
        linear: &Linear<QUADS>,
        panels: Range<usize>,
        input: &Levels<QUADS>,
        out: &mut [f32],
    ) {
        let stride = panels.len() * LANES;
        let tokens = out.len() / stride;
        // Tiles of about one height, since a low one takes as long per weight as a high one.
        let tiles = tokens.div_ceil(self.tallest());
        for (place, panel) in panels.enumerate() {
            let panel = linear.panel(panel);
            for tile in 0..tiles {
                let (from, to) = (tile * tokens / tiles, (tile + 1) * tokens / tiles);
                let out = &mut out[from * stride + place * LANES..];
                let tile = Tile { panel: &panel, input, from, out, stride };
                match to - from {
                    1 => self.tile::<1, QUADS>(tile),
                    2 => self.tile::<2, QUADS>(tile),
                    3 => self.tile::<3, QUADS>(tile),
                    4 => self.tile::<4, QUADS>(tile),
                    5 => self.tile::<5, QUADS>(tile),
                    6 => self.tile::<6, QUADS>(tile),
                    7 => self.tile::<7, QUADS>(tile),
                    8 => self.tile::<8, QUADS>(tile),
                    9 => self.tile::<9, QUADS>(tile),
                    10 => self.tile::<10, QUADS>(tile),
                    11 => self.tile::<11, QUADS>(tile),
                    12 => self.tile::<12, QUADS>(tile),
                    height => debug_assert!(false, "no tile is {height} high"),
                }
            }
        }
    }

    /// Most tokens in a tile: there have to be registers for their sums, and enough of those to hide how long one takes.
    fn tallest(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Instructions::Vnni => 12,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => 4,
            Instructions::Plain => 1,
        }
    }

    #[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "instructions that not every processor has"))]
    fn tile<const HEIGHT: usize, const QUADS: usize>(self, tile: Tile<QUADS>) {
        match self.0 {
            // SAFETY: `Self::all` gives out no instructions that the processor has not said to have.
            #[cfg(target_arch = "x86_64")]
            Instructions::Vnni => unsafe { x86::vnni::<HEIGHT, QUADS>(tile) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { x86::avx2::<HEIGHT, QUADS>(tile) },
            Instructions::Plain => plain::<HEIGHT, QUADS>(tile),
        }
    }
}

/// Some tokens and a panel: what is multiplied at once.
struct Tile<'a, const QUADS: usize> {
    panel: &'a Panel<QUADS>,
    input: &'a Levels<QUADS>,
    /// The first token.
    from: usize,
    /// Where its outputs go; the next token's stand `stride` further on.
    out: &'a mut [f32],
    stride: usize,
}

impl<'a, const QUADS: usize> Tile<'a, QUADS> {
    /// The tokens' levels.
    #[inline(always)]
    fn rows<const HEIGHT: usize>(&self) -> &'a [[[u8; QUAD]; QUADS]; HEIGHT] {
        // `Kernel::multiply` makes tiles of tokens that there are.
        self.input.rows[self.from..].first_chunk().unwrap_or_else(|| unreachable!("no tile goes beyond the tokens"))
    }

    /// Takes the zeros' part off the sums and brings them to scale.
    #[inline(always)]
    fn finish<const HEIGHT: usize>(self, sums: &[[i32; LANES]; HEIGHT]) {
        let Panel { scale, bias, totals, .. } = *self.panel;
        let scales = &self.input.scales[self.from..self.from + HEIGHT];
        let zeros = &self.input.zeros[self.from..self.from + HEIGHT];
        for (((sums, by), zero), out) in sums.iter().zip(scales).zip(zeros).zip(self.out.chunks_mut(self.stride)) {
            // Loops over whole arrays that nothing else can write to are what the compiler turns into vectors.
            let mut row = [0.0; LANES];
            for lane in 0..LANES {
                row[lane] = (sums[lane] - zero * totals[lane]) as f32 * (by * scale[lane]) + bias[lane];
            }
            out[..LANES].copy_from_slice(&row);
        }
    }
}

fn plain<const HEIGHT: usize, const QUADS: usize>(tile: Tile<QUADS>) {
    let rows = tile.rows::<HEIGHT>();
    let mut sums = [[0; LANES]; HEIGHT];
    for (sums, row) in sums.iter_mut().zip(rows) {
        for (levels, weights) in row.iter().zip(tile.panel.weights) {
            let levels = levels.map(i32::from);
            for (sum, weights) in sums.iter_mut().zip(weights.as_chunks::<QUAD>().0) {
                *sum += levels.iter().zip(weights).map(|(level, weight)| level * i32::from(*weight)).sum::<i32>();
            }
        }
    }
    tile.finish(&sums);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_add_epi32, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_set1_epi16,
        _mm256_set1_epi32, _mm256_setzero_si256, _mm512_dpbusd_epi32, _mm512_set1_epi32, _mm512_setzero_si512,
    };

    use super::Tile;

    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) fn vnni<const HEIGHT: usize, const QUADS: usize>(tile: Tile<QUADS>) {
        let rows = tile.rows::<HEIGHT>();
        let mut sums = [_mm512_setzero_si512(); HEIGHT];
        for quad in 0..QUADS {
            let weights: __m512i = bytemuck::cast(tile.panel.weights[quad]);
            for (sum, row) in sums.iter_mut().zip(rows) {
                let levels = _mm512_set1_epi32(i32::from_ne_bytes(row[quad]));
                *sum = _mm512_dpbusd_epi32(*sum, levels, weights);
            }
        }
        tile.finish::<HEIGHT>(&bytemuck::cast(sums));
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2<const HEIGHT: usize, const QUADS: usize>(tile: Tile<QUADS>) {
        let rows = tile.rows::<HEIGHT>();
        let ones = _mm256_set1_epi16(1);
        let mut sums = [[_mm256_setzero_si256(); 2]; HEIGHT];
        for quad in 0..QUADS {
            let halves: [__m256i; 2] = bytemuck::cast(tile.panel.weights[quad]);
            for (sums, row) in sums.iter_mut().zip(rows) {
                let levels = _mm256_set1_epi32(i32::from_ne_bytes(row[quad]));
                for (sum, weights) in sums.iter_mut().zip(halves) {
                    let pairs = _mm256_maddubs_epi16(levels, weights);
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
                }
            }
        }
        tile.finish::<HEIGHT>(&bytemuck::cast(sums));
    }
}

#[cfg(test)]
mod tests;
