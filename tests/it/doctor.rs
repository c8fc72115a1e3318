//! `doctor`: each thing that can be wrong with a platform's setup, as the platform would see it.

use std::path::Path;
use std::time::Duration;

use sentiment_sidecar::config::settings::SipTransport;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wiremock::matchers::{header, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::room::tls;
use crate::sip::peers::Kamailio;
use crate::sip::sipp::{SERVER_ASKS, Sipp};
use crate::sip::tls_proxy::TlsProxy;
use crate::support::{Hook, Program, Room, SECRET, soon};

/// What `doctor` found and how it ended.
struct Diagnosis {
    findings: String,
    exit: Option<i32>,
}

impl Diagnosis {
    /// The line of a check, with its verdict.
    fn line(&self, verdict: &str, check: &str) -> &str {
        let fits = |line: &&str| line.split_whitespace().skip(1).take(2).eq([verdict, check]);
        let line = self.findings.lines().find(fits);
        line.unwrap_or_else(|| panic!("no {verdict} {check} in:\n{}", self.findings))
    }

    /// How many checks failed.
    fn failures(&self) -> usize {
        self.findings.lines().filter(|line| line.starts_with("✗ fail")).count()
    }
}

async fn doctor(program: &Program, flags: &[&str]) -> Diagnosis {
    doctor_with(program, flags, &[]).await
}

async fn doctor_with(program: &Program, flags: &[&str], env: &[(&str, &str)]) -> Diagnosis {
    let args = [&["doctor"], flags].concat();
    let output = soon("doctor", program.command(&args).envs(env.iter().copied()).output()).await.unwrap();
    let findings = String::from_utf8(output.stdout).unwrap();
    assert!(!findings.contains(SECRET), "a secret is shown");
    Diagnosis { findings, exit: output.status.code() }
}

/// Writes an agent document with `settings`.
fn agent(program: &Program, settings: &Value) -> String {
    let mut agent = json!({"name": "Support Agent", "sentimentEscalationEnabled": true});
    agent.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let file = program.folder.path().join("agent.json");
    std::fs::write(&file, agent.to_string()).unwrap();
    file.display().to_string()
}

fn transfer_by(peer: &Sipp, transport: &str) -> Value {
    json!({"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234",
        "sentimentSipListen": "127.0.0.1:0", "sentimentSipTransport": transport,
        "sentimentSipProxy": peer.address.to_string()})
}

#[tokio::test]
async fn all_is_well_with_a_room_a_receiver_and_a_store() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let agent = agent(
        &program,
        &json!({"sentimentEscalationAction": "notify", "sentimentNotifyWebhook": hook.url,
            "sentimentWebhookAllow": ["127.0.0.1"]}),
    );
    let flags = ["--agent", &agent, "--room-url", &room.url, "--room", "room_abc123"];
    let welcoming = async {
        let (mut connection, hello) = room.accept().await;
        assert_eq!(hello["room_name"], "room_abc123");
        connection.welcome(&["say"], false).await;
        connection.drain().await;
    };
    let (found, ()) = tokio::join!(doctor(&program, &flags), welcoming);
    assert_eq!((found.exit, found.failures()), (Some(0), 0), "{}", found.findings);
    assert!(found.line("ok", "settings").ends_with("3 consecutive turns rated below 3 lead to notify"));
    assert!(found.line("ok", "secrets").ends_with("set: webhook secret"));
    assert!(found.line("ok", "webhook").ends_with("nothing was sent"));
    assert!(found.line("ok", "room").ends_with("welcomed to room_abc123 with 2 participants"));
    assert!(found.line("ok", "store").ends_with("was made"), "there was none");
    found.line("skip", "sip");
    let again = doctor(&program, &["--set", "sentimentHumanRequests=2"]).await;
    assert!(again.line("ok", "store").ends_with("opens"));
    assert!(again.line("ok", "settings").contains("below 3, or 2 requests for a human lead to"), "{}", again.findings);
}

