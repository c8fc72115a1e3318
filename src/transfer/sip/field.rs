//! Checked strings: everything that a room says about its SIP dialog and that goes into a message.
//!
//! The grammars are those of RFC 3261 section 25, narrowed where a wider one would let a value break out of its
//! place: no control characters anywhere, no `<`, `>`, `"` or spaces in URIs and tags, no headers in URIs.

use std::net::IpAddr;

use rsipstack::transaction::random_text;

use crate::config::settings::SipTransport;
use crate::room::message::SipDialog;

/// Longest accepted value in bytes; real ones are far shorter, and a request must fit a datagram.
const MAX_LEN: usize = 512;
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

/// A checked `sip:`, `sips:` or `tel:` URI, as it stands in From and To.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressUri(String);

/// A checked `sip:` or `sips:` URI that a request can be sent to, with where that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HopUri {
    text: String,
    hop: Hop,
    loose: bool,
}

/// Where a request goes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Address or name.
    pub host: Host,
    /// Port, where it is said.
    pub port: Option<u16>,
    /// What the URI's `transport` parameter asks for.
    pub transport: HopTransport,
}

/// A host of a URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name to resolve.
    Name(String),
}

/// What a URI says about its transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HopTransport {
    /// Nothing: the settings choose.
    Any,
    /// UDP or TCP.
    Plain(SipTransport),
    /// `sips:`, `tls`, `ws`, …: not spoken here.
    Unsupported,
}

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

impl AddressUri {
    /// Checks a `sip:`, `sips:` or `tel:` URI; one pair of angle brackets around it is taken off.
    ///
    /// # Errors
    /// [`BadField`] under `field`'s name.
    pub fn new(field: &'static str, text: &str) -> Result<Self, BadField> {
        let text = bare(text);
        if let Some(number) = strip_scheme(text, "tel:") {
            check_chars(field, text)?;
            let (digits, params) = number.split_once(';').map_or((number, ""), |(d, p)| (d, p));
            let visual = |b: u8| b.is_ascii_hexdigit() || b"+-.()*#".contains(&b);
            if digits.is_empty() || !digits.bytes().all(visual) || !params.bytes().all(is_param) {
                return Err(BadField { field, problem: "is not a tel URI (RFC 3966)" });
            }
            return Ok(Self(text.to_owned()));
        }
        HopUri::new(field, text).map(|uri| Self(uri.text))
    }

    /// The URI itself, without angle brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URI's host, where it is a SIP URI.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        HopUri::new("uri", &self.0).ok().map(|uri| uri.hop.host.to_string())
    }
}

impl HopUri {
    /// Checks a `sip:` or `sips:` URI; one pair of angle brackets around it is taken off.
    ///
    /// # Errors
    /// [`BadField`] under `field`'s name.
    pub fn new(field: &'static str, text: &str) -> Result<Self, BadField> {
        let bad = |problem| Err(BadField { field, problem });
        let text = bare(text);
        check_chars(field, text)?;
        let (secure, rest) = match (strip_scheme(text, "sip:"), strip_scheme(text, "sips:")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return bad("is not a SIP URI (sip:user@host)"),
        };
        let after_user = match rest.split_once('@') {
            Some((user, _)) if user.is_empty() || !user.bytes().all(is_user) || !escapes_are_whole(user) => {
                return bad("has a user part that RFC 3261 does not allow");
            }
            Some((_, after)) => after,
            None => rest,
        };
        if after_user.contains('?') {
            return bad("carries headers, which a request must not take over");
        }
        let (host_port, params) = after_user.split_once(';').map_or((after_user, ""), |(h, p)| (h, p));
        let Some((host, port)) = host_and_port(host_port) else { return bad("has no valid host and port") };
        if !params.bytes().all(|b| is_param(b) || b == b'%') || !escapes_are_whole(params) {
            return bad("has parameters that RFC 3261 does not allow");
        }
        let param = |name: &str| {
            params.split(';').find_map(|p| {
                let (n, v) = p.split_once('=').unwrap_or((p, ""));
                n.eq_ignore_ascii_case(name).then(|| v.to_ascii_lowercase())
            })
        };
        let transport = match (secure, param("transport").as_deref()) {
            (true, _) => HopTransport::Unsupported,
            (false, None) => HopTransport::Any,
            (false, Some("udp")) => HopTransport::Plain(SipTransport::Udp),
            (false, Some("tcp")) => HopTransport::Plain(SipTransport::Tcp),
            (false, Some(_)) => HopTransport::Unsupported,
        };
        Ok(Self { text: text.to_owned(), hop: Hop { host, port, transport }, loose: param("lr").is_some() })
    }

