//! Phone numbers, strictly E.164, what calling them costs, and the keys of a phone.

use std::fmt;
use std::str::FromStr;

use regex_lite::Regex;
use serde::{Deserialize, Serialize};

/// A phone number in E.164 form (ITU-T E.164): `+`, a country code, 7 to 15 digits in all.
///
/// `Debug` shows only its first and last digits; [`E164::as_str`] has it whole, for the wire.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct E164(String);

/// Why nobody should be transferred to a number: calling it brings money to whoever has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Costly {
    /// A premium-rate number.
    Premium,
    /// A shared-cost number.
    Shared,
}

impl Costly {
    /// What the number is, in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Premium => "a premium-rate number",
            Self::Shared => "a shared-cost number",
        }
    }
}

/// Country code, kind and pattern of national numbers per line, made by `src/build.rs`.
const COSTLY: &str = include_str!(concat!(env!("OUT_DIR"), "/costly.tsv"));

/// Why something is not a phone number to transfer to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an E.164 phone number ({problem}); write it as + and 7 to 15 digits, e.g. +14155551234")]
pub struct NotE164 {
    problem: &'static str,
}

impl NotE164 {
    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> &str {
        self.problem
    }
}

/// The country code that digits begin with. Codes are prefix-free (ITU-T E.164 annex): zones 1 and 7 are codes
/// themselves, the two-digit codes are listed here, and all others have three digits. Fewer digits than a code has are
/// given back whole.
#[must_use]
pub fn country_code(digits: &str) -> &str {
    const TWO_DIGITS: &[&str] = &[
        "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49",
        "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84",
        "86", "90", "91", "92", "93", "94", "95", "98",
    ];
    let length = match digits.get(..2) {
        _ if digits.starts_with(['1', '7']) => 1,
        Some(two) if TWO_DIGITS.contains(&two) => 2,
        _ => 3,
    };
    digits.get(..length).unwrap_or(digits)
}

impl E164 {
    /// The number's country code, without `+`.
    #[must_use]
    pub fn country_code(&self) -> &str {
        country_code(self.digits())
    }

    /// Whether the numbering plan of its country has it as premium-rate or shared-cost.
    #[must_use]
    pub fn costly(&self) -> Option<Costly> {
        let code = self.country_code();
        let national = &self.digits()[code.len()..];
        let kinds = COSTLY.lines().filter_map(|row| {
            let (kind, pattern) = row.strip_prefix(code)?.strip_prefix('\t')?.split_once('\t')?;
            let pattern = Regex::new(&format!("^(?:{pattern})$")).ok()?;
            pattern.is_match(national).then_some(if kind == "premium" { Costly::Premium } else { Costly::Shared })
        });
        kinds.min_by_key(|kind| *kind as u8)
    }

    /// The number as it goes on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number without its `+`.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }
}

impl FromStr for E164 {
    type Err = NotE164;

    fn from_str(text: &str) -> Result<Self, NotE164> {
        let problem = |problem| Err(NotE164 { problem });
        let Some(digits) = text.strip_prefix('+') else { return problem("it does not begin with +") };
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return problem("it holds something other than digits");
        }
        if digits.starts_with('0') {
            return problem("no country code begins with 0");
        }
        match digits.len() {
            0..7 => problem("too few digits"),
            7..=15 => Ok(Self(text.to_owned())),
            _ => problem("too many digits"),
        }
    }
}

impl TryFrom<String> for E164 {
    type Error = NotE164;
    fn try_from(text: String) -> Result<Self, NotE164> {
        text.parse()
    }
}

impl From<E164> for String {
    fn from(number: E164) -> String {
        number.0
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, tail) = (&self.0[..2], &self.0[self.0.len() - 2..]);
        write!(f, "{head}…{tail}")
    }
}

/// A key of a phone: `0` to `9`, `*`, `#`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digit(u8);

/// The keys in the order of their event codes (RFC 4733 section 3.2).
const KEYS: &[u8; 12] = b"0123456789*#";

