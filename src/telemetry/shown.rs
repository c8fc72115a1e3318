//! Text from outside as a terminal, a log line or a line of JSON may hold it.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

/// The fewest digits of a number with its country (E.164 has numbers from there on).
const SHORTEST_NUMBER: usize = 5;

/// Whether a character moves a terminal or hides in text: control characters, and marks that turn the direction of text
/// or have no width.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Text on one line, with what cannot be printed escaped (`\n`, `\u{1b}`) and without the passwords of URLs.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// The same on as many lines as it has.
#[must_use]
pub fn shown_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\n')
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    let text = without_passwords(text);
    let hides = |c: char| is_unprintable(c) && !keep(c);
    if !text.contains(hides) {
        return text;
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if hides(c) => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown.into()
}

/// A room's name as a log may hold it: some platforms put the caller's number into it (`call-_+14155550123_Xy7`), of which
/// `+…` is left.
#[must_use]
pub fn without_numbers(name: &str) -> Cow<'_, str> {
    if !name.contains('+') {
        return name.into();
    }
    let mut parts = name.split('+');
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_number = part.len() - rest.len() >= SHORTEST_NUMBER;
        shown.push_str(if is_number { "+…" } else { "+" });
        shown.push_str(if is_number { rest } else { part });
    }
    shown.into()
}

/// Takes the user info out of every URL in a text: `wss://user:secret@host/` becomes `wss://…@host/`, and so for `sip:` and
/// `sips:`.
#[must_use]
pub fn without_passwords(text: &str) -> Cow<'_, str> {
    if !text.contains('@') {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = ["://", "sip:", "sips:"].iter().filter_map(|s| Some(rest.find(s)? + s.len())).min() {
        let (before, after) = rest.split_at(start);
        shown.push_str(before);
        let authority = after.split(|c: char| c.is_whitespace() || "/?#\\<>\"".contains(c)).next().unwrap_or_default();
        rest = match authority.rfind('@') {
            Some(at) => {
                shown.push('…');
                &after[at..]
            }
            None => after,
        };
    }
    shown.push_str(rest);
    shown.into()
}

/// One line of JSON, its end included, in which nothing is unprintable: JSON leaves only the first 32 characters out of
/// its strings.
///
/// # Errors
/// Those of the value's own `Serialize`.
pub fn json_line(value: &impl Serialize) -> serde_json::Result<String> {
    let mut line = json_escaped(&serde_json::to_string(value)?).into_owned();
    line.push('\n');
    Ok(line)
}

/// JSON on one line with everything unprintable escaped; it says the same.
pub(super) fn json_escaped(json: &str) -> Cow<'_, str> {
    if !json.contains(is_unprintable) {
        return json.into();
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            // Writing to a string does not fail. All of them are in the basic plane.
            c if is_unprintable(c) => drop(write!(escaped, "\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_rooms_lose_numbers_and_stay_names() {
        for (name, logged) in [
            ("call-_+14155550123_Xy7", "call-_+…_Xy7"),
            ("+442071838750", "+…"),
            ("room_1234567890", "room_1234567890"),
            ("a+b+12", "a+b+12"),
            ("room", "room"),
        ] {
            assert_eq!(without_numbers(name), logged);
        }
    }

    #[test]
    fn what_moves_a_terminal_is_escaped() {
        assert_eq!(
            shown("a\u{1b}[31mb\r\nc\u{9b}d\u{7f}\u{202e}é\u{200d}"),
            r"a\u{1b}[31mb\r\nc\u{9b}d\u{7f}\u{202e}é\u{200d}"
        );
        assert_eq!(shown_lines("a\nb\rc"), "a\nb\\rc");
        assert!(matches!(shown("nothing to do: ünïcödé"), Cow::Borrowed(_)));
    }

    #[test]
    fn passwords_of_urls_are_taken_out() {
        for (text, without) in [
            ("'wss://u:p@ss@host:9/x@y' is bad", "'wss://…@host:9/x@y' is bad"),
            ("postgres://u:p@db/x and https://v@h?m=a@b", "postgres://…@db/x and https://…@h?m=a@b"),
            ("<sip:a:secret@h>, sips:b@h;lr", "<sip:…@h>, sips:…@h;lr"),
            ("https://host/@user me@example.com", "https://host/@user me@example.com"),
            ("://@", "://…@"),
        ] {
            assert_eq!(without_passwords(text), without);
        }
    }

    proptest! {
        #[test]
        fn a_line_of_json_says_what_was_given_and_is_printable(text in "\\PC*|[\\x00-\\u{2fff}]*") {
            let line = json_line(&text).unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
            prop_assert!(!line.trim_end_matches('\n').contains(is_unprintable));
        }

        #[test]
        fn any_text_is_shown_on_one_line(text in "[ -~\\x00-\\x9f@:/é]*") {
            prop_assert!(!shown(&text).contains(is_unprintable));
        }
    }
}
