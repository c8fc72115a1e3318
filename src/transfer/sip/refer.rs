//! What is sent: a REFER inside the handed-over dialog, or outside of any dialog with `Target-Dialog`.

use std::net::SocketAddr;

use rsipstack::sip::{Header, Method};

use super::dialog::Dialog;
use super::field::{BadField, CallId, Tag};
use super::message::{ALLOW, Message, USER_AGENT, own_domain, own_uri};
use super::uri::{AddressUri, Hop, HopUri};
use crate::call::route::Route;
use crate::config::settings::Sip;
use crate::number::E164;

/// Where a REFER sends the caller: a URI made of settings only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReferTo(String);

impl ReferTo {
    /// The number as a new call's target.
    pub(super) fn number(target: &E164, sip: &Sip) -> Self {
        let number = target.as_str();
        let domain = sip.target_domain.as_ref();
        Self(domain.map_or_else(|| format!("tel:{number}"), |domain| format!("sip:{number}@{domain};user=phone")))
    }

    /// The human who has been called already: the caller's new call takes the place of ours.
    pub(super) fn replacing(target: &E164, sip: &Sip, replaced: &Replaced) -> Result<Self, BadField> {
        let Replaced { call_id, to_tag, from_tag } = replaced;
        let (to_tag, from_tag) = (to_tag.as_str(), from_tag.as_str());
        let replaces = format!("{};to-tag={to_tag};from-tag={from_tag}", call_id.as_str());
        Ok(Self(format!("{}?Replaces={}", target_uri(target, sip)?.as_str(), escape_header(&replaces))))
    }
}

/// The human's call as the one that replaces it has to name it (RFC 3891 section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replaced {
    call_id: CallId,
    /// The human's own tag.
    to_tag: Tag,
    /// Ours.
    from_tag: Tag,
}

impl Replaced {
    /// The name of a dialog that stands.
    pub(super) fn new(dialog: &Dialog) -> Option<Self> {
        let (to_tag, from_tag) = (dialog.remote_tag.clone()?, dialog.local_tag.clone()?);
        Some(Self { call_id: dialog.call_id.clone(), to_tag, from_tag })
    }
}

/// The human as a SIP URI, which a call of ours goes to: at the target's domain, else at the proxy.
pub(super) fn target_uri(target: &E164, sip: &Sip) -> Result<HopUri, BadField> {
    let missing = BadField { field: "sentimentSipTargetDomain", problem: "is missing, and so is sentimentSipProxy" };
    let domain = sip.target_domain.as_ref().or(sip.proxy.as_ref()).ok_or(missing)?;
    HopUri::new("sentimentSipTargetDomain", &format!("sip:{}@{domain};user=phone", target.as_str()))
}

/// Everything but what a header of a URI may hold as it is (RFC 3261 section 25, `hvalue`) is escaped.
fn escape_header(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&b);
    value.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A checked way to refer: what a [`Message`] is made of once our own address is known.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    dialog: Dialog,
    in_dialog: bool,
    /// Where the request goes.
    pub(super) hop: Hop,
}

impl Plan {
    /// Checks what the room handed over.
    pub(super) fn new(route: &Route, sip: &Sip) -> Result<Self, BadField> {
        let (dialog, in_dialog) = match route {
            Route::ReferInDialog { dialog } => (Dialog::try_from(dialog)?, true),
            Route::ReferTargetDialog { dialog } => (Dialog::try_from(dialog)?, false),
            Route::Attended { dialog } => (Dialog::try_from(dialog)?, dialog.takes_requests()),
            Route::RoomCommand => return Err(BadField { field: "route", problem: "is the room's own, not SIP" }),
        };
        let missing = |field| BadField { field, problem: "is missing" };
        if in_dialog {
            dialog.local_tag.as_ref().ok_or(missing("local_tag"))?;
            dialog.remote_tag.as_ref().ok_or(missing("remote_tag"))?;
            dialog.local_uri.as_ref().ok_or(missing("local_uri"))?;
            dialog.remote_uri.as_ref().ok_or(missing("remote_uri"))?;
            dialog.remote_target.as_ref().ok_or(missing("remote_target"))?;
            dialog.cseq.ok_or(missing("cseq"))?;
        }
        let hop = if in_dialog { next_hop(sip, &dialog)? } else { hop_outside(sip, &dialog)? };
        Ok(Self { dialog, in_dialog, hop })
    }

