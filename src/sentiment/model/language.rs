//! Whether a turn is English, the one language that the model was trained on.
//!
//! The words tell: `language/english.txt` and `language/dialects.txt` are what callers say in English,
//! `language/everyday.txt` what they say every day in 22 other languages. A detector by letters has too little to go by
//! in the short turns of the phone, and takes dialects for languages; it is asked only where no list knows a word.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::sentiment::text::is_number;

/// From so many words on, a turn says by itself what language it is in.
const LONG: usize = 5;
/// In a long turn of another language, English has less than this share of the words ("no", "me", a loan).
const ENGLISH_SHARE: f64 = 0.34;
/// Up to this share of words that English knows, a long turn that no list knows goes to the detector.
const UNKNOWN_SHARE: f64 = 0.2;
/// From this share of another language's words on, a turn is a mixture.
const MIXED_SHARE: f64 = 0.2;

/// The language of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sentiment) enum Language {
    /// English, or too little to tell otherwise.
    English,
    /// English with more than a loan from another language, as an ISO 639 code.
    Mixed(String),
    /// Another one, as an ISO 639 code or as the recogniser's tag gave it; `und` for one that has no list.
    Other(String),
}

impl Language {
    /// The language of a turn, by the recogniser's BCP 47 tag where that names one, else by the words.
    pub(in crate::sentiment) fn of(text: &str, tag: Option<&str>) -> Self {
        let primary = tag.and_then(|tag| tag.split(['-', '_']).next()).map(str::to_ascii_lowercase);
        match primary.as_deref() {
            Some("en" | "eng") => return Self::English,
            // No language, several, or undetermined: the words decide.
            None | Some("" | "und" | "mul" | "multi" | "mis" | "zxx" | "auto") => {}
            Some(other) => return Self::Other(other.to_owned()),
        }
        // The end of a long turn says enough.
        let from = text.char_indices().rev().nth(super::words::MAX_CHARS - 1).map_or(0, |(at, _)| at);
        let text = &text[from..];
        let (mut latin, mut foreign) = (0usize, 0usize);
        for c in text.chars().filter(|c| c.is_alphabetic()) {
            *(if is_latin(c) { &mut latin } else { &mut foreign }) += 1;
        }
        if foreign > latin {
            return Self::Other(detected(text).unwrap_or("und").to_owned());
        }
        by_words(text)
    }
}

/// The detector's answer, where it is not English.
fn detected(text: &str) -> Option<&'static str> {
    whatlang::detect_lang(text).filter(|lang| *lang != whatlang::Lang::Eng).map(|lang| lang.code())
}

fn by_words(text: &str) -> Language {
    let counts = Counts::of(text);
    let Counts { words, theirs, shared, english, .. } = counts;
    let share = |count: usize| count as f64 / words as f64;
    let name = || counts.language.unwrap_or("und").to_owned();
    let other = match words {
        0 => false,
        1..LONG => theirs >= 1 && theirs >= 2 * english && counts.unknown() <= 2 * (theirs + shared),
        _ => {
            theirs >= 2 && share(english) < ENGLISH_SHARE
                || theirs >= 1 && (english == 0 || theirs + shared >= 2 && share(english) <= UNKNOWN_SHARE)
        }
    };
    if other {
        return Language::Other(name());
    }
    if words >= LONG && theirs == 0 && share(english + shared) <= UNKNOWN_SHARE {
        return detected(text).map_or(Language::English, |lang| Language::Other(lang.to_owned()));
    }
    if theirs >= 2 || theirs >= 1 && share(theirs) >= MIXED_SHARE {
        return Language::Mixed(name());
    }
    Language::English
}

/// What a turn's words are, numbers and spelt letters aside.
#[derive(Debug, Default)]
struct Counts {
    words: usize,
    /// The language that has most of the words that English has not.
    language: Option<&'static str>,
    /// Words of that language that English has not, and unknown words with marks that English does not write.
    theirs: usize,
    /// Words of that language that English has too.
    shared: usize,
    /// Other words of English.
    english: usize,
}

impl Counts {
    fn of(text: &str) -> Self {
        let known = &*KNOWN;
        let mut marked = 0;
        let (mut words, mut in_english) = (0, 0);
        let mut theirs = vec![0; known.languages.len()];
        let mut shared = theirs.clone();
        for word in text.split(|c: char| !c.is_alphanumeric() && !is_joined(c)) {
            let plain: String = word.chars().flat_map(char::to_lowercase).flat_map(without_mark).collect();
            if is_number(&plain) || plain.contains(|c: char| c.is_ascii_digit()) || is_letter(&plain) {
                continue;
            }
            words += 1;
            let english = known.english.contains(plain.as_str());
            let languages = known.everyday.get(plain.as_str()).map(Vec::as_slice).unwrap_or_default();
            in_english += usize::from(english);
            for &language in languages {
                (if english { &mut shared } else { &mut theirs })[language] += 1;
            }
            marked += usize::from(
                !english && languages.is_empty() && word.chars().any(|c| c.is_alphabetic() && !c.is_ascii()),
            );
        }
        let best = (0..known.languages.len()).rev().max_by_key(|&at| (theirs[at], shared[at]));
        let best = best.filter(|&at| theirs[at] + shared[at] > 0);
        let (own, common) = best.map_or((0, 0), |at| (theirs[at], shared[at]));
        let language = best.filter(|_| own > 0).map(|at| known.languages[at]);
        Self { words, language, theirs: own + marked, shared: common, english: in_english - common }
    }

    fn unknown(&self) -> usize {
        self.words.saturating_sub(self.theirs + self.shared + self.english)
    }
}

