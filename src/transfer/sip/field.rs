//! Checked strings: everything that a room says about its SIP dialog and that goes into a message.
//!
//! The grammars are those of RFC 3261 section 25, narrowed where a wider one would let a value break out of its
//! place: no control characters anywhere, no `<`, `>`, `"` or spaces in URIs and tags, no headers in URIs.

use rsipstack::transaction::random_text;

use super::uri::{AddressUri, HopUri};
use crate::room::message::SipDialog;

/// Longest accepted value in bytes; real ones are far shorter, and a request must fit a datagram.
pub(super) const MAX_LEN: usize = 512;
/// Most routes that a dialog may have.
const MAX_ROUTES: usize = 16;
/// RFC 3261 section 8.1.1.5: a CSeq stays below 2^31; some room is left for authentication.
const MAX_CSEQ: u32 = (1 << 31) - 64;

/// A value of the handed-over dialog that cannot go into a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the dialog's {field} {problem}")]
pub struct BadField {
    /// The field, as in `welcome.call.sip`.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// A checked `Call-ID`: `word [ "@" word ]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallId(String);

/// A checked tag: a `token`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(String);

/// A dialog whose every value may go into a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    /// Call-ID.
    pub call_id: CallId,
    /// The room's own tag.
    pub local_tag: Option<Tag>,
    /// The caller's side's tag.
    pub remote_tag: Option<Tag>,
    /// The room's own address of record.
    pub local_uri: Option<AddressUri>,
    /// The caller's address of record.
    pub remote_uri: Option<AddressUri>,
    /// The remote Contact.
    pub remote_target: Option<HopUri>,
    /// The route set, in order.
    pub route_set: Vec<HopUri>,
    /// The reserved CSeq.
    pub cseq: Option<u32>,
}

impl TryFrom<&SipDialog> for Dialog {
    type Error = BadField;

    fn try_from(dialog: &SipDialog) -> Result<Self, BadField> {
        let tag = |field, text: &str| if text.is_empty() { Ok(None) } else { Tag::new(field, text).map(Some) };
        let address = |field, text: &Option<String>| text.as_deref().map(|t| AddressUri::new(field, t)).transpose();
        if dialog.route_set.len() > MAX_ROUTES {
            return Err(BadField { field: "route_set", problem: "has more than 16 routes" });
        }
        if dialog.cseq.is_some_and(|cseq| cseq > MAX_CSEQ) {
            return Err(BadField { field: "cseq", problem: "is not below 2^31" });
        }
        Ok(Self {
            call_id: CallId::new("call_id", &dialog.call_id)?,
            local_tag: tag("local_tag", &dialog.local_tag)?,
            remote_tag: tag("remote_tag", &dialog.remote_tag)?,
            local_uri: address("local_uri", &dialog.local_uri)?,
            remote_uri: address("remote_uri", &dialog.remote_uri)?,
            remote_target: dialog
                .remote_target
                .as_deref()
                .map(|text| HopUri::new("remote_target", text))
                .transpose()?,
            route_set: dialog.route_set.iter().map(|r| HopUri::new("route_set", r)).collect::<Result<_, _>>()?,
            cseq: dialog.cseq,
        })
    }
}

impl CallId {
    /// Checks a Call-ID.
    ///
    /// # Errors
    /// [`BadField`] under `field`'s name.
    pub fn new(field: &'static str, text: &str) -> Result<Self, BadField> {
        let (left, right) = text.split_once('@').map_or((text, None), |(l, r)| (l, Some(r)));
        let word = |part: &str| !part.is_empty() && part.bytes().all(is_word);
        if text.len() > MAX_LEN || !word(left) || !right.is_none_or(word) {
            return Err(BadField { field, problem: "is not a Call-ID (RFC 3261: word or word@word)" });
        }
        Ok(Self(text.to_owned()))
    }

    /// A new one of our own at `domain`, which is left out where no Call-ID can hold it.
    pub(super) fn random(domain: &str) -> Self {
        let id = random_text(32);
        Self::new("call_id", &format!("{id}@{domain}")).unwrap_or(Self(id))
    }

    /// The Call-ID itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tag {
    /// Checks a tag.
    ///
    /// # Errors
    /// [`BadField`] under `field`'s name.
    pub fn new(field: &'static str, text: &str) -> Result<Self, BadField> {
        if text.is_empty() || text.len() > MAX_LEN || !text.bytes().all(is_token) {
            return Err(BadField { field, problem: "is not a tag (RFC 3261: a token)" });
        }
        Ok(Self(text.to_owned()))
    }

    /// A new one of our own.
    pub(super) fn random() -> Self {
        Self(random_text(16))
    }

    /// The tag itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b)
}

fn is_word(b: u8) -> bool {
    is_token(b) || b"()<>:\\\"/[]?{}".contains(&b)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn real_values_pass() {
        assert!(CallId::new("c", "a84b4c76e66710@pc33.example.com").is_ok());
        assert!(CallId::new("c", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6").is_ok());
        assert!(Tag::new("t", "1928301774").is_ok());
        for uri in [
            "sip:+14155551234@example.com;user=phone",
            "sip:alice:secret@[2001:db8::1]:5070;transport=tcp",
            "sip:+1;npdi;rn=+1415@carrier.example",
            "SIP:a%40b@h.example",
            "<sip:p1.example.com;lr>",
            "sip:10.0.0.1",
        ] {
            assert!(HopUri::new("u", uri).is_ok(), "{uri}");
        }
        assert!(AddressUri::new("u", "tel:+1-415-555-1234;ext=5").is_ok());
    }

    #[test]
    fn what_could_break_out_of_its_place_is_refused_by_name() {
        for bad in [
            "",
            "sip:",
            "sip:@h",
            "sip:a@h\r\nX-Evil: 1",
            "sip:a@h>;x=<sip:b@c",
            "sip:a b@h",
            "sip:a@h?Replaces=x",
            "sip:a@h:0",
            "sip:a@h:99999",
            "sip:a@h:5060x",
            "sip:a%4@h",
            "sip:a@b@c",
            "http://h/",
            "sip:a@-h",
            "sip:ü@h",
            "sip:a@h;x=\"y\"",
        ] {
            assert_eq!(HopUri::new("remote_target", bad).unwrap_err().field, "remote_target", "{bad:?}");
        }
        for bad in ["", "a b", "a\r\nb", "a@", "@b", "a@b@c", "é"] {
            assert!(CallId::new("call_id", bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a;b", "a=b", "a\n", "<a>", "a b"] {
            assert!(Tag::new("local_tag", bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_checked_holds_a_line_break_space_or_bracket(text in "(sip:|tel:|<sip:)?[ -~\r\n\t\u{0}\u{ff}]{0,40}") {
            for value in [
                HopUri::new("f", &text).map(|u| u.as_str().to_owned()),
                AddressUri::new("f", &text).map(|u| u.as_str().to_owned()),
                Tag::new("f", &text).map(|u| u.as_str().to_owned()),
            ].into_iter().flatten() {
                prop_assert!(value.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"".contains(&b)), "{value:?}");
            }
            if let Ok(id) = CallId::new("f", &text) {
                prop_assert!(id.as_str().bytes().all(|b| b.is_ascii_graphic()));
            }
        }
    }
}
