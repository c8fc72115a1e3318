//! Kamailio as a proxy that speaks TLS, with a certificate of our own making.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::sipp::{free_port, is_bound};

/// A running Kamailio, killed with its children when dropped.
pub(crate) struct TlsProxy {
    /// Where it speaks TLS.
    pub(crate) address: SocketAddr,
    child: Child,
    folder: TempDir,
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
        let mut command = Command::new("kamailio");
        command
            .args(["-DD", "-E", "-f", "kamailio.cfg", "-m", "64", "-M", "8", "-Y", "."])
            .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap());
        let child = command.spawn().expect("kamailio does not start; apt-get install kamailio kamailio-tls-modules");
        let mut proxy = Self { address, child, folder };
        while !(is_bound("tcp", address) && is_bound("udp", SocketAddr::from((Ipv4Addr::LOCALHOST, udp)))) {
            if proxy.child.try_wait().unwrap().is_some() {
                let log = std::fs::read_to_string(proxy.folder.path().join("log")).unwrap_or_default();
                assert!(log.contains("Address already in use"), "kamailio ended at once: {log}");
                return None;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Some(proxy)
    }

    /// The authority that vouches for it, as `sentimentSipCaFile`.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        // SIGTERM, so that its children end with it.
        let id = self.child.id().to_string();
        if Command::new("kill").args(["-TERM", &id]).status().is_ok_and(|s| s.success()) {
            self.child.wait().ok();
        }
        self.child.kill().ok();
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
