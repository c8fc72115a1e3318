//! `sentimentSipPeers`: further addresses that a SIP peer speaks from.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

/// One entry of `sentimentSipPeers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SipPeer {
    /// An address or subnet, whatever the port.
    Net(IpNet),
    /// One port of one address.
    Address(SocketAddr),
}

/// Why text is no entry of `sentimentSipPeers`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no SIP peer ({problem}); write it as 198.51.100.7, 198.51.100.7:5080 or 198.51.100.0/24")]
pub struct NotASipPeer {
    problem: String,
}

impl NotASipPeer {
    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl SipPeer {
    /// Whether a message from this address and port is one of the entry.
    #[must_use]
    pub fn speaks_from(&self, source: SocketAddr) -> bool {
        match self {
            Self::Net(net) => net.contains(&source.ip()),
            Self::Address(address) => *address == source,
        }
    }
}

impl FromStr for SipPeer {
    type Err = NotASipPeer;

    fn from_str(text: &str) -> Result<Self, NotASipPeer> {
        let problem = |problem: String| NotASipPeer { problem };
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::Net(IpNet::from(ip)));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() == 0 => return Err(problem("nobody speaks from port 0".to_owned())),
            Ok(address) => return Ok(Self::Address(address)),
            Err(_) => {}
        }
        match text.parse::<IpNet>() {
            Ok(net) if net.trunc() != net => {
                Err(problem(format!("it has bits set beyond its prefix; the subnet is {}", net.trunc())))
            }
            Ok(net) => Ok(Self::Net(net)),
            Err(_) => Err(problem("it is neither an address, with or without a port, nor a subnet".to_owned())),
        }
    }
}

impl fmt::Display for SipPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => write!(f, "{}", net.addr()),
            Self::Net(net) => write!(f, "{net}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn entries_are_addresses_ports_and_subnets() {
        for (text, from, other) in [
            ("198.51.100.7", "198.51.100.7:1", "198.51.100.8:1"),
            ("198.51.100.7:5080", "198.51.100.7:5080", "198.51.100.7:5060"),
            ("198.51.100.0/24", "198.51.100.255:9", "198.51.101.0:9"),
            ("2001:db8::7", "[2001:db8::7]:1", "[2001:db8::8]:1"),
            ("[2001:db8::7]:5080", "[2001:db8::7]:5080", "[2001:db8::7]:5081"),
            ("2001:db8::/32", "[2001:db8:1::]:1", "[2001:db9::]:1"),
        ] {
            let entry: SipPeer = text.parse().unwrap();
            assert_eq!(entry.to_string(), text);
            assert!(entry.speaks_from(from.parse().unwrap()) && !entry.speaks_from(other.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for bad in
            ["", "sbc.example", "10.1.2.3/8", "10.0.0.0/33", "10.0.0.1:0", "10.0.0.1:99999", "[::1]", "sip:10.0.0.1"]
        {
            assert!(bad.parse::<SipPeer>().is_err(), "{bad:?}");
        }
    }
}
