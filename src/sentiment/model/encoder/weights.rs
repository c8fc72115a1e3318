//! The encoder file: pieces, embeddings and layers, each a view of the program's own bytes.

use super::super::features::crc32;
use super::super::weights::{HEADS, Reader, WeightsError};
use super::tokens::MAX_TOKENS;

const MAGIC: &[u8; 4] = b"SSLE";
/// What a file was made for; another one is refused.
const SPEC: &str = "minilm 384 12 1536 own 12+44 agent 20 v3";
/// Numbers per token between layers.
pub(super) const WIDTH: usize = 384;
/// Attention heads.
pub(super) const ATTENTION: usize = 12;
/// Numbers per token inside a layer.
pub(super) const INNER: usize = 1536;
/// More layers than any such model has.
const MAX_LAYERS: u32 = 24;

/// Little-endian floats in the file.
#[derive(Clone, Copy)]
pub(super) struct Reals(&'static [u8]);

impl Reals {
    pub(super) fn iter(self) -> impl ExactSizeIterator<Item = f32> + Clone {
        self.0.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }

    pub(super) fn at(self, place: usize) -> f32 {
        self.0.as_chunks::<4>().0.get(place).map_or(0.0, |bytes| f32::from_le_bytes(*bytes))
    }

    /// `count` numbers from `from` on.
    pub(super) fn part(self, from: usize, count: usize) -> Self {
        Self(&self.0[from * 4..(from + count) * 4])
    }
}

/// Rows of eight-bit numbers, each row with a scale of its own.
pub(super) struct Table {
    scale: Reals,
    rows: &'static [u8],
}

impl Table {
    /// One row of [`WIDTH`] numbers.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = f32> {
        let scale = self.scale.at(row);
        self.rows[row * WIDTH..(row + 1) * WIDTH].iter().map(move |byte| scale * f32::from(byte.cast_signed()))
    }
}

/// Outputs of a matrix that stand together: as many sums as the widest registers hold.
pub(super) const LANES: usize = 16;
/// Inputs of a matrix that stand together: as many as a dot product of bytes adds into one sum.
pub(super) const QUAD: usize = 4;

/// [`WIDTH`] in [`QUAD`]s.
pub(super) const NARROW: usize = WIDTH / QUAD;
/// [`INNER`] in [`QUAD`]s.
pub(super) const WIDE: usize = INNER / QUAD;

/// A matrix in eight-bit numbers, with a scale and a bias per output; so many [`QUAD`]s of inputs.
pub(super) struct Linear<const QUADS: usize> {
    scale: Reals,
    bias: Reals,
    /// The sum of each output's weights.
    totals: &'static [u8],
    weights: &'static [[[i8; LANES * QUAD]; QUADS]],
}

/// [`LANES`] outputs of a matrix.
pub(super) struct Panel<const QUADS: usize> {
    pub(super) scale: [f32; LANES],
    pub(super) bias: [f32; LANES],
    pub(super) totals: [i32; LANES],
    /// For each four inputs, the four weights of the first output, of the second, and so on.
    pub(super) weights: &'static [[i8; LANES * QUAD]; QUADS],
}

impl<const QUADS: usize> Linear<QUADS> {
    pub(super) fn panel(&self, panel: usize) -> Panel<QUADS> {
        let from = panel * LANES;
        let totals = &self.totals.as_chunks::<4>().0[from..from + LANES];
        Panel {
            scale: std::array::from_fn(|lane| self.scale.at(from + lane)),
            bias: std::array::from_fn(|lane| self.bias.at(from + lane)),
            totals: std::array::from_fn(|lane| i32::from_le_bytes(totals[lane])),
            weights: &self.weights[panel],
        }
    }
}

/// Layer normalisation: gain and bias.
pub(super) struct Norm {
    pub(super) gain: [f32; WIDTH],
    pub(super) bias: [f32; WIDTH],
}

/// One layer of the transformer.
pub(super) struct Layer {
    pub(super) qkv: Linear<NARROW>,
    pub(super) out: Linear<NARROW>,
    pub(super) norm1: Norm,
    pub(super) up: Linear<NARROW>,
    pub(super) down: Linear<WIDE>,
    pub(super) norm2: Norm,
}

/// The vocabulary, in the order of its bytes; a piece's place is its row in the embedding table.
pub(super) struct Pieces {
    ends: &'static [u8],
    text: &'static [u8],
    pub(super) begin: usize,
    pub(super) part: usize,
    pub(super) unknown: usize,
}

impl Pieces {
    pub(super) fn len(&self) -> usize {
        self.ends.len() / 4
    }

    fn end(&self, place: usize) -> usize {
        self.ends.as_chunks::<4>().0.get(place).map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
    }

