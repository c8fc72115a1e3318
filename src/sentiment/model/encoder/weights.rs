//! The encoder file: pieces, embeddings and layers, each a view of the program's own bytes.

use std::ops::Range;

use super::super::features::crc32;
use super::super::weights::{HEADS, Reader, WeightsError};
use super::tokens::MAX_TOKENS;

const MAGIC: &[u8; 4] = b"SSLE";
/// What a file was made for; another one is refused.
const SPEC: &str = "minilm 384 12 1536 own 12+44 last 16 agent 10 older 12 v1";
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

/// A matrix in eight-bit numbers, with a scale and a bias per output.
pub(super) struct Linear {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) scale: Reals,
    pub(super) bias: Reals,
    /// `outputs` rows of `inputs` numbers.
    pub(super) matrix: &'static [i8],
    totals: &'static [u8],
}

impl Linear {
    /// The sum of each output's row.
    pub(super) fn totals(&self, outputs: Range<usize>) -> impl Iterator<Item = i32> {
        self.totals[outputs.start * 4..outputs.end * 4]
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| i32::from_le_bytes(*bytes))
    }
}

/// Layer normalisation: gain and bias.
pub(super) struct Norm {
    pub(super) gain: Reals,
    pub(super) bias: Reals,
}

/// One layer of the transformer.
pub(super) struct Layer {
    pub(super) qkv: Linear,
    pub(super) out: Linear,
    pub(super) norm1: Norm,
    pub(super) up: Linear,
    pub(super) down: Linear,
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

fn linear(file: &mut Reader, inputs: usize, outputs: usize) -> Result<Linear, WeightsError> {
    let (scale, bias) = (reals(file, outputs)?, reals(file, outputs)?);
    let totals = file.take(outputs * 4)?;
    let matrix = bytemuck::cast_slice(file.take(inputs * outputs)?);
    Ok(Linear { inputs, outputs, scale, bias, matrix, totals })
}

fn norm(file: &mut Reader) -> Result<Norm, WeightsError> {
    Ok(Norm { gain: reals(file, WIDTH)?, bias: reals(file, WIDTH)? })
}

fn layer(file: &mut Reader) -> Result<Layer, WeightsError> {
    Ok(Layer {
        qkv: linear(file, WIDTH, 3 * WIDTH)?,
        out: linear(file, WIDTH, WIDTH)?,
        norm1: norm(file)?,
        up: linear(file, WIDTH, INNER)?,
        down: linear(file, INNER, WIDTH)?,
        norm2: norm(file)?,
    })
}
