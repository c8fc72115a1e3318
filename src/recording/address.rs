//! E-mail addresses as callers say them and recognisers write them: `sam dot hill at example dot com`,
//! `s a m 4 2 underscore hill @ example.com`. What is written as an address throughout is for its reader's pattern.

use std::ops::Range;

/// Words that stand for a sign within an address.
const SIGNS: [&str; 9] = ["dot", "punkt", "underscore", "dash", "hyphen", "minus", "plus", ".", "_"];
/// Those of them that part a domain.
const DOTS: [&str; 3] = ["dot", "punkt", "."];
/// Digits as words.
const DIGITS: [&str; 12] =
    ["zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "double"];
/// Words that stand before an address and are no part of it.
const BEFORE: [&str; 36] = [
    "a", "address", "again", "an", "and", "as", "be", "by", "email", "for", "i", "i'm", "im", "in", "is", "it", "it's",
    "its", "mail", "me", "my", "no", "on", "or", "so", "that", "that's", "the", "to", "uh", "um", "was", "we", "yeah",
    "yes", "you",
];
/// Words before "at" after which a place is named, and no mailbox: "I looked at example dot com".
const PLACED: [&str; 32] = [
    "account",
    "am",
    "are",
    "arrived",
    "been",
    "bought",
    "buy",
    "down",
    "found",
    "get",
    "got",
    "here",
    "look",
    "looked",
    "looking",
    "online",
    "order",
    "ordered",
    "ordering",
    "orders",
    "password",
    "purchased",
    "saw",
    "shop",
    "shopped",
    "shopping",
    "site",
    "there",
    "up",
    "us",
    "were",
    "work",
];

/// A word of a text, without the signs around it.
struct Word<'a> {
    /// Where it stands, in bytes.
    at: Range<usize>,
    plain: &'a str,
    /// Whether a sign after it ends whatever it belongs to.
    ends: bool,
}

impl Word<'_> {
    fn is_in(&self, words: &[&str]) -> bool {
        words.iter().any(|word| word.eq_ignore_ascii_case(self.plain))
    }

    /// A letter or a digit said by itself, which joins what stands beside it.
    fn is_spelled(&self) -> bool {
        let mut letters = self.plain.chars();
        let single = letters.next().is_some_and(char::is_alphanumeric) && letters.next().is_none();
        single || self.is_in(&DIGITS) || self.plain.chars().all(char::is_numeric)
    }

    /// What may stand between the signs of an address.
    fn is_atom(&self) -> bool {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '\'');
        self.plain.starts_with(char::is_alphanumeric) && self.plain.chars().all(fits) && !self.is_at()
    }

    fn is_at(&self) -> bool {
        self.is_in(&["at", "@"])
    }
}

/// A text with a mark in the place of each address that is said, wholly or in part. Takes time linear in its length.
pub(super) fn without_spoken(text: &str, mark: &str) -> String {
    let words = words(text);
    let mut out = String::with_capacity(text.len());
    let (mut last, mut free) = (0, 0);
    for at in (0..words.len()).filter(|at| words[*at].is_at()) {
        let Some(address) = address(&words, free, at) else { continue };
        // A range of words is never empty: "at" is in it.
        let (from, to) = (words[address.start].at.start, words[address.end - 1].at.end);
        out.push_str(&text[last..from]);
        out.push_str(mark);
        (last, free) = (to, address.end);
    }
    out.push_str(&text[last..]);
    out
}

/// The words of a text; an `@` is one by itself.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        let begin = word.as_ptr().addr() - text.as_ptr().addr();
        let mut within = 0;
        for part in word.split_inclusive('@').flat_map(|part| match part.strip_suffix('@') {
            Some(before) => [before, "@"],
            None => [part, ""],
        }) {
            let at = begin + within;
            within += part.len();
            let is_edge = |c: char| !c.is_alphanumeric() && c != '@';
            let trimmed = part.trim_start_matches(is_edge);
            let plain = trimmed.trim_end_matches(is_edge);
            // A sign alone, as in "sam . hill", stays one.
            let plain = if plain.is_empty() && matches!(part, "." | "_") { part } else { plain };
            if plain.is_empty() {
                continue;
            }
            let start = if plain == part { at } else { at + part.len() - trimmed.len() };
            let ends = text[start + plain.len()..at + part.len()].contains(['.', ',', ';', '!', '?', ':', ')']);
            words.push(Word { at: start..start + plain.len(), plain, ends });
        }
    }
    words
}

