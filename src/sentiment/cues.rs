//! Finding the cues of a turn: patterns of [`super::lexicon`] in tokens, with negation, contrast and intensity.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use super::CueKind;
use super::lexicon::{ENTRIES, Entry};
use super::pattern::Pattern;
use super::text::Words;

/// The entry that counts praise under a "not"; its one pattern is never said.
const NEGATED_PRAISE: &str = "negated praise";

/// How much a further match of the same pattern adds to the first.
const FURTHER: f64 = 0.3;
/// What another pattern of the same entry weighs.
const AKIN: f64 = 0.6;
/// The most that one pattern weighs in a turn.
const MOST: f64 = 1.6;
/// What an intensifier right before a cue makes of it.
const INTENSIFIED: f64 = 1.2;
/// Points expected of praise from which a "not" turns it around.
const REAL_PRAISE: f64 = 1.5;
/// What is left of praise before a "but".
const BEFORE_BUT: f64 = 0.5;
/// What is left of abuse in a turn that speaks of others and not to us.
const OF_OTHERS: f64 = 0.3;

const INTENSIFIERS: [&str; 14] = [
    "so",
    "very",
    "really",
    "absolutely",
    "completely",
    "totally",
    "utterly",
    "extremely",
    "too",
    "bloody",
    "pure",
    "absolute",
    "such",
    "proper",
];
const NEGATORS: [&str; 15] = [
    "not", "never", "isnt", "wasnt", "arent", "dont", "doesnt", "didnt", "werent", "wont", "cant", "hardly", "havent",
    "wouldnt", "aint",
];
const TO_US: [&str; 8] = ["you", "your", "youre", "youve", "youll", "yall", "yourselves", "ye"];
const OF_THEM: [&str; 14] = [
    "he",
    "she",
    "hes",
    "shes",
    "him",
    "her",
    "his",
    "ex",
    "some",
    "brother",
    "landlord",
    "neighbour",
    "neighbor",
    "theyre",
];

/// One pattern of the lexicon as found in a turn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hit {
    /// Index of the pattern in the table, counted over all entries.
    pub(super) pattern: usize,
    /// The first place where it was found, in tokens.
    pub(super) at: Range<usize>,
    /// How much it weighs: 1 for one plain match.
    pub(super) weight: f64,
    /// Praise that a "but" takes half of.
    before_but: bool,
}

impl Hit {
    /// The entry that the pattern belongs to.
    pub(super) fn entry(&self) -> &'static Entry {
        &ENTRIES[COMPILED.patterns[self.pattern].entry]
    }

    /// Points of the pattern, times its weight.
    pub(super) fn effect(&self) -> f64 {
        COMPILED.patterns[self.pattern].points * self.weight
    }
}

/// Finds the patterns of the lexicon that a turn contains, each at most once, in the order of the turn.
pub(super) fn find(words: &Words) -> Vec<Hit> {
    let lexicon = &*COMPILED;
    let around = Around::of(words);
    let mut hits: Vec<Hit> = Vec::new();
    let mut until = vec![0; ENTRIES.len()];
    for start in 0..words.tokens.len() {
        for (pattern, end) in lexicon.longest_at(words, start) {
            let entry = lexicon.patterns[pattern].entry;
            if start >= until[entry] {
                until[entry] = end.max(start + 1);
                if let Some(hit) = around.read(words, pattern, start..end) {
                    add(&mut hits, hit);
                }
            }
        }
    }
    hits
}

/// Where a "but" stands that weakens the praise before it, and the points that the praise lost.
pub(super) fn lost_to_but(words: &Words, hits: &[Hit]) -> Option<(Range<usize>, f64)> {
    let at = Around::of(words).but?;
    let kept: f64 = hits.iter().filter(|hit| hit.before_but).map(Hit::effect).sum();
    (kept > 0.0).then(|| (at..at + 1, kept - kept / BEFORE_BUT))
}

/// A further match of the same pattern adds little; another pattern of the same entry adds less than the first.
fn add(hits: &mut Vec<Hit>, mut hit: Hit) {
    if let Some(same) = hits.iter_mut().find(|same| same.pattern == hit.pattern) {
        same.weight = (same.weight.max(hit.weight) + FURTHER * same.weight.min(hit.weight)).min(MOST);
        return;
    }
    let entry = COMPILED.patterns[hit.pattern].entry;
    if hits.iter().any(|akin| COMPILED.patterns[akin.pattern].entry == entry) {
        hit.weight *= AKIN;
    }
    hits.push(hit);
}

