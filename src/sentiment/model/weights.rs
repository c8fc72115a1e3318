//! The weights file: a small header, the trees, and two tables of eight-bit weights that are read where they lie.

use super::features::{BITS, Feature, SPEC, crc32};
use super::history::PAST;
pub(super) use super::joint::HEADS;
use super::shape::SHAPE;

/// What the trees make of the words: sentiment, frustration, urgency, filler, confidence.
pub(super) const OUTPUTS: usize = 5;

const MAGIC: &[u8; 4] = b"SSLM";
const VERSION: u32 = 3;
const LEAF: u16 = 255;

/// Why a weights file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// It does not begin as a weights file does.
    #[error("this is no weights file: it must begin with \"SSLM\"")]
    Magic,
    /// It was made for another version of the program.
    #[error("the weights' {what} is {found}, but this program needs {needed}: train them again")]
    Mismatch {
        /// What does not fit.
        what: &'static str,
        /// What the file says.
        found: u32,
        /// What the program needs.
        needed: u32,
    },
    /// It ends too early, or goes on too long.
    #[error("the weights file has {found} bytes where it should have {needed}")]
    Size {
        /// Its size.
        found: usize,
        /// What its header promises.
        needed: usize,
    },
    /// A tree points outside itself, or a number is not finite.
    #[error("the weights file is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
}

/// A linear stage: one score per head from hashed features.
pub(super) struct Linear {
    scale: [f32; HEADS],
    bias: [f32; HEADS],
    /// `HEADS` weights per bucket, in the file.
    table: &'static [u8],
}

impl Linear {
    /// The scores of a turn from the features of its name spaces.
    pub(super) fn score(&self, spaces: &[&[Feature]]) -> [f32; HEADS] {
        let mut total = [0.0; HEADS];
        for space in spaces {
            let share = share(space);
            for feature in *space {
                for (sum, weight) in total.iter_mut().zip(self.weights(feature)) {
                    *sum += share * weight;
                }
            }
        }
        std::array::from_fn(|head| total[head] * self.scale[head] + self.bias[head])
    }

    /// By how many points of sentiment each feature of a name space moves the score.
    pub(super) fn effects<'a>(&'a self, space: &'a [Feature]) -> impl Iterator<Item = (&'a Feature, f32)> {
        let share = share(space) * self.scale[0];
        space.iter().map(move |feature| (feature, share * self.weights(feature).next().unwrap_or_default()))
    }

    fn weights(&self, feature: &Feature) -> impl Iterator<Item = f32> {
        let from = feature.bucket * HEADS;
        self.table[from..from + HEADS].iter().map(|byte| f32::from(byte.cast_signed()))
    }
}

/// A turn's features of one name space share 1 out, so that long turns do not shout.
fn share(space: &[Feature]) -> f32 {
    1.0 / (space.len().max(1) as f32).sqrt()
}

/// An inner node asks for one input; a leaf (`feature` is [`LEAF`]) holds its value in `threshold`.
struct Node {
    feature: u16,
    left: u16,
    right: u16,
    threshold: f32,
}

/// Gradient-boosted regression trees over so many inputs.
pub(super) struct Forest<const INPUTS: usize> {
    base: f32,
    roots: Vec<u32>,
    nodes: Vec<Node>,
}

impl<const INPUTS: usize> Forest<INPUTS> {
    pub(super) fn score(&self, inputs: &[f32; INPUTS]) -> f32 {
        let leaf = |root: &u32| {
            let mut node = &self.nodes[*root as usize];
            // Ends: `Forest::read` lets through no child that stands before its parent.
            while node.feature != LEAF {
                let left = inputs[usize::from(node.feature)] <= node.threshold;
                node = &self.nodes[usize::from(if left { node.left } else { node.right })];
            }
            node.threshold
        };
        self.base + self.roots.iter().map(leaf).sum::<f32>()
    }

