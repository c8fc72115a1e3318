//! Who is let in by a signature: `proxy` and the validators of Twilio's own packages, for Python and for Node, say the same of each.
//! What they say otherwise stands beside the case, with why.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sentiment_sidecar::web::proxy::OUTCOME;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{run, script, vendors};
use crate::sip::sipp::free_port;
use crate::support::{Program, Running, soon};

const TOKEN: &str = "12345";
const SHA256: &str = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256";

/// What somebody asks for, and what was signed for it.
struct Case {
    url: &'static str,
    form: Value,
    signed: (String, Value),
    token: &'static str,
    hash: &'static str,
    algorithm: &'static str,
    right: Right,
}

/// Who says that a signature is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    All,
    Nobody,
    /// Why we alone do.
    Ours(&'static str),
    /// Why we alone do not.
    Theirs(&'static str),
    /// Why the one for Node alone does.
    Node(&'static str),
}

impl Case {
    fn new(url: &'static str, signed: &str, right: Right) -> Self {
        let (form, signed) = (json!({}), (signed.to_owned(), json!({})));
        Self { url, form, signed, token: TOKEN, hash: "HMAC_SHA1", algorithm: "", right }
    }

    fn of_form(url: &'static str, form: Value, signed: (&str, Value), right: Right) -> Self {
        let signed = (signed.0.to_owned(), signed.1);
        Self { form, signed, ..Self::new(url, "", right) }
    }
}

fn connections() -> Vec<Case> {
    let good = [
        "wss://voice.example/relay",
        "wss://voice.example/",
        "wss://voice.example/relay?x=1",
        "wss://voice.example/relay?b=2&a=1",
        "wss://voice.example/relay?a=x%20y",
        "wss://voice.example/relay?a=x+y",
        "wss://voice.example/relay?empty=&b=1",
        "wss://voice.example/relay?a=1&a=2",
        "wss://voice.example/relay?it=it's",
        "wss://voice.example/a%2Fb",
        "wss://voice.example/%C3%BC?n=%C3%BC",
        "wss://voice.example:443/relay",
        "wss://voice.example:8443/relay?x=1",
    ];
    let mut cases: Vec<Case> = good.into_iter().map(|url| Case::new(url, url, Right::All)).collect();
    let relay = "wss://voice.example/relay";
    let query = "wss://voice.example/relay?b=2&a=x+y";
    cases.extend([
        Case::new("wss://voice.example:8443/relay", relay, Right::All),
        Case::of_form(query, json!({}), (relay, json!({"a": "x y", "b": "2"})), Right::All),
        Case { hash: "HMAC_SHA256", algorithm: SHA256, ..Case::new(relay, relay, Right::All) },
        Case { algorithm: "algorithm=HMAC_SHA1", ..Case::new(relay, relay, Right::All) },
        Case::new(relay, "wss://voice.example/other", Right::Nobody),
        Case::new(relay, "wss://voice.example/relay/", Right::Nobody),
        Case::new(relay, "wss://voice.example/Relay", Right::Nobody),
        Case::new(relay, "wss://other.example/relay", Right::Nobody),
        Case::new(relay, "wss://voice.example:8443/relay", Right::Nobody),
        Case::new(relay, "https://voice.example/relay", Right::Nobody),
        Case::new(relay, "ws://voice.example/relay", Right::Nobody),
        Case::new(relay, "wss://voice.example/relay?x=1", Right::Nobody),
        Case::new(query, relay, Right::Nobody),
        Case::new(query, "wss://voice.example/relay?a=x+y&b=2", Right::Nobody),
        Case::of_form(query, json!({}), (relay, json!({"a": "x y", "b": "3"})), Right::Nobody),
        Case { token: "54321", ..Case::new(relay, relay, Right::Nobody) },
        Case { hash: "HMAC_SHA256", ..Case::new(relay, relay, Right::Nobody) },
        Case { algorithm: SHA256, ..Case::new(relay, relay, Right::Nobody) },
        Case { algorithm: "key=k,algorithm=HMAC_SHA512", ..Case::new(relay, relay, Right::Nobody) },
        Case::new(
            relay,
            "wss://voice.example:443/relay",
            Right::Ours("whoever dials leaves out the port that is wss's own, whatever stands in the TwiML"),
        ),
        Case::new(
            relay,
            "wss://voice.example:80/relay",
            Right::Theirs("they take 80 for the port of all that is not https; wss at port 80 is another place"),
        ),
        Case::new(
            "wss://voice.example/relay?it=it's",
            "wss://voice.example/relay?it=it%27s",
            Right::Node("it also takes what a parser of URLs makes of an address; Twilio signs what it dials"),
        ),
    ]);
    cases
}

fn forms() -> Vec<Case> {
    let url = "https://voice.example/sentiment-sidecar/outcome";
    let asked = "https://voice.example/sentiment-sidecar/outcome?x=1";
    let form = json!({"CallSid": "CA9", "CallStatus": "busy", "ParentCallSid": "CA1", "To": "+1 (415) 555é&="});
    let other = json!({"CallSid": "CA9", "CallStatus": "completed", "ParentCallSid": "CA1"});
    let mut with_query = form.clone();
    with_query["x"] = "1".into();
    vec![
        Case::of_form(url, form.clone(), (url, form.clone()), Right::All),
        Case::of_form(asked, form.clone(), (asked, form.clone()), Right::All),
        Case::of_form(asked, form.clone(), (url, with_query), Right::Nobody),
        Case::of_form(url, form.clone(), (url, other), Right::Nobody),
        Case::of_form(url, form.clone(), (url, json!({})), Right::Nobody),
        Case::of_form(url, form.clone(), ("wss://voice.example/sentiment-sidecar/outcome", form), Right::Nobody),
    ]
}

/// What Twilio's own package signs, and whether it says that it is good.
async fn theirs(cases: &[Case], program: &Path, with: &Path) -> Vec<(String, bool)> {
    let told = cases.iter().map(|case| {
        json!({"url": case.url, "form": case.form, "signed": [case.signed.0, case.signed.1], "key": TOKEN,
               "token": case.token, "hash": case.hash, "algorithm": case.algorithm})
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cases.json");
    std::fs::write(&file, Value::from_iter(told).to_string()).unwrap();
    let (found, well) = run(program, &[with, &file]).await;
    assert!(well, "{found}");
    let answers: Vec<Value> = serde_json::from_str(&found).unwrap_or_else(|error| panic!("{error}: {found}"));
    answers.iter().map(|one| (one["signature"].as_str().unwrap().to_owned(), one["good"] == true)).collect()
}

/// The status that the proxy answers a request with.
async fn asked(proxy: SocketAddr, case: &Case, signature: &str) -> u16 {
    let (scheme, rest) = case.url.split_once("://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let settings = match case.algorithm {
        "" => String::new(),
        algorithm => format!("X-Twilio-Webhooks-Signature-Settings: {algorithm}\r\n"),
    };
    let known = format!("Host: {host}\r\nX-Twilio-Signature: {signature}\r\n{settings}");
    let request = if scheme == "wss" {
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
                       dGhlIHNhbXBsZSBub25jZQ==\r\n";
        format!("GET {path} HTTP/1.1\r\n{known}{upgrade}\r\n")
    } else {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(case.form.as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap())));
        let body = body.finish();
        format!("POST {path} HTTP/1.1\r\n{known}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("an answer", stream.read_to_string(&mut answer)).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The program, with an app that nobody can dial, once it listens.
async fn proxy(program: &mut Program) -> (Running, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (listen, nobody) = (address.to_string(), format!("ws://127.0.0.1:{}", free_port()));
    program.secrets = vec![("SIDECAR_TWILIO_AUTH_TOKEN", TOKEN)];
    let running = program.run(&["proxy", "--dialect", "twilio", "--listen", &listen, "--app-url", &nobody]);
    soon("the proxy to listen", async {
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    (running, address)
}

#[tokio::test]
async fn twilios_own_validators_let_in_whom_we_let_in() {
    let cases: Vec<Case> = connections().into_iter().chain(forms()).collect();
    let urls: BTreeSet<&str> = cases.iter().flat_map(|case| [case.url, case.signed.0.as_str()]).collect();
    assert!(urls.len() >= 20 && urls.iter().any(|url| url.ends_with(OUTCOME)), "{}", urls.len());
    let python = theirs(&cases, &vendors().join("python/bin/python"), &script("signatures.py")).await;
    // Node looks for packages beside the script.
    let beside = vendors().join("signatures.cjs");
    std::fs::copy(script("signatures.cjs"), &beside).unwrap();
    let node = theirs(&cases, Path::new("node"), &beside).await;
    let mut program = Program::new();
    let (_running, address) = proxy(&mut program).await;
    for ((case, python), node) in cases.iter().zip(python).zip(node) {
        let about = format!("{} signed as {:?}, {:?}", case.url, case.signed, case.right);
        assert_eq!(python.0, node.0, "they sign alike: {about}");
        let status = asked(address, case, &python.0).await;
        assert!([403, if case.url.starts_with("wss") { 502 } else { 200 }].contains(&status), "{status}: {about}");
        let right = match case.right {
            Right::All => [true, true, true],
            Right::Nobody => [false, false, false],
            Right::Ours(_) => [true, false, false],
            Right::Theirs(_) => [false, true, true],
            Right::Node(_) => [false, false, true],
        };
        assert_eq!([status != 403, python.1, node.1], right, "ours, Python's, Node's: {about}");
    }
}
