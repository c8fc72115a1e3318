//! Timed words into pieces, for recognisers that tell words and no utterances.

use super::call::Call;

/// A pause between words that ends a piece, in ms: room for another voice to be heard in between.
const PAUSE_MS: i64 = 800;

/// One word.
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) speaker: Option<usize>,
    /// Whether it follows without a blank, as punctuation does.
    pub(super) glued: bool,
}

/// Says words, a piece for each stretch of one speaker without a pause.
pub(super) fn say<'a>(call: &mut Call, words: impl IntoIterator<Item = Word<'a>>) {
    let mut text = String::new();
    let (mut speaker, mut start, mut end): (Option<usize>, Option<i64>, Option<i64>) = (None, None, None);
    for word in words {
        let paused = matches!((end, word.start), (Some(end), Some(start)) if start - end >= PAUSE_MS);
        if !word.glued && !text.is_empty() && (word.speaker != speaker || paused) {
            call.say(speaker, &text, start, end);
            text.clear();
            (start, end) = (None, None);
        }
        if text.is_empty() {
            speaker = word.speaker;
        } else if !word.glued {
            text.push(' ');
        }
        text.push_str(word.text);
        start = start.or(word.start);
        end = word.end.or(end);
    }
    if !text.is_empty() {
        call.say(speaker, &text, start, end);
    }
}

/// How many words a text has.
pub(super) fn count(text: &str) -> usize {
    text.split_whitespace().count()
}
