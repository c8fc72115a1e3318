//! One sentence for an alert on what upset the caller: the trouble in the caller's words, and the worst that was said.

use super::lexical::lowest_words;
use super::spelled::replaced;
use super::{Cue, CueKind, Sentiment, trouble};
use crate::telemetry::shown::is_unprintable;

/// The longest description, in characters.
pub const MAX_CHARS: usize = 200;
/// The longest quote in it, in characters.
const MAX_QUOTE: usize = 110;
/// A run of so many digits, written or spoken, is an account, card or phone number.
const LONGEST_NUMBER: usize = 3;
/// What stands for a number that was taken out.
const REDACTED: &str = "[number]";
const ELLIPSIS: char = '…';
/// So many pieces of trouble are told.
const MOST_TROUBLE: usize = 3;
/// Where no streak led to the escalation, the low turns among so many last ones did.
const RECENT: usize = 6;
/// A turn above this was in a good mood, and tells of no trouble.
const GOOD_MOOD: f64 = 6.0;

/// A caller turn that counts.
#[derive(Debug, Clone, Copy)]
pub struct CallerTurn<'t> {
    /// What the caller said.
    pub text: &'t str,
    /// How it was rated.
    pub sentiment: Sentiment,
    /// The words that moved the rating, strongest first.
    pub cues: &'t [Cue],
    /// Whether it asks for a human.
    pub asks_human: bool,
}

/// A call up to an escalation.
#[derive(Debug, Clone)]
pub struct Story<'t> {
    /// The caller turns that count, oldest first, up to the one that escalated.
    pub turns: Vec<CallerTurn<'t>>,
    /// A turn strictly below it is low.
    pub threshold: u8,
    /// How many low turns in a row led to it.
    pub streak: usize,
}

impl<'t> Story<'t> {
    /// The turns that led to the escalation: the streak, or the low turns and asks among the last ones, or the last one.
    fn worst(&self) -> Vec<CallerTurn<'t>> {
        let last = |many: usize| self.turns[self.turns.len().saturating_sub(many)..].iter().copied();
        if self.streak > 0 {
            return last(self.streak).collect();
        }
        let led: Vec<CallerTurn<'t>> =
            last(RECENT).filter(|turn| turn.sentiment.is_below(self.threshold) || turn.asks_human).collect();
        if led.is_empty() { last(1).collect() } else { led }
    }
}