/// What the whole turn says about each of its cues.
struct Around {
    /// The token of a "but" with something after it.
    but: Option<usize>,
    /// The turn speaks of others and not to us.
    of_others: bool,
}

impl Around {
    fn of(words: &Words) -> Self {
        let but = words.iter().position(|word| ["but", "although", "though", "except"].contains(&word));
        Self {
            but: but.filter(|but| words.tokens.len() - but > 2),
            of_others: !words.has_any(&TO_US) && words.has_any(&OF_THEM),
        }
    }

    /// Weighs a match by the words around it; none if they take it back.
    fn read(&self, words: &Words, pattern: usize, at: Range<usize>) -> Option<Hit> {
        let entry = &ENTRIES[COMPILED.patterns[pattern].entry];
        let kind = entry.kind;
        let before = |back: usize| at.start.checked_sub(back).map(|near| words.tokens[near].word.as_str());
        let said = |back: usize, list: &[&str]| before(back).is_some_and(|word| list.contains(&word));
        let negated = said(1, &NEGATORS) || said(2, &NEGATORS);
        // "not well", "don't love": only words of real praise turn into their opposite.
        let denied = negated && entry.expected >= REAL_PRAISE;
        let before_but = kind == CueKind::Praise && !denied && self.but.is_some_and(|but| at.start < but);
        let mut pattern = pattern;
        let mut weight = if said(1, &INTENSIFIERS) { INTENSIFIED } else { 1.0 };
        match kind {
            CueKind::Praise if denied => pattern = COMPILED.negated_praise,
            CueKind::Praise if before_but => weight *= BEFORE_BUT,
            // "not rude", "isn't a joke": nothing was said against us.
            CueKind::Word | CueKind::Abuse if said(1, &NEGATORS) && opens_plainly(words, at.start) => return None,
            CueKind::Abuse if self.of_others => weight *= OF_OTHERS,
            _ => {}
        }
        // The quote includes the word that made it stronger or turned it around.
        let back = match (pattern == COMPILED.negated_praise, said(1, &NEGATORS)) {
            (true, false) => 2,
            (true, true) => 1,
            (false, _) => usize::from(said(1, &INTENSIFIERS)),
        };
        Some(Hit { pattern, at: at.start - back..at.end, weight, before_but })
    }
}

/// Whether the word at `start` is one that a negation right before it can take back.
fn opens_plainly(words: &Words, start: usize) -> bool {
    let word = words.tokens[start].word.as_str();
    !TO_US.contains(&word) && !NEGATORS.contains(&word) && word.len() > 3
}

/// A row of the lexicon.
#[derive(Debug)]
struct Row {
    entry: usize,
    points: f64,
    pattern: Pattern,
}

/// The lexicon, indexed by what a pattern starts with.
#[derive(Debug)]
struct Compiled {
    by_word: HashMap<&'static str, Vec<usize>>,
    by_other: Vec<usize>,
    patterns: Vec<Row>,
    negated_praise: usize,
}

static COMPILED: LazyLock<Compiled> = LazyLock::new(Compiled::new);

impl Compiled {
    fn new() -> Self {
        let mut compiled =
            Self { by_word: HashMap::new(), by_other: Vec::new(), patterns: Vec::new(), negated_praise: 0 };
        for (entry, row) in ENTRIES.iter().enumerate() {
            if row.name == NEGATED_PRAISE {
                compiled.negated_praise = compiled.patterns.len();
            }
            for &(points, pattern) in row.patterns {
                compiled.add(Row { entry, points, pattern: Pattern::of(pattern) });
            }
        }
        compiled
    }

    fn add(&mut self, row: Row) {
        let index = self.patterns.len();
        match row.pattern.first_words() {
            Some(words) => words.into_iter().for_each(|word| self.by_word.entry(word).or_default().push(index)),
            None => self.by_other.push(index),
        }
        self.patterns.push(row);
    }

    /// The longest match of each entry at a token, as pattern and end.
    fn longest_at(&self, words: &Words, start: usize) -> Vec<(usize, usize)> {
        let by_word = self.by_word.get(words.tokens[start].word.as_str()).map(Vec::as_slice).unwrap_or_default();
        let mut longest: Vec<(usize, usize)> = Vec::new();
        for &index in by_word.iter().chain(&self.by_other) {
            let row = &self.patterns[index];
            let Some(end) = row.pattern.end(words, start) else { continue };
            match longest.iter_mut().find(|(other, _)| self.patterns[*other].entry == row.entry) {
                Some(shorter) if shorter.1 < end => *shorter = (index, end),
                Some(_) => {}
                None => longest.push((index, end)),
            }
        }
        longest
    }
}