    /// Whether requests can go inside the dialog where the room said so: it reserved a CSeq, and may have left something out.
    pub(super) fn is_as_handed_over(&self) -> Result<(), BadField> {
        let Dialog { local_uri, remote_uri, cseq, .. } = &self.dialog;
        if self.in_dialog || cseq.is_none() {
            return Ok(());
        }
        let field = match (local_uri, remote_uri) {
            (None, _) => "local_uri",
            (_, None) => "remote_uri",
            (Some(_), Some(_)) => "remote_target",
        };
        Err(BadField { field, problem: "is missing, so that the CSeq reserved in it is of no use" })
    }

    /// Whether the REFER goes inside the handed-over dialog.
    pub(super) fn is_in_dialog(&self) -> bool {
        self.in_dialog
    }

    /// Whether the REFER's Call-ID is of our side: our own outside of dialogs; inside, the room's where it names the room's
    /// host and not the caller's. Nothing else tells who called.
    pub(super) fn owns_call_id(&self) -> bool {
        let host = |uri: &Option<AddressUri>| uri.as_ref().and_then(AddressUri::host);
        let [ours, theirs] = [host(&self.dialog.local_uri), host(&self.dialog.remote_uri)];
        let maker = self.dialog.call_id.as_str().split_once('@').map(|(_, host)| host);
        let is = |host: Option<String>| maker.zip(host).is_some_and(|(maker, host)| maker.eq_ignore_ascii_case(&host));
        !self.in_dialog || (is(ours) && !is(theirs))
    }

    /// Whether its first route or target is a `sips:` URI.
    pub(super) fn is_secure(&self) -> bool {
        let first = self.dialog.route_set.first().filter(|_| self.in_dialog).or(self.dialog.remote_target.as_ref());
        first.is_some_and(HopUri::is_secure)
    }

    /// The handed-over dialog, as requests to us name it.
    pub(super) fn key(&self) -> Option<(String, String)> {
        Some((self.dialog.call_id.as_str().to_owned(), self.dialog.local_tag.as_ref()?.as_str().to_owned()))
    }

    /// The peer's tag in the handed-over dialog.
    pub(super) fn remote_tag(&self) -> Option<&Tag> {
        self.dialog.remote_tag.as_ref()
    }

    /// The room's own address of record.
    pub(super) fn local_uri(&self) -> Option<&AddressUri> {
        self.dialog.local_uri.as_ref()
    }

    /// Hosts that may notify us besides the next hop: those of the dialog itself.
    pub(super) fn peers(&self) -> impl Iterator<Item = &Hop> {
        self.dialog.remote_target.iter().chain(&self.dialog.route_set).map(HopUri::hop)
    }

    /// The REFER to `refer_to`; `local` is where we are.
    pub(super) fn message(&self, refer_to: &ReferTo, sip: &Sip, local: SocketAddr) -> Result<Message, BadField> {
        let mut message =
            if self.in_dialog { Message::within(&self.dialog, Method::Refer)? } else { self.outside(sip, local)? };
        message.headers.push(Header::ReferTo(format!("<{}>", refer_to.0).into()));
        if let Some(local_uri) = &self.dialog.local_uri {
            message.headers.push(Header::ReferredBy(format!("<{}>", local_uri.as_str()).into()));
        }
        message.headers.push(Header::Accept("message/sipfrag".into()));
        message.headers.push(Header::Allow(ALLOW.into()));
        message.headers.push(Header::UserAgent(USER_AGENT.into()));
        Ok(message)
    }

