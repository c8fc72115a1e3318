//! dnsmasq as the name server, with the records of one test.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::sipp::{free_port, is_bound};

/// A running dnsmasq that knows the domain `test` only, killed when dropped.
pub(crate) struct Dnsmasq {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Dnsmasq {
    /// Starts it with records in its own words, e.g. `srv-host=_sip._udp.voice.test,sip1.voice.test,5060,10,0`.
    pub(crate) async fn start(records: &[String]) -> Self {
        for _ in 0..20 {
            if let Some(server) = Self::try_start(records).await {
                return server;
            }
        }
        panic!("no port stays free for dnsmasq");
    }

    async fn try_start(records: &[String]) -> Option<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut command = Command::new("dnsmasq");
        command
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="])
            .args(["--user=root", "--local=/test/", "--bind-interfaces", "--listen-address=127.0.0.1"])
            .arg(format!("--port={}", address.port()))
            .args(records.iter().map(|record| format!("--{record}")))
            .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("dnsmasq does not start; apt-get install dnsmasq-base");
        let mut server = Self { address, child };
        while !is_bound("udp", address) {
            if server.child.try_wait().unwrap().is_some() {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Some(server)
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
