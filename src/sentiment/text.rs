//! From recogniser output to tokens: one spelling for what is said in many ways.
//!
//! Recognisers differ in case, punctuation and apostrophes, and callers hesitate, start again and repeat words. All of
//! that is taken away here, so that the same words get the same rating. Each token remembers where it stood, because
//! cues quote the caller's own words.

use std::ops::Range;

use super::hidden::{Told, hides_data};
use super::mask;
use super::numbers::is_cardinal;

/// How many tokens at the end of a turn are looked at: minutes of speech, and a bound on time and memory.
const MAX_TOKENS: usize = 400;

/// How many bytes at the end of a turn are looked at: room for [`MAX_TOKENS`] long words.
const MAX_BYTES: usize = 8 * 1024;

/// Sounds of hesitation, which carry no feeling.
const HESITATIONS: [&str; 7] = ["um", "uh", "uhm", "umm", "uhh", "er", "erm"];

/// Two-word hesitations.
const PADDING: [(&str, &str); 3] = [("i", "mean"), ("sort", "of"), ("kind", "of")];

/// Words after which "you know" is a question or a statement, not padding.
const AFTER_YOU_KNOW: [&str; 10] = ["what", "that", "how", "who", "why", "where", "if", "it", "im", "this"];

/// Long forms that are one word when spoken fast. The left and right word become the third.
const CONTRACTIONS: [(&str, &str, &str); 42] = [
    ("do", "not", "dont"),
    ("does", "not", "doesnt"),
    ("did", "not", "didnt"),
    ("is", "not", "isnt"),
    ("was", "not", "wasnt"),
    ("were", "not", "werent"),
    ("are", "not", "arent"),
    ("have", "not", "havent"),
    ("has", "not", "hasnt"),
    ("had", "not", "hadnt"),
    ("can", "not", "cant"),
    ("could", "not", "couldnt"),
    ("will", "not", "wont"),
    ("would", "not", "wouldnt"),
    ("should", "not", "shouldnt"),
    ("i", "am", "im"),
    ("i", "have", "ive"),
    ("i", "will", "ill"),
    ("i", "shall", "ill"),
    ("i", "would", "id"),
    ("i", "should", "id"),
    ("i", "had", "id"),
    ("you", "are", "youre"),
    ("you", "have", "youve"),
    ("you", "will", "youll"),
    ("we", "are", "were"),
    ("we", "have", "weve"),
    ("they", "are", "theyre"),
    ("they", "have", "theyve"),
    ("it", "is", "its"),
    ("it", "has", "its"),
    ("that", "is", "thats"),
    ("that", "has", "thats"),
    ("there", "is", "theres"),
    ("what", "is", "whats"),
    ("who", "is", "whos"),
    ("he", "is", "hes"),
    ("she", "is", "shes"),
    ("going", "to", "gonna"),
    ("you", "all", "yall"),
    ("no", "one", "nobody"),
    ("for", "real", "really"),
];

/// Single words with a more common twin.
const TWINS: [(&str, &str); 14] = [
    ("cannot", "cant"),
    ("cuz", "because"),
    ("cause", "because"),
    ("cos", "because"),
    ("ya", "you"),
    ("yous", "you"),
    ("gotta", "have"),
    ("nope", "no"),
    ("nah", "no"),
    ("yep", "yes"),
    ("yup", "yes"),
    ("ok", "okay"),
    ("alright", "okay"),
    ("thankyou", "thanks"),
];

/// Words that stand for numbers beside the cardinal ones.
const QUANTITIES: [&str; 7] = ["nought", "fourty", "double", "triple", "dozen", "couple", "several"];

/// One word of a turn in its common spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// Lower case, without apostrophes, long forms contracted.
    pub(super) word: String,
    /// Where it stands in the turn's text, in bytes.
    pub(super) span: Range<usize>,
    /// A number in digits or words.
    pub(super) number: bool,
    /// Punctuation before it says that a clause begins.
    pub(super) begins: bool,
}

/// The tokens of one turn.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    /// Oldest first, at most 400 from the turn's end.
    pub(super) tokens: Vec<Token>,
}

impl Words {
    /// Reads a turn's text; time grows with the text's length only up to a cap.
    pub(super) fn of(text: &str) -> Self {
        Self::told(text, Told::Unasked)
    }

    /// The same for a turn of which is known who tells it, and after what: masks may hide data.
    pub(super) fn told(text: &str, told: Told) -> Self {
        let tokens = without_masked_data(spoken(text), text, told).into_iter().map(|(word, span)| token(word, span));
        let mut tokens = without_hesitations(tokens.collect());
        let surplus = tokens.len().saturating_sub(MAX_TOKENS);
        tokens.drain(..surplus);
        mark_spoken_zeros(&mut tokens);
        let mut tokens = without_repeats(contracted(tokens));
        mark_clauses(&mut tokens, text);
        Self { tokens }
    }

