//! Whom an alert is about, and when: what the edge of a call knows beside its core ([`About`]).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::number::E164;

/// Whom an alert is about, and when it was. The core has no clock and calls nobody by name; whoever writes an alert down
/// adds this. `Debug` shows no number and no name.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The platform's id of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// The caller's number or address, as the room gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// What the caller is called in the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The caller's id in the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    /// Whom a transfer calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<E164>,
    /// When the sidecar attached to the call, Unix time in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_started_ms: Option<u64>,
    /// When it was decided, Unix time in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_ms: Option<u64>,
}

impl About {
    /// The caller's number in one form, whichever way the room writes it: what is before the `@` of an address, without
    /// what only separates digits. Small letters, where it is no number.
    #[must_use]
    pub fn key(number: &str) -> String {
        let inner = number.rsplit_once('<').map_or(number, |(_, inner)| inner.split('>').next().unwrap_or_default());
        let bare = ["sips:", "sip:", "tel:"].iter().find_map(|scheme| inner.trim().strip_prefix(scheme));
        let user = bare.unwrap_or(inner.trim()).split(['@', ';', '?']).next().unwrap_or_default();
        let decoded = percent_encoding::percent_decode_str(user).decode_utf8_lossy();
        let is_number = decoded.chars().any(|c| c.is_ascii_digit())
            && decoded.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '.' | '(' | ')' | '/'));
        if is_number {
            let digits: String = decoded.chars().filter(char::is_ascii_digit).collect();
            let plus = if decoded.trim_start().starts_with('+') { "+" } else { "" };
            format!("{plus}{digits}")
        } else {
            decoded.to_lowercase()
        }
    }
}

impl fmt::Debug for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("About")
            .field("call_id", &self.call_id)
            .field("call_started_ms", &self.call_started_ms)
            .field("decided_ms", &self.decided_ms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_has_one_key_however_the_room_writes_the_number() {
        for (given, key) in [
            ("+14155550123", "+14155550123"),
            ("+1 (415) 555-0123", "+14155550123"),
            ("tel:+1-415-555-0123;ext=3", "+14155550123"),
            ("sip:+14155550123@sbc.example.com;user=phone", "+14155550123"),
            ("\"Dana\" <sip:%2B14155550123@x>;tag=7", "+14155550123"),
            ("0415 555 0123", "04155550123"),
            ("sip:Alice@example.com", "alice"),
            ("Anonymous", "anonymous"),
            ("", ""),
        ] {
            assert_eq!(About::key(given), key, "{given}");
        }
    }

    #[test]
    fn nobody_is_named_in_debug() {
        let about =
            About { number: Some("+14155550123".to_owned()), name: Some("Dana".to_owned()), ..About::default() };
        let shown = format!("{about:?}");
        assert!(!shown.contains("4155") && !shown.contains("Dana"), "{shown}");
    }
}
