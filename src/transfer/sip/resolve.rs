//! Where a hop leads (RFC 3263): NAPTR, SRV, A and AAAA records become a list of targets, best first.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::{join, join_all};
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::rdata::{NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};
use tokio::sync::OnceCell;
use tracing::debug;

use super::uri::{Hop, HopTransport, Host};
use crate::config::settings::SipTransport;

/// How long one try of a question may take, and how many there are.
const TRY_TIME: Duration = Duration::from_millis(1500);
const TRIES_AFTER_THE_FIRST: usize = 1;
/// How long the addresses of further hosts that may notify us are waited for: the request goes out without them.
const PEER_LOOKUP_TIME: Duration = Duration::from_secs(1);
/// Most targets of one hop; nobody waits for more of them to fail.
const MAX_TARGETS: usize = 16;

/// One place to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) transport: SipTransport,
}

/// Finds the targets of hops. The resolver below is started by the first name, as most peers are addresses.
pub(super) struct Directory {
    nameserver: Option<SocketAddr>,
    resolver: OnceCell<TokioResolver>,
}

impl Directory {
    /// Asks `nameserver`, or those of the system.
    pub(super) fn new(nameserver: Option<SocketAddr>) -> Self {
        Self { nameserver, resolver: OnceCell::new() }
    }