/// The lists, as the program holds them.
struct Known {
    english: HashSet<&'static str>,
    languages: Vec<&'static str>,
    /// The languages of a word, by their place in `languages`.
    everyday: HashMap<&'static str, Vec<usize>>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let lines = |text: &'static str| text.lines().filter(|line| !line.starts_with('#'));
    let english = lines(include_str!("language/english.txt")).chain(lines(include_str!("language/dialects.txt")));
    let english = english.flat_map(str::split_whitespace).collect();
    let mut languages = Vec::new();
    let mut everyday: HashMap<&'static str, Vec<usize>> = HashMap::new();
    for line in lines(include_str!("language/everyday.txt")) {
        let mut words = line.split_whitespace();
        languages.extend(words.next());
        for word in words {
            let known = everyday.entry(word).or_default();
            if known.last() != Some(&(languages.len() - 1)) {
                known.push(languages.len() - 1);
            }
        }
    }
    Known { english, languages, everyday }
});

/// Apostrophes and combining marks part no word.
fn is_joined(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{2018}' | '\u{2bc}' | '`' | '\u{300}'..='\u{36f}')
}

/// Nothing, or a spelt letter: "a" and "i" are words.
fn is_letter(word: &str) -> bool {
    word.chars().nth(1).is_none() && !matches!(word, "a" | "i")
}

/// A small letter without its mark: "é" is "e", and an apostrophe or a combining mark is nothing.
fn without_mark(c: char) -> impl Iterator<Item = char> {
    let plain = match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' | '\u{1ea0}'..='\u{1eb7}' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ð' | 'ď' | 'đ' => "d",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | '\u{1eb8}'..='\u{1ec7}' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' | '\u{1ec8}'..='\u{1ecb}' => "i",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'ơ' | '\u{1ecc}'..='\u{1ee3}' => "o",
        'œ' => "oe",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ß' => "ss",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ţ' | 'ť' | 'ț' => "t",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'ư' | '\u{1ee4}'..='\u{1ef1}' => "u",
        'ý' | 'ÿ' | '\u{1ef2}'..='\u{1ef9}' => "y",
        'ź' | 'ż' | 'ž' => "z",
        c if is_joined(c) => "",
        _ => return Some(c).into_iter().chain("".chars()),
    };
    None.into_iter().chain(plain.chars())
}

/// Latin letters, their marked forms and their full-width look-alikes.
fn is_latin(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '\u{aa}' | '\u{ba}' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{ff21}'..='\u{ff5a}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Language, line: what callers said in other languages, and what looks like it.
    const CASES: &str = include_str!("../cases/foreign.tsv");

    #[test]
    fn other_languages_are_known_and_dialects_and_loans_are_english() {
        for (language, line) in CASES.lines().filter(|line| !line.starts_with('#')).filter_map(|l| l.split_once('\t')) {
            let found = Language::of(line, None);
            match language {
                "en" | "loan" => assert_eq!(found, Language::English, "{line}"),
                "mix" => assert!(matches!(found, Language::Mixed(_)), "{line}: {found:?}"),
                // Callers say it in the English of India, and it is a backchannel anyway.
                _ if line == "haan ji" => assert_eq!(found, Language::English),
                _ => assert!(matches!(found, Language::Other(_)), "{line}: {found:?}"),
            }
        }
    }

    #[test]
    fn the_recognisers_tag_goes_before_the_words() {
        assert_eq!(Language::of("no funciona nada", Some("en-US")), Language::English);
        assert_eq!(Language::of("yes please", Some("es-MX")), Language::Other("es".to_owned()));
        assert_eq!(Language::of("no funciona nada", Some("multi")), Language::Other("spa".to_owned()));
    }

    #[test]
    fn marks_and_their_absence_make_no_difference() {
        for (marked, plain) in [
            ("sí claro", "si claro"),
            ("não funciona", "nao funciona"),
            ("tôi muốn nói chuyện", "toi muon noi chuyen"),
            ("e\u{301}coutez je n’ai rien", "écoutez je n'ai rien"),
        ] {
            assert_eq!(Language::of(marked, None), Language::of(plain, None), "{marked}");
        }
    }

    #[test]
    fn no_word_stands_twice_or_with_a_mark() {
        let mut seen = HashSet::new();
        for word in include_str!("language/english.txt").lines() {
            assert!(seen.insert(word) && word.bytes().all(|b| b.is_ascii_lowercase()), "{word}");
        }
        assert!(KNOWN.everyday.keys().all(|word| word.bytes().all(|b| b.is_ascii_lowercase())));
    }

    /// The calls that the model was made with: all English, with a word of another language here and there.
    fn calls() -> impl Iterator<Item = &'static str> {
        [
            include_str!("recipe/calls/train-1.txt"),
            include_str!("recipe/calls/train-2.txt"),
            include_str!("recipe/calls/train-3.txt"),
            include_str!("recipe/calls/train-4.txt"),
            include_str!("recipe/calls/train-5.txt"),
            include_str!("recipe/calls/train-6.txt"),
            include_str!("recipe/calls/train-7.txt"),
            include_str!("recipe/calls/train-8.txt"),
            include_str!("recipe/calls/held-out-1.txt"),
            include_str!("recipe/calls/held-out-2.txt"),
        ]
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("C "))
        .filter_map(|line| line.splitn(5, ' ').nth(4))
    }

    #[test]
    fn at_most_one_english_turn_in_a_thousand_is_taken_for_another_language() {
        let turns: Vec<&str> = calls().collect();
        let lost: Vec<&&str> =
            turns.iter().filter(|turn| matches!(Language::of(turn, None), Language::Other(_))).collect();
        assert!(turns.len() > 7_000);
        assert!(lost.len() * 1_000 <= turns.len(), "{} of {}: {lost:#?}", lost.len(), turns.len());
    }
}
