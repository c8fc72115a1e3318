//! A turn's words as the model sees them: one form for all the ways in which recognisers write the same speech.
//!
//! Case, punctuation, apostrophes, fillers ("um"), false starts, words said twice in a row, drawn out letters, the spelling
//! of numbers and common homophones make no difference after this; a swear word that a recogniser has masked becomes a mark. The recipe's `features.py` does the same, word for word.

use std::ops::Range;

use crate::sentiment::numbers::is_cardinal;

/// Only the end of a longer text is read, in characters.
pub(super) const MAX_CHARS: usize = 4000;
/// Only the last words of a longer turn are scored.
pub(super) const MAX_WORDS: usize = 256;

const FILLERS: [&str; 10] = ["um", "umm", "uh", "uhm", "uhh", "er", "erm", "eh", "ehm", ""];
/// Numbers beside another number ("four one oh two"), words elsewhere ("no one").
const NUMBERS_BESIDE_NUMBERS: [&str; 5] = ["one", "oh", "o", "double", "triple"];
/// Numbers between two numbers.
const NUMBERS_BETWEEN_NUMBERS: [&str; 2] = ["and", "point"];
const ORDINALS: [&str; 8] = ["third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
/// Ends of words that lost their apostrophe to a space: "don t".
const TAILS: [&str; 7] = ["s", "t", "m", "d", "ll", "re", "ve"];
/// Words that "not" contracts with.
const NEGATED: [&str; 14] =
    ["do", "does", "did", "is", "was", "were", "has", "have", "had", "would", "could", "should", "are", "will"];
const SAME: [(&str, &str); 35] = [
    ("theyre", "there"),
    ("their", "there"),
    ("youre", "your"),
    ("hear", "here"),
    ("weight", "wait"),
    ("whose", "whos"),
    ("cannot", "cant"),
    ("wont", "willnt"),
    ("wanna", "want"),
    ("gonna", "going"),
    ("gotta", "got"),
    ("ive", "i"),
    ("okay", "ok"),
    ("yeah", "yes"),
    ("yep", "yes"),
    ("yup", "yes"),
    ("ya", "yes"),
    ("nope", "no"),
    ("nah", "no"),
    ("hiya", "hi"),
    ("cuz", "cause"),
    ("cos", "cause"),
    ("because", "cause"),
    ("ppl", "people"),
    ("pls", "please"),
    ("thx", "thanks"),
    ("u", "you"),
    ("ur", "your"),
    ("k", "ok"),
    ("alright", "ok"),
    ("mum", "mom"),
    ("expletive", MASK),
    ("bleep", MASK),
    ("bleeped", MASK),
    ("bleeping", MASK),
];
const PAIRS: [(&str, &str, &str); 9] = [
    ("i", "am", "im"),
    ("it", "is", "its"),
    ("that", "is", "thats"),
    ("what", "is", "whats"),
    ("you", "are", "your"),
    ("they", "are", "there"),
    ("i", "will", "ill"),
    ("going", "to", "going"),
    ("i", "have", "i"),
];
/// Stands for a run of numbers, and begins the mark of an ordinal.
const NUMBER: &str = "#";
const ORDINAL: &str = "#th";
/// Stands for a swear word that the recogniser has masked: "****", "f***ing", "[expletive]".
pub(super) const MASK: &str = "*";
const STAR: char = '*';
/// Words from this many letters on are shortened where a letter is drawn out: "sooooo", but "AAA".
const DRAWN_OUT: usize = 4;

/// One word, and the bytes of the text that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) at: Range<usize>,
}

impl Word {
    pub(super) fn is_number(&self) -> bool {
        self.text.starts_with(NUMBER)
    }
}

/// The words of a turn.
pub(super) fn normalise(text: &str) -> Vec<Word> {
    let words = split(text).into_iter().filter(|word| !FILLERS.contains(&word.text.as_str())).collect();
    let words = once(numbers_marked(contracted(tails_joined(without_cards(words).into_iter()))));
    let surplus = words.len().saturating_sub(MAX_WORDS);
    words.into_iter().skip(surplus).collect()
}

