//! Where a webhook may go: never to addresses that it has no business with, unless they are allow-listed.
//!
//! Names are judged by the addresses that they resolve to, in the very resolution that the connection uses
//! ([`GuardedResolver`]), so that a name which resolves differently the second time gains nothing. Hosts that are
//! addresses already never meet a resolver; [`Guard::check`] judges them. The URL parser has brought every spelling of
//! an address (`0x7f.1`, `2130706433`) into one form by then.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::config::settings::AllowEntry;

/// Why a webhook may not go somewhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The address is not one of the public internet.
    #[error("{ip} is refused: {kind}; add it to sentimentWebhookAllow if it is meant")]
    Address {
        /// The address.
        ip: IpAddr,
        /// What kind of address it is.
        kind: &'static str,
    },
    /// Plain `http` to a host that is not allow-listed.
    #[error("plain http to {host} is refused: use https, or add it to sentimentWebhookAllow")]
    PlainHttp {
        /// The host.
        host: String,
    },
    /// The URL has no host.
    #[error("the URL names no host")]
    NoHost,
}

/// IPv4 networks that no webhook of the public internet lives in (IANA IPv4 Special-Purpose Address Registry).
const REFUSED_V4: [(Ipv4Addr, u32, &str); 19] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "unspecified or \"this network\""),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private network"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by carriers (CGNAT)"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(168, 63, 129, 16), 32, "a cloud's metadata service"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local, where clouds keep their metadata service"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private network"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "reserved for protocols"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
    (Ipv4Addr::new(192, 31, 196, 0), 24, "reserved for AS112"),
    (Ipv4Addr::new(192, 52, 193, 0), 24, "reserved for multicast tunnels (AMT)"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a 6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private network"),
    (Ipv4Addr::new(192, 175, 48, 0), 24, "reserved for AS112"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved or broadcast"),
];

/// The same within 2000::/3, outside of which only the addresses of [`embedded_v4`] are looked at any further (IANA IPv6
/// Special-Purpose Address Registry).
const REFUSED_V6: [(Ipv6Addr, u32, &str); 5] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "reserved for protocols (Teredo and others)"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "for documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4, which leads to an IPv4 address unseen"),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, "reserved for AS112"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "for documentation"),
];

/// What kind of address this is, if webhooks have no business with it; none for addresses of the public internet.
#[must_use]
pub fn refused_kind(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => refused_v4(ip),
        IpAddr::V6(ip) => match embedded_v4(ip) {
            Some(v4) => refused_v4(v4),
            None => refused_v6(ip),
        },
    }
}

fn refused_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let within = |net: Ipv4Addr, length: u32| (ip.to_bits() ^ net.to_bits()).leading_zeros() >= length;
    REFUSED_V4.iter().find(|(net, length, _)| within(*net, *length)).map(|(.., kind)| *kind)
}

fn refused_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let within = |net: Ipv6Addr, length: u32| (ip.to_bits() ^ net.to_bits()).leading_zeros() >= length;
    match ip {
        Ipv6Addr::LOCALHOST => Some("loopback"),
        Ipv6Addr::UNSPECIFIED => Some("unspecified"),
        _ if ip.is_multicast() => Some("multicast"),
        _ if ip.is_unique_local() => Some("a private network (unique local)"),
        _ if ip.is_unicast_link_local() => Some("link-local"),
        _ if ip.segments()[0] & 0xe000 != 0x2000 => Some("outside the public internet (2000::/3)"),
        _ => REFUSED_V6.iter().find(|(net, length, _)| within(*net, *length)).map(|(.., kind)| *kind),
    }
}

/// The IPv4 address that this one leads to: IPv4-mapped (`::ffff:0:0/96`) or NAT64 (`64:ff9b::/96`, RFC 6052).
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, ..] = ip.segments();
    match [a, b, c, d, e, f] {
        // The low 32 bits.
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(Ipv4Addr::from_bits(ip.to_bits() as u32)),
        _ => None,
    }
}

/// Judges where a webhook may go, by one allow-list and one scheme.
#[derive(Debug, Clone)]
pub struct Guard {
    allow: Arc<[AllowEntry]>,
    plain: bool,
}

impl Guard {
    /// The guard for `url`'s scheme.
    #[must_use]
    pub fn new(url: &Url, allow: &[AllowEntry]) -> Self {
        Self { allow: allow.into(), plain: url.scheme() != "https" }
    }

