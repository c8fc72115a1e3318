//! Ways to a server, as ICE describes them ([`Candidate`]).

use std::net::SocketAddr;

/// Where a candidate leads, as far as it is of use.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    Udp(SocketAddr),
    Tcp(SocketAddr),
}

impl Candidate {
    /// Reads RFC 8839 section 5.1: `candidate:foundation component transport priority address port typ …`.
    pub(super) fn parse(candidate: &str) -> Option<Self> {
        let words: Vec<&str> = candidate.split_ascii_whitespace().collect();
        let address = SocketAddr::new(words.get(4)?.parse().ok()?, words.get(5)?.parse().ok()?);
        let passive = words.windows(2).any(|pair| pair == ["tcptype", "passive"]);
        match words.get(2)?.to_ascii_lowercase().as_str() {
            "udp" => Some(Self::Udp(address)),
            "tcp" if passive => Some(Self::Tcp(address)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_candidates_that_lead_somewhere_are_used() {
        let read = |text| Candidate::parse(text);
        let udp = "candidate:123 1 udp 2130706431 192.0.2.7 7882 typ host";
        assert_eq!(read(udp), Some(Candidate::Udp(([192, 0, 2, 7], 7882).into())));
        let six = "candidate:123 1 UDP 2130706431 2001:db8::1 7882 typ host generation 0";
        assert_eq!(read(six), "[2001:db8::1]:7882".parse().ok().map(Candidate::Udp));
        let tcp = "candidate:9 1 tcp 1671430143 192.0.2.7 7881 typ host tcptype passive";
        assert_eq!(read(tcp), Some(Candidate::Tcp(([192, 0, 2, 7], 7881).into())));
        for useless in
            ["", "candidate:1 1 udp 1 name.local 1 typ host", "candidate:9 1 tcp 1 192.0.2.7 9 typ host tcptype active"]
        {
            assert_eq!(read(useless), None, "{useless}");
        }
    }
}
