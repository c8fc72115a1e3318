//! Patterns of words, as the tables of this folder write them: in the spelling of [`super::text`] (lower case, no
//! apostrophes, long forms contracted), `a|b` is either word, `word*` any word that starts so, `#` a number, `~` up to two
//! words in between, `word?` a word that may be missing, `^` the start of the turn, `$` its end and `.` the end of a clause.

use std::ops::Range;

use super::text::{Token, Words};

/// What some words must look like.
#[derive(Debug)]
pub(super) struct Pattern {
    elements: Vec<Element>,
}

impl Pattern {
    /// Reads a pattern.
    pub(super) fn of(pattern: &'static str) -> Self {
        Self { elements: pattern.split(' ').map(element).collect() }
    }

    /// The words that a match can start with, where they are few and all written out.
    pub(super) fn first_words(&self) -> Option<Vec<&'static str>> {
        let whole = |spelling: &Spelling| match spelling {
            Spelling::Whole(word) => Some(*word),
            Spelling::Prefix(_) => None,
        };
        match self.elements.iter().find(|element| **element != Element::Start) {
            Some(Element::Word { any, optional: false }) => any.iter().map(whole).collect(),
            _ => None,
        }
    }

    /// Where a match that starts at token `at` ends.
    pub(super) fn end(&self, words: &Words, at: usize) -> Option<usize> {
        ends(&self.elements, &words.tokens, at)
    }

    /// The first match in a turn, in tokens.
    pub(super) fn find(&self, words: &Words) -> Option<Range<usize>> {
        (0..words.tokens.len()).find_map(|at| self.end(words, at).filter(|end| *end > at).map(|end| at..end))
    }
}

/// One part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Element {
    /// Any of these words; a word may be missing if optional.
    Word { any: Vec<Spelling>, optional: bool },
    /// A number.
    Number,
    /// Up to two words of any kind.
    Gap,
    /// The start of the turn.
    Start,
    /// The end of the turn.
    End,
    /// The end of a clause, as punctuation says, or of the turn.
    ClauseEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Whole(&'static str),
    Prefix(&'static str),
}

impl Spelling {
    fn fits(self, word: &str) -> bool {
        match self {
            Self::Whole(whole) => word == whole,
            Self::Prefix(prefix) => word.starts_with(prefix),
        }
    }
}

fn element(part: &'static str) -> Element {
    match part {
        "#" => Element::Number,
        "~" => Element::Gap,
        "^" => Element::Start,
        "$" => Element::End,
        "." => Element::ClauseEnd,
        _ => {
            let optional = part.ends_with('?');
            let any = part.trim_end_matches('?').split('|').flat_map(spellings).collect();
            Element::Word { any, optional }
        }
    }
}

fn spellings(word: &'static str) -> impl Iterator<Item = Spelling> {
    let spelling = word.strip_suffix('*').map_or(Spelling::Whole(word), Spelling::Prefix);
    // Recognisers write one for the other.
    let twin = match word {
        "youre" => Some(Spelling::Whole("your")),
        _ => None,
    };
    std::iter::once(spelling).chain(twin)
}

/// Where a pattern that starts at token `at` ends, if it fits there.
fn ends(elements: &[Element], tokens: &[Token], at: usize) -> Option<usize> {
    let Some((first, rest)) = elements.split_first() else { return Some(at) };
    let here = tokens.get(at);
    match first {
        Element::Start => (at == 0).then(|| ends(rest, tokens, at)).flatten(),
        Element::End => (at == tokens.len()).then_some(at),
        Element::ClauseEnd => here.is_none_or(|token| token.begins).then(|| ends(rest, tokens, at)).flatten(),
        Element::Number => here.filter(|token| token.number).and_then(|_| ends(rest, tokens, at + 1)),
        Element::Gap => (at..=(at + 2).min(tokens.len())).find_map(|next| ends(rest, tokens, next)),
        Element::Word { any, optional } => here
            .filter(|token| any.iter().any(|spelling| spelling.fits(&token.word)))
            .and_then(|_| ends(rest, tokens, at + 1))
            .or_else(|| optional.then(|| ends(rest, tokens, at)).flatten()),
    }
}