    /// Refuses a URL whose host is a refused address in any spelling, or that is plain `http` without being
    /// allow-listed. A name passes here if it may turn out to be allowed; the resolver judges its addresses.
    ///
    /// # Errors
    /// [`Refusal`] says why.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        match url.host().ok_or(Refusal::NoHost)? {
            Host::Ipv4(ip) => self.judge(None, ip.into()),
            Host::Ipv6(ip) => self.judge(None, ip.into()),
            Host::Domain(name) => {
                let may_be = self.allows_name(name) || self.allow.iter().any(|e| matches!(e, AllowEntry::Net(_)));
                if self.plain && !may_be {
                    return Err(Refusal::PlainHttp { host: name.to_owned() });
                }
                Ok(())
            }
        }
    }

    /// Judges one address, which `name` resolved to if it is given.
    ///
    /// # Errors
    /// [`Refusal`] says why.
    pub fn judge(&self, name: Option<&str>, ip: IpAddr) -> Result<(), Refusal> {
        // A dual-stack socket reaches a mapped address as the IPv4 one.
        let canonical = ip.to_canonical();
        let listed = |entry: &AllowEntry| match entry {
            AllowEntry::Net(net) => net.contains(&ip) || net.contains(&canonical),
            AllowEntry::Host(_) => false,
        };
        if name.is_some_and(|name| self.allows_name(name)) || self.allow.iter().any(listed) {
            return Ok(());
        }
        if let Some(kind) = refused_kind(ip) {
            return Err(Refusal::Address { ip, kind });
        }
        if self.plain {
            return Err(Refusal::PlainHttp { host: name.map_or_else(|| ip.to_string(), str::to_owned) });
        }
        Ok(())
    }

    fn allows_name(&self, name: &str) -> bool {
        let bare = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.allow.iter().any(|entry| matches!(entry, AllowEntry::Host(host) if bare(host) == bare(name)))
    }
}

/// Resolves names to those of their addresses that the [`Guard`] lets through.
pub struct GuardedResolver {
    guard: Guard,
    inner: Arc<dyn Resolve>,
}

impl GuardedResolver {
    /// Filters what `inner` resolves.
    #[must_use]
    pub fn new(guard: Guard, inner: Arc<dyn Resolve>) -> Self {
        Self { guard, inner }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let guard = self.guard.clone();
        let resolving = self.inner.resolve(name);
        Box::pin(async move {
            let mut refusal = None;
            let mut passed: Vec<SocketAddr> = Vec::new();
            for addr in resolving.await? {
                match guard.judge(Some(&host), addr.ip()) {
                    Ok(()) => passed.push(addr),
                    Err(why) => refusal = refusal.or(Some(why)),
                }
            }
            match refusal {
                Some(refusal) if passed.is_empty() => Err(refusal.into()),
                None if passed.is_empty() => Err("the name has no address".into()),
                _ => Ok(Box::new(passed.into_iter()) as Addrs),
            }
        })
    }
}

