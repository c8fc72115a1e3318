//! Programs that nobody here wrote, as proxies, phones and servers. Each runs in a process group of its own,
//! which ends with the test whatever happens.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::sipp::{free_port, is_bound};
use crate::support::PATIENCE;

/// A program with its children, in a folder of its own.
pub(crate) struct Program {
    child: Child,
    folder: TempDir,
}

impl Program {
    /// Starts it in its folder, with what it prints in the file `log`. It cannot outlive two minutes.
    pub(crate) fn start(program: &str, args: &[&str], folder: TempDir) -> Self {
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", "120", program]).args(args).current_dir(folder.path()).process_group(0);
        // Kamailio and dnsmasq lie where only administrators look.
        command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        Self { child, folder }
    }

    /// What it printed.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join("log")).unwrap()).into_owned()
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until it is ready; false when it ended because a port was taken.
    pub(crate) async fn is_ready(&mut self, ready: impl Fn(&str) -> bool) -> bool {
        let waiting = async {
            loop {
                let log = self.log();
                if ready(&log) {
                    return true;
                }
                if self.child.try_wait().unwrap().is_some() {
                    assert!(log.to_lowercase().contains("address already in use"), "{log}");
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let is_ready = timeout(PATIENCE, waiting).await;
        is_ready.unwrap_or_else(|_| panic!("not ready; is it installed? tests/setup.sh does it: {}", self.log()))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).status().ok();
        self.child.wait().ok();
    }
}

/// Kamailio with `kamailio.cfg`: it records the route, and challenges a REFER as realm `kam`, user `kam`, password `p`.
pub(crate) struct Kamailio {
    pub(crate) address: SocketAddr,
    pub(crate) program: Program,
}

impl Kamailio {
    /// Starts it on a free port, for UDP and TCP.
    pub(crate) async fn start() -> Self {
        for _ in 0..20 {
            let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
            let config = include_str!("kamailio.cfg").replace("PORT", &port.to_string());
            std::fs::write(folder.path().join("kamailio.cfg"), config).unwrap();
            let args = ["-DD", "-E", "-f", "kamailio.cfg", "-M", "8", "-m", "32"];
            let mut program = Program::start("kamailio", &args, folder);
            let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if program.is_ready(|_| is_bound("udp", at) && is_bound("tcp", at)).await {
                return Self { address: at, program };
            }
        }
        panic!("no port stays free for kamailio");
    }
}

/// How a phone takes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// At once.
    Itself,
    /// When a test says so with the command `accept`; until then it rings.
    WhenTold,
}

/// A baresip with one account and one line.
pub(crate) struct Baresip {
    pub(crate) address: SocketAddr,
    user: String,
    pub(crate) program: Program,
    control: TcpStream,
    buffered: Vec<u8>,
}

impl Baresip {
    /// Starts a phone of `user` on a free port, for UDP and TCP, with further lines of configuration.
    pub(crate) async fn start(user: &str, answers: Answers, config: &str) -> Self {
        for _ in 0..20 {
            // It takes the port behind for TLS, whether it has a certificate or not.
            let (port, behind, control) = (free_port(), free_port(), free_port());
            if behind != port + 1 {
                continue;
            }
            let folder = configure(user, answers, port, control, config);
            let path = folder.path().display().to_string();
            let mut program = Program::start("baresip", &["-f", &path, "-v"], folder);
            if program.is_ready(|log| log.contains("baresip is ready.")).await {
                let control = TcpStream::connect((Ipv4Addr::LOCALHOST, control)).await.unwrap();
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                return Self { address, user: user.to_owned(), program, control, buffered: Vec::new() };
            }
        }
        panic!("no ports stay free for baresip");
    }

    /// Its SIP URI.
    pub(crate) fn uri(&self) -> String {
        format!("sip:{}@{}", self.user, self.address)
    }

    /// Waits for an event of its calls, such as `CALL_INCOMING`, `CALL_ESTABLISHED`, `CALL_RTPESTAB` (audio arrives) or
    /// `CALL_CLOSED`.
    pub(crate) async fn event(&mut self, kind: &str) {
        self.events(&[kind]).await;
    }

    /// Waits for an event of each kind, in whatever order they come.
    pub(crate) async fn events(&mut self, kinds: &[&str]) {
        let mut missing = kinds.to_vec();
        let waiting = async {
            while !missing.is_empty()
                && let Some(said) = self.next().await
            {
                missing.retain(|kind| said["event"] != true || said["type"] != *kind);
            }
        };
        timeout(PATIENCE, waiting).await.ok();
        assert!(missing.is_empty(), "no {missing:?}: {}", self.program.log());
    }

    /// Lets it do something: `accept` or `hangup` with its newest call, `line` to make another one the newest.
    pub(crate) async fn command(&mut self, command: &str, params: &str) {
        let text = json!({"command": command, "params": params}).to_string();
        self.control.write_all(format!("{}:{text},", text.len()).as_bytes()).await.unwrap();
    }

    /// The next thing that it says: JSON in netstrings, `LENGTH:JSON,`.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(colon) = self.buffered.iter().position(|b| *b == b':') {
                let length: usize = std::str::from_utf8(&self.buffered[..colon]).unwrap().parse().unwrap();
                let end = colon + 1 + length;
                if self.buffered.len() > end {
                    let said = serde_json::from_slice(&self.buffered[colon + 1..end]).unwrap();
                    self.buffered.drain(..=end);
                    return Some(said);
                }
            }
            let mut chunk = [0; 4096];
            match self.control.read(&mut chunk).await {
                Ok(len) if len > 0 => self.buffered.extend_from_slice(&chunk[..len]),
                _ => return None,
            }
        }
    }
}

/// A folder with what baresip reads.
fn configure(user: &str, answers: Answers, port: u16, control: u16, config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tone = folder.path().join("tone.wav");
    // Two minutes, as the phone hangs up at its end.
    let samples: Vec<i16> = (0..960_000).map(|n| if n % 16 < 8 { 4000 } else { -4000 }).collect();
    std::fs::write(&tone, wav(&samples)).unwrap();
    let answermode = match answers {
        Answers::Itself => "auto",
        Answers::WhenTold => "manual",
    };
    let text = format!(
        "sip_listen 127.0.0.1:{port}\nnet_interface 127.0.0.1\nrtp_ports 30000-32000\n\
         audio_source aufile,{}\naudio_player aubridge,nil\naudio_alert aubridge,nil\n\
         ctrl_tcp_listen 127.0.0.1:{control}\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule aubridge.so\n\
         module aufile.so\nmodule_app account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n{config}\n",
        tone.display()
    );
    std::fs::write(folder.path().join("config"), text).unwrap();
    let account = format!("<sip:{user}@127.0.0.1>;regint=0;answermode={answermode}\n");
    std::fs::write(folder.path().join("accounts"), account).unwrap();
    std::fs::write(folder.path().join("contacts"), "").unwrap();
    folder
}

/// A sound as a WAV file: 8000 samples of 16 bits each second, one channel.
pub(crate) fn wav(samples: &[i16]) -> Vec<u8> {
    let size = u32::try_from(samples.len() * 2).unwrap();
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + size).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(8000u32.to_le_bytes());
    wav.extend(16_000u32.to_le_bytes());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend(size.to_le_bytes());
    wav.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    wav
}
