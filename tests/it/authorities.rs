//! Webhooks and LLMs whose certificates come from an authority of their own: `--ca-file` vouches for them.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::llm::{TURN, completion, written};
use crate::room::tls;
use crate::support::{Program, Room, soon};

/// A server of a private authority: it answers every request alike, and tells their bodies.
struct Private {
    url: String,
    ca_file: String,
    bodies: mpsc::UnboundedReceiver<String>,
}

impl Private {
    async fn start(program: &Program, name: &str, (pem, acceptor): (String, TlsAcceptor), answer: String) -> Self {
        let ca_file = program.folder.path().join(name).display().to_string();
        std::fs::write(&ca_file, pem).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (told, bodies) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever does not trust the certificate hangs up in the handshake.
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut bytes = Vec::new();
                let body = loop {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                            break body.to_owned();
                        }
                    }
                    assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "it broke off: {text}");
                };
                drop(told.send(body));
                let (kind, length) = ("content-type: application/json", answer.len());
                let head =
                    format!("HTTP/1.1 200 OK\r\n{kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
                drop(stream.shutdown().await);
            }
        });
        Self { url, ca_file, bodies }
    }

    async fn body(&mut self) -> Value {
        serde_json::from_str(&soon("a request", self.bodies.recv()).await.unwrap()).unwrap()
    }
}

fn rated() -> String {
    completion(&written(2.0).to_string()).to_string()
}

#[tokio::test]
async fn a_calls_webhook_and_llm_are_reached_with_the_ca_file_of_their_authority() {
    let (room, program) = (Room::start().await, Program::new());
    // One authority for both.
    let authority = tls::authority();
    let mut llm = Private::start(&program, "ca.pem", authority.clone(), rated()).await;
    let mut hook = Private::start(&program, "ca.pem", authority, String::new()).await;
    let settings = json!({"sentimentEscalationAction": "notify", "sentimentNotifyWebhook": format!("{}/hook", hook.url),
        "sentimentWebhookAllow": ["127.0.0.1"], "llmUrl": format!("{}/v1", llm.url), "llmDeadlineMs": 1900});
    let mut command = program.attach_command(&room, settings);
    command.args(["--ca-file", &hook.ca_file]);
    let mut sidecar = crate::support::Running::new(command);
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    connection.seed_turns(1).await;
    assert_eq!(llm.body().await["response_format"]["type"], "json_schema");
    assert_eq!(hook.body().await["event"], "sentiment.alert");
    assert_eq!(sidecar.event("delivery").await["result"]["delivery"], "delivered");
    connection.end(4).await;
    assert_eq!(sidecar.exit().await, Some(0));
}

#[tokio::test]
async fn a_webhook_of_a_private_authority_waits_until_somebody_vouches_for_it() {
    let (room, program) = (Room::start().await, Program::new());
    let mut hook = Private::start(&program, "ca.pem", tls::authority(), String::new()).await;
    let settings = json!({"sentimentEscalationAction": "notify", "sentimentNotifyWebhook": format!("{}/hook", hook.url),
        "sentimentWebhookAllow": ["127.0.0.1"]});
    let mut sidecar = program.attach(&room, settings);
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    connection.seed_turns(1).await;
    let delivery = sidecar.event("delivery").await["result"].clone();
    assert_eq!(delivery["delivery"], "retry");
    assert!(delivery["detail"].as_str().unwrap().contains("certificate"), "{delivery}");
    connection.end(4).await;
    assert_eq!(sidecar.exit().await, Some(0));
    assert!(hook.bodies.try_recv().is_err(), "nothing was said to somebody who could be anybody");
    let wrong = program.folder.path().join("wrong.pem").display().to_string();
    std::fs::write(&wrong, "no certificate").unwrap();
    assert_eq!(program.deliver(&["--ca-file", &wrong]).await, Some(6));
    assert_eq!(program.deliver(&["--until-empty", "--for", "25", "--ca-file", &hook.ca_file]).await, Some(0));
    assert_eq!(hook.body().await["event"], "sentiment.alert");
}

#[tokio::test]
async fn an_llm_of_a_private_authority_is_asked_with_its_ca_file_only() {
    let program = Program::new();
    let mut llm = Private::start(&program, "ca.pem", tls::authority(), rated()).await;
    let calls = program.folder.path().join("call.txt");
    std::fs::write(&calls, format!("{TURN}\n")).unwrap();
    let set = format!("llmUrl={}/v1", llm.url);
    let rate = async |args: &[&str]| {
        let mut command = program.command(&[&["rate", "--set", &set], args].concat());
        command.stdin(std::fs::File::open(&calls).unwrap()).stderr(std::process::Stdio::piped());
        let output = soon("rate", command.output()).await.unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let said = rate(&[]).await;
    assert!(said.starts_with("LLM: unreachable 1; 1 turn without an answer"), "{said}");
    assert!(llm.bodies.try_recv().is_err());
    assert_eq!(rate(&["--ca-file", &llm.ca_file]).await, "LLM: answered 1\n");
    llm.body().await;
    let found = soon("doctor", program.command(&["doctor", "--set", &set, "--ca-file", &llm.ca_file]).output()).await;
    let found = String::from_utf8(found.unwrap().stdout).unwrap();
    assert!(found.contains("ok    llm"), "{found}");
}
