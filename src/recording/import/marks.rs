//! Marks in a text that nobody said: what was redacted, and what a recogniser or a typist says of the sound. Masked
//! profanity was said, and stays as it is: the rater knows how to read it.

use std::ops::Range;

use crate::sentiment::masked::expletives;
use crate::sentiment::sounds::SOUNDS;

/// Longest mark that is taken for one.
const MAX_MARK: usize = 48;

/// A text without its marks. Words that name a sound stand in round or pointed brackets for one; in square brackets anything
/// is a mark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spoken {
    /// The words; empty when there is no letter and no digit left.
    pub(super) text: String,
    /// Whether words were redacted, so that somebody did speak even where nothing is left.
    pub(super) redacted: bool,
}

/// Takes the marks out of a text.
pub(super) fn without_marks(text: &str) -> Spoken {
    let mut kept = String::with_capacity(text.len());
    let mut redacted = false;
    let mut rest = text;
    let profane = expletives(text);
    while let Some(at) = rest.find(['[', '<', '{', '(']) {
        let (before, from) = rest.split_at(at);
        kept.push_str(before);
        match mark(from) {
            // A beep alone is a machine's.
            Some((_, after))
                if is_said(&profane, text.len() - from.len()..text.len() - after.len()) && !is_beep(text.trim()) =>
            {
                kept.push_str(&from[..from.len() - after.len()]);
                rest = after;
            }
            Some((mark, after)) => {
                redacted |= mark == Mark::Redaction;
                rest = close_up(&mut kept, after);
            }
            None => {
                let bracket = from.chars().next().map_or(0, char::len_utf8);
                kept.push_str(&from[..bracket]);
                rest = &from[bracket..];
            }
        }
    }
    kept.push_str(rest);
    let profane = expletives(&kept);
    let mut words = Vec::new();
    for word in kept.split_whitespace() {
        // A word is a part of the text that it was split from.
        let at = word.as_ptr() as usize - kept.as_ptr() as usize;
        if is_masked(word) && !is_said(&profane, at..at + word.len()) {
            redacted = true;
        } else if !word.chars().all(|c| matches!(c, '♪' | '♫')) {
            words.push(word);
        }
    }
    let text = words.join(" ");
    let said = text.chars().any(char::is_alphanumeric) || !expletives(&text).is_empty();
    let text = if said { text } else { String::new() };
    Spoken { text, redacted }
}

#[derive(Debug, PartialEq, Eq)]
enum Mark {
    Redaction,
    Sound,
}

/// The mark that a text begins with, and what follows it.
fn mark(text: &str) -> Option<(Mark, &str)> {
    let mut chars = text.chars();
    let close = match chars.next()? {
        '[' => ']',
        '<' => '>',
        '{' => '}',
        _ => ')',
    };
    // No further than a mark is long: a text may be nothing but brackets.
    let (end, _) = text.char_indices().take_while(|(at, _)| *at <= MAX_MARK).find(|(_, c)| *c == close)?;
    let inner = text.get(1..end)?.trim();
    let after = text.get(end + close.len_utf8()..)?;
    let first_word = inner.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default().to_lowercase();
    let sound = SOUNDS.contains(&first_word.as_str()) && first_word != "redacted";
    // An entity's name: [PII], {CREDIT_DEBIT_NUMBER}, <PERSON>, [NAME-1].
    let entity = inner.chars().any(char::is_uppercase)
        && inner.chars().all(|c| c.is_uppercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | ' ' | '/' | '*'));
    let redaction = (entity && !sound) || first_word == "redacted" || inner.starts_with("***");
    let is_mark = match close {
        ']' => !inner.contains(['?', '!', '[']),
        '>' => entity || sound || redaction,
        '}' => entity || sound || redaction,
        _ => sound || first_word == "redacted",
    };
    is_mark.then_some((if redaction { Mark::Redaction } else { Mark::Sound }, after))
}

fn is_beep(text: &str) -> bool {
    text.trim_matches(|c: char| !c.is_alphabetic()).eq_ignore_ascii_case("beep")
}

/// Whether masked profanity stands there.
fn is_said(profane: &[Range<usize>], at: Range<usize>) -> bool {
    profane.iter().any(|profane| at.start < profane.end && profane.start < at.end)
}

/// Takes care that no punctuation hangs where a mark was: "Hello. [PII], how" is "Hello. how".
fn close_up<'a>(kept: &mut String, after: &'a str) -> &'a str {
    let trimmed = kept.trim_end();
    let hangs = trimmed.is_empty() || trimmed.ends_with(['.', '?', '!', ',', ';', ':']);
    let next = after.chars().next();
    if !next.is_some_and(|c| matches!(c, '.' | ',' | ';' | ':' | '?' | '!')) {
        return after;
    }
    if hangs {
        return after.trim_start_matches(['.', ',', ';', ':', '?', '!']);
    }
    kept.truncate(trimmed.len());
    after
}

/// `****`, `####`, `XXX-XX-XXXX`: a word of masks alone.
fn is_masked(word: &str) -> bool {
    let word = word.trim_matches(|c: char| matches!(c, '.' | ',' | ';' | ':' | '?' | '!'));
    let masks = word.chars().filter(|c| matches!(c, '*' | '#' | 'X' | '█')).count();
    masks >= 3 && word.chars().all(|c| matches!(c, '*' | '#' | 'X' | '█' | '-' | '/' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_no_words_and_leave_no_punctuation_behind() {
        for (text, spoken) in [
            ("Hello, room [HOTEL_NUMBER], the heating is off.", "Hello, room, the heating is off."),
            ("Hello. [PII], how can I help you?", "Hello. how can I help you?"),
            ("My name is [PII] and help.", "My name is and help."),
            ("[PII].", ""),
            ("[PII] hi [PII] I'm [PII] happy", "hi I'm happy"),
            ("Great [PII],", "Great,"),
            ("[silence]", ""),
            ("[beep].", ""),
            ("I have a question. [crosstalk 00:00:12]", "I have a question."),
            ("[inaudible 00:00:14] happy to help.", "happy to help."),
            ("Hi, <inaudible>.", "Hi,"),
            ("It is {NAME} (laughs) here", "It is here"),
            ("my card is ****, and XXX-XX-1234", "my card is and XXX-XX-1234"),
            ("2 < 3 (is it not) {or so}", "2 < 3 (is it not) {or so}"),
            ("...", ""),
            ("a [ b", "a [ b"),
        ] {
            assert_eq!(without_marks(text).text, spoken, "{text}");
        }
        for said in [
            "what the **** is wrong with you",
            "[expletive] you",
            "***",
            "****!",
            "what the [ __ ] is this",
            "[EXPLETIVE] thieves",
            "f*** off (bleep) you",
        ] {
            assert_eq!(without_marks(said), Spoken { text: said.to_owned(), redacted: false }, "{said}");
        }
        let name = without_marks("my name is **** [PERSON], [noise] you [bleep] thief");
        assert_eq!((name.text.as_str(), name.redacted), ("my name is you [bleep] thief", true));
        assert!(without_marks("[PII].").redacted && !without_marks("[noise]").redacted);
    }
}
