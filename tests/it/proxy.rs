//! `proxy` between a platform that dials and its app, both as somebody else would write them: what passes, passes unchanged, whatever
//! becomes of the hearing.

mod killed;
mod many;
mod sides;
mod silent;
mod store;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt, StreamExt};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sentiment_sidecar::web::proxy;
use serde_json::{Value, json};
use sha1::Sha1;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::sip::sipp::free_port;
use crate::support::{Hook, Program, Running, SEED_TURNS, soon};

const TOKEN: &str = "an-auth-token-of-twilio";
const PUBLIC: &str = "voice.example";

type Dialled = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Accepted = WebSocketStream<TcpStream>;

fn sign(text: &str) -> String {
    let mac = Hmac::<Sha1>::new_from_slice(TOKEN.as_bytes()).unwrap().chain_update(text);
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

/// As Twilio dials.
async fn dial(proxy: SocketAddr, path: &str, signature: Option<&str>) -> Result<Dialled, Error> {
    let mut request = format!("ws://{proxy}{path}").into_client_request().unwrap();
    if let Some(signature) = signature {
        request.headers_mut().insert("x-twilio-signature", signature.parse().unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

async fn dial_signed(proxy: SocketAddr, path: &str) -> Dialled {
    let signature = sign(&format!("wss://{PUBLIC}{path}"));
    soon("the proxy", dial(proxy, path, Some(&signature))).await.unwrap()
}

fn setup(call: &str, parameters: &Value) -> String {
    json!({"type": "setup", "sessionId": format!("VX{call}"), "callSid": call, "from": "+14155550123",
           "to": "+14155550100", "direction": "inbound", "customParameters": parameters})
    .to_string()
}

fn prompt(text: &str) -> String {
    json!({"type": "prompt", "voicePrompt": text, "lang": "en-US", "last": true}).to_string()
}

async fn next<S>(socket: &mut WebSocketStream<S>) -> Message
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    soon("a frame", socket.next()).await.expect("the connection is there").unwrap()
}

async fn text<S>(socket: &mut WebSocketStream<S>) -> String
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        if let Message::Text(text) = next(socket).await {
            return text.to_string();
        }
    }
}

/// The platform closes, and both sides read on until they are through.
async fn hang_up(mut platform: Dialled, mut app: Accepted) {
    // One that has heard of it already need not say so.
    let _ = platform.close(None).await;
    let app = async move { while let Some(Ok(_)) = app.next().await {} };
    soon("the app to be through", app).await;
    soon("the platform to be through", async { while let Some(Ok(_)) = platform.next().await {} }).await;
}

/// The app, and the paths and hosts that it was dialled at.
struct Behind {
    listener: TcpListener,
    address: SocketAddr,
}

impl Behind {
    /// On a port that no other test takes, even once this one has given it up.
    async fn start() -> Self {
        let address = free_address();
        Self { listener: TcpListener::bind(address).await.unwrap(), address }
    }

    async fn accept(&self) -> (Accepted, Request) {
        let (stream, _) = soon("the app to be dialled", self.listener.accept()).await.unwrap();
        taken(stream).await
    }
}

/// A connection to the app, once both have agreed, and what was asked for.
async fn taken(stream: TcpStream) -> (Accepted, Request) {
    let mut seen = None;
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let look = |request: &Request, response: Response| {
        seen = Some(request.clone());
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, look).await.unwrap();
    (socket, seen.unwrap())
}

fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

/// The program between both.
async fn between(program: &mut Program, app: &Behind, settings: Value, more: &[&str]) -> (Running, SocketAddr) {
    let (command, address) = command_between(program, app, settings, more);
    (listening(command, address).await, address)
}

/// What starts it, and where it will listen.
fn command_between(program: &mut Program, app: &Behind, settings: Value, more: &[&str]) -> (Command, SocketAddr) {
    let mut agent = json!({"sentimentEscalationEnabled": true, "sentimentRaterDeadlineMs": 30000});
    agent.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let file = program.folder.path().join("agent.json");
    std::fs::write(&file, agent.to_string()).unwrap();
    program.secrets = vec![("SIDECAR_TWILIO_AUTH_TOKEN", TOKEN), ("SIDECAR_ROOM_TOKEN", "t0ken")];
    let (address, public) = (free_address(), format!("wss://{PUBLIC}"));
    let (listen, app) = (address.to_string(), format!("ws://{}", app.address));
    let mut args = vec!["proxy", "--listen", &listen, "--app-url", &app, "--public-url", &public];
    args.extend(["--agent", file.to_str().unwrap()]);
    args.extend(more);
    if !more.contains(&"--dialect") {
        args.extend(["--dialect", "twilio"]);
    }
    (program.command(&args), address)
}

/// The program, once it listens.
async fn listening(command: Command, address: SocketAddr) -> Running {
    let running = Running::new(command);
    soon("the proxy to listen", async {
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    running
}

fn notify(hook: &Hook) -> Value {
    json!({"sentimentEscalationAction": "notify", "sentimentNotifyWebhook": hook.url, "sentimentWebhookAllow": ["127.0.0.1"]})
}

#[tokio::test]
async fn a_call_passes_unchanged_and_its_alert_is_told_once() {
    let (mut program, app, hook) = (Program::new(), Behind::start().await, Hook::start().await);
    let (mut running, proxy) = between(&mut program, &app, notify(&hook), &[]).await;
    let path = "/relay/a?b=2%20x&a=1";
    let (mut platform, (mut app, request)) = tokio::join!(dial_signed(proxy, path), app.accept());
    assert_eq!(request.uri().to_string(), path);
    assert_eq!(request.headers()["host"], proxy.to_string(), "the app sees what was dialled");
    assert!(request.headers().contains_key("x-twilio-signature"));
    // Odd, and none of our business.
    let said = [setup("CA1", &json!({})), r#"{"type":"dtmf", "digit":"1"}"#.to_owned(), "{not json".to_owned()];
    for text in said.iter().cloned().chain(SEED_TURNS.map(prompt)) {
        platform.send(Message::text(text.clone())).await.unwrap();
        assert_eq!(next(&mut app).await, Message::text(text));
    }
    platform.send(Message::binary(vec![0, 255])).await.unwrap();
    assert_eq!(next(&mut app).await, Message::binary(vec![0, 255]));
    for text in [r#"{"type":"text","token":"One ","last":false}"#, r#"{"type":"text","token":"moment.","last":true}"#] {
        app.send(Message::text(text)).await.unwrap();
        assert_eq!(next(&mut platform).await, Message::text(text));
    }
    let attempt = hook.attempt().await;
    attempt.verify();
    attempt.answer(204).await;
    let escalation = running.event("escalation").await;
    assert_eq!((&escalation["room"], &escalation["session"]), (&json!("CA1"), &json!("VXCA1")));
    running.event("delivery").await;
    // Whatever code an app closes with, the platform hears.
    let frame = CloseFrame { code: 4001.into(), reason: "my reason".into() };
    app.close(Some(frame.clone())).await.unwrap();
    assert_eq!(next(&mut platform).await, Message::Close(Some(frame)));
    hang_up(platform, app).await;
    assert_eq!(running.event("ended").await["escalated"], true);
    running.signal("-TERM");
    assert_eq!(running.exit().await, Some(0));
    assert_eq!((running.count("turn"), running.count("escalation")), (3, 1), "{:#?}", running.seen);
    assert!(running.count("warning") >= 1, "what could not be heard is said: {:#?}", running.seen);
    assert!(hook.is_quiet_for(Duration::from_millis(300)).await);
}

#[tokio::test]
async fn who_does_not_sign_is_refused_and_the_app_hears_nothing() {
    let (mut program, app) = (Program::new(), Behind::start().await);
    let (_running, proxy) = between(&mut program, &app, json!({}), &[]).await;
    let other = sign(&format!("wss://{PUBLIC}/another"));
    let https = sign(&format!("https://{PUBLIC}/relay"));
    for signature in [None, Some(other.as_str()), Some(https.as_str()), Some("AAAA"), Some("")] {
        let refused = soon("an answer", dial(proxy, "/relay", signature)).await;
        assert!(
            matches!(&refused, Err(Error::Http(response)) if response.status() == 403),
            "{signature:?}: {refused:?}"
        );
    }
    let quiet = tokio::time::timeout(Duration::from_millis(300), app.listener.accept()).await;
    assert!(quiet.is_err(), "the app was dialled");
}

#[tokio::test]
async fn a_platform_that_does_not_sign_knows_the_token() {
    let (mut program, app) = (Program::new(), Behind::start().await);
    let (_running, proxy) = between(&mut program, &app, json!({}), &["--dialect", "telnyx"]).await;
    let refused = soon("an answer", dial(proxy, "/t0kem/relay", None)).await;
    assert!(matches!(&refused, Err(Error::Http(response)) if response.status() == 403), "{refused:?}");
    let (dialled, (_app, request)) = tokio::join!(dial(proxy, "/t0ken/relay?x=1", None), app.accept());
    dialled.unwrap();
    assert_eq!(request.uri().to_string(), "/relay?x=1", "the app does not see the token");
}

#[tokio::test]
async fn a_call_of_telnyx_is_heard_and_flagged() {
    let (mut program, app) = (Program::new(), Behind::start().await);
    let (mut running, proxy) = between(&mut program, &app, json!({}), &["--dialect", "telnyx"]).await;
    let (platform, (mut app, _)) = tokio::join!(dial(proxy, "/t0ken/relay", None), app.accept());
    let mut platform = platform.unwrap();
    let setup =
        json!({"type": "setup", "sessionId": "s-1", "callControlId": "v3:1", "from": "+14155550123"}).to_string();
    for said in [setup].into_iter().chain(SEED_TURNS.map(prompt)) {
        platform.send(Message::text(said.clone())).await.unwrap();
        assert_eq!(text(&mut app).await, said);
    }
    let escalation = running.event("escalation").await;
    assert_eq!((&escalation["room"], &escalation["action"]), (&json!("v3:1"), &json!("flag")));
    running.event("outcome").await;
    hang_up(platform, app).await;
    assert_eq!(running.event("ended").await["escalated"], true);
}

#[tokio::test]
async fn what_telnyx_cannot_do_is_refused_at_the_start() {
    let mut program = Program::new();
    program.secrets = vec![("SIDECAR_ROOM_TOKEN", "t0ken")];
    let listen = free_address().to_string();
    let where_to = ["proxy", "--dialect", "telnyx", "--listen", &listen, "--app-url", "ws://127.0.0.1:1"];
    let settings = ["sentimentEscalationEnabled=true", "sentimentEscalationTarget=+14155551234"];
    let settings = settings.iter().flat_map(|set| ["--set", set]).chain(["--action", "transfer"]);
    let mut command = program.command(&where_to.into_iter().chain(settings).collect::<Vec<_>>());
    let refused = soon("the end", command.stderr(std::process::Stdio::piped()).output()).await.unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(6) && said.contains("cannot hand a caller over"), "{said}");
}

#[tokio::test]
async fn without_its_app_a_call_is_refused_and_said() {
    let (mut program, gone) = (Program::new(), Behind::start().await);
    let (mut running, proxy) = between(&mut program, &gone, json!({}), &[]).await;
    drop(gone);
    let signature = sign(&format!("wss://{PUBLIC}/relay"));
    let refused = soon("an answer", dial(proxy, "/relay", Some(&signature))).await;
    assert!(matches!(&refused, Err(Error::Http(response)) if response.status() == 502), "{refused:?}");
    assert!(running.event("warning").await["detail"].as_str().unwrap().contains("the app was not reached"));
}

#[tokio::test]
async fn a_refusal_of_the_app_passes_and_is_said() {
    let (mut program, app) = (Program::new(), Behind::start().await);
    let (mut running, proxy) = between(&mut program, &app, json!({}), &[]).await;
    let signature = sign(&format!("wss://{PUBLIC}/relay"));
    let refusing = async {
        let (mut stream, _) = app.listener.accept().await.unwrap();
        stream.read_buf(&mut Vec::new()).await.unwrap();
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        stream
    };
    let (refused, _stream) =
        soon("an answer", async { tokio::join!(dial(proxy, "/relay", Some(&signature)), refusing) }).await;
    assert!(matches!(&refused, Err(Error::Http(response)) if response.status() == 404), "{refused:?}");
    assert!(running.event("warning").await["detail"].as_str().unwrap().contains("HTTP 404"));
}

async fn outcome(proxy: SocketAddr, fields: &[(&str, &str)], signature: Option<String>) -> u16 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let signed: String = sorted.iter().flat_map(|(name, value)| [*name, *value]).collect();
    let url = format!("https://{PUBLIC}{}", proxy::OUTCOME);
    let signature = signature.unwrap_or_else(|| sign(&(url + &signed)));
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("http://{proxy}{}", proxy::OUTCOME)).header("x-twilio-signature", signature);
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.finish());
    soon("an answer", request.send()).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_caller_is_handed_over_between_the_apps_words_and_the_outcome_comes_back() {
    let (mut program, behind) = (Program::new(), Behind::start().await);
    let settings = json!({"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234",
                          "sentimentSayDeadlineMs": 20000, "sentimentTransferDeadlineMs": 60000});
    let (mut running, proxy) = between(&mut program, &behind, settings, &[]).await;
    let (mut platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), behind.accept());
    let [first, second, third] = SEED_TURNS.map(prompt);
    for said in [setup("CA2", &json!({})), first, second] {
        platform.send(Message::text(said)).await.unwrap();
        text(&mut app).await;
    }
    // The app is in the middle of a sentence while the decision falls.
    let piece = |token: &str, last: bool| json!({"type": "text", "token": token, "last": last}).to_string();
    app.send(Message::text(piece("I see, ", false))).await.unwrap();
    assert_eq!(text(&mut platform).await, piece("I see, ", false));
    platform.send(Message::text(third)).await.unwrap();
    text(&mut app).await;
    running.event("escalation").await;
    app.send(Message::text(piece("well.", true))).await.unwrap();
    assert_eq!(text(&mut platform).await, piece("well.", true), "not before the app's sentence is whole");
    let said: Value = serde_json::from_str(&text(&mut platform).await).unwrap();
    assert_eq!((&said["type"], &said["last"]), (&json!("text"), &json!(true)));
    assert!(said["token"].as_str().unwrap().contains("supervisor"), "{said}");
    let end: Value = serde_json::from_str(&text(&mut platform).await).unwrap();
    assert_eq!(end["type"], "end");
    let handoff: Value = serde_json::from_str(end["handoffData"].as_str().unwrap()).unwrap();
    assert_eq!((&handoff["reason"], &handoff["callSid"]), (&json!("streak"), &json!("CA2")));
    assert_eq!(handoff["target"], "sentimentEscalationTarget");
    assert!(
        handoff["alertId"].as_str().unwrap().starts_with("alert_") && !end.to_string().contains("5551234"),
        "{end}"
    );
    hang_up(platform, app).await;

    // What is shut down takes no calls, and still hears what came of those it had.
    drop(behind);
    running.signal("-TERM");
    let signature = sign(&format!("wss://{PUBLIC}/relay"));
    soon("the proxy to drain", async {
        loop {
            match dial(proxy, "/relay", Some(&signature)).await {
                Err(Error::Http(response)) if response.status() == 503 => return,
                Err(Error::Http(response)) if response.status() == 502 => {}
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
    let fields = [("ParentCallSid", "CA2"), ("CallSid", "CA9"), ("CallStatus", "in-progress"), ("To", "+14155551234")];
    assert_eq!(outcome(proxy, &fields, Some(sign("forged"))).await, 403);
    assert_eq!(outcome(proxy, &[("CallSid", "CA2")], None).await, 422);
    assert_eq!(outcome(proxy, &fields, None).await, 200);
    assert_eq!(running.event("outcome").await["transfer"]["outcome"], "transferred");
    running.event("ended").await;
    assert_eq!(running.exit().await, Some(0));
    assert_eq!(running.count("escalation"), 1);
}

async fn told_busy(running: &mut Running, proxy: SocketAddr) {
    let fields = [("ParentCallSid", "CA3"), ("CallSid", "CA9"), ("CallStatus", "busy")];
    assert_eq!(outcome(proxy, &fields, None).await, 200);
    assert_eq!(running.event("outcome").await["transfer"]["outcome"], "busy");
}

#[tokio::test]
async fn a_call_that_comes_back_from_a_transfer_is_heard_on() {
    comes_back(false).await;
}

#[tokio::test]
async fn a_call_that_comes_back_after_the_outcome_is_heard_on_as_well() {
    comes_back(true).await;
}

async fn comes_back(first_told: bool) {
    let (mut program, behind) = (Program::new(), Behind::start().await);
    let settings = json!({"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234",
                          "sentimentSayDeadlineMs": 20000, "sentimentTransferDeadlineMs": 60000});
    let (mut running, proxy) = between(&mut program, &behind, settings, &[]).await;
    let (mut platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), behind.accept());
    for said in [setup("CA3", &json!({}))].into_iter().chain(SEED_TURNS.map(prompt)) {
        platform.send(Message::text(said)).await.unwrap();
        text(&mut app).await;
    }
    soon("the end of the session", async { while !text(&mut platform).await.contains("handoffData") {} }).await;
    hang_up(platform, app).await;
    // Whether Twilio first tells that nobody answered, or first goes on with the app's document, is a matter of chance.
    if first_told {
        told_busy(&mut running, proxy).await;
    }
    let (mut platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), behind.accept());
    let again = setup("CA3", &json!({})).replace("VXCA3", "VXCA3b");
    platform.send(Message::text(again)).await.unwrap();
    text(&mut app).await;
    if !first_told {
        told_busy(&mut running, proxy).await;
    }
    platform.send(Message::text(prompt("And now?"))).await.unwrap();
    text(&mut app).await;
    running.event("turn").await;
    hang_up(platform, app).await;
    running.event("ended").await;
    running.signal("-TERM");
    assert_eq!(running.exit().await, Some(0));
    assert_eq!((running.count("ended"), running.count("escalation")), (1, 1), "{:#?}", running.seen);
}

#[tokio::test]
async fn a_transfer_that_failed_holds_no_shutdown_up() {
    let (mut program, behind) = (Program::new(), Behind::start().await);
    let settings = json!({"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234",
                          "sentimentSayDeadlineMs": 20000, "sentimentTransferDeadlineMs": 60000});
    let (mut running, proxy) = between(&mut program, &behind, settings, &[]).await;
    let (mut platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), behind.accept());
    for said in [setup("CA3", &json!({}))].into_iter().chain(SEED_TURNS.map(prompt)) {
        platform.send(Message::text(said)).await.unwrap();
        text(&mut app).await;
    }
    soon("the end of the session", async { while !text(&mut platform).await.contains("handoffData") {} }).await;
    hang_up(platform, app).await;
    told_busy(&mut running, proxy).await;
    running.signal("-TERM");
    running.event("ended").await;
    assert_eq!(running.exit().await, Some(0));
}

#[tokio::test]
async fn a_call_is_heard_over_its_newest_connection_though_the_one_before_never_ends() {
    let (mut program, behind) = (Program::new(), Behind::start().await);
    let (mut running, proxy) = between(&mut program, &behind, json!({}), &[]).await;
    let (mut platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), behind.accept());
    for said in [setup("CA1", &json!({})), prompt(SEED_TURNS[0])] {
        platform.send(Message::text(said)).await.unwrap();
        text(&mut app).await;
    }
    running.event("turn").await;
    // Its network is gone, and nobody is told; Twilio dials again.
    let (mut again, (mut app_again, _)) = tokio::join!(dial_signed(proxy, "/relay"), behind.accept());
    for said in [setup("CA1", &json!({})), prompt(SEED_TURNS[1]), prompt(SEED_TURNS[2])] {
        again.send(Message::text(said)).await.unwrap();
        text(&mut app_again).await;
    }
    running.event("escalation").await;
    // The app hears that as well.
    soon("the connection before to end", async { while let Some(Ok(_)) = app.next().await {} }).await;
    hang_up(again, app_again).await;
    running.event("ended").await;
    running.signal("-TERM");
    assert_eq!(running.exit().await, Some(0));
    assert_eq!((running.count("ended"), running.count("turn")), (1, 3), "{:#?}", running.seen);
    drop(platform);
}

#[tokio::test]
async fn a_parameter_names_the_settings_of_a_call() {
    let (mut program, app) = (Program::new(), Behind::start().await);
    let folder = program.folder.path().join("agents");
    std::fs::create_dir(&folder).unwrap();
    let strict =
        json!({"sentimentEscalationEnabled": true, "sentimentWindowTurns": 1, "sentimentRaterDeadlineMs": 30000});
    std::fs::write(folder.join("strict.json"), strict.to_string()).unwrap();
    let folder = folder.display().to_string();
    let (mut running, proxy) = between(&mut program, &app, json!({}), &["--agents", &folder]).await;
    for (call, name) in [("CA1", "strict"), ("CA2", "../agent")] {
        let (mut platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), app.accept());
        for said in [setup(call, &json!({"sentimentAgent": name})), prompt(SEED_TURNS[0])] {
            platform.send(Message::text(said)).await.unwrap();
            text(&mut app).await;
        }
        let event = running.event(if call == "CA1" { "escalation" } else { "warning" }).await;
        assert_eq!(event["room"], call, "{event}");
        hang_up(platform, app).await;
        running.event("ended").await;
    }
}