    /// The targets of a hop, best first; `preferred` is the transport where neither the hop nor DNS says.
    ///
    /// # Errors
    /// What is wrong, in words, when there is none.
    pub(super) async fn targets(&self, hop: &Hop, preferred: SipTransport) -> Result<Vec<Target>, String> {
        let transports = transports(hop, preferred)?;
        let transport = transports[0];
        let port = hop.port.unwrap_or(default_port(transport));
        let name = match &hop.host {
            Host::Ip(ip) => return Ok(vec![Target { address: SocketAddr::new(*ip, port), transport }]),
            Host::Name(name) => name,
        };
        let resolver = self.resolver().await?;
        if hop.port.is_none() {
            let found = services(resolver, name, hop, &transports).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let found =
            addresses_of(resolver, name).await.map_err(|problem| format!("{name} did not resolve: {problem}"))?;
        if found.is_empty() {
            return Err(format!("{name} has no address"));
        }
        Ok(at(&found, port, transport).take(MAX_TARGETS).collect())
    }

    /// Where a hop may send from; a name that does not resolve soon adds nothing.
    pub(super) async fn addresses(&self, hop: &Hop, preferred: SipTransport) -> Vec<SocketAddr> {
        match tokio::time::timeout(PEER_LOOKUP_TIME, self.targets(hop, preferred)).await {
            Ok(Ok(found)) => found.iter().map(|target| target.address).collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }

    async fn resolver(&self) -> Result<&TokioResolver, String> {
        self.resolver
            .get_or_try_init(|| async { start(self.nameserver) })
            .await
            .map_err(|problem| format!("DNS cannot be asked: {problem}"))
    }
}

fn start(nameserver: Option<SocketAddr>) -> Result<TokioResolver, String> {
    let builder = match nameserver {
        None => TokioResolver::builder_tokio().map_err(|e| e.to_string())?,
        Some(address) => {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut connections {
                connection.port = address.port();
            }
            let server = NameServerConfig::new(address.ip(), true, connections);
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            Resolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let mut builder = builder;
    let options: &mut ResolverOpts = builder.options_mut();
    options.timeout = TRY_TIME;
    options.attempts = TRIES_AFTER_THE_FIRST;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    builder.build().map_err(|e| e.to_string())
}

/// The transports that may lead to a hop, the preferred one first; never none.
fn transports(hop: &Hop, preferred: SipTransport) -> Result<Vec<SipTransport>, String> {
    use SipTransport::{Tcp, Tls, Udp};
    match (hop.transport, preferred) {
        (HopTransport::Unsupported, _) => {
            Err("the peer's URI asks for a transport other than UDP, TCP and TLS".to_owned())
        }
        (HopTransport::Named(named @ (Udp | Tcp)), Tls) => {
            Err(format!("the peer's URI asks for {}, and sentimentSipTransport is tls", named.name()))
        }
        (HopTransport::Named(named), _) => Ok(vec![named]),
        (HopTransport::Secure, _) | (HopTransport::Any, Tls) => Ok(vec![Tls]),
        (HopTransport::Any, Udp) => Ok(vec![Udp, Tcp, Tls]),
        (HopTransport::Any, Tcp) => Ok(vec![Tcp, Udp, Tls]),
    }
}

/// RFC 3261 section 19.1.2.
fn default_port(transport: SipTransport) -> u16 {
    if transport == SipTransport::Tls { 5061 } else { 5060 }
}

fn at(ips: &[IpAddr], port: u16, transport: SipTransport) -> impl Iterator<Item = Target> {
    ips.iter().map(move |ip| Target { address: SocketAddr::new(*ip, port), transport })
}

/// What the domain says of its SIP service: by NAPTR, else by the SRV records of the first transport that has any
/// (RFC 3263 section 4.1). Empty when it says nothing.
async fn services(
    resolver: &TokioResolver,
    name: &str,
    hop: &Hop,
    transports: &[SipTransport],
) -> Result<Vec<Target>, String> {
    // All at once: each question may be the one that a firewall swallows.
    let named = matches!(hop.transport, HopTransport::Named(_));
    let naptr = async { if named { Vec::new() } else { naptr(resolver, name).await } };
    let srv = join_all(transports.iter().map(|transport| async move {
        let service = service_name(*transport, name);
        (*transport, srv(resolver, &service).await)
    }));
    let (naptr, srv) = join(naptr, srv).await;
    let mut found = Vec::new();
    for step in chosen(&naptr, transports) {
        match step {
            Step::Service { transport, name } => {
                let records = self::srv(resolver, &name).await;
                found.extend(targets_of(resolver, transport, records, &name).await?);
            }
            Step::Host { transport, name } => {
                let ips = addresses_of(resolver, &name).await.unwrap_or_default();
                found.extend(at(&ips, default_port(transport), transport));
            }
        }
    }
    if found.is_empty() {
        for (transport, records) in srv {
            if !records.is_empty() {
                found = targets_of(resolver, transport, records, &service_name(transport, name)).await?;
                break;
            }
        }
    }
    found.truncate(MAX_TARGETS);
    Ok(found)
}

fn service_name(transport: SipTransport, name: &str) -> String {
    match transport {
        SipTransport::Udp => format!("_sip._udp.{name}"),
        SipTransport::Tcp => format!("_sip._tcp.{name}"),
        SipTransport::Tls => format!("_sips._tcp.{name}"),
    }
}

/// Where a NAPTR record sends us.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// To SRV records (flag `s`).
    Service { transport: SipTransport, name: String },
    /// To a host (flag `a`).
    Host { transport: SipTransport, name: String },
}

/// The records that lead to a transport of ours, in the order of the domain's wishes (RFC 2915 section 2: the lowest
/// order that fits, then by preference).
fn chosen(records: &[NAPTR], transports: &[SipTransport]) -> Vec<Step> {
    let mut fit: Vec<(u16, u16, Step)> = records
        .iter()
        .filter_map(|record| {
            let transport = match &record.services.to_ascii_uppercase()[..] {
                b"SIP+D2U" => SipTransport::Udp,
                b"SIP+D2T" => SipTransport::Tcp,
                b"SIPS+D2T" => SipTransport::Tls,
                _ => return None,
            };
            let name = record.replacement.to_string();
            let step = match &record.flags.to_ascii_lowercase()[..] {
                b"s" => Step::Service { transport, name },
                b"a" => Step::Host { transport, name },
                _ => return None,
            };
            let ours = transports.contains(&transport) && record.regexp.is_empty() && !record.replacement.is_root();
            ours.then_some((record.order, record.preference, step))
        })
        .collect();
    fit.sort_by_key(|(order, preference, _)| (*order, *preference));
    let lowest = fit.first().map(|(order, ..)| *order);
    fit.into_iter().take_while(|(order, ..)| Some(*order) == lowest).map(|(.., step)| step).collect()
}

/// The addresses behind SRV records, in their order.
async fn targets_of(
    resolver: &TokioResolver,
    transport: SipTransport,
    records: Vec<SRV>,
    service: &str,
) -> Result<Vec<Target>, String> {
    // RFC 2782: a single target of "." says that there is no such service.
    if let [record] = &records[..]
        && record.target.is_root()
    {
        return Err(format!("{service} says that there is no such service"));
    }
    let ordered = in_order(records, |upto| fastrand::u32(..=upto));
    let ips = join_all(ordered.iter().take(MAX_TARGETS).map(|record| async {
        addresses_of(resolver, &record.target.to_string())
            .await
            .inspect_err(|problem| debug!(target = %record.target, problem, "a SIP server did not resolve"))
            .unwrap_or_default()
    }))
    .await;
    Ok(ordered.iter().zip(&ips).flat_map(|(record, ips)| at(ips, record.port, transport)).collect())
}

/// SRV records by priority, and among equals by lot with their weights (RFC 2782). `draw(n)` gives a number from 0 to n.
fn in_order(mut records: Vec<SRV>, mut draw: impl FnMut(u32) -> u32) -> Vec<SRV> {
    // Those of weight 0 first, so that they have a small chance at all.
    records.sort_by_key(|record| (record.priority, record.weight != 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let equals = records.iter().take_while(|record| record.priority == priority);
        let total: u32 = equals.clone().map(|record| u32::from(record.weight)).sum();
        let lot = draw(total);
        let mut sum = 0;
        let at = equals.map(|record| u32::from(record.weight)).position(|weight| {
            sum += weight;
            sum >= lot
        });
        ordered.push(records.remove(at.unwrap_or(0)));
    }
    ordered
}

/// A name as it stands: the search list of the system is for hosts.
fn whole(name: &str) -> Result<Name, String> {
    let mut name = Name::from_ascii(name).map_err(|e| e.to_string())?;
    name.set_fqdn(true);
    Ok(name)
}

async fn naptr(resolver: &TokioResolver, name: &str) -> Vec<NAPTR> {
    records(resolver, name, RecordType::NAPTR, |data| match data {
        RData::NAPTR(record) => Some(record.clone()),
        _ => None,
    })
    .await
}

async fn srv(resolver: &TokioResolver, name: &str) -> Vec<SRV> {
    records(resolver, name, RecordType::SRV, |data| match data {
        RData::SRV(record) => Some(record.clone()),
        _ => None,
    })
    .await
}

/// The records of a name; none when there are none, or when nobody says (the next question may be answered).
async fn records<T>(resolver: &TokioResolver, name: &str, kind: RecordType, pick: fn(&RData) -> Option<T>) -> Vec<T> {
    let Ok(whole) = whole(name) else { return Vec::new() };
    match resolver.lookup(whole, kind).await {
        Ok(found) => found.answers().iter().filter_map(|record| pick(&record.data)).collect(),
        Err(error) => {
            debug!(name, %kind, %error, "no such DNS records");
            Vec::new()
        }
    }
}

async fn addresses_of(resolver: &TokioResolver, name: &str) -> Result<Vec<IpAddr>, String> {
    let asked = Name::from_ascii(name).map_err(|e| e.to_string())?;
    Ok(resolver.lookup_ip(asked).await.map_err(|e| e.to_string())?.iter().collect())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;

    use super::*;
    use SipTransport::{Tcp, Tls, Udp};

    fn naptr(order: u16, preference: u16, flags: &str, services: &str, replacement: &str) -> NAPTR {
        let bytes = |text: &str| text.as_bytes().into();
        NAPTR::new(order, preference, bytes(flags), bytes(services), bytes(""), Name::from_ascii(replacement).unwrap())
    }

    fn srv(priority: u16, weight: u16, target: &str) -> SRV {
        SRV::new(priority, weight, 5060, Name::from_ascii(target).unwrap())
    }

    fn hop(uri: &str) -> Hop {
        super::super::uri::HopUri::new("u", uri).unwrap().hop().clone()
    }

    #[test]
    fn the_domain_chooses_among_our_transports() {
        // RFC 3263 section 4.1 has such records.
        let records = [
            naptr(50, 50, "s", "SIPS+D2T", "_sips._tcp.example.com."),
            naptr(90, 50, "s", "SIP+D2T", "_sip._tcp.example.com."),
            naptr(100, 50, "s", "SIP+D2U", "_sip._udp.example.com."),
            naptr(10, 1, "s", "SIP+D2W", "_sip._ws.example.com."),
            naptr(10, 1, "u", "E2U+sip", "."),
        ];
        let service = |transport, name: &str| Step::Service { transport, name: name.to_owned() };
        assert_eq!(chosen(&records, &[Udp, Tcp, Tls]), [service(Tls, "_sips._tcp.example.com.")]);
        assert_eq!(chosen(&records, &[Udp, Tcp]), [service(Tcp, "_sip._tcp.example.com.")]);
        let equal =
            [naptr(1, 20, "S", "sip+d2u", "_sip._udp.example.com."), naptr(1, 10, "a", "SIP+D2T", "h.example.com.")];
        let host = Step::Host { transport: Tcp, name: "h.example.com.".to_owned() };
        assert_eq!(chosen(&equal, &[Udp, Tcp]), [host, service(Udp, "_sip._udp.example.com.")]);
        assert!(chosen(&[], &[Udp]).is_empty());
    }

    #[test]
    fn tls_is_never_left_for_a_plain_transport() {
        assert_eq!(transports(&hop("sips:h.example"), Udp), Ok(vec![Tls]));
        assert_eq!(transports(&hop("sip:h.example"), Tls), Ok(vec![Tls]));
        assert!(transports(&hop("sip:h.example;transport=udp"), Tls).unwrap_err().contains("sentimentSipTransport"));
        assert_eq!(transports(&hop("sip:h.example;transport=tls"), Udp), Ok(vec![Tls]));
        assert_eq!(transports(&hop("sip:h.example"), Tcp).map(|t| t[0]), Ok(Tcp));
        assert!(transports(&hop("sip:h.example;transport=ws"), Udp).is_err());
    }

    #[test]
    fn weights_are_a_lot_among_equal_priorities() {
        let records = || vec![srv(20, 0, "last."), srv(10, 60, "big."), srv(10, 0, "zero."), srv(10, 20, "small.")];
        let names = |ordered: Vec<SRV>| ordered.iter().map(|r| r.target.to_string()).collect::<Vec<_>>();
        assert_eq!(names(in_order(records(), |_| 0)), ["zero.", "big.", "small.", "last."]);
        assert_eq!(names(in_order(records(), |upto| upto)), ["small.", "big.", "zero.", "last."]);
        let mut first = std::collections::HashMap::<String, u32>::new();
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..8_000 {
            let ordered = in_order(records(), |upto| random.u32(..=upto));
            *first.entry(ordered[0].target.to_string()).or_default() += 1;
        }
        assert!((5_500..6_500).contains(&first["big."]) && (1_600..2_400).contains(&first["small."]), "{first:?}");
    }

    proptest! {
        #[test]
        fn every_record_is_tried_once_and_none_before_a_better_priority(
            all in proptest::collection::vec((0u16..4, any::<u16>()), 0..12), seed in any::<u64>(),
        ) {
            let records: Vec<SRV> = all.iter().map(|(priority, weight)| srv(*priority, *weight, "h.")).collect();
            let mut random = fastrand::Rng::with_seed(seed);
            let ordered = in_order(records.clone(), |upto| random.u32(..=upto));
            prop_assert!(ordered.is_sorted_by_key(|r| r.priority));
            let sorted = |mut records: Vec<SRV>| {
                records.sort_by_key(|r| (r.priority, r.weight));
                records
            };
            prop_assert_eq!(sorted(ordered), sorted(records));
        }
    }

    #[tokio::test]
    async fn an_address_needs_no_name_server() {
        let directory = Directory::new(None);
        for (uri, preferred, address, transport) in [
            ("sip:10.0.0.1", Udp, "10.0.0.1:5060", Udp),
            ("sip:10.0.0.1:5070", Tcp, "10.0.0.1:5070", Tcp),
            ("sips:[2001:db8::1]", Udp, "[2001:db8::1]:5061", Tls),
            ("sip:10.0.0.1;transport=tls", Udp, "10.0.0.1:5061", Tls),
        ] {
            let target = Target { address: address.parse().unwrap(), transport };
            assert_eq!(directory.targets(&hop(uri), preferred).await, Ok(vec![target]), "{uri}");
        }
        assert!(directory.resolver.get().is_none());
    }
}
