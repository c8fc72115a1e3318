//! Numbers as callers say them and recognisers write them: in digits, in words, in groups, with "um" in between. Whoever
//! takes them out of a text finds them here, and decides for itself which of them tell who somebody is.

use std::ops::Range;

use super::text::is_number;

/// A number, in however many words it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spelled {
    /// Where it stands, in bytes. Between two pieces there is a word that is no part of it.
    pub(crate) pieces: Vec<Range<usize>>,
    /// How many digits it has; a word such as "seven" or "hundred" counts as one.
    pub(crate) digits: usize,
    /// The digits that are written as such, in order.
    pub(crate) written: Vec<u32>,
}

impl Spelled {
    /// Whether all of it is written in digits.
    pub(crate) fn is_written(&self) -> bool {
        self.written.len() == self.digits
    }
}

/// The numbers of a text, in order.
pub(crate) fn numbers(text: &str) -> Vec<Spelled> {
    let mut found = Vec::new();
    let mut run: Vec<&str> = Vec::new();
    for word in text.split_whitespace() {
        if digits_of(word) > 0 || (!run.is_empty() && joins(word)) {
            run.push(word);
        } else {
            found.extend(number(text, &run));
            run.clear();
        }
    }
    found.extend(number(text, &run));
    found
}

/// A text with marks in the place of numbers, where there is one for them.
pub(crate) fn replaced(text: &str, mark: impl Fn(&Spelled) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut last = 0;
    for number in numbers(text) {
        let Some(mark) = mark(&number) else { continue };
        for piece in number.pieces {
            out.push_str(&text[last..piece.start]);
            out.push_str(mark);
            last = piece.end;
        }
    }
    out.push_str(&text[last..]);
    out
}

/// The number that words of a text are, from the first of them that can only be a digit to the last.
fn number(text: &str, run: &[&str]) -> Option<Spelled> {
    let counts = |word: &&str| digits_of(word) > 0 && !is_oh(word);
    let run = &run[run.iter().position(counts)?..=run.iter().rposition(counts)?];
    let mut pieces: Vec<Range<usize>> = Vec::new();
    for word in run {
        let Some(within) = place(word) else { continue };
        let at = word.as_ptr().addr() - text.as_ptr().addr();
        let piece = at + within.start..at + within.end;
        match pieces.last_mut() {
            Some(last) if !text[last.end..piece.start].contains(char::is_alphanumeric) => last.end = piece.end,
            _ => pieces.push(piece),
        }
    }
    Some(Spelled {
        pieces,
        digits: run.iter().map(|word| digits_of(word)).sum(),
        written: run.iter().flat_map(|word| word.chars()).filter_map(|c| c.to_digit(10)).collect(),
    })
}

/// Where in a word its number is, with the signs that belong to it: `+44`, `(555)`, `#7`.
fn place(word: &str) -> Option<Range<usize>> {
    let written = || {
        let is_digit = |c: char| c.is_numeric();
        let last = word.rfind(is_digit)?;
        Some(word.find(is_digit)?..last + word[last..].chars().next()?.len_utf8())
    };
    let spoken = || {
        let mut parts = word.split(|c: char| !c.is_alphanumeric()).filter(|part| is_digit_word(&part.to_lowercase()));
        let at = |part: &str| part.as_ptr().addr() - word.as_ptr().addr();
        let (first, last) = (parts.clone().next()?, parts.next_back()?);
        Some(at(first)..at(last) + last.len())
    };
    let digits = written().or_else(spoken)?;
    let start = word[..digits.start].trim_end_matches(['+', '(', '#']).len();
    let end = word.len() - word[digits.end..].trim_start_matches(')').len();
    Some(start..end)
}

/// "oh", which is a digit only among others.
fn is_oh(word: &str) -> bool {
    let letters: String = word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    ["oh", "o"].contains(&letters.as_str())
}

/// How many digits a word stands for: "4452" four, "seven" one, "double" one more.
fn digits_of(word: &str) -> usize {
    let written = word.chars().filter(|c| c.is_numeric()).count();
    let spoken = || -> usize {
        let parts = word.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
        parts.map(|part| usize::from(is_digit_word(&part.to_lowercase()))).sum()
    };
    if written > 0 { written } else { spoken() }
}

/// Whether a word stands for a digit, or for several.
pub(super) fn is_digit_word(word: &str) -> bool {
    ["oh", "o"].contains(&word) || (is_number(word) && !["couple", "several", "dozen"].contains(&word))
}

/// Small words and letters between the pieces of a spelled number, and signs alone.
fn joins(word: &str) -> bool {
    let plain: String = word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    plain.len() <= 1
        || ["and", "dash", "then", "hyphen", "slash", "stroke", "um", "uh", "dot", "space", "plus"]
            .contains(&plain.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_in_all_its_pieces_with_its_digits() {
        for (text, pieces, digits, written) in [
            ("call +44 (20) 7946-0018, please", &["+44 (20) 7946-0018"][..], 12, 12),
            ("card 4111 1111 um 1111 - 1111.", &["4111 1111", "1111 - 1111"], 16, 16),
            ("it's four four one two double nine, no", &["four four one two double nine"], 6, 0),
            ("oh, one-way or 7 oh oh", &["one"], 1, 0),
            ("GB29NWBK60161331926819", &["29NWBK60161331926819"], 16, 16),
        ] {
            let found = numbers(text);
            let told: Vec<&str> = found[0].pieces.iter().map(|piece| &text[piece.clone()]).collect();
            assert_eq!((&told[..], found[0].digits, found[0].written.len()), (pieces, digits, written), "{text}");
        }
        assert_eq!(numbers("oh no, not again"), []);
    }

    #[test]
    fn only_what_has_a_mark_is_replaced() {
        let long = |number: &Spelled| (number.digits > 3).then_some("N");
        assert_eq!(replaced("in 3 days or 12345, or 4 5 and 6 7!", long), "in 3 days or N, or N and N!");
    }
}