/// The words of the address around an "at", of those that no address before it has.
fn address(words: &[Word], free: usize, at: usize) -> Option<Range<usize>> {
    let start = mailbox(words, free, at)?;
    let domain = at + 1 + usize::from(words.get(at + 1).is_some_and(|word| word.is_in(&["sign"])));
    let end = domain_end(words, domain)?;
    let only = &words[start];
    if start + 1 == at && only.is_in(&PLACED) {
        return None;
    }
    // What has no word for a sign is written throughout.
    let said = |word: &Word| !word.plain.contains('@') && (word.is_at() || word.is_in(&SIGNS));
    words[start..end].iter().any(said).then_some(start..end)
}

/// Where the name before an "at" begins.
fn mailbox(words: &[Word], free: usize, at: usize) -> Option<usize> {
    let mut start = at.checked_sub(1).filter(|start| *start >= free)?;
    if !words[start].is_atom() || (words[start].is_in(&BEFORE) && !words[start].is_spelled()) {
        return None;
    }
    loop {
        let before = |n: usize| start.checked_sub(n).filter(|place| *place >= free);
        start = match (before(1), before(2)) {
            (Some(sign), Some(atom)) if words[sign].is_in(&SIGNS) && words[atom].is_atom() => atom,
            (Some(atom), _) if joins(&words[atom], &words[start]) => atom,
            _ => return Some(start),
        };
    }
}

/// Whether a word belongs to the next one without a sign said between them: one of them is spelled. "I" and "a" are
/// letters only beside others.
fn joins(word: &Word, next: &Word) -> bool {
    match (word.is_spelled(), next.is_spelled()) {
        (true, true) => true,
        (true, false) => !word.is_in(&BEFORE),
        (false, true) => word.is_atom() && !word.ends && !word.is_in(&BEFORE),
        (false, false) => false,
    }
}

/// Where a domain that begins at a word ends: it has a dot in it, said or written, and letters after the last one.
fn domain_end(words: &[Word], from: usize) -> Option<usize> {
    let is_end = |word: &Word| {
        let last = word.plain.rsplit('.').next().unwrap_or_default();
        last.chars().count() > 1 && last.chars().all(char::is_alphabetic)
    };
    let (mut at, mut end) = (from, None);
    let mut dotted = false;
    while let Some(word) = words.get(at).filter(|word| word.is_atom()) {
        dotted |= word.plain.contains('.');
        if dotted && is_end(word) {
            end = Some(at + 1);
        }
        let sign = words.get(at + 1).filter(|sign| sign.is_in(&SIGNS) && !word.ends);
        at += match sign {
            Some(sign) => {
                dotted |= sign.is_in(&DOTS);
                2
            }
            None if end.is_none() && words.get(at + 1).is_some_and(|next| joins(word, next)) => 1,
            None => break,
        };
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::measured;

    #[test]
    fn addresses_that_are_said_go_whole_and_nothing_else_does() {
        for (text, without) in [
            ("my mail is will dot young at gmail dot com", "my mail is [EMAIL]"),
            ("It's Will.Young at gmail.com, thanks.", "It's [EMAIL], thanks."),
            ("will dot young@gmail.com please", "[EMAIL] please"),
            ("send it to dana at sign mail dot example dot co dot uk!", "send it to [EMAIL]!"),
            ("that's j s m i t h 4 2 at t dash online dot de", "that's [EMAIL]"),
            ("it's w, i, l, l, underscore young seven seven at g mail dot com. Right?", "it's [EMAIL]. Right?"),
            ("jürgen Punkt müller at gmx Punkt de, or bo at x dot org", "[EMAIL], or [EMAIL]"),
            (
                "I looked at example dot com and ordered at example dot org",
                "I looked at example dot com and ordered at example dot org",
            ),
            ("they called at some point yesterday", "they called at some point yesterday"),
            ("call me at five dot five", "call me at five dot five"),
            ("he was at home. Dot com", "he was at home. Dot com"),
            ("at gmail dot com", "at gmail dot com"),
            ("look at me at noon", "look at me at noon"),
            ("write to a.b@mail.example.org!", "write to a.b@mail.example.org!"),
            ("", ""),
        ] {
            assert_eq!(without_spoken(text, "[EMAIL]"), without, "{text}");
        }
    }

    #[test]
    fn long_texts_take_no_longer_than_their_length_says() {
        for part in ["a dot ", "a at ", "a dot a at ", "a at a dot com ", "@", "a@", "a dash a at a dash "] {
            // Eight times as long takes eight times as long; by the square it would be 64 times.
            let [short, long] = [10_000, 80_000].map(|bytes| part.repeat(bytes / part.len()));
            let read = |text: &str| drop(without_spoken(text, "[EMAIL]"));
            assert_eq!(measured::is_within(25, || read(&short), || read(&long)), Ok(()), "{part:?}");
        }
    }
}
