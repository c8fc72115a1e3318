//! One sentence on what upset the caller.

use super::Rating;

/// Longest description, in characters.
pub const MAX_CHARS: usize = 200;

/// One sentence from the low turns, oldest first.
#[must_use]
pub fn describe(low: &[(&str, &Rating)]) -> String {
    let strongest = low.iter().min_by_key(|(_, rating)| rating.sentiment);
    strongest
        .map_or_else(|| "Caller is upset".to_owned(), |(text, _)| presentable(&format!("Caller frustrated: {text}")))
}

/// Text fit for an alert: no control characters, no digit runs, at most [`MAX_CHARS`].
#[must_use]
pub fn presentable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c.is_ascii_digit() { ' ' } else { c }).take(MAX_CHARS).collect()
}