    /// The URI itself, without angle brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where it leads.
    #[must_use]
    pub fn hop(&self) -> &Hop {
        &self.hop
    }

    /// Whether a proxy of this URI routes loosely (`;lr`, RFC 3261 section 16.12).
    #[must_use]
    pub fn is_loose(&self) -> bool {
        self.loose
    }
}

impl Hop {
    /// Reads `host`, `host:port` or a SIP URI, as in the setting `sentimentSipProxy`.
    ///
    /// # Errors
    /// [`BadField`] under `field`'s name.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, BadField> {
        if strip_scheme(text, "sip:").is_some() || strip_scheme(text, "sips:").is_some() {
            return HopUri::new(field, text).map(|uri| uri.hop);
        }
        HopUri::new(field, &format!("sip:{text}"))
            .map(|uri| uri.hop)
            .map_err(|_| BadField { field, problem: "is not host:port" })
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

fn bare(text: &str) -> &str {
    text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).unwrap_or(text)
}

fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let head = text.get(..scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
}

fn check_chars(field: &'static str, text: &str) -> Result<(), BadField> {
    if text.is_empty() {
        return Err(BadField { field, problem: "is empty" });
    }
    if text.len() > MAX_LEN {
        return Err(BadField { field, problem: "is longer than 512 bytes" });
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&b)) {
        return Err(BadField { field, problem: "holds characters that no URI has" });
    }
    Ok(())
}

fn host_and_port(text: &str) -> Option<(Host, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, after) = rest.split_once(']')?;
        let ip: std::net::Ipv6Addr = ip.parse().ok()?;
        return Some((Host::Ip(ip.into()), port(after)?));
    }
    let (host, after) = text.split_at(text.find(':').unwrap_or(text.len()));
    let port = port(after)?;
    if let Ok(ip) = host.parse::<std::net::Ipv4Addr>() {
        return Some((Host::Ip(ip.into()), port));
    }
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    (name.len() <= 253 && name.split('.').all(label)).then(|| (Host::Name(name.to_owned()), port))
}

/// `Some(None)` for no port, `None` for a bad one.
fn port(text: &str) -> Option<Option<u16>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.strip_prefix(':')?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u16>().ok().filter(|p| *p != 0).map(Some)
}

fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b)
}

fn is_word(b: u8) -> bool {
    is_token(b) || b"()<>:\\\"/[]?{}".contains(&b)
}

fn is_user(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/:%".contains(&b)
}

fn is_param(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-_.!~*'()[]/:&+$=;%".contains(&b)
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
    fn a_uri_says_where_it_leads() {
        let uri = HopUri::new("u", "<sip:bob@[::1]:5070;transport=TCP;lr=on>").unwrap();
        assert_eq!(uri.as_str(), "sip:bob@[::1]:5070;transport=TCP;lr=on");
        assert!(uri.is_loose());
        assert_eq!(
            *uri.hop(),
            Hop {
                host: Host::Ip("::1".parse().unwrap()),
                port: Some(5070),
                transport: HopTransport::Plain(SipTransport::Tcp)
            }
        );
        assert_eq!(HopUri::new("u", "sips:h.example").unwrap().hop().transport, HopTransport::Unsupported);
        assert_eq!(Hop::parse("p", "proxy.example:5062").unwrap().port, Some(5062));
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
