//! Checked URIs (RFC 3261 section 19.1, RFC 3966) and where they lead.

use std::net::{IpAddr, SocketAddr};

use super::field::{BadField, MAX_LEN};
use crate::config::settings::SipTransport;

/// A checked `sip:`, `sips:` or `tel:` URI, as it stands in From and To.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressUri(String);

/// A checked `sip:` or `sips:` URI that a request can be sent to, with where that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HopUri {
    text: String,
    hop: Hop,
    secure: bool,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HopTransport {
    /// Nothing: DNS or the settings choose.
    Any,
    /// `sips:`: TLS, and DNS says where.
    Secure,
    /// This one.
    Named(SipTransport),
    /// `ws`, `sctp`, `sips:` over UDP, …: not spoken here.
    Unsupported,
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
            (true, None) => HopTransport::Secure,
            // RFC 3261 section 26.2.2: with `sips`, `tcp` means TLS over TCP; `tls` says the same in an older way.
            (true, Some("tcp" | "tls")) | (false, Some("tls")) => HopTransport::Named(SipTransport::Tls),
            (false, None) => HopTransport::Any,
            (false, Some("udp")) => HopTransport::Named(SipTransport::Udp),
            (false, Some("tcp")) => HopTransport::Named(SipTransport::Tcp),
            (_, Some(_)) => HopTransport::Unsupported,
        };
        Ok(Self { text: text.to_owned(), hop: Hop { host, port, transport }, secure, loose: param("lr").is_some() })
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

    /// Whether it is a `sips:` URI, which plain transports must not carry.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
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

impl Hop {
    /// Where it is by itself, without anybody being asked: an address, with the port that its transport has by default
    /// (RFC 3261 section 19.1.2). None for a name.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        let Host::Ip(ip) = self.host else { return None };
        let secure = matches!(self.transport, HopTransport::Secure | HopTransport::Named(SipTransport::Tls));
        Some(SocketAddr::new(ip, self.port.unwrap_or(if secure { 5061 } else { 5060 })))
    }

    /// The hop as a `sips:` URI may use it: over TLS. `None` where it names a plain transport.
    #[must_use]
    pub fn secured(self) -> Option<Self> {
        match self.transport {
            HopTransport::Any => Some(Self { transport: HopTransport::Secure, ..self }),
            HopTransport::Secure | HopTransport::Named(SipTransport::Tls) => Some(self),
            HopTransport::Named(SipTransport::Udp | SipTransport::Tcp) | HopTransport::Unsupported => None,
        }
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

fn is_user(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/:%".contains(&b)
}

fn is_param(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-_.!~*'()[]/:&+$=;%".contains(&b)
}

/// Whether a text is a host, with or without a port: what may stand behind the `@` of a URI.
pub(super) fn is_host(text: &str) -> bool {
    host_and_port(text).is_some()
}

/// The URIs of a header's value: those in angle brackets outside of quoted names, else the value up to its parameters.
pub(super) fn uris(value: &str) -> Vec<&str> {
    let (mut found, mut start, mut quoted, mut escaped) = (Vec::new(), None, false, false);
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if start.is_none() => quoted = !quoted,
            '<' if !quoted && start.is_none() => start = Some(at + 1),
            '>' if !quoted => found.extend(start.take().map(|start| &value[start..at])),
            _ => {}
        }
    }
    if found.is_empty() && !value.contains('<') {
        found.extend(value.split(';').next().map(str::trim).filter(|uri| !uri.is_empty()));
    }
    found
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;

    use super::*;

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
                transport: HopTransport::Named(SipTransport::Tcp)
            }
        );
        assert_eq!(Hop::parse("p", "proxy.example:5062").unwrap().port, Some(5062));
    }

    #[test]
    fn a_uri_says_by_which_transport() {
        for (uri, transport) in [
            ("sip:h.example", HopTransport::Any),
            ("sip:h.example;transport=UDP", HopTransport::Named(SipTransport::Udp)),
            ("sip:h.example;transport=tls", HopTransport::Named(SipTransport::Tls)),
            ("sips:h.example", HopTransport::Secure),
            ("sips:h.example;transport=tcp", HopTransport::Named(SipTransport::Tls)),
            ("sips:h.example;transport=udp", HopTransport::Unsupported),
            ("sip:h.example;transport=ws", HopTransport::Unsupported),
        ] {
            let uri = HopUri::new("u", uri).unwrap();
            assert_eq!(uri.hop().transport, transport, "{uri:?}");
            assert_eq!(uri.is_secure(), uri.as_str().starts_with("sips"));
        }
        let hop = |text| Hop::parse("p", text).unwrap().secured().map(|hop| hop.transport);
        assert_eq!(hop("proxy.example:5061"), Some(HopTransport::Secure));
        assert_eq!(hop("sip:proxy.example;transport=udp"), None);
    }

    #[test]
    fn a_host_is_nothing_more() {
        for good in ["h.example", "10.0.0.1", "[::1]:5060", "h:5062"] {
            assert!(is_host(good), "{good}");
        }
        for bad in ["", "a@h:5060", "sip:h:5060", "h;lr", "h>", "h x", "h:0"] {
            assert!(!is_host(bad), "{bad:?}");
        }
    }

    #[test]
    fn uris_are_found_among_names_and_parameters() {
        for (value, found) in [
            ("<sip:a@b;lr>, \"x, <y>\\\"\" <sip:c@d>;q=1,<sip:e>", &["sip:a@b;lr", "sip:c@d", "sip:e"][..]),
            ("sip:a@b:5070;transport=udp", &["sip:a@b:5070"]),
            ("Ann <sip:a@b>;+sip.instance=\"<urn:uuid:1>\"", &["sip:a@b"]),
            ("<sip:a", &[]),
            ("", &[]),
        ] {
            assert_eq!(uris(value), found, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_value_is_read_without_panic(value in "[ -~é<>\",;\\\\]{0,60}") {
            prop_assert!(uris(&value).iter().all(|uri| value.contains(uri)));
        }
    }
}
