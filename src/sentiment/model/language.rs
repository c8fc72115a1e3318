//! Whether a turn is English, the one language that the model was trained on.
//!
//! Short turns are the rule on the phone, and a wrong "not English" loses a rating: only what is long and plain enough
//! is called another language.

use whatlang::{Lang, Script};

use super::words::Word;

/// Fewer words say too little about their language.
const FEWEST_WORDS: usize = 5;
/// Fewer letters of another script may be a name or a symbol.
const FEWEST_FOREIGN_LETTERS: usize = 3;
/// With this share of everyday English words, a turn is English whatever the detector says.
const ENGLISH_SHARE: f32 = 0.2;
/// From how sure the detector must be (0 to 1).
const SURE: f64 = 0.9;

/// Everyday English words that hardly any other language in Latin script has.
const ENGLISH: [&str; 100] = [
    "the", "and", "you", "your", "that", "thats", "this", "it", "its", "is", "im", "was", "what", "whats", "with",
    "have", "has", "been", "are", "for", "not", "but", "of", "to", "my", "there", "they", "i", "yes", "ok", "just",
    "can", "cant", "could", "would", "get", "got", "going", "know", "dont", "didnt", "doesnt", "want", "need", "when",
    "where", "who", "why", "how", "if", "from", "still", "please", "thanks", "thank", "right", "well", "about", "said",
    "like", "one", "now", "again", "which", "then", "than", "were", "will", "ill", "had", "he", "she", "we", "us",
    "our", "his", "her", "them", "because", "cause", "some", "someone", "nobody", "out", "up", "here", "did", "does",
    "told", "been", "call", "called", "phone", "number", "time", "day", "week", "money", "help", "back",
];

/// With this share of one language's everyday words, a turn is in that language: the detector is unsure of short turns.
const FOREIGN_SHARE: f32 = 0.3;
const FEWEST_FOREIGN_WORDS: usize = 2;

/// Everyday words that English does not have, by the language's ISO 639 code.
const EVERYDAY: [(&str, &[&str]); 7] = [
    (
        "spa",
        &[
            "el", "la", "los", "las", "que", "por", "para", "con", "una", "mi", "su", "es", "lo", "pero", "esto",
            "esta", "quiero", "tengo", "necesito", "hola", "gracias", "favor", "nadie", "nada", "y", "de", "en",
            "estoy", "porque",
        ],
    ),
    (
        "por",
        &[
            "que", "não", "nao", "por", "para", "com", "uma", "um", "meu", "minha", "eu", "você", "voce", "quero",
            "preciso", "obrigado", "obrigada", "está", "isso", "mas", "falar", "de", "em", "estou", "agora", "ninguém",
        ],
    ),
    (
        "fra",
        &[
            "je", "le", "la", "les", "que", "qui", "est", "et", "un", "une", "des", "pour", "pas", "mon", "ma", "vous",
            "cest", "avec", "dans", "bonjour", "merci", "mais", "de", "suis", "depuis", "sil", "plaît", "voudrais",
        ],
    ),
    (
        "deu",
        &[
            "ich", "und", "der", "das", "nicht", "ist", "ein", "eine", "mit", "für", "bitte", "mein", "meine", "sie",
            "auf", "aber", "habe", "möchte", "danke", "guten", "wir", "es", "zu", "seit", "niemand",
        ],
    ),
    (
        "ita",
        &[
            "il",
            "la",
            "che",
            "non",
            "per",
            "con",
            "una",
            "un",
            "mio",
            "mia",
            "sono",
            "vorrei",
            "favore",
            "grazie",
            "buongiorno",
            "ho",
            "ma",
            "di",
            "è",
            "parlare",
            "nessuno",
            "questo",
        ],
    ),
    (
        "nld",
        &[
            "ik",
            "het",
            "een",
            "niet",
            "met",
            "voor",
            "mijn",
            "wil",
            "graag",
            "maar",
            "dat",
            "heb",
            "bent",
            "naar",
            "spreken",
            "dank",
            "alstublieft",
            "van",
            "dit",
        ],
    ),
    (
        "hin",
        &[
            "hai", "nahi", "mera", "meri", "mujhe", "kya", "aap", "main", "kar", "ka", "ki", "ke", "se", "ho", "raha",
            "abhi", "bhi", "koi", "mein", "tak",
        ],
    ),
];

/// The language of a turn that is not English, as an ISO 639 code or as the recogniser's tag gave it.
pub(super) fn foreign(text: &str, tag: Option<&str>, words: &[Word]) -> Option<String> {
    let primary = tag.and_then(|tag| tag.split(['-', '_']).next()).map(str::to_ascii_lowercase);
    match primary.as_deref() {
        Some("en" | "eng") => return None,
        // No language, several, or undetermined: the words decide.
        None | Some("" | "und" | "mul" | "multi" | "mis" | "zxx" | "auto") => {}
        Some(other) => return Some(other.to_owned()),
    }
    // The end of a long turn says enough.
    let from = text.char_indices().rev().nth(super::words::MAX_CHARS - 1).map_or(0, |(at, _)| at);
    let text = &text[from..];
    let (mut latin, mut other) = (0usize, 0usize);
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        *(if is_latin(c) { &mut latin } else { &mut other }) += 1;
    }
    if other >= FEWEST_FOREIGN_LETTERS && other > latin {
        return Some(
            whatlang::detect_lang(text).filter(|lang| *lang != Lang::Eng).map_or("und", |lang| lang.code()).to_owned(),
        );
    }
    if words.len() < FEWEST_WORDS {
        return None;
    }
    let english = words.iter().filter(|word| word.is_number() || ENGLISH.contains(&word.text.as_str())).count();
    if english as f32 >= ENGLISH_SHARE * words.len() as f32 {
        return None;
    }
    if let Some(lang) = everyday(words) {
        return Some(lang.to_owned());
    }
    let found = whatlang::detect(text)?;
    let sure = found.script() == Script::Latin && found.lang() != Lang::Eng && found.confidence() >= SURE;
    sure.then(|| found.lang().code().to_owned())
}

/// The language whose everyday words the turn is full of.
fn everyday(words: &[Word]) -> Option<&'static str> {
    let count = |known: &[&str]| words.iter().filter(|word| known.contains(&word.text.as_str())).count();
    let (lang, most) = EVERYDAY.iter().map(|(lang, known)| (*lang, count(known))).max_by_key(|(_, count)| *count)?;
    (most >= FEWEST_FOREIGN_WORDS && most as f32 >= FOREIGN_SHARE * words.len() as f32).then_some(lang)
}

/// Latin letters, their marked forms and their full-width look-alikes.
fn is_latin(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '\u{aa}' | '\u{ba}' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{ff21}'..='\u{ff5a}')
}
