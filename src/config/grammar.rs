//! What text may be that goes on into SIP or is spoken: strict, so that nothing can break out of a header.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::shape::Problem;

/// Longest sentence or tone instruction, in characters.
const SENTENCE_CHARS: usize = 1000;

/// A sentence to be said: no control characters, not too long. It may be empty.
pub(super) fn sentence(text: &str) -> Result<(), Problem> {
    if text.chars().any(char::is_control) {
        return Err("it holds a line break or another control character".into());
    }
    if text.chars().count() > SENTENCE_CHARS {
        return Err("it is too long".into());
    }
    Ok(())
}

/// A path: not empty, no control characters, at most 4096 bytes.
pub(super) fn file_path(text: &str) -> Result<(), Problem> {
    if text.is_empty() || text.len() > 4096 {
        return Err("it is empty or longer than 4096 bytes".into());
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(holds(c)),
        None => Ok(()),
    }
}

/// The name of a model: visible ASCII, 1 to 128 characters.
pub(super) fn model_name(text: &str) -> Result<(), Problem> {
    if text.is_empty() || text.len() > 128 {
        return Err("it is empty or longer than 128 characters".into());
    }
    match text.chars().find(|c| !c.is_ascii_graphic()) {
        Some(c) => Err(holds(c)),
        None => Ok(()),
    }
}

/// The user part of a SIP URI: the unreserved characters of RFC 3261 section 25.1 and `+`, 1 to 64 of them.
pub(super) fn sip_user(text: &str) -> Result<(), Problem> {
    if text.is_empty() || text.len() > 64 {
        return Err("it is empty or longer than 64 characters".into());
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.!~*'+".contains(*c)) {
        Some(c) => Err(holds(c)),
        None => Ok(()),
    }
}

/// `host` of RFC 3261 section 25.1: a host name, an IPv4 address, or an IPv6 address in brackets.
pub(super) fn host(text: &str) -> Result<(), Problem> {
    if let Some(inner) = text.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return address.map(drop).ok_or_else(|| "the brackets hold no IPv6 address".into());
    }
    if text.is_empty() || text.len() > 253 {
        return Err("the host is empty or longer than 253 characters".into());
    }
    if let Some(c) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '.')) {
        return Err(holds(c));
    }
    let labels: Vec<&str> = text.split('.').collect();
    if labels.iter().any(|l| l.is_empty() || l.len() > 63 || l.starts_with('-') || l.ends_with('-')) {
        return Err("a part between its dots is empty, too long, or begins or ends with a hyphen".into());
    }
    let looks_numeric = labels.last().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if looks_numeric && text.parse::<Ipv4Addr>().is_err() {
        return Err("it looks like an IPv4 address and is none".into());
    }
    Ok(())
}

/// A digest realm (RFC 3261 section 25.1, a quoted string), narrowed to what needs no escapes.
pub(super) fn realm(text: &str) -> Result<(), Problem> {
    if text.is_empty() || text.len() > 128 {
        return Err("it is empty or longer than 128 characters".into());
    }
    match text.chars().find(|c| !matches!(c, ' '..='~') || matches!(c, '"' | '\\')) {
        Some(c) => Err(holds(c)),
        None => Ok(()),
    }
}

/// Who somebody is in a room: what the room's platform takes, within reason.
pub(super) fn identity(text: &str) -> Result<(), Problem> {
    if text.is_empty() || text.chars().count() > 256 {
        return Err("it is empty or longer than 256 characters".into());
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(holds(c)),
        None => Ok(()),
    }
}

/// `host`, or `host:port`, the port from 1 to 65535.
pub(super) fn host_maybe_port(text: &str) -> Result<(), Problem> {
    let (name, port) = split_port(text);
    host(name)?;
    port.map_or(Ok(()), port_number)
}

/// Splits at the last colon that stands outside brackets.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (text, None),
    }
}

fn port_number(text: &str) -> Result<(), Problem> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(1..) if digits => Ok(()),
        _ => Err("the port is no number from 1 to 65535".into()),
    }
}

/// A country code (ITU-T E.164 annex): exactly the code, without `+`.
pub(super) fn country(text: &str) -> Result<(), Problem> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("a country code is digits only".into());
    }
    // Digits follow, as in a number, so that "35" is told apart from a code such as 353.
    if crate::number::country_code(&format!("{text}000")) != text || text.starts_with('0') {
        return Err(format!("{} is no country code", super::shown::plain(text)));
    }
    Ok(())
}

fn holds(c: char) -> Problem {
    if c.is_control() { "it holds a line break or another control character".into() } else { format!("it holds {c:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_and_ports() {
        for good in ["pbx.example.com", "10.0.0.1", "[::1]", "a", "xn--mller-kva.example"] {
            assert_eq!(host(good), Ok(()), "{good}");
        }
        for bad in
            ["", "a b", "a..b", "-a", "a-", "999.1.1.1", "::1", "[::1", "[x]", "a\r\nb", "a<b", "a@b", "a;b", "é"]
        {
            assert!(host(bad).is_err(), "{bad:?}");
        }
        for good in ["pbx.example.com:5060", "[::1]:5060", "10.0.0.1:1"] {
            assert_eq!(host_maybe_port(good), Ok(()), "{good}");
        }
        for bad in ["pbx:", "pbx:0", "pbx:65536", "pbx:+5", ":5060", "sip:pbx:5060", "pbx:5060;lr", "::1"] {
            assert!(host_maybe_port(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn realms_need_no_escapes() {
        assert_eq!(realm("Voice Carrier, Inc."), Ok(()));
        for bad in ["", "a\"b", "a\\b", "a\r\nb", "é"] {
            assert!(realm(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn identities_are_one_line() {
        assert_eq!(identity("sip_+15550111 Zoë"), Ok(()));
        for bad in ["", "a\nb", &"x".repeat(257)] {
            assert!(identity(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn country_codes_are_whole_codes() {
        for good in ["1", "7", "44", "49", "353", "86", "20", "212"] {
            assert_eq!(country(good), Ok(()), "{good}");
        }
        for bad in ["", "+1", "4", "0", "001", "1415", "449", "35", "x", "٤٤"] {
            assert!(country(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_passes_can_break_out_of_a_sip_header(text in "[ -~\r\n\t\u{80}-\u{ff}]{0,24}") {
            let breaks = |c: char| c.is_control() || c.is_whitespace() || "<>\"@;?,&=%\\".contains(c) || !c.is_ascii();
            for check in [sip_user, host, host_maybe_port] {
                prop_assert!(check(&text).is_err() || !text.contains(breaks), "{:?}", text);
            }
            prop_assert!(sentence(&text).is_err() || !text.contains(char::is_control));
        }
    }
}
