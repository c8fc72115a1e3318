//! SIPp (sip-tester) as the other side, one process per scenario.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use sentiment_sidecar::config::settings::SipTransport;
use tempfile::TempDir;

/// The keys of who asks for credentials: a server. Where a test does not say, a proxy does.
pub(crate) const SERVER_ASKS: [(&str, &str); 3] =
    [("challenge", "401 Unauthorized"), ("asks", "WWW-Authenticate"), ("answers", "Authorization")];
const PROXY_ASKS: [(&str, &str); 3] = [
    ("challenge", "407 Proxy Authentication Required"),
    ("asks", "Proxy-Authenticate"),
    ("answers", "Proxy-Authorization"),
];

/// A running SIPp, killed when dropped.
pub(crate) struct Sipp {
    pub(crate) address: SocketAddr,
    child: Child,
    folder: TempDir,
}

/// What SIPp saw.
pub(crate) struct Seen {
    /// Whether every call of the scenario went as written.
    pub(crate) passed: bool,
    /// The messages that we sent, whole.
    pub(crate) received: Vec<Vec<u8>>,
    /// SIPp's own complaints.
    pub(crate) errors: String,
}

impl Seen {
    /// How many of the messages have a header of exactly this name; to SIPp, one name may be the end of another.
    pub(crate) fn with_header(&self, name: &str) -> usize {
        let start = format!("\r\n{name}: ");
        self.received.iter().filter(|message| find(message, start.as_bytes()).is_some()).count()
    }
}

impl Sipp {
    /// Starts `tests/it/sipp/SCENARIO.xml` for so many calls and waits until it listens.
    pub(crate) async fn start(scenario: &str, transport: SipTransport, calls: usize, keys: &[(&str, &str)]) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), scenario, transport, calls, keys).await
    }

    /// The same at another loopback address.
    pub(crate) async fn start_at(
        ip: IpAddr,
        scenario: &str,
        transport: SipTransport,
        calls: usize,
        keys: &[(&str, &str)],
    ) -> Self {
        for _ in 0..20 {
            if let Some(sipp) = Self::try_start(ip, scenario, transport, calls, keys).await {
                return sipp;
            }
        }
        panic!("no port stays free for sipp");
    }

    /// The same; none when another test was quicker to take the port.
    async fn try_start(
        ip: IpAddr,
        scenario: &str,
        transport: SipTransport,
        calls: usize,
        keys: &[(&str, &str)],
    ) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let (mode, table) = match transport {
            SipTransport::Udp => ("u1", "udp"),
            SipTransport::Tcp => ("t1", "tcp"),
            SipTransport::Tls => panic!("Debian builds SIPp without TLS"),
        };
        let path = format!("{}/tests/it/sipp/{scenario}.xml", env!("CARGO_MANIFEST_DIR"));
        // SIPp's own keys cannot stand where it reads a status code.
        let text = keys.iter().chain(&PROXY_ASKS).fold(std::fs::read_to_string(path).unwrap(), |text, (key, value)| {
            text.replace(&format!("[{key}]"), value)
        });
        std::fs::write(folder.path().join("scenario.xml"), text).unwrap();
        let mut command = Command::new("sipp");
        command
            .args([
                "-sf",
                "scenario.xml",
                "-i",
                &ip.to_string(),
                "-p",
                &port.to_string(),
                "-t",
                mode,
                "-m",
                &calls.to_string(),
            ])
            .args(["-nostdin", "-timeout", "30", "-timeout_error", "-trace_msg", "-trace_err"])
            .args(["-message_file", "messages", "-error_file", "errors"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("sipp does not start; apt-get install sip-tester");
        let mut sipp = Self { address: SocketAddr::from((ip, port)), child, folder };
        while !is_bound(table, sipp.address) {
            if sipp.child.try_wait().unwrap().is_some() {
                let errors = sipp.errors();
                assert!(errors.contains("Address already in use"), "sipp ended at once: {errors}");
                return None;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Some(sipp)
    }

    /// Waits until SIPp has ended by itself.
    pub(crate) async fn finish(mut self) -> Seen {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        Seen { passed: status.success(), received: self.received(), errors: self.errors() }
    }

    /// The messages that we sent so far, as SIPp logged them: `… message received [LENGTH] bytes :`, an empty line,
    /// and the message.
    fn received(&self) -> Vec<Vec<u8>> {
        let log = std::fs::read(self.folder.path().join("messages")).unwrap_or_default();
        let mut rest = &log[..];
        let mut messages = Vec::new();
        while let Some(at) = find(rest, b" message received [") {
            rest = &rest[at + 19..];
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            let length: usize = std::str::from_utf8(&rest[..digits]).unwrap().parse().unwrap();
            let start = find(rest, b"\n\n").unwrap() + 2;
            messages.push(rest[start..start + length].to_vec());
            rest = &rest[start + length..];
        }
        messages
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default()
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A loopback port below those that systems give out by themselves, and given out here once only: no other test of this
/// process takes it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id() % 9_000;
    loop {
        // Below 30000, so the cast is exact.
        let port = 20_000 + ((start + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % 10_000) as u16;
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        {
            return port;
        }
    }
}

/// Whether something listens at a loopback address; `table` is `udp` or `tcp`.
pub(crate) fn is_bound(table: &str, address: SocketAddr) -> bool {
    let (table, ip) = match address {
        SocketAddr::V4(_) => (table.to_owned(), "0100007F"),
        SocketAddr::V6(_) => (format!("{table}6"), "00000000000000000000000001000000"),
    };
    let listing = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap();
    listing.contains(&format!(" {ip}:{:04X} {}:0000", address.port(), "0".repeat(ip.len())))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}