    /// RFC 4538.
    fn outside(&self, sip: &Sip, local: SocketAddr) -> Result<Message, BadField> {
        let target = target_of(&self.dialog)?;
        let to = self.dialog.remote_uri.as_ref().map_or(target.as_str(), AddressUri::as_str);
        let from = own_uri(sip, self.dialog.local_uri.as_ref(), local);
        let (call_id, local_tag) =
            (CallId::random(&own_domain(sip, self.dialog.local_uri.as_ref(), local)), Tag::random());
        // The tags are named as the recipient sees them: its own is the dialog's remote one to the room.
        let mut target_dialog = self.dialog.call_id.as_str().to_owned();
        if let Some(tag) = &self.dialog.remote_tag {
            target_dialog += &format!(";local-tag={}", tag.as_str());
        }
        if let Some(tag) = &self.dialog.local_tag {
            target_dialog += &format!(";remote-tag={}", tag.as_str());
        }
        let headers = vec![
            Header::From(format!("<{from}>;tag={}", local_tag.as_str()).into()),
            Header::To(format!("<{to}>").into()),
            Header::CallId(call_id.as_str().into()),
            Header::Require("tdialog".into()),
            Header::Supported("tdialog".into()),
            Header::Other("Target-Dialog".to_owned(), target_dialog),
        ];
        let request_uri = target.as_str().to_owned();
        Ok(Message { method: Method::Refer, request_uri, call_id, local_tag, cseq: 1, headers, body: None })
    }
}

/// Where a request inside a dialog goes next: the proxy of the settings, the first route, or the remote target.
pub(super) fn next_hop(sip: &Sip, dialog: &Dialog) -> Result<Hop, BadField> {
    let first = dialog.route_set.first().or(dialog.remote_target.as_ref());
    hop_to(sip, first.ok_or(BadField { field: "remote_target", problem: "is missing" })?)
}

fn hop_outside(sip: &Sip, dialog: &Dialog) -> Result<Hop, BadField> {
    hop_to(sip, &target_of(dialog)?)
}

/// Where a request that is routed to `uri` goes next: the proxy of the settings, or there. A `sips:` URI goes over TLS
/// either way.
pub(super) fn hop_to(sip: &Sip, uri: &HopUri) -> Result<Hop, BadField> {
    let problem = "is for a sips URI, and does not speak TLS";
    match &sip.proxy {
        Some(proxy) if uri.is_secure() => {
            Hop::parse("proxy", proxy)?.secured().ok_or(BadField { field: "proxy", problem })
        }
        Some(proxy) => Hop::parse("proxy", proxy),
        None => Ok(uri.hop().clone()),
    }
}

