//! What a mask is, as recognisers give profanity: `****`, `f***ing`, `sh*t`, `[expletive]`, `[ __ ]`, `bleep`.
//!
//! What the letters left of a word tell is that word again; what tells nothing is [`EXPLETIVE`]. Masked data
//! (`**** **** 4421`) is no profanity.

use std::borrow::Cow;

/// Stands for a word of profanity of which nothing is known.
pub(super) const EXPLETIVE: &str = "expletive";

/// What recognisers mask, commonest first. A word with its end stands before one without.
const PROFANITY: [&str; 36] = [
    "fuck",
    "shit",
    "fucking",
    "fucked",
    "fucker",
    "fuckers",
    "fuckin",
    "motherfucker",
    "motherfucking",
    "motherfuckers",
    "bullshit",
    "shitty",
    "shite",
    "shits",
    "bitch",
    "bitches",
    "bitching",
    "asshole",
    "assholes",
    "arsehole",
    "arseholes",
    "bastard",
    "bastards",
    "ass",
    "arse",
    "cunt",
    "cunts",
    "dick",
    "dickhead",
    "damn",
    "goddamn",
    "pissed",
    "piss",
    "wanker",
    "wankers",
    "bollocks",
];
/// What recognisers and captions write in brackets instead of it.
const NAMES: [&str; 8] = ["expletive", "bleep", "beep", "censored", "profanity", "swearing", "curse", "obscenity"];
/// Sounds that stand for it in speech, with or without brackets.
pub(super) const SOUNDS: [&str; 4] = ["bleep", "bleeping", "bleeped", "bleepin"];

/// Signs of a mask.
pub(super) fn is_mask(c: char) -> bool {
    matches!(c, '*' | '\u{2217}' | '\u{ff0a}' | '_')
}

/// The word behind a run of letters and mask signs, in small letters; none for a bullet, a blank or masked data.
/// `bracketed` says that it stands in brackets.
pub(super) fn word(run: &str, bracketed: bool) -> Option<Cow<'_, str>> {
    if !run.contains(is_mask) {
        let names = bracketed && NAMES.contains(&run) || SOUNDS.contains(&run);
        return Some(if names { Cow::Borrowed(EXPLETIVE) } else { Cow::Borrowed(run) });
    }
    let inner = run.trim_matches(is_mask);
    let (before, after) =
        (run.len() - run.trim_start_matches(is_mask).len(), run.len() - run.trim_end_matches(is_mask).len());
    if inner.is_empty() {
        return (run.chars().count() >= 2 || bracketed).then_some(Cow::Borrowed(EXPLETIVE));
    }
    if inner.contains(|c: char| c.is_ascii_digit()) {
        return Some(Cow::Owned(inner.replace(is_mask, "")));
    }
    if !inner.contains(is_mask) && before == after {
        // Emphasis: "*really*".
        return Some(Cow::Borrowed(inner));
    }
    if run.contains('_') && !run.contains(|c| c != '_' && is_mask(c)) && !run.contains("__") {
        return Some(Cow::Owned(inner.replace('_', "")));
    }
    let exact = PROFANITY.iter().find(|word| covers(run, word));
    if exact.is_none() && !inner.contains(is_mask) && before + after < 2 {
        // A footnote: "price*".
        return Some(Cow::Borrowed(inner));
    }
    let start = run.split(is_mask).next().unwrap_or_default();
    let end = run.rsplit(is_mask).next().unwrap_or_default();
    let fits = |word: &&&str| word.len() > start.len() + end.len() && word.starts_with(start) && word.ends_with(end);
    let known = exact.or_else(|| PROFANITY.iter().find(fits).filter(|_| !start.is_empty() || !end.is_empty()));
    Some(Cow::Borrowed(known.map_or(EXPLETIVE, |word| *word)))
}

/// Whether a mask has a word's length, and its letters where it shows any.
fn covers(mask: &str, word: &str) -> bool {
    mask.chars().count() == word.len()
        && mask.contains(|c| !is_mask(c))
        && mask.chars().zip(word.chars()).all(|(m, w)| m == w || is_mask(m))
}