    fn piece(&self, place: usize) -> &'static [u8] {
        let from = place.checked_sub(1).map_or(0, |before| self.end(before));
        self.text.get(from..self.end(place)).unwrap_or_default()
    }

    /// The row of a piece; one that goes on a word (`continues`) is another than one that begins it.
    pub(super) fn find(&self, continues: bool, text: &str) -> Option<usize> {
        let mark: &[u8] = if continues { b"##" } else { b"" };
        let wanted = || mark.iter().chain(text.as_bytes());
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.piece(middle).iter().cmp(wanted()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

/// All that was trained.
pub(super) struct Weights {
    pub(super) pieces: Pieces,
    pub(super) words: Table,
    pub(super) places: Table,
    /// Added to the turn's own tokens, and to those of its context.
    pub(super) kinds: [Reals; 2],
    pub(super) norm: Norm,
    pub(super) layers: Vec<Layer>,
    /// [`HEADS`] rows of twice [`WIDTH`].
    pub(super) head: Reals,
    pub(super) head_bias: Reals,
}

impl Weights {
    pub(super) fn read(bytes: &'static [u8]) -> Result<Self, WeightsError> {
        let mut file = Reader::new(bytes);
        if file.take(4)? != MAGIC {
            return Err(WeightsError::Magic);
        }
        file.expect("encoder fingerprint", crc32(SPEC.as_bytes()))?;
        let (layers, count, text) = (file.word()?, file.word()? as usize, file.word()? as usize);
        if !(1..=MAX_LAYERS).contains(&layers) {
            return Err(WeightsError::Damaged { what: "it has no layers, or too many" });
        }
        let pieces = pieces(&mut file, count, text)?;
        let words = table(&mut file, pieces.len())?;
        let places = table(&mut file, MAX_TOKENS)?;
        let kinds = [reals(&mut file, WIDTH)?, reals(&mut file, WIDTH)?];
        let norm = norm(&mut file)?;
        let layers = (0..layers).map(|_| layer(&mut file)).collect::<Result<_, _>>()?;
        let (head, head_bias) = (reals(&mut file, HEADS * 2 * WIDTH)?, reals(&mut file, HEADS)?);
        file.end()?;
        Ok(Self { pieces, words, places, kinds, norm, layers, head, head_bias })
    }
}

fn pieces(file: &mut Reader, count: usize, text: usize) -> Result<Pieces, WeightsError> {
    let ends = file.take(count.saturating_mul(4))?;
    let text = file.take(text)?;
    let mut pieces = Pieces { ends, text, begin: 0, part: 0, unknown: 0 };
    if !(1..count).all(|place| pieces.piece(place - 1) < pieces.piece(place)) {
        return Err(WeightsError::Damaged { what: "its pieces are not in order" });
    }
    let named = |name| pieces.find(false, name).ok_or(WeightsError::Damaged { what: "a mark is missing" });
    (pieces.begin, pieces.part, pieces.unknown) = (named("[CLS]")?, named("[SEP]")?, named("[UNK]")?);
    Ok(pieces)
}

/// `count` finite floats.
fn reals(file: &mut Reader, count: usize) -> Result<Reals, WeightsError> {
    let reals = Reals(file.take(count.saturating_mul(4))?);
    if reals.iter().all(f32::is_finite) {
        Ok(reals)
    } else {
        Err(WeightsError::Damaged { what: "a number is not finite" })
    }
}

fn table(file: &mut Reader, rows: usize) -> Result<Table, WeightsError> {
    Ok(Table { scale: reals(file, rows)?, rows: file.take(rows.saturating_mul(WIDTH))? })
}

fn linear<const QUADS: usize>(file: &mut Reader, outputs: usize) -> Result<Linear<QUADS>, WeightsError> {
    let (scale, bias) = (reals(file, outputs)?, reals(file, outputs)?);
    let totals = file.take(outputs * 4)?;
    file.skip_to(LANES * QUAD)?;
    let rows: &[[i8; LANES * QUAD]] = bytemuck::cast_slice(file.take(outputs * QUADS * QUAD)?);
    Ok(Linear { scale, bias, totals, weights: rows.as_chunks().0 })
}

fn norm(file: &mut Reader) -> Result<Norm, WeightsError> {
    let mut row = || {
        let reals = reals(file, WIDTH)?;
        Ok(std::array::from_fn(|place| reals.at(place)))
    };
    Ok(Norm { gain: row()?, bias: row()? })
}

fn layer(file: &mut Reader) -> Result<Layer, WeightsError> {
    Ok(Layer {
        qkv: linear(file, 3 * WIDTH)?,
        out: linear(file, WIDTH)?,
        norm1: norm(file)?,
        up: linear(file, INNER)?,
        down: linear(file, WIDTH)?,
        norm2: norm(file)?,
    })
}
