//! `attach --dialect openai` against a double of the API that says no more than these tests need. That of `tests/bridges` is held
//! against the vendor's own types.

use std::fs::File;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::support::{Hook, Program, Running, SEED_TURNS, soon};

const KEY: &str = "sk-test-0123456789";
const CALLER: &str = "\"Dana\" <sip:+14155550123@carrier.example>";

/// A call, once the sidecar has joined it.
struct Joined {
    api: TcpListener,
    socket: WebSocketStream<TcpStream>,
    running: Running,
}

/// The program in a call, with all that it ever logs written to a file.
async fn joined(program: &mut Program, settings: Value) -> Joined {
    program.secrets = vec![("SIDECAR_ROOM_TOKEN", KEY), ("SIDECAR_CALLER", CALLER)];
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, folder) = (format!("ws://{}/v1/realtime", api.local_addr().unwrap()), program.folder.path());
    let agent = folder.join("agent.json");
    std::fs::write(&agent, settings.to_string()).unwrap();
    let mut args = vec!["attach", "--dialect", "openai", "--room", "rtc_u1", "--room-url", &url];
    args.extend(["--agent", agent.to_str().unwrap()]);
    let mut command = program.command(&args);
    command.env("SIDECAR_LOG", "trace").stderr(File::create(folder.join("log")).unwrap());
    let running = Running::new(command);
    let (stream, _) = soon("the sidecar to dial", api.accept()).await.unwrap();
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let look = |request: &Request, response: Response| {
        assert_eq!(request.uri().to_string(), "/v1/realtime?call_id=rtc_u1");
        assert_eq!(request.headers()["authorization"], format!("Bearer {KEY}"));
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, look).await.unwrap();
    let mut call = Joined { api, socket, running };
    let audio = json!({"input": {"transcription": {"model": "m"}}});
    call.send(json!({"type": "session.created", "session": {"type": "realtime", "tools": [], "audio": audio}})).await;
    call.running.event("attached").await;
    call
}

impl Joined {
    async fn send(&mut self, event: Value) {
        self.socket.send(Message::text(event.to_string())).await.unwrap();
    }

    /// What the caller says in the seed.
    async fn seed_turns(&mut self) {
        let mut before = Value::Null;
        for (n, text) in SEED_TURNS.iter().enumerate() {
            let id = format!("item_{n}");
            let item = json!({"id": id, "type": "message", "role": "user", "content": [{"type": "input_audio"}]});
            self.send(json!({"type": "conversation.item.added", "previous_item_id": before, "item": item})).await;
            let kind = "conversation.item.input_audio_transcription.completed";
            self.send(json!({"type": kind, "item_id": id, "content_index": 0, "transcript": text})).await;
            before = json!(id);
        }
    }

    /// The call is asked for to be transferred: the connection that waits for an answer.
    async fn refer(&mut self) -> TcpStream {
        let (mut stream, _) = soon("the transfer to be asked for", self.api.accept()).await.unwrap();
        let mut bytes = Vec::new();
        soon("the whole request", async {
            while !bytes.ends_with(b"}") {
                assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
            }
        })
        .await;
        let request = String::from_utf8(bytes).unwrap();
        assert!(request.starts_with("POST /v1/realtime/calls/rtc_u1/refer HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with(r#"{"target_uri":"tel:+14155551234"}"#), "{request}");
        stream
    }

    /// The session closes as the API closes one whose call is over, whatever became of the call.
    async fn close(&mut self) {
        let frame = CloseFrame { code: 1000.into(), reason: "".into() };
        self.socket.close(Some(frame)).await.unwrap();
        soon("the sidecar to close", async { while let Some(Ok(_)) = self.socket.next().await {} }).await;
    }
}

/// The call leaves the session: with the answer to the asking, or before it, or without any asking.
#[tokio::test]
async fn a_call_that_leaves_after_a_refer_was_handed_over_for_all_anybody_knows() {
    for answered in [true, false] {
        let (mut program, hook) = (Program::new(), Hook::start().await);
        let settings = json!({"sentimentEscalationEnabled": true, "sentimentEscalationAction": "transfer",
            "sentimentEscalationTarget": "+14155551234", "sentimentHandoverSentence": "",
            "sentimentNotifyWebhook": hook.url, "sentimentWebhookAllow": ["127.0.0.1"],
            "sentimentWebhookDetail": "full", "sentimentRaterDeadlineMs": 30000});
        let mut call = joined(&mut program, settings).await;
        call.seed_turns().await;
        let mut asking = call.refer().await;
        if answered {
            asking.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            assert_eq!(call.running.event("transfer").await["progress"]["step"], "accepted");
        }
        call.close().await;
        let outcome = call.running.event("outcome").await;
        assert_eq!((&outcome["transfer"], &outcome["fallback"]), (&json!({"outcome": "unknown"}), &json!(true)));
        let (_, body) = hook.attempt().await.accept().await;
        assert!(body["description"].as_str().unwrap().starts_with("Transfer unclear. "), "{body}");
        assert_eq!(body["caller"]["number"], CALLER);
        assert_eq!(call.running.exit().await, Some(0));
        let log = std::fs::read_to_string(program.folder.path().join("log")).unwrap();
        let said: String = call.running.seen.iter().map(Value::to_string).chain([log]).collect();
        assert!(said.contains("TRACE") && !said.contains(KEY), "{said}");
        let mut erase = program.command(&["store", "erase", "--caller", "+1 415 555 0123"]);
        let erased = soon("the end", erase.output()).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&erased.stdout).trim_end(), "forgot 1 call and 1 alert");
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_before_any_refer_is_gone() {
    let mut program = Program::new();
    let settings = json!({"sentimentEscalationEnabled": true, "sentimentEscalationAction": "transfer",
        "sentimentEscalationTarget": "+14155551234", "sentimentSayDeadlineMs": 60000, "sentimentRaterDeadlineMs": 30000});
    let mut call = joined(&mut program, settings).await;
    call.seed_turns().await;
    call.running.event("escalation").await;
    call.close().await;
    assert_eq!(call.running.event("outcome").await["transfer"]["outcome"], "caller_gone");
    assert_eq!(call.running.exit().await, Some(0));
}

#[tokio::test]
async fn a_caller_that_is_no_line_of_text_is_refused_and_not_shown() {
    let (code, said) = refused(&[("SIDECAR_ROOM_TOKEN", KEY), ("SIDECAR_CALLER", "+14155550123\nBye")]).await;
    assert!(code == Some(6) && said.contains("SIDECAR_CALLER: "), "{said}");
    assert!(!said.contains("5550123"), "{said}");
}

#[tokio::test]
async fn without_the_key_nobody_is_dialled() {
    let (code, said) = refused(&[]).await;
    assert!(code == Some(6) && said.contains("SIDECAR_ROOM_TOKEN is not set, and --dialect openai needs it"), "{said}");
}

/// What the program says and ends with that cannot join a call with this environment.
async fn refused(env: &[(&str, &str)]) -> (Option<i32>, String) {
    let program = Program::new();
    let mut command = program.command(&[
        "attach",
        "--dialect",
        "openai",
        "--room",
        "rtc_u1",
        "--room-url",
        "ws://127.0.0.1:1/v1/realtime",
        "--set",
        "sentimentEscalationEnabled=true",
    ]);
    command.envs(env.iter().copied()).stderr(std::process::Stdio::piped());
    let refused = soon("the end", command.output()).await.unwrap();
    (refused.status.code(), String::from_utf8_lossy(&refused.stderr).into_owned())
}