#[tokio::test]
async fn a_wrong_setting_is_named_with_what_is_allowed_and_ends_with_6() {
    let program = Program::new();
    let agent = agent(&program, &json!({"sentimentThreshold": 11, "sentimentTreshold": 4}));
    let found = doctor(&program, &["--agent", &agent]).await;
    assert_eq!((found.exit, found.failures()), (Some(6), 1), "{}", found.findings);
    found.line("fail", "settings");
    assert!(found.findings.contains("an integer from 1 to 10"), "{}", found.findings);
    assert!(found.findings.contains("did you mean sentimentThreshold?"), "{}", found.findings);
    // What does not depend on the settings is checked all the same.
    found.line("ok", "store");
    found.line("skip", "webhook");
}

#[tokio::test]
async fn a_dead_room_ends_with_7() {
    let program = Program::new();
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let found = doctor(&program, &["--room-url", &format!("ws://{address}/"), "--room", "room_abc123"]).await;
    assert_eq!((found.exit, found.failures()), (Some(7), 1), "{}", found.findings);
    assert!(found.line("fail", "room").contains("cannot be reached"), "{}", found.findings);
}

#[tokio::test]
async fn a_room_of_a_private_authority_is_reached_with_its_ca_file_only() {
    let program = Program::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (pem, acceptor) = tls::authority();
    let file = program.folder.path().join("ca.pem").display().to_string();
    std::fs::write(&file, pem).unwrap();
    let url = format!("wss://{}/", listener.local_addr().unwrap());
    let named = ["--room-url", url.as_str(), "--room", "room_abc123", "--ca-file", file.as_str()];
    let (found, joined) = tokio::join!(doctor(&program, &named[..4]), tls::join(&listener, &acceptor));
    assert!(joined.is_err());
    assert_eq!(found.exit, Some(7), "{}", found.findings);
    assert!(found.line("fail", "room").contains("certificate cannot be trusted"), "{}", found.findings);
    let (found, joined) = tokio::join!(doctor(&program, &named), tls::join(&listener, &acceptor));
    joined.unwrap();
    assert_eq!(found.exit, Some(0), "{}", found.findings);
    found.line("ok", "room");
}

#[tokio::test]
async fn an_unreadable_store_ends_with_9_and_is_left_alone() {
    const TEXT: &str = "this is no database, it is only some text that lies in its place";
    let program = Program::new();
    let store = program.store();
    std::fs::write(Path::new(&store), TEXT).unwrap();
    let found = doctor(&program, &[]).await;
    assert_eq!((found.exit, found.failures()), (Some(9), 1), "{}", found.findings);
    assert!(found.line("fail", "store").contains(&store), "{}", found.findings);
    assert_eq!(std::fs::read_to_string(&store).unwrap(), TEXT);
}

#[tokio::test]
async fn a_sip_peer_says_which_methods_it_allows() {
    let program = Program::new();
    for (transport, name) in [(SipTransport::Udp, "udp"), (SipTransport::Tcp, "tcp")] {
        let peer = Sipp::start("options", transport, 1, &[("allow", "INVITE, ACK, BYE, REFER, NOTIFY")]).await;
        let agent = agent(&program, &transfer_by(&peer, name));
        let found = doctor(&program, &["--agent", &agent]).await;
        assert_eq!(found.exit, Some(0), "{}", found.findings);
        let line = found.line("ok", "sip");
        assert!(line.contains("answers 200 OK"), "{line}");
        assert!(line.ends_with("takes REFER; allows INVITE ACK BYE REFER NOTIFY"), "{line}");
        let seen = peer.finish().await;
        assert!(seen.passed && seen.received[0].starts_with(b"OPTIONS sip:"), "{}", seen.errors);
    }
}

#[tokio::test]
async fn a_sip_peer_that_takes_no_refer_fails() {
    let program = Program::new();
    let peer = Sipp::start("options", SipTransport::Udp, 1, &[("allow", "INVITE, ACK, BYE")]).await;
    let agent = agent(&program, &transfer_by(&peer, "udp"));
    let found = doctor(&program, &["--agent", &agent]).await;
    assert_eq!((found.exit, found.failures()), (Some(1), 1), "{}", found.findings);
    assert!(found.line("fail", "sip").ends_with("does not allow REFER, only INVITE ACK BYE"), "{}", found.findings);
}

