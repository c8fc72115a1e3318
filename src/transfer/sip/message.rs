//! What every request of ours is made of: who we are, how it leaves, and what stays the same from one sending to the next.

use std::net::SocketAddr;

use rsipstack::sip::{Domain, Header, Host as StackHost, HostWithPort, Method, Request, Uri, Version};

use super::dialog::Dialog;
use super::field::{BadField, CallId, Tag};
use super::uri::{AddressUri, HopUri, Host};
use crate::config::settings::{Sip, SipTransport};

/// Who we say we are.
pub(super) const USER_AGENT: &str = concat!("sentiment-sidecar/", env!("CARGO_PKG_VERSION"));
/// What we take requests of, for `Allow`: INVITE only in a dialog that stands.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, NOTIFY, OPTIONS";

/// How a request leaves, which its Via and Contact tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) transport: SipTransport,
    /// Where we can be reached from there.
    pub(super) local: SocketAddr,
}

impl Leg {
    /// The URI that a peer reaches us by; `secure` where RFC 3261 section 8.1.1.8 asks for a `sips:` one.
    pub(super) fn contact(self, secure: bool) -> String {
        match self.transport {
            SipTransport::Tls if secure => format!("<sips:sentiment-sidecar@{}>", self.local),
            SipTransport::Udp => format!("<sip:sentiment-sidecar@{}>", self.local),
            named => format!("<sip:sentiment-sidecar@{};transport={}>", self.local, named.name()),
        }
    }

    fn via(self, branch: &str) -> String {
        let transport = self.transport.name().to_ascii_uppercase();
        format!("SIP/2.0/{transport} {};branch={branch};rport", self.local)
    }
}

/// A request without what changes from one sending to the next: Via, CSeq, Contact, credentials.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) method: Method,
    pub(super) request_uri: String,
    pub(super) call_id: CallId,
    pub(super) local_tag: Tag,
    pub(super) cseq: u32,
    pub(super) headers: Vec<Header>,
    pub(super) body: Option<Body>,
}

/// What a request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    /// Its Content-Type.
    pub(super) kind: &'static str,
    pub(super) text: String,
}

impl Message {
    /// The request as it goes out once.
    pub(super) fn request(&self, leg: Leg, branch: &str, cseq: u32, credentials: Vec<Header>) -> Request {
        let mut headers = vec![
            Header::Via(leg.via(branch).into()),
            Header::MaxForwards("70".into()),
            Header::CSeq(format!("{cseq} {}", self.method).into()),
            Header::Contact(leg.contact(self.is_secure()).into()),
        ];
        headers.extend(self.headers.iter().cloned());
        headers.extend(credentials);
        headers.extend(self.body.iter().map(|body| Header::ContentType(body.kind.into())));
        Request {
            method: self.method,
            uri: verbatim(&self.request_uri),
            version: Version::V2,
            headers: headers.into(),
            body: self.body.as_ref().map(|body| body.text.clone().into_bytes()).unwrap_or_default(),
        }
    }

    /// Whether its Request-URI or first route is a `sips:` URI.
    fn is_secure(&self) -> bool {
        let first_route = self.headers.iter().find_map(|header| match header {
            Header::Route(route) => Some(route.value()),
            _ => None,
        });
        let secure = |uri: &str| uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"));
        secure(&self.request_uri) || first_route.is_some_and(|route| secure(route.trim_start_matches('<')))
    }

    /// A request outside of dialogs, without the headers of its method.
    pub(super) fn outside(method: Method, target: &HopUri, from: &str, domain: &str) -> Self {
        let (call_id, local_tag) = (CallId::random(domain), Tag::random());
        let headers = vec![
            Header::From(format!("<{from}>;tag={}", local_tag.as_str()).into()),
            Header::To(format!("<{}>", target.as_str()).into()),
            Header::CallId(call_id.as_str().into()),
        ];
        let request_uri = target.as_str().to_owned();
        Self { method, request_uri, call_id, local_tag, cseq: 1, headers, body: None }
    }

    /// An OPTIONS that asks a peer what it can do (RFC 3261 section 11).
    pub(super) fn options(peer: &HopUri, from: &str, domain: &str) -> Self {
        let mut message = Self::outside(Method::Options, peer, from, domain);
        message.headers.push(Header::Accept("application/sdp, message/sipfrag".into()));
        message.headers.push(Header::UserAgent(USER_AGENT.into()));
        message
    }

    /// A request inside a dialog (RFC 3261 section 12.2.1.1), without the headers of its method.
    pub(super) fn within(dialog: &Dialog, method: Method) -> Result<Self, BadField> {
        let Dialog {
            local_tag: Some(local_tag),
            remote_tag: Some(remote_tag),
            local_uri: Some(local_uri),
            remote_uri: Some(remote_uri),
            remote_target: Some(remote_target),
            cseq: Some(cseq),
            ..
        } = dialog
        else {
            return Err(BadField { field: "dialog", problem: "is not complete" });
        };
        let mut routes: Vec<&str> = dialog.route_set.iter().map(HopUri::as_str).collect();
        let mut request_uri = remote_target.as_str();
        if dialog.route_set.first().is_some_and(|first| !first.is_loose()) {
            // A strict router wants itself in the Request-URI and the remote target last in the route.
            routes.push(request_uri);
            request_uri = routes.remove(0);
        }
        let mut headers: Vec<_> = routes.iter().map(|r| Header::Route(format!("<{r}>").into())).collect();
        headers.push(Header::From(format!("<{}>;tag={}", local_uri.as_str(), local_tag.as_str()).into()));
        headers.push(Header::To(format!("<{}>;tag={}", remote_uri.as_str(), remote_tag.as_str()).into()));
        headers.push(Header::CallId(dialog.call_id.as_str().into()));
        Ok(Self {
            method,
            request_uri: request_uri.to_owned(),
            call_id: dialog.call_id.clone(),
            local_tag: local_tag.clone(),
            cseq: *cseq,
            headers,
            body: None,
        })
    }
}

/// Our domain: the setting, the dialog's, or our address.
pub(super) fn own_domain(sip: &Sip, local_uri: Option<&AddressUri>, local: SocketAddr) -> String {
    let ip = || Host::Ip(local.ip()).to_string();
    sip.domain.clone().or_else(|| local_uri.and_then(AddressUri::host)).unwrap_or_else(ip)
}

/// Our address of record for requests outside of dialogs.
pub(super) fn own_uri(sip: &Sip, local_uri: Option<&AddressUri>, local: SocketAddr) -> String {
    match (&sip.user, local_uri) {
        (None, Some(uri)) => uri.as_str().to_owned(),
        (user, _) => {
            let user = escape_user(user.as_deref().unwrap_or("sentiment-sidecar"));
            format!("sip:{user}@{}", own_domain(sip, local_uri, local))
        }
    }
}

fn escape_user(user: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&b);
    user.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// The stack's URI type re-encodes and re-orders what it parses; a remote target must go out as it came in, so the
/// checked text travels where the type writes its host.
fn verbatim(uri: &str) -> Uri {
    let host_with_port = HostWithPort { host: StackHost::Domain(Domain(uri.to_owned())), port: None };
    Uri { scheme: None, auth: None, host_with_port, params: Vec::new(), headers: Vec::new() }
}