/// ASCII letters and digits, and Latin letters with marks; everything else parts words.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || (('\u{c0}'..='\u{24f}').contains(&c) && c != '×' && c != '÷')
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{2018}' | '\u{2bc}' | '`')
}

/// Runs of letters; apostrophes inside are dropped; a false start ("wa- want") is left out; so are asterisks, but for a
/// masked word.
fn split(text: &str) -> Vec<Word> {
    let from = text.char_indices().rev().nth(MAX_CHARS - 1).map_or(0, |(at, _)| at);
    let mut chars = text[from..].char_indices().map(|(at, c)| (at + from, c)).peekable();
    let mut words: Vec<(Word, bool)> = Vec::new();
    while let Some((start, c)) = chars.next() {
        if !is_letter(c) && c != STAR {
            continue;
        }
        let mut word = Word { text: c.to_lowercase().collect(), at: start..start + c.len_utf8() };
        while let Some(&(at, c)) = chars.peek() {
            let end = at + c.len_utf8();
            if is_letter(c) || c == STAR {
                word.text.extend(c.to_lowercase());
                word.at.end = end;
            } else if !(is_apostrophe(c) && text[end..].starts_with(is_letter)) {
                break;
            }
            chars.next();
        }
        word.text = shortened(unmasked(word.text));
        if word.text.is_empty() {
            continue;
        }
        let rest = &text[word.at.end..];
        let cut = rest.strip_prefix('-').is_some_and(|r| r.is_empty() || r.starts_with([' ', '\t', '\r', '\n']));
        let cut = cut && word.text != MASK;
        words.push((word, cut));
    }
    let starts_next = |place: usize, word: &Word| {
        words.get(place + 1).is_some_and(|(next, _): &(Word, bool)| next.text.starts_with(&word.text))
    };
    let kept: Vec<bool> =
        words.iter().enumerate().map(|(place, (word, cut))| !(*cut && starts_next(place, word))).collect();
    words.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|((word, _), _)| word).collect()
}

/// The mask for a word with letters starred out; asterisks for emphasis, for a footnote or in a number go away.
fn unmasked(word: String) -> String {
    if !word.contains(STAR) {
        return word;
    }
    if word.bytes().any(|b| b.is_ascii_digit()) {
        return word.replace(STAR, "");
    }
    let core = word.trim_matches(STAR);
    let masked = if core.is_empty() {
        word.len() > 1
    } else {
        let (before, after) = (word.starts_with("**"), word.ends_with("**"));
        core.contains(STAR) || before != after
    };
    if masked { MASK.to_owned() } else { core.to_owned() }
}

/// A letter drawn out ("sooooo") stands once.
fn shortened(word: String) -> String {
    let letters: Vec<char> = word.chars().collect();
    if letters.len() < DRAWN_OUT {
        return word;
    }
    let runs = letters.chunk_by(|a, b| a == b);
    runs.flat_map(|run| if run.len() > 2 && !run[0].is_ascii_digit() { &run[..1] } else { run }).collect()
}

/// Without the masks that stand beside a number: "**** **** 1234" is a card.
fn without_cards(words: Vec<Word>) -> Vec<Word> {
    let mut beside = vec![false; words.len()];
    let mut mark = |places: &mut dyn Iterator<Item = usize>| {
        let mut card = false;
        for place in places {
            beside[place] |= card;
            card = names_number(&words[place].text) || (card && words[place].text == MASK);
        }
    };
    mark(&mut (0..words.len()));
    mark(&mut (0..words.len()).rev());
    words
        .into_iter()
        .zip(beside)
        .filter(|(word, beside)| !(*beside && word.text == MASK))
        .map(|(word, _)| word)
        .collect()
}

fn names_number(word: &str) -> bool {
    (is_cardinal(word) && !NUMBERS_BESIDE_NUMBERS.contains(&word)) || word.bytes().any(|b| b.is_ascii_digit())
}

fn tails_joined(words: impl Iterator<Item = Word>) -> Vec<Word> {
    let mut joined: Vec<Word> = Vec::new();
    for word in words {
        match joined.last_mut() {
            Some(last)
                if TAILS.contains(&word.text.as_str())
                    && (last.text.chars().nth(1).is_some() || last.text == "i")
                    && !names_number(&last.text) =>
            {
                last.text.push_str(&word.text);
                last.at.end = word.at.end;
            }
            _ => joined.push(word),
        }
    }
    joined
}

fn contracted(words: Vec<Word>) -> Vec<Word> {
    let mut out: Vec<Word> = Vec::with_capacity(words.len());
    for mut word in words {
        if let Some((_, same)) = SAME.iter().find(|(from, _)| *from == word.text) {
            (*same).clone_into(&mut word.text);
        }
        if let Some(last) = out.last_mut()
            && let Some(both) = contraction(&last.text, &word.text)
        {
            last.text = both;
            last.at.end = word.at.end;
        } else {
            out.push(word);
        }
    }
    out
}

fn contraction(first: &str, second: &str) -> Option<String> {
    if second == "not" {
        if first == "can" {
            return Some("cant".to_owned());
        }
        return NEGATED.contains(&first).then(|| format!("{first}nt"));
    }
    PAIRS.iter().find(|(a, b, _)| *a == first && *b == second).map(|(_, _, both)| (*both).to_owned())
}

fn numbers_marked(words: Vec<Word>) -> Vec<Word> {
    let numeric: Vec<bool> = words.iter().map(|word| names_number(&word.text)).collect();
    let is_numeric = |place: Option<usize>| place.and_then(|p| numeric.get(p)).copied().unwrap_or(false);
    let mut out: Vec<Word> = Vec::with_capacity(words.len());
    for (place, mut word) in words.into_iter().enumerate() {
        let (before, after) = (is_numeric(place.checked_sub(1)), is_numeric(Some(place + 1)));
        let text = word.text.as_str();
        let counted = text.starts_with(|c: char| c.is_ascii_digit())
            && ["st", "nd", "rd", "th"].iter().any(|tail| text.ends_with(tail));
        if counted || ORDINALS.contains(&text) {
            ORDINAL.clone_into(&mut word.text);
        } else if is_numeric(Some(place))
            || (NUMBERS_BESIDE_NUMBERS.contains(&text) && (before || after))
            || (NUMBERS_BETWEEN_NUMBERS.contains(&text) && before && after)
        {
            NUMBER.clone_into(&mut word.text);
        }
        match out.last_mut() {
            Some(last) if word.text == NUMBER && last.text == NUMBER => last.at.end = word.at.end,
            _ => out.push(word),
        }
    }
    out
}

/// Drops what is said twice in a row: "i i", "you're not you're not".
fn once(words: Vec<Word>) -> Vec<Word> {
    let mut out: Vec<Word> = Vec::with_capacity(words.len());
    for word in words {
        out.push(word);
        let n = out.len();
        let again = |size: &usize| {
            let size = *size;
            n >= 2 * size && (1..=size).all(|back| out[n - back].text == out[n - size - back].text)
        };
        if let Some(size) = [1, 2, 3].iter().find(|size| again(size)).copied() {
            let end = out[n - 1].at.end;
            out.truncate(n - size);
            out[n - size - 1].at.end = end;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        normalise(text).into_iter().map(|word| word.text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_same_speech_reads_the_same_however_it_is_written() {
        let plain = said("i do not want it i have called five times");
        for other in [
            "I don't want it. I've called 5 times!",
            "um i i don t want it uh i've called called five five times",
            "I DON\u{2019}T WANT IT -- I HAVE CALLED FIVE TIMES",
        ] {
            assert_eq!(said(other), plain, "{other}");
        }
    }

    #[test]
    fn numbers_are_marked_and_no_one_stays() {
        assert_eq!(said("four one oh two and no one answered the 3rd time"), "# and no one answered the #th time");
    }

    #[test]
    fn false_starts_and_repeats_are_dropped() {
        assert_eq!(said("I wa- want it it it you're not you're not listening"), "i want it your not listening");
    }

    #[test]
    fn masked_swear_words_become_a_mark_and_other_asterisks_go() {
        assert_eq!(said("this is ****, you f***ing [expletive], sh*t"), "this is * you *");
        assert_eq!(said("*sigh* **really** 5 * 4, price*"), "sigh really # price");
        assert_eq!(said("card **** **** **** 1234 ok, or ****-****-9"), "card # ok or #");
    }

    #[test]
    fn drawn_out_letters_stand_once() {
        assert_eq!(said("heeeellooooo is it sooooo AAA 10000000"), "hello is it so aaa #");
    }

    #[test]
    fn every_word_stands_where_it_says() {
        let text = "Ünïcode — it is mine, “I am” sure 🙂 don t";
        for word in normalise(text) {
            assert!(text.get(word.at.clone()).is_some(), "{word:?}");
        }
    }
}