#[tokio::test]
async fn a_webhook_to_a_forbidden_address_is_refused_and_not_dialled() {
    let (hook, program) = (Hook::start().await, Program::new());
    // It would be allowed as plain http only when it is listed; as https the address itself is what is wrong.
    let url = hook.url.replace("http://", "https://");
    let agent = agent(&program, &json!({"sentimentEscalationAction": "notify", "sentimentNotifyWebhook": url}));
    let found = doctor(&program, &["--agent", &agent]).await;
    assert_eq!((found.exit, found.failures()), (Some(1), 1), "{}", found.findings);
    assert!(found.line("fail", "webhook").contains("127.0.0.1 is refused: loopback"), "{}", found.findings);
    assert!(hook.is_quiet_for(std::time::Duration::from_millis(100)).await, "a forbidden address was dialled");
}

#[tokio::test]
async fn an_llm_is_asked_one_neutral_question_with_the_key() {
    let program = Program::new();
    let key = ("SIDECAR_LLM_API_KEY", "k3y-hunter2");
    let server = MockServer::start().await;
    let content = json!({"sentiment": 5, "frustration": 0, "urgency": 0.1, "sarcasm": false, "description": ""});
    let answer = json!({"model": "gpt-4o-mini-2024-07-18", "choices": [
        {"message": {"content": content.to_string()}, "finish_reason": "stop"}]});
    Mock::given(path("/v1/chat/completions"))
        .and(header("authorization", "Bearer k3y-hunter2"))
        .respond_with(ResponseTemplate::new(200).set_body_json(&answer))
        .mount(&server)
        .await;
    Mock::given(path("/v1/chat/completions")).respond_with(ResponseTemplate::new(401)).mount(&server).await;
    let slow = ResponseTemplate::new(200).set_body_json(&answer).set_delay(Duration::from_millis(50));
    Mock::given(path("/slow/chat/completions")).respond_with(slow).mount(&server).await;
    let chats = json!({"choices": [{"message": {"content": "I would say it is a five."}, "finish_reason": "stop"}]});
    let chatty = ResponseTemplate::new(200).set_body_json(chats);
    Mock::given(path("/chatty/chat/completions")).respond_with(chatty).mount(&server).await;

    let url = |at: &str| format!("llmUrl={}/{at}?secret=hunter2", server.uri());
    let found = doctor_with(&program, &["--set", &url("v1"), "--set", "llmDeadlineMs=1900"], &[key]).await;
    assert_eq!((found.exit, found.failures()), (Some(0), 0), "{}", found.findings);
    let line = found.line("ok", "llm");
    assert!(line.contains("rates a neutral turn with gpt-4o-mini-2024-07-18 for gpt-4o-mini in "), "{line}");
    assert!(!found.findings.contains("hunter2"), "{}", found.findings);
    assert_eq!(server.received_requests().await.unwrap().len(), 1);

    let late = doctor_with(&program, &["--set", &url("slow"), "--set", "llmDeadlineMs=10"], &[key]).await;
    assert_eq!(late.exit, Some(0), "{}", late.findings);
    assert!(late.line("warn", "llm").contains("later than llmDeadlineMs (10)"), "{}", late.findings);

    for (at, key, problem, mend) in [
        ("v1", ("SIDECAR_LLM_API_KEY", "wr0ng-hunter2"), "HTTP status 401", "which it does not take"),
        ("v1", ("HOME", "/nonexistent"), "HTTP status 401", "set SIDECAR_LLM_API_KEY"),
        ("v2", key, "HTTP status 404", "the part before /chat/completions"),
        ("chatty", key, "no rating", "llmModel that keeps to a JSON schema"),
    ] {
        let found = doctor_with(&program, &["--set", &url(at)], &[key]).await;
        assert_eq!((found.exit, found.failures()), (Some(1), 1), "{}", found.findings);
        assert!(found.line("fail", "llm").contains(problem), "{}", found.findings);
        assert!(found.findings.contains(mend) && !found.findings.contains("hunter2"), "{}", found.findings);
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let found = doctor(&program, &["--set", &format!("llmUrl=http://{nobody}/v1")]).await;
    assert_eq!(found.exit, Some(1), "{}", found.findings);
    assert!(found.line("fail", "llm").contains("cannot be reached"), "{}", found.findings);
}

/// The screen of `doctor --sip`, with what changes from run to run left out.
fn screen(found: &Diagnosis, peer: &str) -> String {
    let mut shown = String::new();
    for line in found.findings.replace(peer, "PEER").lines() {
        let words = line.split(' ').map(|word| if word.starts_with("127.0.0.1:") { "OURS," } else { word });
        let line = words.collect::<Vec<_>>().join(" ");
        let line = match line.rsplit_once(" in ").filter(|(_, time)| time.ends_with(" ms")) {
            Some((before, _)) => format!("{before} in N ms"),
            None => line,
        };
        shown += &format!("{}\n", line.trim_end());
    }
    shown
}

#[tokio::test]
async fn one_screen_says_that_a_transfer_would_work_and_how() {
    let (kamailio, mut program) = (Kamailio::start().await, Program::new());
    program.secrets.push(("SIDECAR_SIP_PASSWORD", "p"));
    let peer = kamailio.address.to_string();
    for transport in ["udp", "tcp"] {
        let agent = agent(
            &program,
            &json!({"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234",
                "sentimentSipListen": "127.0.0.1:0", "sentimentSipTransport": transport, "sentimentSipProxy": peer,
                "sentimentSipUser": "kam", "sentimentTransferMode": "attended"}),
        );
        let found = doctor(&program, &["--agent", &agent, "--sip"]).await;
        assert_eq!(found.exit, Some(0), "{}", found.findings);
        insta::allow_duplicates! {
            insta::assert_snapshot!(screen(&found, &peer).replace(transport, "TRANSPORT"), @r"
            ✓ ok    settings  3 consecutive turns rated below 3 lead to transfer
            ! warn  settings  a failed transfer only flags the session; set sentimentNotifyWebhook to alert supervisors
            ✓ ok    secrets   set: webhook secret, SIP password
            ✓ ok    target    a number of country code 1
            ✓ ok    listen    OURS, UDP and TCP
            ✓ ok    resolve   PEER: TRANSPORT PEER
            ✓ ok    reach     TRANSPORT PEER answers 200 OK in N ms
            ✓ ok    login     was asked for, and taken
            ✓ ok    inside    it allows REFER
            ✓ ok    outside   it supports tdialog, so rooms need not reserve a CSeq
            ✓ ok    attended  it allows INVITE and supports replaces
            ");
        }
    }
}

#[tokio::test]
async fn one_screen_says_it_over_tls_too_and_what_the_peer_does_not_say() {
    let (proxy, program) = (TlsProxy::start(&["127.0.0.1"]).await, Program::new());
    let peer = proxy.address.to_string();
    let settings = json!({"sentimentSipListen": "127.0.0.1:0", "sentimentSipTransport": "tls", "sentimentSipCaFile": proxy.ca_file()});
    let agent = agent(&program, &settings);
    let found = doctor(&program, &["--agent", &agent, &format!("--sip={peer}")]).await;
    assert_eq!(found.exit, Some(0), "{}", found.findings);
    insta::assert_snapshot!(screen(&found, &peer), @r"
    ✓ ok    settings  3 consecutive turns rated below 3 lead to flag
    ✓ ok    secrets   set: webhook secret
    ! warn  target    the action is flag, so nobody is transferred
    ✓ ok    listen    OURS, UDP and TCP
    ✓ ok    resolve   PEER: tls PEER
    ✓ ok    reach     tls PEER answers 200 OK in N ms
    - skip  login     was not asked for, and there is none
    ! warn  inside    it does not say whether it allows REFER
    ! warn  outside   it does not say that it supports tdialog: let rooms hand over a reserved CSeq
    - skip  attended  sentimentTransferMode is blind
    ");
}

#[tokio::test]
async fn one_screen_says_at_which_step_a_transfer_would_fail() {
    let (kamailio, program) = (Kamailio::start().await, Program::new());
    let peer = kamailio.address.to_string();
    let transfer = json!({"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234",
        "sentimentSipListen": "127.0.0.1:0"});
    let agent = agent(&program, &transfer);
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let deaf = Sipp::start("options", SipTransport::Udp, 1, &[("allow", "INVITE, ACK, BYE")]).await;
    for (peer, step, problem) in [
        (format!("sip:{peer}"), "login", "set sentimentSipUser and SIDECAR_SIP_PASSWORD"),
        (format!("sip:{nobody};transport=tcp"), "reach", "refused"),
        ("sip:a b".to_owned(), "resolve", "not a SIP peer"),
        (format!("sip:{}", deaf.address), "inside", "does not allow REFER, only INVITE ACK BYE"),
    ] {
        let found = doctor(&program, &["--agent", &agent, &format!("--sip={peer}")]).await;
        assert_eq!((found.exit, found.failures()), (Some(1), 1), "{}", found.findings);
        assert!(found.line("fail", step).contains(problem), "{}", found.findings);
    }
    let found = doctor(&program, &["--agent", &agent, "--sip"]).await;
    assert!(found.line("fail", "resolve").contains("each call names its peer"), "{}", found.findings);
    assert!(found.findings.contains("mend: name one of them: --sip=sip:HOST"), "{}", found.findings);
}

#[tokio::test]
async fn a_login_is_taken_only_where_the_peer_s_answer_says_so() {
    let mut program = Program::new();
    program.secrets.push(("SIDECAR_SIP_PASSWORD", "pass"));
    let (server, proxy) = (&SERVER_ASKS[..], &[][..]);
    for (challenge, status, verdict, check, said) in [
        (server, "200 OK", "ok", "login", "was asked for, and taken"),
        (proxy, "200 OK", "ok", "login", "was asked for, and taken"),
        (server, "403 Forbidden", "fail", "login", "it does not take our user and password (Forbidden)"),
        (proxy, "403 Forbidden", "fail", "login", "it does not take our user and password (Forbidden)"),
        (proxy, "404 Not Found", "warn", "login", "404 does not say whether it was taken"),
        (proxy, "503 Service Unavailable", "fail", "reach", "answers 503 Service Unavailable"),
        (proxy, "501 Not Implemented", "warn", "reach", "answers 501 Not Implemented"),
    ] {
        let failures = usize::from(verdict == "fail");
        // Step by step, and in one line without the flag.
        for flags in [&["--sip"][..], &[]] {
            let keys = [challenge, &[("status", status)]].concat();
            let peer = Sipp::start("options_challenged", SipTransport::Udp, 1, &keys).await;
            let mut settings = transfer_by(&peer, "udp");
            settings["sentimentSipUser"] = json!("sidecar");
            let agent = agent(&program, &settings);
            let found = doctor(&program, &[&["--agent", &agent], flags].concat()).await;
            assert_eq!((found.exit, found.failures()), (i32::try_from(failures).ok(), failures), "{}", found.findings);
            if flags.is_empty() {
                let taken = found.findings.contains(", login taken");
                assert_eq!(taken, status == "200 OK", "{}", found.findings);
                found.line(verdict, "sip");
            } else {
                assert!(found.line(verdict, check).contains(said), "{}", found.findings);
            }
            let mends = ["check sentimentSipUser", "SIDECAR_SIP_PASSWORD", "look into its own log"];
            assert_eq!(mends.iter().any(|mend| found.findings.contains(mend)), verdict == "fail", "{}", found.findings);
            let seen = peer.finish().await;
            assert!(seen.passed, "{}", seen.errors);
            let header = if challenge.is_empty() { "Proxy-Authorization" } else { "Authorization" };
            assert_eq!(seen.with_header(header), 1, "{header}");
        }
    }
}
