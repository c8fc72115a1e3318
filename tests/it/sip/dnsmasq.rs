//! dnsmasq as the name server, with the records of one test.

use std::net::{Ipv4Addr, SocketAddr};

use super::peers::Program;
use super::sipp::{free_port, is_bound};

/// A running dnsmasq that knows the domain `test` only.
pub(crate) struct Dnsmasq {
    pub(crate) address: SocketAddr,
    _program: Program,
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
        let mut args: Vec<String> = [
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--pid-file=",
            "--user=root",
        ]
        .map(str::to_owned)
        .into();
        args.extend(["--local=/test/", "--bind-interfaces", "--listen-address=127.0.0.1"].map(str::to_owned));
        args.push(format!("--port={}", address.port()));
        args.extend(records.iter().map(|record| format!("--{record}")));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut program = Program::start("dnsmasq", &args, tempfile::tempdir().unwrap());
        program.is_ready(|_| is_bound("udp", address)).await.then_some(Self { address, _program: program })
    }
}
