//! Heads of HTTP messages as they pass: read whole, checked, and written again ([`Head`]).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_tungstenite::tungstenite::handshake::machine::TryParse as _;
use tokio_tungstenite::tungstenite::http::HeaderMap;

/// The largest head, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Why a head cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadHead {
    /// The network.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It ended before its head did.
    #[error("the connection was closed before the end of the head")]
    Short,
    /// It has too many bytes.
    #[error("a head of more than {MAX_HEAD} bytes")]
    Long,
    /// It is no head.
    #[error("no head of HTTP/1.1")]
    Malformed,
}

/// The head of a request or of a response.
#[derive(Debug)]
pub(super) struct Head {
    /// The first line, in its three parts.
    pub(super) line: [String; 3],
    pub(super) headers: HeaderMap,
    /// As it came, its end included.
    pub(super) raw: Vec<u8>,
}

impl Head {
    /// Reads one. What came behind it is the second.
    pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<(Self, Vec<u8>), BadHead> {
        let mut bytes = Vec::with_capacity(2048);
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if bytes.len() > MAX_HEAD {
                return Err(BadHead::Long);
            }
            if from.read_buf(&mut bytes).await? == 0 {
                return Err(BadHead::Short);
            }
        };
        let rest = bytes.split_off(end);
        Ok((Self::parse(bytes)?, rest))
    }

    fn parse(raw: Vec<u8>) -> Result<Self, BadHead> {
        let at = raw.windows(2).position(|two| two == b"\r\n").ok_or(BadHead::Malformed)?;
        let line = std::str::from_utf8(&raw[..at]).map_err(|_| BadHead::Malformed)?;
        let mut parts = line.splitn(3, ' ').map(str::to_owned);
        let line = std::array::from_fn(|_| parts.next().unwrap_or_default());
        if !line.iter().take(2).all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(BadHead::Malformed);
        }
        let (_, headers) = HeaderMap::try_parse(&raw[at + 2..]).ok().flatten().ok_or(BadHead::Malformed)?;
        Ok(Self { line, headers, raw })
    }

    /// A header that stands there once.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        values.next().is_none().then(|| value.to_str().ok()).flatten()
    }

    /// Whether it asks for a WebSocket.
    pub(super) fn is_upgrade(&self) -> bool {
        let [method, _, version] = &self.line;
        let says = |name: &str, word: &str| {
            // Lists may stand in several lines.
            let mut lines = self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            lines.any(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
        };
        method == "GET" && version == "HTTP/1.1" && says("upgrade", "websocket") && says("connection", "upgrade")
    }

    /// The same request for another path, without what would have the frames compressed.
    pub(super) fn again(&self, path: &str) -> Vec<u8> {
        let [method, _, version] = &self.line;
        let mut bytes = format!("{method} {path} {version}\r\n").into_bytes();
        for (name, value) in &self.headers {
            if name != "sec-websocket-extensions" {
                bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
            }
        }
        bytes.extend(b"\r\n");
        bytes
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    const ASKED: &[u8] =
        b"GET /relay?x=1 HTTP/1.1\r\nHost: voice.example\r\nUpgrade: websocket\r\nConnection: keep-alive, \
        Upgrade\r\nSec-WebSocket-Extensions: permessage-deflate\r\nX-A: 1\r\nX-A: 2\r\n\r\nrest";

    #[tokio::test]
    async fn a_head_is_read_to_its_end_and_said_again() {
        let (head, rest) = Head::read(&mut &ASKED[..]).await.unwrap();
        assert_eq!((head.line[1].as_str(), rest.as_slice()), ("/relay?x=1", &b"rest"[..]));
        assert!(head.is_upgrade() && head.header("host") == Some("voice.example") && head.header("x-a").is_none());
        let again = String::from_utf8(head.again("/other")).unwrap();
        assert!(again.starts_with("GET /other HTTP/1.1\r\n") && again.ends_with("\r\n\r\n"), "{again}");
        assert!(again.contains("x-a: 1\r\nx-a: 2\r\n") && !again.contains("extensions"), "{again}");
    }

    #[tokio::test]
    async fn a_list_may_stand_in_several_lines() {
        let asked = String::from_utf8(ASKED.to_vec()).unwrap();
        let apart = asked.replace("keep-alive, Upgrade", "keep-alive\r\nConnection: Upgrade");
        let neither = asked.replace("keep-alive, Upgrade", "keep-alive\r\nConnection: close");
        for (asked, right) in [(apart, true), (neither, false)] {
            assert_eq!(Head::read(&mut asked.as_bytes()).await.unwrap().0.is_upgrade(), right, "{asked}");
        }
    }

    #[tokio::test]
    async fn what_is_no_head_is_refused() {
        for bad in [
            &b"GET /\r\n"[..],
            b"GET\r\n\r\n",
            b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nno header\r\n\r\n",
            b"\x16\x03\x01\r\n\r\n",
        ] {
            assert!(Head::read(&mut &*bad).await.is_err(), "{bad:?}");
        }
        assert!(matches!(Head::read(&mut vec![b'x'; 40_000].as_slice()).await, Err(BadHead::Long)));
    }
}