/// The system's resolver.
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addrs = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(addrs.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;

    fn check(url: &str, allow: &[AllowEntry]) -> Result<(), Refusal> {
        let url: Url = url.parse().unwrap();
        Guard::new(&url, allow).check(&url)
    }

    #[test]
    fn hosts_that_are_refused_addresses_in_any_spelling() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.0.1.",
            "0x7f.1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "0177.0.0.01",
            "127.255.255.254",
            "0.0.0.0",
            "0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "0xa9fea9fe",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.31.196.1",
            "192.175.48.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "１２７.0.0.1",
            "127。0。0。1",
            "[::1]",
            "[::]",
            "[::127.0.0.1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[2002:a00:1::1]",
            "[2001::1]",
            "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
            "[2001:4:112::1]",
            "[2620:4f:8000::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[100::1]",
            "[5f00::1]",
            "[4000::1]",
            "[::ffff:0:127.0.0.1]",
        ] {
            let got = check(&format!("https://{host}/hook"), &[]);
            assert!(matches!(got, Err(Refusal::Address { .. })), "{host}: {got:?}");
        }
    }

    #[test]
    fn hosts_of_the_public_internet_pass() {
        for host in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "[2606:4700::1111]",
            "[2a00::1]",
            "[2001:4860:4860::8888]",
            "[64:ff9b::1.1.1.1]",
            "[::ffff:1.1.1.1]",
            "example.com",
            "localhost",
        ] {
            assert_eq!(check(&format!("https://{host}/hook"), &[]), Ok(()), "{host}");
        }
    }

    #[test]
    fn the_allow_list_opens_what_it_names_and_nothing_else() {
        let net = |text: &str| AllowEntry::Net(text.parse().unwrap());
        let host = |text: &str| AllowEntry::Host(text.to_owned());
        let loopback = [net("127.0.0.0/8")];
        assert_eq!(check("http://127.0.0.1:8080/", &loopback), Ok(()));
        assert_eq!(check("https://[::ffff:127.0.0.1]/", &loopback), Ok(()));
        assert!(check("https://10.0.0.1/", &loopback).is_err());
        assert!(check("https://[::1]/", &loopback).is_err());
        assert_eq!(check("https://[fd00::7]/", &[net("fd00::/8")]), Ok(()));
        assert_eq!(check("http://Hooks.Internal./", &[host("hooks.internal")]), Ok(()));
        assert!(matches!(check("http://evil.example/", &[host("hooks.internal")]), Err(Refusal::PlainHttp { .. })));
        assert!(matches!(check("http://1.1.1.1/", &[]), Err(Refusal::PlainHttp { .. })));
        let guard = Guard::new(&"http://x/".parse().unwrap(), &[host("hooks.internal"), net("10.0.0.0/8")]);
        assert_eq!(guard.judge(Some("HOOKS.internal"), "127.0.0.1".parse().unwrap()), Ok(()));
        assert_eq!(guard.judge(Some("other"), "10.1.1.1".parse().unwrap()), Ok(()));
        assert!(matches!(guard.judge(Some("other"), "1.1.1.1".parse().unwrap()), Err(Refusal::PlainHttp { .. })));
        assert!(matches!(guard.judge(Some("other"), "127.0.0.1".parse().unwrap()), Err(Refusal::Address { .. })));
    }

    /// A name whose owner changes its address from one lookup to the next.
    struct Rebinding(AtomicUsize);

    impl Resolve for Rebinding {
        fn resolve(&self, _: Name) -> Resolving {
            let addrs: &[&str] = match self.0.fetch_add(1, Ordering::Relaxed) {
                0 => &["1.1.1.1:0"],
                1 => &["127.0.0.1:0", "[::1]:0"],
                2 => &["169.254.169.254:0", "1.0.0.1:0"],
                _ => &[],
            };
            let addrs: Vec<SocketAddr> = addrs.iter().map(|addr| addr.parse().unwrap()).collect();
            Box::pin(std::future::ready(Ok(Box::new(addrs.into_iter()) as Addrs)))
        }
    }

    #[tokio::test]
    async fn every_resolution_is_judged_so_rebinding_gains_nothing() {
        let guard = Guard::new(&"https://x/".parse().unwrap(), &[]);
        let resolver = GuardedResolver::new(guard, Arc::new(Rebinding(AtomicUsize::new(0))));
        let resolve = || resolver.resolve("rebind.example".parse().unwrap());
        assert_eq!(resolve().await.unwrap().collect::<Vec<_>>(), ["1.1.1.1:0".parse::<SocketAddr>().unwrap()]);
        let refused = resolve().await.err().unwrap();
        assert!(matches!(refused.downcast_ref::<Refusal>(), Some(Refusal::Address { .. })), "{refused}");
        assert_eq!(resolve().await.unwrap().collect::<Vec<_>>(), ["1.0.0.1:0".parse::<SocketAddr>().unwrap()]);
        assert!(resolve().await.err().unwrap().downcast_ref::<Refusal>().is_none());
    }

    proptest! {
        #[test]
        fn an_ipv4_address_is_judged_the_same_in_every_ipv6_clothing(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from_bits(bits);
            let plain = refused_kind(v4.into());
            prop_assert_eq!(refused_kind(v4.to_ipv6_mapped().into()), plain);
            let nat64 = Ipv6Addr::from_bits(0x0064_ff9b_u128 << 96 | u128::from(bits));
            prop_assert_eq!(refused_kind(nat64.into()), plain);
            let (six_to_four, compatible) = (0x2002_u128 << 112 | u128::from(bits) << 80, u128::from(bits));
            prop_assert!(refused_kind(Ipv6Addr::from_bits(six_to_four).into()).is_some());
            prop_assert!(refused_kind(Ipv6Addr::from_bits(compatible).into()).is_some());
            // The standard library knows fewer kinds, and none that we let through.
            if v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast()
                || v4.is_documentation() || v4.is_unspecified() {
                prop_assert!(plain.is_some());
            }
        }
    }
}
