//! Masks that hide data: `my name is ****`, `**** **** 4421`, and `****` for an answer to "your PIN?". The same signs hide
//! profanity, which [`super::mask`] reads; only the words around a mask tell which it is.

use std::ops::Range;

use super::list::List;
use super::mask::{EXPLETIVE, is_mask};

/// Who says a text with masks, and after what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// A caller, unasked.
    Unasked,
    /// A caller, whom the agent just asked for data.
    Asked,
    /// An agent, who swears at nobody.
    Agent,
}

impl Told {
    /// A caller's turn after these words of the agent.
    pub(super) fn after(asked: Option<&str>) -> Self {
        if asked.is_some_and(asks_for_data) { Self::Asked } else { Self::Unasked }
    }
}

/// Words by which an agent asks for a datum.
pub(super) const ASKED_FOR: [&str; 32] = [
    "number",
    "name",
    "reference",
    "code",
    "address",
    "postcode",
    "zip",
    "email",
    "birth",
    "date",
    "id",
    "digits",
    "spell",
    "spelling",
    "pin",
    "password",
    "registration",
    "reg",
    "account",
    "serial",
    "model",
    "policy",
    "confirm",
    "which",
    "year",
    "month",
    "day",
    "surname",
    "invoice",
    "initials",
    "amount",
    "plate",
];
/// Beside [`ASKED_FOR`], words by which an agent asks for a datum.
const ALSO_ASKED_FOR: List = List("who whom speaking called social security phone mobile card live birthday passcode");
/// An agent asks with one of these, or with a question mark, or in a few words ("and your pin").
const ASKS: List =
    List("can could may might what whats please tell give confirm spell which who provide verify enter repeat say");
const FEW: usize = 5;

/// What is named right before the mask that hides it: "my pin is ****".
const NAMES: List = List(
    "name names named called surname pin number numbers code address postcode zip birth born birthday dob password passcode \
     email social ssn card phone mobile extension expiry cvv live lives living digits reference registration speaking",
);
/// People who are named after it: "my son ****".
const PEOPLE: List = List(
    "son daughter wife husband mum mom mother dad father brother sister partner fiance friend uncle aunt doctor boss mr mrs \
     miss ms dr",
);
const OURS: List = List("my our his her their");
/// Before a name these make it ours, not the caller's datum: "this code is ****".
const POINTING: List = List("this that these those every your");
/// Between a name and its mask.
const LINKS: List =
    List("is was its are im as be at in on for of to the ends ending starts starting with and under by oh");
/// How far the name may be from the mask, in words.
const REACH: usize = 5;
/// After a mask, these tell data: a street, an address at a provider.
const TAILS: List = List("street road avenue lane drive close terrace dot at speaking");
/// After a mask, these tell profanity, whatever is before it: "**** off".
const AIMED: List = List("off you up sake sakes this that them it your all");
/// All that stands beside the mask in a turn that only answers.
const ANSWERING: List = List(
    "yes yeah yep okay sure right its it is the my our name number and at thats i im mr mrs miss please um uh er hi hello sir \
     maam code pin reference surname first last",
);

/// Whether the agent's words ask for a datum.
fn asks_for_data(asked: &str) -> bool {
    let words: Vec<String> =
        asked.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let names = words.iter().any(|word| ASKED_FOR.contains(&word.as_str()) || ALSO_ASKED_FOR.has(word));
    names && (asked.contains('?') || words.len() <= FEW || words.iter().any(|word| ASKS.has(word)))
}

/// Whether the mask at this place of a turn hides data. `words` are all of the turn's, with their places in `text`.
pub(super) fn hides_data(words: &[(String, Range<usize>)], at: usize, text: &str, told: Told) -> bool {
    let word = |place: usize| words.get(place).map_or("", |(word, _)| word.as_str());
    let masked = |place: usize| word(place) == EXPLETIVE;
    let beside = |place: usize| masked(place) || word(place).starts_with(|c: char| c.is_ascii_digit());
    if !is_blank(words, at, text) {
        return false;
    }
    if beside(at + 1) || at.checked_sub(1).is_some_and(beside) || told == Told::Agent {
        return true;
    }
    if AIMED.has(word(at + 1)) && !after(words, at, text).contains(['.', '?', '!', ';', ',']) {
        return false;
    }
    let answers = || (0..words.len()).all(|place| masked(place) || ANSWERING.has(word(place)));
    TAILS.has(word(at + 1)) || is_named(words, at, text) || told == Told::Asked && answers()
}

