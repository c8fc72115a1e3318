//! Turns whose profanity the recogniser masked, with the words written out as the model knows them.

use std::borrow::Cow;
use std::ops::Range;

use super::hidden::{Told, hides_data};
use super::mask::{EXPLETIVE, SOUNDS, is_mask};
use super::{ContextTurn, Speaker, TurnInContext};

/// Stands for data that are masked: a letter, as callers spell.
const DATUM: &str = "J";

/// The text with masked words written out, as the model knows them; the caller's own text where nothing is masked.
/// Masks that hide data become a datum.
pub(super) fn written_out(text: &str, told: Told) -> Cow<'_, str> {
    if !text.contains(|c| is_mask(c) || c == '[') && !SOUNDS.iter().any(|sound| text.contains(sound)) {
        return Cow::Borrowed(text);
    }
    let words = super::text::Words::spoken(text);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (at, (word, span)) in words.iter().enumerate() {
        let said = text.get(span.clone()).unwrap_or_default();
        if !said.contains(is_mask) && word != EXPLETIVE {
            continue;
        }
        let after = words.get(at + 1).map(|(word, _)| word.as_str());
        let plain = if word == EXPLETIVE && hides_data(&words, at, text, told) {
            DATUM
        } else if word == EXPLETIVE {
            likely(at.checked_sub(1).map(|before| words[before].0.as_str()), after)
        } else {
            word
        };
        let around: Range<usize> = brackets(text, span.clone());
        out.push_str(text.get(done..around.start).unwrap_or_default());
        out.push_str(plain);
        done = around.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

/// The word that most likely was said between these.
fn likely(before: Option<&str>, after: Option<&str>) -> &'static str {
    match (before, after) {
        (_, Some("off" | "you" | "this" | "that")) | (Some("the"), Some(_)) => "fuck",
        (_, None) | (Some("of" | "is" | "this" | "thats" | "its"), Some("and" | "i")) => "shit",
        _ => "fucking",
    }
}

/// A span with the brackets around it.
fn brackets(text: &str, span: Range<usize>) -> Range<usize> {
    let head = text[..span.start].trim_end();
    let tail = text[span.end..].trim_start();
    if head.ends_with(['[', '(', '<']) && tail.starts_with([']', ')', '>']) {
        head.len() - 1..text.len() - tail.len() + 1
    } else {
        span
    }
}

/// The same turn with masked words written out in all of it; none where nothing is masked.
pub(super) fn unmasked(turn: &TurnInContext) -> Option<TurnInContext> {
    let mut asked: Option<&str> = None;
    let mut earlier: Vec<Cow<'_, str>> = Vec::with_capacity(turn.earlier.len());
    for before in &turn.earlier {
        let told = match before.speaker {
            Speaker::Agent => Told::Agent,
            Speaker::Caller => Told::after(asked.take()),
        };
        if before.speaker == Speaker::Agent {
            asked = Some(&before.text);
        }
        earlier.push(written_out(&before.text, told));
    }
    let text = written_out(&turn.text, Told::after(asked));
    if !std::iter::once(&text).chain(&earlier).any(|text| matches!(text, Cow::Owned(_))) {
        return None;
    }
    let said = turn.earlier.iter().zip(earlier);
    Some(TurnInContext {
        text: text.into_owned(),
        lang: turn.lang.clone(),
        earlier: said.map(|(before, text)| ContextTurn { text: text.into_owned(), ..before.clone() }).collect(),
    })
}

/// Where a text that a caller tells unasked holds masked profanity, in bytes, with the brackets around it.
pub(crate) fn expletives(text: &str) -> Vec<Range<usize>> {
    if !text.contains(|c| is_mask(c) || matches!(c, '[' | '(' | '<')) {
        return Vec::new();
    }
    let words = super::text::Words::spoken(text);
    (0..words.len())
        .filter(|&at| words[at].0 == EXPLETIVE && !hides_data(&words, at, text, Told::Unasked))
        .map(|at| brackets(text, words[at].1.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_written_out_and_masked_data_and_emphasis_are_not() {
        for (text, plain) in [
            ("you f***ing idiots", "you fucking idiots"),
            ("f*** off", "fuck off"),
            ("this is sh*t", "this is shit"),
            ("this is ****", "this is shit"),
            ("what the **** is this", "what the fuck is this"),
            ("**** off", "fuck off"),
            ("you [expletive] liars", "you fucking liars"),
            ("what the [ __ ] is wrong with you", "what the fuck is wrong with you"),
            ("b******t and you know it", "bullshit and you know it"),
            ("a bleeping joke", "a fucking joke"),
            ("it ends ****4421", "it ends ****4421"),
            ("it's **** **** **** 4421", "it's J J J 4421"),
            ("my name is ****", "my name is J"),
            ("i *really* mean it", "i really mean it"),
            ("* first", "* first"),
            ("it's on [the] sheet", "it's on [the] sheet"),
            ("nothing at all", "nothing at all"),
        ] {
            let out = written_out(text, Told::Unasked);
            // Only profanity matters; what else has signs may lose them.
            assert_eq!(out.replace('*', ""), plain.replace('*', ""), "{text}");
        }
    }

    #[test]
    fn any_sign_anywhere_is_read() {
        for text in ["*", "_", "[", "[*", "**é**", "[ ]", "f*", "*f", "____", "[__", "f__k", "\u{2217}\u{2217}"] {
            let _ = written_out(text, Told::Unasked);
        }
    }
}
