//! One sentence for an alert on what upset the caller, from the turns that were low.

use super::lexical::lowest_words;
use super::{Cue, CueKind, Sentiment};

/// The longest description, in characters.
pub const MAX_CHARS: usize = 200;
/// The longest quote in it, in characters.
const MAX_QUOTE: usize = 110;
/// A run of so many digits, written or spoken, is an account, card or phone number.
const LONGEST_NUMBER: usize = 3;
/// What stands for a number that was taken out.
const REDACTED: &str = "[number]";
const ELLIPSIS: char = '…';

/// A turn that was low.
#[derive(Debug, Clone, Copy)]
pub struct LowTurn<'t> {
    /// What the caller said.
    pub text: &'t str,
    /// How it was rated.
    pub sentiment: Sentiment,
    /// The words that moved the rating, strongest first.
    pub cues: &'t [Cue],
}

/// Says in one sentence what upset the caller: `Caller angry: "nobody at your company seems to care" (3 low turns in a
/// row)`.
///
/// `turns` are the low turns of the streak, oldest first. The sentence has at most [`MAX_CHARS`] characters, and no
/// control characters, and no run of more than three digits, written or spoken: no phone, card or account number.
#[must_use]
pub fn describe(turns: &[LowTurn<'_>]) -> String {
    let count = match turns.len() {
        0 | 1 => String::new(),
        more => format!(" ({more} low turns in a row)"),
    };
    let Some(lowest) = turns.iter().min_by_key(|turn| (turn.sentiment, std::cmp::Reverse(turn.cues.len()))) else {
        return "Caller frustrated".to_owned();
    };
    let mood = mood(turns);
    let quote = shortened(&redacted(lowest_words(lowest.text, lowest.cues, MAX_QUOTE)), MAX_QUOTE);
    let sentence = if quote.is_empty() { format!("{mood}{count}") } else { format!("{mood}: \"{quote}\"{count}") };
    shortened(&sentence, MAX_CHARS)
}

/// What the caller was doing, from the heaviest kind of cue in any low turn.
fn mood(turns: &[LowTurn<'_>]) -> &'static str {
    let weight = |kind: CueKind| -> f64 {
        let cues = turns.iter().flat_map(|turn| turn.cues).filter(|cue| cue.kind == kind && cue.effect < 0.0);
        cues.map(|cue| -cue.effect).sum()
    };
    let furious = turns.iter().any(|turn| turn.sentiment.value() < 2.0);
    if weight(CueKind::Threat) >= 0.7 {
        "Caller angry and threatening to act"
    } else if weight(CueKind::HumanRequest) >= 1.0 {
        "Caller frustrated and asking for a human"
    } else if furious || weight(CueKind::Abuse) >= 0.7 {
        "Caller angry"
    } else {
        "Caller frustrated"
    }
}

/// A sentence from elsewhere (the agent's model, an LLM) as an alert may show it: redacted, at most [`MAX_CHARS`].
#[must_use]
pub fn presentable(text: &str) -> String {
    shortened(&redacted(text), MAX_CHARS)
}

/// Takes out control characters and long numbers, in digits or in words, and makes spaces single.
#[must_use]
pub fn redacted(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| {
            if is_unprintable(c) {
                ' '
            } else if c == '"' {
                '\''
            } else {
                c
            }
        })
        .collect();
    let mut out: Vec<String> = Vec::new();
    let mut run: Vec<&str> = Vec::new();
    for word in clean.split_whitespace() {
        if digits_of(word) > 0 || (!run.is_empty() && joins_numbers(word)) {
            run.push(word);
        } else {
            close(&mut run, &mut out);
            out.push(word.to_owned());
        }
    }
    close(&mut run, &mut out);
    out.join(" ")
}

/// Ends a run of numbers: kept if short ("three times", "24 months"), else redacted.
fn close(run: &mut Vec<&str>, out: &mut Vec<String>) {
    let digits: usize = run.iter().map(|word| digits_of(word)).sum();
    if digits > LONGEST_NUMBER {
        out.push(REDACTED.to_owned());
    } else {
        out.extend(run.iter().map(|word| (*word).to_owned()));
    }
    run.clear();
}

/// How many digits a word stands for: "4452" four, "seven" one, "double" one more.
fn digits_of(word: &str) -> usize {
    let written = word.chars().filter(|c| c.is_numeric()).count();
    let spoken = || -> usize {
        let parts = word.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
        parts.map(|part| usize::from(is_spoken_digit(&part.to_lowercase()))).sum()
    };
    if written > 0 { written } else { spoken() }
}

fn is_spoken_digit(word: &str) -> bool {
    ["oh", "o"].contains(&word) || (super::text::is_number(word) && !["couple", "several", "dozen"].contains(&word))
}

/// Small words and letters between the pieces of a spelled number, and signs alone.
fn joins_numbers(word: &str) -> bool {
    let plain: String = word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    plain.len() <= 1
        || ["and", "dash", "then", "hyphen", "slash", "stroke", "um", "uh", "dot", "space", "plus"]
            .contains(&plain.as_str())
}

/// Control characters, and marks that turn the direction of text or hide in it.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// At most `max` characters, cut at a word where one ends in the last third.
fn shortened(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let cut: String = text.chars().take(max.saturating_sub(1)).collect();
    let at = cut.rfind(' ').filter(|at| *at > cut.len() * 2 / 3).unwrap_or(cut.len());
    let mut cut = cut[..at].trim_end().to_owned();
    cut.push(ELLIPSIS);
    cut
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::lexical::rate;
    use super::super::{Rating, TurnInContext};
    use super::*;

    fn described(texts: &[&str]) -> String {
        let ratings: Vec<Rating> = texts.iter().map(|text| rate(&TurnInContext::alone(*text))).collect();
        let turns: Vec<LowTurn<'_>> = texts
            .iter()
            .zip(&ratings)
            .map(|(text, rating)| LowTurn { text, sentiment: rating.sentiment, cues: &rating.cues })
            .collect();
        describe(&turns)
    }

    #[test]
    fn the_strongest_low_turn_is_quoted_with_the_count() {
        let said = described(&["i have been on hold for an hour", "you people are useless", "this is slow"]);
        assert_eq!(said, "Caller angry: \"you people are useless\" (3 low turns in a row)");
    }

    #[test]
    fn a_request_for_a_human_is_named() {
        let said = described(&["I want to speak to someone who can actually help."]);
        assert_eq!(
            said,
            "Caller frustrated and asking for a human: \"I want to speak to someone who can actually help.\""
        );
    }

    #[test]
    fn numbers_are_taken_out_in_digits_and_in_words() {
        assert_eq!(redacted("call me on +44 20 7946-0018 now"), "call me on [number] now");
        assert_eq!(redacted("it's four four one two double nine, useless"), "it's [number] useless");
        assert_eq!(redacted("card 4111 1111 um 1111 1111"), "card [number]");
        assert_eq!(redacted("one hundred and twenty three, thousand four"), "[number]");
        assert_eq!(redacted("third time in three weeks, 24 months"), "third time in three weeks, 24 months");
    }

    #[test]
    fn nothing_low_still_makes_a_sentence() {
        assert_eq!(describe(&[]), "Caller frustrated");
    }

    #[test]
    fn a_long_turn_is_cut_around_its_strongest_words() {
        let long =
            format!("{} you people are useless {}", "well so it was ".repeat(20), "and then it went on ".repeat(20));
        let said = described(&[&long]);
        assert!(said.contains("you people are useless"), "{said}");
        assert!(said.chars().count() <= MAX_CHARS, "{said}");
    }

    fn longest_digit_run(text: &str) -> usize {
        text.split(|c: char| c.is_alphabetic())
            .map(|part| part.chars().filter(|c| c.is_numeric()).count())
            .max()
            .unwrap_or(0)
    }

    proptest! {
        #[test]
        fn whatever_was_said_it_is_short_printable_and_without_numbers(texts in prop::collection::vec("[ -~\\PC\\s0-9]{0,300}", 0..5)) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let said = described(&texts);
            prop_assert!(said.chars().count() <= MAX_CHARS);
            prop_assert!(!said.chars().any(is_unprintable));
            prop_assert!(longest_digit_run(&said) <= LONGEST_NUMBER + 1, "{}", said);
        }
    }
}
