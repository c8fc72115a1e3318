//! Kamailio as a proxy that speaks TLS, with a certificate of our own making.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::peers::Program;
use super::sipp::{free_port, is_bound};

/// A running Kamailio.
pub(crate) struct TlsProxy {
    /// Where it speaks TLS.
    pub(crate) address: SocketAddr,
    program: Program,
}

impl TlsProxy {
    /// Starts it with a certificate that names `names` (host names or addresses).
    pub(crate) async fn start(names: &[&str]) -> Self {
        for _ in 0..20 {
            if let Some(proxy) = Self::try_start(names).await {
                return proxy;
            }
        }
        panic!("no port stays free for kamailio");
    }

    async fn try_start(names: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        certify(&folder, names);
        let (udp, address) = (free_port(), SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        let config = include_str!("tls_proxy.cfg")
            .replace("UDP_PORT", &udp.to_string())
            .replace("TLS_PORT", &address.port().to_string())
            .replace("FOLDER", folder.path().to_str().unwrap());
        std::fs::write(folder.path().join("kamailio.cfg"), config).unwrap();
        let args = ["-DD", "-E", "-f", "kamailio.cfg", "-m", "64", "-M", "8", "-Y", "."];
        let mut program = Program::start("kamailio", &args, folder);
        let udp = SocketAddr::from((Ipv4Addr::LOCALHOST, udp));
        program
            .is_ready(|_| is_bound("tcp", address) && is_bound("udp", udp))
            .await
            .then_some(Self { address, program })
    }

    /// The authority that vouches for it, as `sentimentSipCaFile`.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.program.folder().join("ca.pem")
    }
}

/// Writes an authority (`ca.pem`) and what it vouches for (`chain.pem`, `key.pem`) into a folder.
fn certify(folder: &TempDir, names: &[&str]) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    for (file, text) in [("ca.pem", ca_pem), ("chain.pem", leaf.pem()), ("key.pem", key.serialize_pem())] {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
}
