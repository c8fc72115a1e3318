//! Linphone's console phone, which knows how to replace a call by another.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use super::sipp::free_port;
use crate::support::PATIENCE;

/// A `linphonec` that takes calls at once, killed when dropped.
pub(crate) struct Linphone {
    pub(crate) address: SocketAddr,
    user: String,
    child: Child,
    /// Its commands; it ends when this is closed.
    commands: ChildStdin,
    folder: TempDir,
}

impl Linphone {
    /// Starts a phone of `user` on a free UDP port.
    pub(crate) async fn start(user: &str) -> Self {
        let (folder, port, sound) = (tempfile::tempdir().unwrap(), free_port(), free_port());
        // It cannot make its folders itself.
        std::fs::create_dir_all(folder.path().join(".local/share/linphone")).unwrap();
        let rc = format!(
            "[sip]\nsip_port={port}\nsip_tcp_port=-1\nsip_tls_port=-1\nguess_hostname=0\nuse_info=0\nuse_rfc2833=1\n\
             contact=sip:{user}@127.0.0.1\nregister_only_when_network_is_up=0\n[net]\nfirewall_policy=0\n\
             [rtp]\naudio_rtp_port={sound}\n[sound]\nechocancellation=0\n"
        );
        std::fs::write(folder.path().join("rc"), rc).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", "120", "linphonec", "-a", "-c", "rc"]).current_dir(folder.path()).process_group(0);
        command.env("HOME", folder.path()).stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap();
        let commands = child.stdin.take().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut phone = Self { address, user: user.to_owned(), child, commands, folder };
        // There is no soundcard.
        phone.command("soundcard use files");
        phone.wait_for("Using wav files", || phone.log().contains("Using wav files") && is_listening(port)).await;
        phone
    }

    /// Its SIP URI.
    pub(crate) fn uri(&self) -> String {
        format!("sip:{}@{}", self.user, self.address)
    }

    /// Types a line; one of digits presses these keys in the current call.
    pub(crate) fn command(&mut self, line: &str) {
        writeln!(self.commands, "{line}").unwrap();
    }

    /// Waits until it has printed `text`.
    pub(crate) async fn says(&self, text: &str) {
        self.wait_for(text, || self.log().contains(text)).await;
    }

    /// What it printed.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join("log")).unwrap()).into_owned()
    }

    async fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let waiting = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let done = timeout(PATIENCE, waiting).await;
        done.unwrap_or_else(|_| panic!("linphonec, installed by tests/setup.sh: no {what:?}: {}", self.log()));
    }
}

/// Whether something takes datagrams at a port of any address.
fn is_listening(port: u16) -> bool {
    let listing = |table| std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
    [listing("udp"), listing("udp6")].iter().any(|list| list.contains(&format!(":{port:04X} 00000000")))
}

impl Drop for Linphone {
    fn drop(&mut self) {
        Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).status().ok();
        self.child.wait().ok();
    }
}