/// Whether nothing is left of the word: a mask with letters is profanity, and a name in brackets says so.
fn is_blank(words: &[(String, Range<usize>)], at: usize, text: &str) -> bool {
    let (_, span) = &words[at];
    text.get(span.clone()).is_some_and(|said| said.chars().all(is_mask))
        && !text[..span.start].trim_end().ends_with(['[', '(', '<'])
}

/// Whether what stands before the mask says that a name or a number comes.
fn is_named(words: &[(String, Range<usize>)], at: usize, text: &str) -> bool {
    for place in (at.saturating_sub(REACH)..at).rev() {
        if parted(words, place, text) {
            return false;
        }
        let word = words[place].0.as_str();
        let before = place.checked_sub(1).map_or("", |before| words[before].0.as_str());
        if NAMES.has(word) {
            return !POINTING.has(before);
        }
        if PEOPLE.has(word) {
            return place + 1 == at && (OURS.has(before) || word.len() <= 4 && word.starts_with(['m', 'd']));
        }
        if !LINKS.has(word) && word != EXPLETIVE {
            return false;
        }
    }
    false
}

/// Whether a sentence ends after the word at this place.
fn parted(words: &[(String, Range<usize>)], place: usize, text: &str) -> bool {
    after(words, place, text).contains(['.', '?', '!', ';'])
}

/// What is written between the word at this place and the next one.
fn after<'t>(words: &[(String, Range<usize>)], place: usize, text: &'t str) -> &'t str {
    let next = words.get(place + 1).map_or(text.len(), |(_, next)| next.start);
    text.get(words[place].1.end..next).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::text::Words;
    use super::*;

    fn swears(agent: &str, caller: &str) -> bool {
        Words::told(caller, Told::after(Some(agent))).iter().any(|word| word == EXPLETIVE || word.starts_with("fuck"))
    }

    #[test]
    fn a_mask_after_what_names_it_or_for_an_answer_is_data() {
        for (agent, caller) in [
            ("May I have your name?", "My name is *****."),
            ("And your PIN?", "It's ****."),
            ("And your mother's maiden name?", "****."),
            ("", "my name is ***** ****** and my date of birth is ********"),
            ("", "my pin is ****"),
            ("", "i live at **** and it floods"),
            ("", "i live at ** **** street"),
            ("how can i help", "hi i'm calling for my son ****, he has a fever"),
            ("Restaurant, good evening.", "a table for four, the name is ****"),
            ("who am i speaking with", "yes it's ****"),
            ("and your password", "**** ****"),
            ("can you confirm the policy number please", "sure, it's ****"),
            ("Police, what is the address?", "it's **** road"),
            ("What is the account holder's name?", "Mrs ****"),
            ("", "you can write to **** dot com"),
            ("", "the reference number is ****"),
            ("", "my name is ****, you can call me back"),
        ] {
            assert!(!swears(agent, caller), "{agent} / {caller}");
        }
    }

    #[test]
    fn a_mask_that_nothing_names_is_profanity() {
        for (agent, caller) in [
            ("Acme, how can I help?", "what the **** is wrong with you"),
            ("I understand.", "****"),
            ("I'm sorry to hear that, let me have a look at your account for you.", "****!"),
            ("What is your account number?", "what the **** is wrong with you"),
            ("What is your account number?", "this **** thing again"),
            ("What is your account number?", "**** off"),
            ("What is your account number?", "**** you"),
            ("What is your account number?", "oh for **** sake"),
            ("What is your account number?", "you [expletive] liars"),
            ("What is your account number?", "f*** this"),
            ("Can you confirm your name?", "i gave you my number you ****"),
            ("", "this **** router"),
            ("", "your code is ****"),
            ("", "my name is f***ing john"),
            ("", "i gave you the number. **** this"),
            ("", "my son **** off to leeds"),
            ("", "your service is ****"),
        ] {
            assert!(swears(agent, caller), "{agent} / {caller}");
        }
    }
}
