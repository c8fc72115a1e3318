//! What the linear stages look at: hashed n-grams of the turn's words and letters, and of the agent's last words.

use std::ops::RangeInclusive;

use super::words::{Word, normalise};
use crate::sentiment::{Speaker, TurnInContext};

/// A table has 2 to the power of this many buckets.
pub(super) const BITS: u32 = 18;
/// Letters of a word that its letter n-grams reach to.
const MAX_LETTERS: usize = 24;

/// What the fingerprint in the weights file stands for: weights made for other features are refused.
pub(super) const SPEC: &str = "18 4000 256 12 4 wca 7 p0 p1 p2 p3 p4 p5 p6 s0 s1 s2 s3 has_agent short numbers length \
                               words low high filler last before_last recent lowest mean low_share repeated numbers \
                               length sentiment frustration urgency filler confidence history v2";

/// A turn and its context, normalised once.
pub(super) struct View {
    /// The turn's words.
    pub(super) words: Vec<Word>,
    /// The caller's earlier turns, oldest first.
    pub(super) callers: Vec<Vec<Word>>,
    /// The agent's last turn.
    pub(super) agent: Vec<Word>,
}

impl View {
    pub(super) fn of(turn: &TurnInContext) -> Self {
        let earlier = &turn.earlier[turn.earlier.len().saturating_sub(TurnInContext::MAX_EARLIER)..];
        let said_by = |who: Speaker| earlier.iter().filter(move |before| before.speaker == who);
        Self {
            words: normalise(&turn.text),
            callers: said_by(Speaker::Caller).map(|before| normalise(&before.text)).collect(),
            agent: said_by(Speaker::Agent).next_back().map(|before| normalise(&before.text)).unwrap_or_default(),
        }
    }

    /// How much of the turn's word pairs the caller has said before (0 to 1).
    pub(super) fn repeated(&self) -> f32 {
        fn pairs(words: &[Word]) -> impl Iterator<Item = (&str, &str)> {
            words.windows(2).map(|pair| (pair[0].text.as_str(), pair[1].text.as_str()))
        }
        let said: std::collections::HashSet<_> = self.callers.iter().flat_map(|words| pairs(words)).collect();
        let again = pairs(&self.words).filter(|pair| said.contains(pair)).count();
        again as f32 / (self.words.len().saturating_sub(1)).max(1) as f32
    }

    /// Features of the turn's own words: one group per name space.
    pub(super) fn own(&self) -> [Vec<Feature>; 2] {
        [grams(b'w', &refs(&self.words), 3, true), letters(b'c', &self.words)]
    }

    /// Features of the agent's last words.
    pub(super) fn asked(&self) -> Vec<Feature> {
        grams(b'a', &refs(&self.agent), 2, false)
    }
}

fn refs(words: &[Word]) -> Vec<&Word> {
    words.iter().collect()
}

/// A bucket of the tables, and the words that it stands for.
pub(super) struct Feature {
    pub(super) bucket: usize,
    pub(super) words: RangeInclusive<usize>,
}

fn feature(key: &[u8], first: usize, last: usize) -> Feature {
    // Fibonacci hashing spreads CRC-32's linear patterns; the top bits are the best mixed.
    let bucket = crc32(key).wrapping_mul(0x9E37_79B1) >> (32 - BITS);
    Feature { bucket: bucket as usize, words: first..=last }
}

/// Word n-grams up to `longest`, with marks at both ends; with `skips`, pairs with one word between them too.
fn grams(space: u8, words: &[&Word], longest: usize, skips: bool) -> Vec<Feature> {
    let n = words.len();
    let mut found = Vec::with_capacity(4 * n + 2);
    let mut key = Vec::with_capacity(64);
    let mut add = |kind: u8, parts: &[&str], first: usize, last: usize| {
        key.clear();
        key.extend([space, kind]);
        for (place, part) in parts.iter().enumerate() {
            if place > 0 {
                key.push(b' ');
            }
            key.extend(part.as_bytes());
        }
        found.push(feature(&key, first, last));
    };
    for (place, word) in words.iter().enumerate() {
        add(b'1', &[&word.text], place, place);
    }
    let marked: Vec<&str> =
        std::iter::once("^").chain(words.iter().map(|word| word.text.as_str())).chain(std::iter::once("$")).collect();
    let end = n.saturating_sub(1);
    if longest >= 2 {
        for (place, pair) in marked.windows(2).enumerate() {
            add(b'2', pair, place.saturating_sub(1), place.min(end));
        }
    }
    if longest >= 3 {
        for (place, three) in marked.windows(3).enumerate() {
            add(b'3', three, place.saturating_sub(1), (place + 1).min(end));
        }
    }
    if skips {
        for (place, three) in words.windows(3).enumerate() {
            add(b's', &[&three[0].text, &three[2].text], place, place + 2);
        }
    }
    found
}

/// Letter n-grams (3 to 5) inside words, so that unseen forms of a word share weights with seen ones.
fn letters(space: u8, words: &[Word]) -> Vec<Feature> {
    let mut found = Vec::new();
    let mut key = Vec::with_capacity(16);
    for (place, word) in words.iter().enumerate().filter(|(_, word)| !word.is_number()) {
        let framed: String =
            std::iter::once('<').chain(word.text.chars().take(MAX_LETTERS)).chain(std::iter::once('>')).collect();
        let ends: Vec<usize> = framed.char_indices().map(|(at, _)| at).chain([framed.len()]).collect();
        for size in 3..=5 {
            for window in ends.windows(size + 1) {
                key.clear();
                key.push(space);
                key.extend(&framed.as_bytes()[window[0]..window[size]]);
                found.push(feature(&key, place, place));
            }
        }
    }
    found
}

const CRC: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { 0xEDB8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

/// CRC-32 (IEEE 802.3), as Python's `zlib.crc32`.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| CRC[usize::from((crc as u8) ^ byte)] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32_agrees_with_its_published_check_value() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
