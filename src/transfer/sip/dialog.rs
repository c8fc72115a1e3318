//! The dialog that a room hands over, checked: each of its values may go into a message.

use super::field::{BadField, CallId, Tag};
use super::uri::{AddressUri, HopUri};
use crate::room::message::SipDialog;

/// Most routes that a dialog may have.
const MAX_ROUTES: usize = 16;
/// RFC 3261 section 8.1.1.5: a CSeq stays below 2^31; some room is left for authentication.
const MAX_CSEQ: u32 = (1 << 31) - 64;

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
