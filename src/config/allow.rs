//! Entries of `sentimentWebhookAllow` as text, and whom they admit.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use url::Host;

use super::settings::AllowEntry;

/// Why something is no entry of the allow-list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an address, subnet or host name ({problem}); write 10.0.0.5, 10.0.0.0/8 or hooks.example.com")]
pub struct NotAllowable {
    problem: String,
}

impl NotAllowable {
    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl AllowEntry {
    /// Whether a URL's host is named by this entry. A subnet names no host name: what a name resolves to is not
    /// known before it is dialled.
    #[must_use]
    pub fn names(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::Net(net), Host::Ipv4(address)) => net.contains(&IpAddr::V4(*address)),
            // An IPv4 address in IPv6 clothes (RFC 4291 section 2.5.5.2) is that IPv4 address.
            (Self::Net(net), Host::Ipv6(address)) => {
                net.contains(&IpAddr::V6(*address)) || net.contains(&address.to_canonical())
            }
            (Self::Host(name), Host::Domain(domain)) => domain.trim_end_matches('.').eq_ignore_ascii_case(name),
            _ => false,
        }
    }
}

impl FromStr for AllowEntry {
    type Err = NotAllowable;

    fn from_str(text: &str) -> Result<Self, NotAllowable> {
        let problem = |problem: &str| Err(NotAllowable { problem: problem.to_owned() });
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Net(IpNet::from(address)));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            if net.trunc() != net {
                return problem(&format!("it has bits set beyond its prefix; the subnet is {}", net.trunc()));
            }
            return Ok(Self::Net(net));
        }
        if text.contains("://") || text.contains('/') {
            return problem("a host name has neither scheme nor path, and a subnet is address/bits");
        }
        if text.contains('*') {
            return problem("there are no wildcards; name each host");
        }
        match Host::parse(text) {
            Ok(Host::Domain(name)) if !name.trim_end_matches('.').is_empty() => {
                Ok(Self::Host(name.trim_end_matches('.').to_owned()))
            }
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) => problem("the address is written in an unusual way"),
            _ => problem("it is no host name; leave a port away"),
        }
    }
}

impl fmt::Display for AllowEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => write!(f, "{}", net.addr()),
            Self::Net(net) => write!(f, "{net}"),
            Self::Host(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn entries_are_addresses_subnets_and_names() {
        for (text, shown) in [
            ("127.0.0.1", "127.0.0.1"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("::1", "::1"),
            ("fd00::/8", "fd00::/8"),
            ("Hooks.Example.COM.", "hooks.example.com"),
            ("my_service", "my_service"),
        ] {
            let entry: AllowEntry = text.parse().unwrap();
            assert_eq!(entry.to_string(), shown);
            assert_eq!(shown.parse::<AllowEntry>().unwrap(), entry);
        }
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for bad in [
            "",
            ".",
            "10.1.2.3/8",
            "10.0.0.0/33",
            "https://a",
            "a/b",
            "*.example.com",
            "a:80",
            "127.1",
            "[::1]",
            "a b",
            "a\r\nb",
        ] {
            assert!(bad.parse::<AllowEntry>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_entry_names_hosts() {
        let names = |entry: &str, host: &str| {
            let url = url::Url::parse(&format!("http://{host}/")).unwrap();
            entry.parse::<AllowEntry>().unwrap().names(&url.host().unwrap())
        };
        assert!(names("127.0.0.0/8", "127.0.0.1") && names("127.0.0.1", "[::ffff:127.0.0.1]"));
        assert!(names("hooks.example.com", "HOOKS.example.com") && names("hooks.example.com", "hooks.example.com."));
        assert!(!names("127.0.0.0/8", "localhost") && !names("example.com", "evil-example.com"));
        assert!(!names("example.com", "hooks.example.com") && !names("10.0.0.0/8", "11.0.0.1"));
    }
}