/// Where an out-of-dialog request about the dialog goes.
fn target_of(dialog: &Dialog) -> Result<HopUri, BadField> {
    match (&dialog.remote_target, &dialog.remote_uri) {
        (Some(target), _) => Ok(target.clone()),
        (None, Some(uri)) => HopUri::new("remote_uri", uri.as_str()),
        (None, None) => Err(BadField { field: "remote_target", problem: "is missing" }),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::super::message::Leg;
    use super::*;
    use crate::config::settings::{Settings, SipTransport};
    use crate::room::message::SipDialog;

    fn dialog() -> SipDialog {
        SipDialog {
            call_id: "call-1@platform.example".to_owned(),
            local_tag: "agent-tag".to_owned(),
            remote_tag: "caller-tag".to_owned(),
            local_uri: Some("sip:agent@platform.example".to_owned()),
            remote_uri: Some("sip:+14155550100@carrier.example".to_owned()),
            remote_target: Some("sip:+1;npdi@192.0.2.7:5070;transport=udp".to_owned()),
            route_set: Vec::new(),
            cseq: Some(41),
        }
    }

    fn sent(route: Route, sip: &Sip) -> String {
        let local: SocketAddr = "192.0.2.9:5062".parse().unwrap();
        let plan = Plan::new(&route, sip).unwrap();
        let refer_to = ReferTo::number(&"+14155551234".parse().unwrap(), sip);
        let message = plan.message(&refer_to, sip, local).unwrap();
        let leg = Leg { transport: SipTransport::Tcp, local };
        message.request(leg, "z9hG4bKx", message.cseq, Vec::new()).to_string()
    }

    fn header<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
        text.lines().filter_map(|l| l.strip_prefix(name)?.strip_prefix(": ")).collect()
    }

    #[test]
    fn a_refer_in_the_dialog_continues_it() {
        let text = sent(Route::ReferInDialog { dialog: dialog() }, &Settings::default().sip);
        assert!(text.starts_with("REFER sip:+1;npdi@192.0.2.7:5070;transport=udp SIP/2.0\r\n"), "{text}");
        assert_eq!(header(&text, "From"), ["<sip:agent@platform.example>;tag=agent-tag"]);
        assert_eq!(header(&text, "To"), ["<sip:+14155550100@carrier.example>;tag=caller-tag"]);
        assert_eq!(header(&text, "Call-ID"), ["call-1@platform.example"]);
        assert_eq!(header(&text, "CSeq"), ["41 REFER"]);
        assert_eq!(header(&text, "Refer-To"), ["<tel:+14155551234>"]);
        assert_eq!(header(&text, "Referred-By"), ["<sip:agent@platform.example>"]);
        assert_eq!(header(&text, "Contact"), ["<sip:sentiment-sidecar@192.0.2.9:5062;transport=tcp>"]);
        assert_eq!(header(&text, "Via"), ["SIP/2.0/TCP 192.0.2.9:5062;branch=z9hG4bKx;rport"]);
        assert_eq!(header(&text, "Max-Forwards"), ["70"]);
        assert!(header(&text, "Require").is_empty() && !text.contains("norefersub") && !text.contains("Refer-Sub"));
    }

    #[test]
    fn who_made_the_call_id_is_told_by_the_host_in_it() {
        let owns = |call_id: &str, local: &str, remote: &str| {
            let dialog = SipDialog {
                call_id: call_id.to_owned(),
                local_uri: Some(local.to_owned()),
                remote_uri: Some(remote.to_owned()),
                ..dialog()
            };
            let plan = |route| Plan::new(&route, &Settings::default().sip).unwrap();
            let outside = plan(Route::ReferTargetDialog { dialog: dialog.clone() });
            assert!(outside.owns_call_id(), "a dialog of our own");
            plan(Route::ReferInDialog { dialog }).owns_call_id()
        };
        let (ours, theirs) = ("sip:agent@Platform.example:5070", "sip:+14155550100@carrier.example");
        assert!(owns("a@platform.example", ours, theirs));
        assert!(!owns("a@carrier.example", ours, theirs));
        assert!(!owns("a@192.0.2.1", ours, theirs) && !owns("a", ours, theirs));
        assert!(!owns("a@127.0.0.1", "sip:agent@127.0.0.1", "sip:caller@127.0.0.1:5070"), "nobody can tell");
    }

    #[test]
    fn loose_and_strict_routers_get_the_route_that_they_expect() {
        let with =
            |routes: &[&str]| SipDialog { route_set: routes.iter().map(|r| (*r).to_owned()).collect(), ..dialog() };
        let loose = with(&["<sip:p1.example;lr>", "sip:p2.example;lr"]);
        let text = sent(Route::ReferInDialog { dialog: loose.clone() }, &Settings::default().sip);
        assert!(text.starts_with("REFER sip:+1;npdi@192.0.2.7"), "{text}");
        assert_eq!(header(&text, "Route"), ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]);
        let plan = Plan::new(&Route::ReferInDialog { dialog: loose }, &Settings::default().sip).unwrap();
        assert_eq!(plan.hop.host.to_string(), "p1.example");

        let strict = with(&["sip:p1.example", "sip:p2.example;lr"]);
        let text = sent(Route::ReferInDialog { dialog: strict }, &Settings::default().sip);
        assert!(text.starts_with("REFER sip:p1.example SIP/2.0\r\n"), "{text}");
        assert_eq!(header(&text, "Route"), ["<sip:p2.example;lr>", "<sip:+1;npdi@192.0.2.7:5070;transport=udp>"]);
    }

    #[test]
    fn a_refer_outside_names_the_dialog_as_its_recipient_sees_it() {
        let mut sip = Settings::default().sip;
        sip.user = Some("side car".to_owned());
        sip.domain = Some("own.example".to_owned());
        sip.target_domain = Some("carrier.example".to_owned());
        let text = sent(Route::ReferTargetDialog { dialog: dialog() }, &sip);
        assert_eq!(
            header(&text, "Target-Dialog"),
            ["call-1@platform.example;local-tag=caller-tag;remote-tag=agent-tag"]
        );
        assert_eq!(header(&text, "Require"), ["tdialog"]);
        assert!(header(&text, "From")[0].starts_with("<sip:side%20car@own.example>;tag="));
        assert_eq!(header(&text, "To"), ["<sip:+14155550100@carrier.example>"]);
        assert!(header(&text, "Call-ID")[0].ends_with("@own.example"));
        assert_eq!(header(&text, "Refer-To"), ["<sip:+14155551234@carrier.example;user=phone>"]);
    }

    #[test]
    fn a_replaced_call_is_named_in_the_refer_to_and_nothing_breaks_out_of_it() {
        let sip = Sip { target_domain: Some("pbx.example:5070".to_owned()), ..Settings::default().sip };
        let number: E164 = "+14155551234".parse().unwrap();
        let named = |call_id: &str, to_tag: &str| {
            let to_tag = Tag::new("to", to_tag).unwrap();
            let replaced = Replaced {
                call_id: CallId::new("c", call_id).unwrap(),
                to_tag,
                from_tag: Tag::new("from", "ours").unwrap(),
            };
            ReferTo::replacing(&number, &sip, &replaced).unwrap().0
        };
        assert_eq!(
            named("ab1@own.example", "t.1"),
            "sip:+14155551234@pbx.example:5070;user=phone?Replaces=ab1%40own.example%3Bto-tag%3Dt.1%3Bfrom-tag%3Dours"
        );
        // What a Call-ID and a tag may hold, and a URI's header may not.
        let odd = named("a<>:\\\"/[]?{}()%41@b", "x%41+`'~");
        assert!(
            odd.split_once("?Replaces=")
                .unwrap()
                .1
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.!~*'()%".contains(&b)),
            "{odd}"
        );
        assert!(odd.contains("%2541%40b") && odd.contains("x%2541"), "{odd}");
        assert!(
            ReferTo::replacing(
                &number,
                &Settings::default().sip,
                &Replaced {
                    call_id: CallId::new("c", "a").unwrap(),
                    to_tag: Tag::new("t", "a").unwrap(),
                    from_tag: Tag::new("t", "b").unwrap(),
                }
            )
            .is_err()
        );
    }

    #[test]
    fn an_incomplete_or_hostile_dialog_is_refused_by_the_field_s_name() {
        let sip = Settings::default().sip;
        let field = |dialog| Plan::new(&Route::ReferInDialog { dialog }, &sip).unwrap_err().field;
        assert_eq!(field(SipDialog { local_tag: String::new(), ..dialog() }), "local_tag");
        assert_eq!(field(SipDialog { remote_uri: None, ..dialog() }), "remote_uri");
        assert_eq!(field(SipDialog { call_id: "a\r\nX: 1".to_owned(), ..dialog() }), "call_id");
        assert_eq!(field(SipDialog { route_set: vec!["sip:a>,<sip:b".to_owned()], ..dialog() }), "route_set");
        assert_eq!(field(SipDialog { cseq: Some(u32::MAX), ..dialog() }), "cseq");
        let nowhere = SipDialog { call_id: "c".to_owned(), ..SipDialog::default() };
        let plan = Plan::new(&Route::ReferTargetDialog { dialog: nowhere }, &sip);
        assert_eq!(plan.unwrap_err().field, "remote_target");
    }
}
