//! `message/sipfrag` (RFC 3420): the status line with which a NOTIFY tells how the transfer goes.

use crate::telemetry::shown::is_unprintable;

/// A status line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusLine {
    /// 100 to 699.
    pub status: u16,
    /// The reason phrase, printable and at most 120 characters.
    pub reason: String,
}

/// Why a body is no status line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sipfrag does not begin with a SIP/2.0 status line")]
pub struct NotASipfrag;

/// Reads the status line that a sipfrag begins with. Line ends may be bare LF, the last may be missing, and empty
/// lines may precede it.
///
/// # Errors
/// [`NotASipfrag`] when there is none.
pub fn parse(body: &[u8]) -> Result<StatusLine, NotASipfrag> {
    let first = body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).find(|l| !l.is_empty()).ok_or(NotASipfrag)?;
    let line = String::from_utf8_lossy(first);
    let rest = line.get(..8).filter(|v| v.eq_ignore_ascii_case("SIP/2.0 ")).map(|_| line[8..].trim_start());
    let rest = rest.ok_or(NotASipfrag)?;
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NotASipfrag);
    }
    let status = code.parse().ok().filter(|s| (100..=699).contains(s)).ok_or(NotASipfrag)?;
    Ok(StatusLine { status, reason: printable(reason) })
}

/// What a peer said, made fit for events and logs: nothing that cannot be printed, at most 120 characters.
pub(super) fn printable(text: &str) -> String {
    text.trim().chars().filter(|c| !is_unprintable(*c)).take(120).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn status_lines_as_phones_send_them() {
        for (body, status, reason) in [
            ("SIP/2.0 200 OK\r\n", 200, "OK"),
            ("SIP/2.0 180 Ringing\n", 180, "Ringing"),
            ("SIP/2.0 486 Busy Here", 486, "Busy Here"),
            ("\r\nSIP/2.0 603 Decline\r\nTo: <sip:x@y>\r\n", 603, "Decline"),
            ("sip/2.0 100\r\n", 100, ""),
            ("SIP/2.0 100 \n\n", 100, ""),
        ] {
            let line = parse(body.as_bytes()).unwrap();
            assert_eq!((line.status, line.reason.as_str()), (status, reason), "{body:?}");
        }
    }

    #[test]
    fn anything_else_is_no_status() {
        for body in [
            "",
            "\r\n",
            "200 OK",
            "SIP/2.0 OK",
            "SIP/2.0 20 x",
            "SIP/2.0 999 x",
            "INVITE sip:a SIP/2.0",
            "SIP/1.0 200 OK",
        ] {
            assert!(parse(body.as_bytes()).is_err(), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(line) = parse(&body) {
                prop_assert!((100..=699).contains(&line.status));
                prop_assert!(!line.reason.chars().any(char::is_control));
            }
        }
    }
}