/// Why something is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key of a phone; write one of 0 to 9, * or #")]
pub struct NotADigit;

impl Digit {
    /// The key `1`.
    pub const ONE: Self = Self(1);
    /// The key `2`.
    pub const TWO: Self = Self(2);

    /// The key of an event code.
    #[must_use]
    pub fn from_event(code: u8) -> Option<Self> {
        (usize::from(code) < KEYS.len()).then_some(Self(code))
    }

    /// The key's event code, 0 to 11.
    #[must_use]
    pub fn event(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(KEYS[usize::from(self.0)]))
    }
}

impl FromStr for Digit {
    type Err = NotADigit;

    fn from_str(text: &str) -> Result<Self, NotADigit> {
        (0..).zip(KEYS).find(|(_, key)| text.as_bytes() == [**key]).map(|(code, _)| Self(code)).ok_or(NotADigit)
    }
}

impl TryFrom<String> for Digit {
    type Error = NotADigit;
    fn try_from(text: String) -> Result<Self, NotADigit> {
        text.parse()
    }
}

impl From<Digit> for String {
    fn from(digit: Digit) -> String {
        digit.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn only_strict_e164_is_a_target() {
        assert_eq!("+14155551234".parse::<E164>().map(|n| n.as_str().to_owned()), Ok("+14155551234".to_owned()));
        for bad in [
            "",
            "+",
            "14155551234",
            "+1 (415) DROP",
            "+1415555123456789",
            "+0415555123",
            "+123456",
            "+1415\r\nX:1",
            "+١٤١٥٥٥٥١٢٣٤",
        ] {
            assert!(bad.parse::<E164>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_number_has_a_country_code() {
        for (number, code) in
            [("+14155551234", "1"), ("+447700900123", "44"), ("+353861234567", "353"), ("+79991234567", "7")]
        {
            assert_eq!(number.parse::<E164>().unwrap().country_code(), code);
        }
    }

    #[test]
    fn numbers_that_cost_whoever_calls_them_are_told() {
        for (number, costly) in [
            ("+14155551234", None),
            ("+18005551234", None),
            ("+442079460000", None),
            ("+447700900123", None),
            ("+493012345678", None),
            ("+3935012345678", None),
            ("+19005551234", Some(Costly::Premium)),
            ("+449098790000", Some(Costly::Premium)),
            ("+499001234567", Some(Costly::Premium)),
            ("+33899123456", Some(Costly::Premium)),
            ("+979123456789", Some(Costly::Premium)),
            ("+491803123456", Some(Costly::Shared)),
            ("+33810123456", Some(Costly::Shared)),
        ] {
            assert_eq!(number.parse::<E164>().unwrap().costly(), costly, "{number}");
        }
    }

    #[test]
    fn every_pattern_is_understood() {
        assert!(COSTLY.lines().count() > 100, "the table is whole");
        for row in COSTLY.lines() {
            let [code, kind, pattern] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
            assert_eq!(country_code(&format!("{code}000")), code, "{row}");
            assert!(matches!(kind, "premium" | "shared"), "{row}");
            assert!(Regex::new(&format!("^(?:{pattern})$")).is_ok(), "{row}");
        }
    }

    #[test]
    fn debug_hides_the_number() {
        let number: E164 = "+14155551234".parse().unwrap();
        assert_eq!(format!("{number:?}"), "+1…34");
    }

    #[test]
    fn keys_have_their_names() {
        for (code, name) in [(0, "0"), (9, "9"), (10, "*"), (11, "#")] {
            let digit: Digit = name.parse().unwrap();
            assert_eq!((digit.event(), digit.to_string().as_str()), (code, name));
        }
        for bad in ["", "12", "A", "é", " 1"] {
            assert!(bad.parse::<Digit>().is_err(), "{bad:?}");
        }
        assert_eq!(Digit::from_event(12), None);
    }
}