    fn read(file: &mut Reader) -> Result<Self, WeightsError> {
        let base = file.real()?;
        let (roots, nodes) = (file.word()?, file.word()?);
        let roots = (0..roots).map(|_| file.word()).collect::<Result<Vec<_>, _>>()?;
        let nodes = (0..nodes).map(|_| file.node()).collect::<Result<Vec<_>, _>>()?;
        let fits = |(place, node): (usize, &Node)| {
            node.feature == LEAF
                || (usize::from(node.feature) < INPUTS
                    && [node.left, node.right].iter().all(|c| usize::from(*c) > place && usize::from(*c) < nodes.len()))
        };
        if !nodes.iter().enumerate().all(fits) || roots.iter().any(|root| *root as usize >= nodes.len()) {
            return Err(WeightsError::Damaged { what: "a tree points outside itself" });
        }
        Ok(Self { base, roots, nodes })
    }
}

/// All that was trained.
pub(super) struct Weights {
    pub(super) own: Linear,
    pub(super) context: Linear,
    pub(super) forests: [Forest<SHAPE>; OUTPUTS],
    /// By how much history moves a rating of the words.
    pub(super) history: Forest<PAST>,
}

impl Weights {
    /// Reads a weights file; the tables stay where they are.
    pub(super) fn read(bytes: &'static [u8]) -> Result<Self, WeightsError> {
        let mut file = Reader::new(bytes);
        if file.take(4)? != MAGIC {
            return Err(WeightsError::Magic);
        }
        file.expect("version", VERSION)?;
        file.expect("feature fingerprint", crc32(SPEC.as_bytes()))?;
        file.expect("table size", BITS)?;
        file.expect("number of heads", HEADS as u32)?;
        file.expect("number of forests", OUTPUTS as u32 + 1)?;
        let [own, context] = [(file.heads()?, file.heads()?), (file.heads()?, file.heads()?)];
        let mut forests = Vec::with_capacity(OUTPUTS);
        for _ in 0..OUTPUTS {
            forests.push(Forest::read(&mut file)?);
        }
        let forests = forests.try_into().map_err(|_| WeightsError::Damaged { what: "a forest is missing" })?;
        let history = Forest::read(&mut file)?;
        let size = HEADS << BITS;
        let tables = [file.take(size)?, file.take(size)?];
        file.end()?;
        let linear = |(scale, bias), table| Linear { scale, bias, table };
        Ok(Self { own: linear(own, tables[0]), context: linear(context, tables[1]), forests, history })
    }
}

/// Reads a weights file from its beginning to its end.
pub(super) struct Reader {
    bytes: &'static [u8],
    at: usize,
}

impl Reader {
    pub(super) fn new(bytes: &'static [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn take(&mut self, size: usize) -> Result<&'static [u8], WeightsError> {
        let end = self.at.saturating_add(size);
        let part = self.bytes.get(self.at..end).ok_or(WeightsError::Size { found: self.bytes.len(), needed: end })?;
        self.at = end;
        Ok(part)
    }

    /// Goes on at the next multiple of `size`.
    pub(super) fn skip_to(&mut self, size: usize) -> Result<(), WeightsError> {
        self.take(self.at.next_multiple_of(size) - self.at).map(|_| ())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WeightsError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(super) fn word(&mut self) -> Result<u32, WeightsError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), WeightsError> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(WeightsError::Size { found: self.bytes.len(), needed: self.at })
        }
    }

    fn real(&mut self) -> Result<f32, WeightsError> {
        let value = self.array().map(f32::from_le_bytes)?;
        if value.is_finite() { Ok(value) } else { Err(WeightsError::Damaged { what: "a number is not finite" }) }
    }

    fn heads(&mut self) -> Result<[f32; HEADS], WeightsError> {
        let mut out = [0.0; HEADS];
        for value in &mut out {
            *value = self.real()?;
        }
        Ok(out)
    }

    fn node(&mut self) -> Result<Node, WeightsError> {
        let mut short = || self.array().map(u16::from_le_bytes);
        let (feature, left, right, _padding) = (short()?, short()?, short()?, short()?);
        Ok(Node { feature, left, right, threshold: self.real()? })
    }

    pub(super) fn expect(&mut self, what: &'static str, needed: u32) -> Result<(), WeightsError> {
        let found = self.word()?;
        if found == needed { Ok(()) } else { Err(WeightsError::Mismatch { what, found, needed }) }
    }
}