    /// The words as they were spoken, each with its place in the text, and [`mask::EXPLETIVE`] for masks of any kind.
    pub(super) fn spoken(text: &str) -> Vec<(String, Range<usize>)> {
        spoken(text)
    }

    /// The words themselves, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(|token| token.word.as_str())
    }

    /// Whether any of `words` was said.
    pub(super) fn has_any(&self, words: &[&str]) -> bool {
        self.iter().any(|word| words.contains(&word))
    }

    /// The caller's own words from token `range`, as they stand in `text`.
    pub(super) fn quote<'t>(&self, text: &'t str, range: Range<usize>) -> &'t str {
        match (self.tokens.get(range.start), self.tokens.get(range.end.saturating_sub(1))) {
            (Some(first), Some(last)) => text.get(first.span.start..last.span.end).unwrap_or_default(),
            _ => "",
        }
    }
}

/// Whether a word in its common spelling is a number.
pub(super) fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) || is_cardinal(word) || QUANTITIES.contains(&word)
}

/// The words of a text's end and where they stand in it, in bytes; masked profanity is read for what it is.
fn spoken(text: &str) -> Vec<(String, Range<usize>)> {
    let mut from = text.len().saturating_sub(MAX_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let mut words = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (at, c) in text[from..].char_indices().map(|(at, c)| (from + at, c)) {
        if is_apostrophe(c) {
            continue;
        }
        if c.is_alphanumeric() || mask::is_mask(c) {
            open.get_or_insert_with(|| (at, String::new())).1.extend(c.to_lowercase());
        } else if let Some((start, run)) = open.take() {
            words.extend(spoken_word(text, &run, start..at));
        }
    }
    if let Some((start, run)) = open {
        words.extend(spoken_word(text, &run, start..text.len()));
    }
    words
}

fn spoken_word(text: &str, run: &str, span: Range<usize>) -> Option<(String, Range<usize>)> {
    let bracketed = text[..span.start].trim_end().ends_with(['[', '(', '<']);
    mask::word(run, bracketed).map(|word| (word.into_owned(), span))
}

/// The words without those masks that hide data.
fn without_masked_data(words: Vec<(String, Range<usize>)>, text: &str, told: Told) -> Vec<(String, Range<usize>)> {
    let hides = |at: usize| words[at].0 == mask::EXPLETIVE && hides_data(&words, at, text, told);
    let kept: Vec<bool> = (0..words.len()).map(|at| !hides(at)).collect();
    words.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(word, _)| word).collect()
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{2018}' | '\u{02bc}' | '`' | '\u{00b4}')
}

fn token(word: String, span: Range<usize>) -> Token {
    let word = unstretched(word);
    let word = TWINS.iter().find(|(twin, _)| *twin == word).map_or(word, |(_, common)| (*common).to_owned());
    let number = is_number(&word);
    Token { word, span, number, begins: false }
}

/// "sooo" is "so": three equal letters in a row are one. Digits stay.
fn unstretched(word: String) -> String {
    let stretched =
        |w: &str| w.as_bytes().windows(3).any(|w| w[0] == w[1] && w[1] == w[2] && w[0].is_ascii_alphabetic());
    if !stretched(&word) {
        return word;
    }
    let chars: Vec<char> = word.chars().collect();
    let mut out = String::with_capacity(word.len());
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let run = chars[at..].iter().take_while(|&&next| next == c).count();
        let keep = if run >= 3 && c.is_ascii_alphabetic() { 1 } else { run };
        out.extend(std::iter::repeat_n(c, keep));
        at += run;
    }
    out
}

fn without_hesitations(tokens: Vec<Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().filter(|token| !HESITATIONS.contains(&token.word.as_str())).peekable();
    while let Some(token) = rest.next() {
        let next = rest.peek().map(|next| next.word.as_str());
        if PADDING.iter().any(|&(left, right)| token.word == left && next == Some(right)) {
            rest.next();
        } else if token.word == "you" && next == Some("know") && !asks_before(&out) {
            let know = rest.next();
            if rest.peek().is_some_and(|after| AFTER_YOU_KNOW.contains(&after.word.as_str())) {
                out.push(token);
                out.extend(know);
            }
        } else {
            out.push(token);
        }
    }
    out
}

/// "do you know", "did you know", "let you know": not padding.
fn asks_before(said: &[Token]) -> bool {
    said.last()
        .is_some_and(|token| ["do", "did", "dont", "let", "if", "as", "when", "what"].contains(&token.word.as_str()))
}

/// "four oh two": "oh" beside a number is one.
fn mark_spoken_zeros(tokens: &mut [Token]) {
    for at in 0..tokens.len() {
        let beside = |near: Option<usize>| near.and_then(|near| tokens.get(near)).is_some_and(|token| token.number);
        if tokens[at].word == "oh" && (beside(at.checked_sub(1)) || beside(Some(at + 1))) {
            tokens[at].number = true;
        }
    }
}

/// Words that go on after a comma: "she said, put me through".
const GO_ON: [&str; 5] = ["said", "says", "saying", "to", "want"];

/// Marks the tokens that begin a clause. A hesitation between commas begins none ("I don't, um, want"), and neither does
/// a pause ("I don't... want").
fn mark_clauses(tokens: &mut [Token], text: &str) {
    for at in 1..tokens.len() {
        let last = &tokens[at - 1];
        let between = text.get(last.span.end..tokens[at].span.start).unwrap_or_default();
        let stops = !between.contains("..") && between.contains(['.', '?', '!', ';']);
        let comma =
            between.contains(',') && !between.contains(char::is_alphanumeric) && !GO_ON.contains(&last.word.as_str());
        tokens[at].begins = stops || comma;
    }
    if let Some(first) = tokens.first_mut() {
        first.begins = true;
    }
}

fn contracted(tokens: Vec<Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    for token in tokens {
        let joined = out.last().and_then(|left| {
            CONTRACTIONS.iter().find(|(l, r, _)| left.word == *l && token.word == *r).map(|(_, _, short)| *short)
        });
        match (joined, out.last_mut()) {
            (Some(short), Some(left)) => {
                left.word = short.to_owned();
                left.span.end = token.span.end;
                left.number = false;
            }
            _ => out.push(token),
        }
    }
    out
}

/// Takes out false starts: one to three words said again at once ("i don't i don't want"). Numbers and spelled letters
/// are data and stay.
fn without_repeats(tokens: Vec<Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    for token in tokens {
        out.push(token);
        for len in 1..=3 {
            let Some(second) = out.len().checked_sub(len) else { break };
            let Some(first) = second.checked_sub(len) else { break };
            let same = (0..len).all(|at| out[first + at].word == out[second + at].word);
            if same && out[second..].iter().any(|token| !is_data(token)) {
                out.truncate(second);
                break;
            }
        }
    }
    out
}

fn is_data(token: &Token) -> bool {
    token.number || (token.word.len() == 1 && token.word != "i" && token.word != "a")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        Words::of(text).iter().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn case_punctuation_and_apostrophes_do_not_matter() {
        assert_eq!(words("I DON’T know, it isn't: Right?!"), "i dont know it isnt right");
        assert_eq!(words("i do not know, it is not right"), words("I don't know it's not right"));
    }

    #[test]
    fn hesitations_and_false_starts_are_taken_out() {
        assert_eq!(words("um no no i uh i i don't i don't want, you know, another one"), "no i dont want another one");
        assert_eq!(words("do you know what you know what i heard"), "do you know what i heard");
    }

    #[test]
    fn spelled_data_keeps_its_repeats() {
        assert_eq!(words("four four two b b nine"), "four four two b b nine");
    }

    #[test]
    fn stretched_letters_are_one() {
        assert_eq!(words("nooo that's sooo 1000 good"), "no thats so 1000 good");
    }

    #[test]
    fn a_quote_is_the_callers_own_words() {
        let text = "Well, I Don't -- I don't CARE!";
        let words = Words::of(text);
        assert_eq!(words.iter().collect::<Vec<_>>(), ["well", "i", "dont", "care"]);
        assert_eq!(words.quote(text, 1..4), "I Don't -- I don't CARE");
    }

    #[test]
    fn punctuation_begins_clauses_and_hesitations_and_pauses_do_not() {
        for (text, begin) in [
            ("That's not good enough, get me one.", "thats get"),
            ("No. I don't, um, want it", "no i"),
            ("I don't... want it", "i"),
            ("she said, put me through! now", "she now"),
            ("what? it is; fine", "what its fine"),
        ] {
            let words = Words::of(text);
            let begins: Vec<&str> = words.tokens.iter().filter(|t| t.begins).map(|t| t.word.as_str()).collect();
            assert_eq!(begins.join(" "), begin, "{text}");
        }
    }

    #[test]
    fn only_the_end_of_an_endless_turn_is_looked_at() {
        let text = "word and ".repeat(100_000) + "last";
        let words = Words::of(&text);
        assert!(words.tokens.len() <= MAX_TOKENS);
        assert_eq!(words.iter().last(), Some("last"));
    }
}