/// Says in one sentence what upset the caller: `Caller angry: charged me twice, fourth call, asked for a human 3 times;
/// "nobody at your company seems to care" (3 low turns in a row)`.
///
/// The sentence has at most [`MAX_CHARS`] characters, and no control characters, and no run of more than three digits,
/// written or spoken: no phone, card or account number.
#[must_use]
pub fn describe(story: &Story<'_>) -> String {
    let worst = story.worst();
    let Some(lowest) = worst.iter().min_by_key(|turn| (turn.sentiment, std::cmp::Reverse(turn.cues.len()))) else {
        return "Caller frustrated".to_owned();
    };
    let count = match story.streak {
        0 | 1 => String::new(),
        more => format!(" ({more} low turns in a row)"),
    };
    let quote = shortened(&redacted(lowest_words(lowest.text, lowest.cues, MAX_QUOTE)), MAX_QUOTE);
    let asks = story.turns.iter().filter(|turn| turn.asks_human).count();
    let trouble = trouble_beside(&quote, story, asks);
    let mood = mood(&worst, asks);
    let head = if trouble.is_empty() { mood.to_owned() } else { format!("{mood}: {trouble}") };
    let room = MAX_CHARS.saturating_sub(head.chars().count() + count.chars().count() + r#"; """#.len());
    let quote = shortened(&quote, room.min(MAX_QUOTE));
    let sentence = match (quote.is_empty(), trouble.is_empty()) {
        (true, _) => format!("{head}{count}"),
        (false, true) => format!("{head}: \"{quote}\"{count}"),
        (false, false) => format!("{head}; \"{quote}\"{count}"),
    };
    shortened(&sentence, MAX_CHARS)
}

/// What went wrong, beside what the quote tells.
fn trouble_beside(quote: &str, story: &Story<'_>, asks: usize) -> String {
    let turns = story.turns.iter().filter(|turn| turn.sentiment.value() <= GOOD_MOOD).map(|turn| turn.text);
    let pieces = trouble::told(turns).into_iter().map(redacted).map(|piece| as_it_goes_on(&piece));
    let mut pieces: Vec<String> =
        pieces.filter(|piece| !quote.to_lowercase().contains(&piece.to_lowercase())).take(MOST_TROUBLE).collect();
    if asks > 1 {
        pieces.push(format!("asked for a human {asks} times"));
    }
    pieces.join(", ")
}

/// Without the capital of a sentence's beginning.
fn as_it_goes_on(piece: &str) -> String {
    let mut chars = piece.chars();
    let first = chars.next().map(char::to_lowercase).into_iter().flatten();
    first.chain(chars).collect()
}

/// What the caller was doing, from the heaviest kind of cue in any of the worst turns. Asks that are counted are not
/// named twice.
fn mood(turns: &[CallerTurn<'_>], asks: usize) -> &'static str {
    let weight = |kind: CueKind| -> f64 {
        let cues = turns.iter().flat_map(|turn| turn.cues).filter(|cue| cue.kind == kind && cue.effect < 0.0);
        cues.map(|cue| -cue.effect).sum()
    };
    let furious = turns.iter().any(|turn| turn.sentiment.value() < 2.0);
    if weight(CueKind::Threat) >= 0.7 {
        "Caller angry and threatening to act"
    } else if asks == 1 && turns.iter().any(|turn| turn.asks_human) {
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

/// A sentence as it may stand in quotes: [`masked`], with single quotes only.
#[must_use]
pub fn redacted(text: &str) -> String {
    masked(text).replace('"', "'")
}

/// Takes out control characters and long numbers, in digits or in words, and makes spaces single. Every other word stays.
#[must_use]
pub fn masked(text: &str) -> String {
    let clean: Vec<&str> = text.split(|c: char| c.is_whitespace() || is_unprintable(c)).collect();
    let clean: Vec<&str> = clean.into_iter().filter(|word| !word.is_empty()).collect();
    replaced(&clean.join(" "), |number| (number.digits > LONGEST_NUMBER).then_some(REDACTED))
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
    use super::super::spelled::is_digit_word;
    use super::super::{Rating, TurnInContext};
    use super::*;

    fn described(texts: &[&str]) -> String {
        let ratings: Vec<Rating> = texts.iter().map(|text| rate(&TurnInContext::alone(*text))).collect();
        let turns = texts.iter().zip(&ratings).map(|(text, rating)| CallerTurn {
            text,
            sentiment: rating.sentiment,
            cues: &rating.cues,
            asks_human: rating.asks_human,
        });
        describe(&Story { turns: turns.collect(), threshold: 3, streak: texts.len() })
    }

    #[test]
    fn the_strongest_low_turn_is_quoted_with_the_count() {
        let said = described(&["i am not happy", "you people are useless", "this is slow"]);
        assert_eq!(said, "Caller angry: \"you people are useless\" (3 low turns in a row)");
    }

    #[test]
    fn the_trouble_is_named_in_the_callers_words() {
        let said = described(&[
            "You charged me twice.",
            "this is my fourth call give me a person",
            "operator",
            "get me a human you useless liars",
        ]);
        assert_eq!(
            said,
            "Caller angry: charged me twice, fourth call, asked for a human 3 times; \"get me a human you useless liars\" \
             (4 low turns in a row)"
        );
    }

    #[test]
    fn without_a_streak_the_low_turns_and_asks_of_late_are_told() {
        let ratings: Vec<Rating> =
            ["operator", "you never called me back", "yes"].map(|text| rate(&TurnInContext::alone(text))).into();
        let texts = ["operator", "you never called me back", "yes"];
        let turns = texts.iter().zip(&ratings).map(|(text, rating)| CallerTurn {
            text,
            sentiment: rating.sentiment,
            cues: &rating.cues,
            asks_human: rating.asks_human,
        });
        let said = describe(&Story { turns: turns.collect(), threshold: 3, streak: 0 });
        assert!(
            said.starts_with("Caller frustrated and asking for a human: never called me back; \"operator\""),
            "{said}"
        );
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
        assert_eq!(redacted("it's four four one two double nine, useless"), "it's [number], useless");
        assert_eq!(redacted("card 4111 1111 um 1111 - 1111"), "card [number] um [number]");
        assert_eq!(redacted("one hundred and twenty three, thousand four"), "[number] and [number]");
        assert_eq!(redacted("third time in three weeks, 24 months"), "third time in three weeks, 24 months");
    }

    #[test]
    fn no_word_beside_a_number_is_lost() {
        for (said, told) in [
            ("4111 1111 1111 1111 and I said so", "[number] and I said so"),
            ("oh, 98765432 or a human", "oh, [number] or a human"),
            ("four five six seven, oh no", "[number], oh no"),
            ("oh oh oh oh oh stop", "oh oh oh oh oh stop"),
            ("call +44 20 7946-0018/mobile", "call [number]/mobile"),
            ("it is GB29NWBK60161331926819, \"mine\"", "it is GB[number], \"mine\""),
            ("flight1234567now 300dollars", "flight[number]now [number]dollars"),
            ("four five six one-way", "[number]-way"),
            ("3 a 4 and 5", "3 a 4 and 5"),
        ] {
            assert_eq!(masked(said), told);
        }
    }

    #[test]
    fn nothing_low_still_makes_a_sentence() {
        assert_eq!(described(&[]), "Caller frustrated");
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

        #[test]
        fn masking_loses_nothing_but_numbers(
            words in prop::collection::vec("[a-z]{2,6}|and|i|um|[0-9]{1,8}|seven|oh|-|[0-9]{4}[a-z]{2,5}", 0..20),
        ) {
            let said = words.join(" ");
            let kept = masked(&said).replace(REDACTED, " ");
            let letters = |text: &str| -> String {
                let words = text.split(|c: char| !c.is_alphabetic());
                words.filter(|word| !is_digit_word(word)).collect()
            };
            prop_assert_eq!(letters(&kept), letters(&said), "{} -> {}", said, kept);
        }
    }
}
