//! Turns in which the recogniser heard no words: `[inaudible]`, `(coughs)`, `<noise>`.

/// Words that stand in brackets for a sound.
pub(crate) const SOUNDS: [&str; 20] = [
    "applause",
    "background",
    "beep",
    "coughs",
    "crosstalk",
    "foreign",
    "inaudible",
    "indiscernible",
    "laughs",
    "laughter",
    "laughing",
    "music",
    "noise",
    "pause",
    "redacted",
    "sighs",
    "sigh",
    "silence",
    "unintelligible",
    "unk",
];

/// Those that stand for words which somebody said.
const UNHEARD: [&str; 5] = ["foreign", "inaudible", "indiscernible", "unintelligible", "unk"];

/// What a turn without any words is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wordless {
    /// Sounds and nothing else.
    Sounds,
    /// Somebody spoke, and nobody knows what.
    Unheard,
}

/// What the turn is, where it consists of nothing but marks of sounds.
pub(super) fn wordless(text: &str) -> Option<Wordless> {
    let mut rest = text.trim();
    let mut found = None;
    while !rest.is_empty() {
        let close = match rest.chars().next()? {
            '[' => ']',
            '(' => ')',
            '<' => '>',
            sign if sign.is_alphanumeric() => return None,
            sign => {
                rest = &rest[sign.len_utf8()..];
                continue;
            }
        };
        let (mark, after) = rest[1..].split_once(close)?;
        let name = mark.trim().split(|c: char| !c.is_alphabetic()).next().unwrap_or_default().to_lowercase();
        if !SOUNDS.contains(&name.as_str()) || name == "beep" {
            // A beep may be what was put over a swear word.
            return None;
        }
        let this = if UNHEARD.contains(&name.as_str()) { Wordless::Unheard } else { Wordless::Sounds };
        found = if found == Some(Wordless::Unheard) { found } else { Some(this) };
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_alone_are_no_words_and_words_beside_them_are() {
        for (text, is) in [
            ("[inaudible]", Some(Wordless::Unheard)),
            ("[inaudible 00:00:14].", Some(Wordless::Unheard)),
            ("(coughs) <unk>", Some(Wordless::Unheard)),
            ("[noise]", Some(Wordless::Sounds)),
            ("(laughs), [background noise]", Some(Wordless::Sounds)),
            ("[inaudible] nobody cares", None),
            ("[expletive]", None),
            ("[beep]", None),
            ("(silence", None),
            ("...", None),
            ("", None),
            ("inaudible", None),
        ] {
            assert_eq!(wordless(text), is, "{text}");
        }
    }
}
