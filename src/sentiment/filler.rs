//! Filler turns: bare backchannels and data answers, which carry no feeling and neither count nor reset a streak.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::hidden::ASKED_FOR;
use super::text::{Token, Words};

/// Words of bare agreement, refusal, courtesy and waiting.
const BACKCHANNEL: [&str; 57] = [
    "yes", "yeah", "yea", "aye", "no", "okay", "right", "sure", "mm", "hm", "mhm", "hmm", "ah", "oh", "please",
    "correct", "fine", "done", "ready", "hello", "hi", "bye", "haan", "ji", "so", "and", "then", "well", "its", "that",
    "thats", "is", "it", "one", "same", "i", "do", "am", "did", "hold", "on", "hang", "second", "minute", "moment",
    "sec", "let", "me", "get", "just", "a", "wait", "sir", "maam", "huh", "got", "see",
];

/// Sounds of listening and single words of greeting or assent, which say nothing whatever was said before them. "I see",
/// "so" and "huh" are none: after a useless answer they are a reproach.
const SOUNDS: [&str; 22] = [
    "m", "mm", "hm", "hmm", "mhm", "mhmm", "mmhm", "mmhmm", "uhhuh", "ah", "aha", "oh", "hello", "hi", "hey", "bye",
    "goodbye", "sure", "correct", "okay", "yes", "yeah",
];

/// Words that surround data when a caller reads it out.
const DATA: [&str; 88] = [
    "its",
    "is",
    "the",
    "my",
    "mine",
    "mines",
    "name",
    "number",
    "account",
    "order",
    "reference",
    "ref",
    "code",
    "id",
    "card",
    "policy",
    "claim",
    "booking",
    "ticket",
    "postcode",
    "zip",
    "address",
    "email",
    "at",
    "dot",
    "com",
    "example",
    "dash",
    "hyphen",
    "slash",
    "stroke",
    "underscore",
    "as",
    "in",
    "for",
    "of",
    "ends",
    "ending",
    "starts",
    "road",
    "street",
    "lane",
    "avenue",
    "drive",
    "close",
    "terrace",
    "flat",
    "unit",
    "apartment",
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "born",
    "birth",
    "third",
    "capital",
    "date",
    "today",
    "tonight",
    "tomorrow",
    "morning",
    "afternoon",
    "evening",
    "am",
    "pm",
    "oclock",
    "half",
    "quarter",
    "past",
    "first",
    "fourth",
    "fifth",
];

/// Words that say more than a datum even where most of a turn is read out.
const TELLING_BESIDE_DATA: [&str; 69] = [
    "what", "why", "who", "how", "when", "where", "which", "not", "never", "dont", "doesnt", "didnt", "isnt", "cant",
    "wont", "havent", "nobody", "nothing", "you", "your", "youre", "youve", "need", "want", "have", "has", "was",
    "been", "are", "said", "told", "would", "could", "should", "ive", "im", "again", "already", "still", "another",
    "thanks", "thank", "good", "great", "lovely", "perfect", "help", "cancel", "stop", "broken", "stolen", "lost",
    "wrong", "late", "they", "he", "she", "we", "somebody", "someone", "anybody", "person", "human", "manager",
    "money", "tips", "really", "but", "because",
];

/// Words that say more than a datum, so that a short turn with one of them is no name: those that callers use and that
/// no filler has (`model/recipe/english.py` counts them), and rarer ones of refusal.
static TELLING: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("telling.txt").lines().chain(REFUSALS).collect());

/// Short hostile words that the calls at hand hardly use.
const REFUSALS: [&str; 24] = [
    "whatever",
    "guess",
    "nonsense",
    "rubbish",
    "unbelievable",
    "seriously",
    "wow",
    "typical",
    "pathetic",
    "useless",
    "bull",
    "refuse",
    "forget",
    "blimey",
    "nothing",
    "swivel",
    "deaf",
    "blind",
    "obviously",
    "screen",
    "notes",
    "pardon",
    "enough",
    "honestly",
];

/// A data answer is short; longer turns tell something.
const LONGEST_ANSWER: usize = 8;

/// Share of a turn that must be data for it to be filler whatever the rest says.
const DATA_SHARE: f64 = 0.7;

/// Whether a turn without cues of feeling only answers, confirms, spells or backchannels. `asked` are the agent's
/// last words: they decide only whether a short answer is a datum.
pub(super) fn is_filler(words: &Words, asked: Option<&Words>) -> bool {
    let tokens = &words.tokens;
    let plain = |token: &Token| is_datum(token) || is_one_of(token, &BACKCHANNEL);
    if tokens.iter().all(plain) {
        return true;
    }
    let data = tokens.iter().filter(|token| plain(token)).count();
    let hard = tokens.iter().filter(|token| token.number || token.word.len() == 1).count();
    let telling = tokens.iter().any(|token| !plain(token) && TELLING.contains(token.word.as_str()));
    // Counts stay far below 2^53: the looked-at turn is capped.
    let share = data as f64 / tokens.len() as f64;
    let read_out = hard >= 2 && share >= DATA_SHARE && !words.has_any(&TELLING_BESIDE_DATA);
    let was_asked = asked.is_some_and(|asked| asked.has_any(&ASKED_FOR));
    let answered = was_asked && tokens.len() <= LONGEST_ANSWER && !telling;
    let a_name = tokens.len() <= 2 && !telling && asked.is_none_or(|_| was_asked);
    read_out || answered || a_name
}

/// Whether a turn is nothing but sounds of listening.
pub(super) fn is_sounds(words: &Words) -> bool {
    !words.tokens.is_empty() && words.tokens.iter().all(|token| is_one_of(token, &SOUNDS))
}

fn is_one_of(token: &Token, words: &[&str]) -> bool {
    words.contains(&token.word.as_str())
}

fn is_datum(token: &Token) -> bool {
    token.number || token.word.len() == 1 || is_one_of(token, &DATA)
}
