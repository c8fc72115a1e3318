//! Words to pieces, and which pieces the transformer looks at: the turn's, and the agent's last ones. The recipe's `encoder.py` does the same.

use super::super::features::View;
use super::super::words::{MASK, Word};
use super::weights::Pieces;

/// Pieces of the turn's beginning.
const OWN_HEAD: usize = 12;
/// Pieces of the turn's end.
const OWN_TAIL: usize = 44;
/// Last pieces of the agent's turn before: the question that is answered.
const AGENT: usize = 20;
/// Most pieces of all, with the three marks between the parts.
pub(super) const MAX_TOKENS: usize = OWN_HEAD + OWN_TAIL + AGENT + 3;
/// Only so much of a word is read, in characters.
const MAX_LETTERS: usize = 40;

/// A turn and its context as rows of the embedding table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tokens {
    /// Row numbers, the turn's own first.
    pub(super) rows: Vec<usize>,
    /// How many of them are the turn's own, with the marks around them.
    pub(super) own: usize,
}

impl Tokens {
    pub(super) fn of(view: &View, pieces: &Pieces) -> Self {
        let own = pieces_of(&view.words, pieces);
        let mut rows = Vec::with_capacity(MAX_TOKENS);
        rows.push(pieces.begin);
        if own.len() > OWN_HEAD + OWN_TAIL {
            rows.extend(&own[..OWN_HEAD]);
            rows.extend(tail(&own, OWN_TAIL));
        } else {
            rows.extend(own);
        }
        rows.push(pieces.part);
        let own = rows.len();
        rows.extend(tail(&pieces_of(&view.agent, pieces), AGENT));
        rows.push(pieces.part);
        Self { rows, own }
    }
}

fn tail(rows: &[usize], most: usize) -> &[usize] {
    &rows[rows.len().saturating_sub(most)..]
}

fn pieces_of(words: &[Word], pieces: &Pieces) -> Vec<usize> {
    let mut rows = Vec::new();
    for word in words {
        let spelt = match word.text.as_str() {
            "#" => "number",
            "#th" => "third",
            MASK => "fuck",
            text => text.char_indices().nth(MAX_LETTERS).map_or(text, |(end, _)| &text[..end]),
        };
        spell(spelt, pieces, &mut rows);
    }
    rows
}

/// The longest known piece first, then the longest that goes on from there; a word that cannot be spelt so is unknown.
fn spell(word: &str, pieces: &Pieces, rows: &mut Vec<usize>) {
    let from = rows.len();
    let mut rest = word;
    while !rest.is_empty() {
        let starts = rest.len() == word.len();
        let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8()).rev();
        let Some((row, end)) = ends.filter_map(|end| Some((pieces.find(!starts, &rest[..end])?, end))).next() else {
            rows.truncate(from);
            rows.push(pieces.unknown);
            return;
        };
        rows.push(row);
        rest = &rest[end..];
    }
}
