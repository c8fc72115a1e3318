//! The review pages, as browsers and programs use them.

mod board;
mod browser;
mod described;
mod furniture;
mod in_browser;
mod load;

use std::process::Stdio;

use sentiment_sidecar::alert::outgoing::Outgoing;
use sentiment_sidecar::alert::record::{StoreWrite, WebhookPlan};
use sentiment_sidecar::alert::{Alert, AlertTurn};
use sentiment_sidecar::clock::unix_ms;
use sentiment_sidecar::config::settings::{ActionKind, AllowEntry, WebhookDetail};
use sentiment_sidecar::sentiment::{Sentiment, Speaker};
use sentiment_sidecar::store::{Store, StoreUrl};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt as _, BufReader};
use tokio::process::Child;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Program, soon};

const TOKEN: &str = "t0ken-of-a-supervisor";
/// SHA-256 of "abc".
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/// SHA-256 of "of-sam".
const OF_SAM: &str = "646a3391796280abed49a5d405d734a6d1bc6418c3939ef1a0582f4eb0087026";
const SCRIPT: &str = "<script>alert(1)</script>";

/// The program at work, with one alert in its store.
struct Pages {
    program: Program,
    url: String,
    id: String,
    receiver: MockServer,
    child: Child,
}

fn client() -> reqwest::Client {
    // One for the whole process; whoever comes later finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let policy = reqwest::redirect::Policy::none();
    reqwest::Client::builder().redirect(policy).no_proxy().build().unwrap()
}

impl Pages {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with these arguments besides.
    async fn start_with(more: &[&str]) -> Self {
        let program = Program::new();
        let receiver = MockServer::start().await;
        Mock::given(method("POST")).respond_with(ResponseTemplate::new(204)).mount(&receiver).await;
        let id = alert(&program, &receiver).await;
        let users = program.folder.path().join("users.json");
        let viewer = json!([{"name": "vera", "role": "viewer", "token_sha256": ABC},
            {"name": "sam", "role": "supervisor", "token_sha256": OF_SAM}]);
        std::fs::write(&users, viewer.to_string()).unwrap();
        let users = users.display().to_string();
        let args = [&["review", "--listen", "127.0.0.1:0", "--users", &users], more].concat();
        let mut command = program.command(&args);
        command.env("SIDECAR_REVIEW_TOKEN", TOKEN).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon("the pages", lines.next_line()).await.unwrap().unwrap();
        let url = line.rsplit(' ').next().unwrap().trim_end_matches('/').to_owned();
        Self { program, url, id, receiver, child }
    }

    async fn get(&self, path: &str, cookie: &str) -> (u16, String) {
        let request = client().get(format!("{}{path}", self.url)).header("cookie", cookie);
        let response = soon(path, request.send()).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn post(&self, path: &str, cookie: &str, form: &[(&str, &str)], site: Option<&str>) -> u16 {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let mut request = client().post(format!("{}{path}", self.url)).header("cookie", cookie);
        request = request.header("content-type", "application/x-www-form-urlencoded").body(body.finish());
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        soon(path, request.send()).await.unwrap().status().as_u16()
    }

    /// Logs in; the cookie, without its attributes, and all of it.
    async fn log_in(&self, token: &str, to: &str) -> Option<(String, String, String)> {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs([("token", token), ("to", to)]);
        let request = client().post(format!("{}/login", self.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.finish());
        let response = soon("the login", request.send()).await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let whole = header("set-cookie")?;
        Some((whole.split(';').next().unwrap().to_owned(), whole, header("location").unwrap()))
    }

    async fn api(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        let mut request = client().get(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = soon(path, request.send()).await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    async fn store(&self) -> Store {
        let url: StoreUrl = self.program.store().parse().unwrap();
        Store::open(&url).await.unwrap()
    }
}

/// Writes an alert of a caller who speaks HTML, whose webhook was given up.
async fn alert(program: &Program, receiver: &MockServer) -> String {
    let url: StoreUrl = program.store().parse().unwrap();
    let store = Store::open(&url).await.unwrap();
    let turn =
        AlertTurn { speaker: Speaker::Caller, text: SCRIPT.to_owned(), sentiment: Some(Sentiment::clamped(1.5)) };
    let alert = Alert {
        room_name: "room_abc123".to_owned(),
        description: format!("Caller angry: {SCRIPT}"),
        history: vec![Sentiment::clamped(4.0), Sentiment::clamped(1.5)],
        last_turns: vec![turn],
        ..Alert::test(ActionKind::Notify, unix_ms())
    };
    let id = alert.id.to_string();
    store.session_started(&alert.session_id, &alert.room_name, unix_ms()).await.unwrap();
    let allow = vec![AllowEntry::Net("127.0.0.0/8".parse().unwrap())];
    let outgoing = Outgoing::webhook(receiver.uri().parse().unwrap(), WebhookDetail::Seed, allow, 5_000);
    let write = StoreWrite::Alert { alert, webhook: WebhookPlan::Send, transfer_cap: None };
    store.write(&write, &[outgoing], unix_ms()).await.unwrap();
    store.close().await;
    id
}

/// What seals the forms of a page.
fn seal(page: &str) -> &str {
    page.split("name=\"seal\" value=\"").nth(1).unwrap().split('"').next().unwrap()
}

#[tokio::test]
async fn a_supervisor_follows_an_alerts_link_sees_why_claims_judges_and_sends_again() {
    let pages = Pages::start().await;
    let path = format!("/alerts/{}", pages.id);
    let (status, _) = pages.get(&path, "").await;
    assert_eq!(status, 303, "a stranger is sent to log in");
    let (cookie, whole, to) = pages.log_in(TOKEN, &path).await.unwrap();
    assert_eq!(to, path, "and comes back to the alert");
    for part in ["HttpOnly", "SameSite=Lax", "Max-Age=43200"] {
        assert!(whole.contains(part), "{whole}");
    }
    let (status, page) = pages.get(&path, &cookie).await;
    assert_eq!(status, 200);
    assert!(page.contains("&#60;script&#62;") && !page.contains("<script"), "what a caller says is no script: {page}");
    assert!(page.contains("I take it") && page.contains("2 ratings from 1"), "{page}");
    let seal = seal(&page).to_owned();

    assert_eq!(pages.post(&format!("{path}/claim"), &cookie, &[("seal", &seal)], Some("same-origin")).await, 303);
    assert!(pages.get(&path, &cookie).await.1.contains("You look after this caller."));
    let said = [("seal", seal.as_str()), ("verdict", "late"), ("note", "asked <b>twice</b>")];
    assert_eq!(pages.post(&format!("{path}/verdict"), &cookie, &said, Some("same-origin")).await, 303);
    assert_eq!(pages.post(&format!("{path}/resend"), &cookie, &[("seal", &seal)], Some("same-origin")).await, 303);
    assert_eq!(pages.receiver.received_requests().await.unwrap().len(), 1);
    let (_, page) = pages.get(&path, &cookie).await;
    assert!(page.contains("webhook, attempt 1: delivered (204)") && page.contains("asked &#60;b&#62;twice"), "{page}");
    assert!(!page.contains("Send again"), "all have it");
    let (_, list) = pages.get("/alerts?verdict=late", &cookie).await;
    assert!(list.contains(&pages.id) && list.contains("100.0 % of 1 judged alerts were needed"), "{list}");
    assert!(pages.get("/alerts?verdict=wrong", &cookie).await.1.contains("All quiet: no alert fits."));

    let store = pages.store().await;
    let done = store.audited(&pages.id.clone().into()).await.unwrap();
    let done: Vec<&str> = done.iter().map(|one| one.what.as_str()).collect();
    assert_eq!(done, ["read", "claim", "read", "verdict late", "resend", "read"]);

    // Another host of the domain has set a cookie of the same name.
    assert_eq!(pages.get("/alerts", &format!("sidecar_review=a.viewer.1.b; {cookie}")).await.0, 200);
    assert_eq!(pages.post("/logout", &cookie, &[("seal", &seal)], None).await, 303);
}

#[tokio::test]
async fn of_two_supervisors_who_work_on_one_alert_neither_undoes_the_others_unseen() {
    let pages = Pages::start().await;
    let path = format!("/alerts/{}", pages.id);
    let (dana, ..) = pages.log_in(TOKEN, "/").await.unwrap();
    let (sam, ..) = pages.log_in("of-sam", "/").await.unwrap();
    let (danas, sams) = (pages.get(&path, &dana).await.1, pages.get(&path, &sam).await.1);
    let claim = format!("{path}/claim");
    assert_eq!(pages.post(&claim, &sam, &[("seal", seal(&sams))], None).await, 303);
    assert_eq!(pages.post(&claim, &dana, &[("seal", seal(&danas))], None).await, 303);
    let store = pages.store().await;
    let id = pages.id.clone().into();
    assert_eq!(store.claimed(&id).await.unwrap().unwrap().by, "sam");
    assert!(pages.get(&path, &dana).await.1.contains("Take over from sam"));
    let from = |from| [("seal", seal(&danas)), ("from", from)];
    assert_eq!(pages.post(&claim, &dana, &from("vera"), None).await, 303);
    assert_eq!(store.claimed(&id).await.unwrap().unwrap().by, "sam", "they never had it");
    assert_eq!(pages.post(&claim, &dana, &from("sam"), None).await, 303);
    assert_eq!(store.claimed(&id).await.unwrap().unwrap().by, "supervisor");

    let verdict = format!("{path}/verdict");
    let known =
        |page: &str| page.split("name=\"said_ms\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let (before, seal_of_dana, seal_of_sam) = (known(&sams), seal(&danas), seal(&sams));
    let says = |seal, verdict, note, known| [("seal", seal), ("verdict", verdict), ("note", note), ("said_ms", known)];
    let (mine, theirs) = (says(seal_of_sam, "late", "loud", &before), says(seal_of_dana, "wrong", "<i>no", &before));
    assert_eq!(pages.post(&verdict, &sam, &mine, None).await, 303);
    assert_eq!(pages.post(&verdict, &sam, &mine, None).await, 303, "said twice");
    assert_eq!(pages.post(&verdict, &dana, &theirs, None).await, 409);
    assert_eq!(store.verdict(&id).await.unwrap().unwrap().note, "loud");
    let now = known(&pages.get(&path, &dana).await.1);
    assert_eq!(pages.post(&verdict, &dana, &says(seal_of_dana, "wrong", "no", &now), None).await, 303);
    assert_eq!(store.verdict(&id).await.unwrap().unwrap().note, "no");

    let done = store.audited(&id).await.unwrap();
    let done: Vec<_> = done.iter().filter(|one| one.what != "read").map(|one| (&*one.who, &*one.what)).collect();
    let changes =
        [("sam", "claim"), ("supervisor", "take over from sam"), ("sam", "verdict late"), ("sam", "verdict late")];
    assert_eq!(done[..4], changes);
    assert_eq!(done[4..], [("supervisor", "verdict wrong")]);
}

#[tokio::test]
async fn what_is_not_from_a_page_of_ones_own_changes_nothing() {
    let pages = Pages::start().await;
    let path = format!("/alerts/{}/verdict", pages.id);
    let (mine, ..) = pages.log_in(TOKEN, "/").await.unwrap();
    let (vera, ..) = pages.log_in("abc", "/").await.unwrap();
    let (_, page) = pages.get("/", &mine).await;
    let (_, veras) = pages.get("/", &vera).await;
    let wrong = |seal| [("seal", seal), ("verdict", "wrong")];
    for (cookie, seal, site, status) in [
        (mine.as_str(), "", None, 403),
        (&mine, seal(&veras), None, 403),
        (&mine, seal(&page), Some("cross-site"), 403),
        (&mine, seal(&page), Some("same-site"), 403),
        (&vera, seal(&veras), Some("same-origin"), 403),
        ("", seal(&page), None, 303),
        ("sidecar_review=a.supervisor.9999999999.b", seal(&page), None, 303),
    ] {
        assert_eq!(pages.post(&path, cookie, &wrong(seal), site).await, status, "{cookie} {site:?}");
    }
    assert!(pages.store().await.verdict(&pages.id.clone().into()).await.unwrap().is_none());
    // An alert that there is not leads nowhere, whatever it is called.
    for nowhere in ["/alerts/nothing/release", "/alerts/..%2f%0d%0aset-cookie:x/release", "/alerts/nothing/claim"] {
        assert_eq!(pages.post(nowhere, &mine, &[("seal", seal(&page))], None).await, 404, "{nowhere}");
    }
    // A viewer sees the words, and no button.
    let (_, page) = pages.get(&format!("/alerts/{}", pages.id), &vera).await;
    assert!(page.contains("Caller angry") && !page.contains("I take it"), "{page}");
    for elsewhere in ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"] {
        assert_eq!(pages.log_in(TOKEN, elsewhere).await.unwrap().2, "/", "{elsewhere}");
    }
}

#[tokio::test]
async fn tokens_cannot_be_guessed_and_pages_cannot_be_framed_or_scripted() {
    let pages = Pages::start().await;
    let response = client().get(format!("{}/login", pages.url)).send().await.unwrap();
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(response.headers()["cache-control"], "no-store");
    for _ in 0..10 {
        assert!(pages.log_in("guess", "/").await.is_none());
    }
    assert_eq!(pages.api("/api/v1/alerts", Some("guess")).await.0, 429);
    // Behind a proxy everybody comes from one address: a job with a stale token must lock out nobody who has a right one.
    assert!(pages.log_in(TOKEN, "/").await.is_some());
    assert_eq!(pages.api("/api/v1/alerts", Some(TOKEN)).await.0, 200);
}

#[tokio::test]
async fn who_has_sent_half_a_request_does_not_keep_it_from_ending() {
    let mut pages = Pages::start().await;
    let mut half = tokio::net::TcpStream::connect(pages.url.trim_start_matches("http://")).await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n").await.unwrap();
    // It is being served once another one after it was.
    assert_eq!(pages.get("/login", "").await.0, 200);
    let pid = pages.child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").arg(pid).status().unwrap().success());
    let status = soon("the pages to end", pages.child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    drop(half);
}

#[tokio::test]
async fn programs_read_the_same_and_judge_with_a_token() {
    let pages = Pages::start().await;
    assert_eq!(pages.api("/api/v1/alerts", None).await.0, 401);
    assert_eq!(pages.api("/api/v1/alerts", Some("wrong")).await.0, 401);
    let (status, list) = pages.api("/api/v1/alerts?severity=low", Some("abc")).await;
    assert_eq!((status, &list["alerts"][0]["alert"]["alert_id"]), (200, &json!(pages.id)));
    assert_eq!(list["next"], Value::Null);
    let (status, wrong) = pages.api("/api/v1/alerts?severity=worst", Some("abc")).await;
    assert!(status == 400 && wrong["error"].as_str().unwrap().contains("low, medium, high, critical"), "{wrong}");
    let (status, one) = pages.api(&format!("/api/v1/alerts/{}", pages.id), Some("abc")).await;
    assert_eq!((status, &one["notices"][0]["state"]), (200, &json!("pending")));
    assert_eq!(pages.api("/api/v1/alerts/nothing", Some("abc")).await.0, 404);
    let (status, rates) = pages.api("/api/v1/rates?days=1", Some("abc")).await;
    assert_eq!((status, &rates["rates"]["calls"]), (200, &json!(1)));
    let judge = async |token: &str, body: Value| {
        let request = client().post(format!("{}/api/v1/alerts/{}/verdict", pages.url, pages.id));
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.header("content-type", "application/json").body(body.to_string());
        soon("the verdict", request.send()).await.unwrap().status().as_u16()
    };
    assert_eq!(judge("abc", json!({"verdict": "right"})).await, 403);
    assert_eq!(judge(TOKEN, json!({"verdict": "perhaps"})).await, 400);
    assert_eq!(judge(TOKEN, json!({"verdict": "right"})).await, 200);
    // The description fits what there is.
    let openapi = client().get(format!("{}/api/openapi.json", pages.url)).send().await.unwrap();
    let openapi: Value = serde_json::from_str(&openapi.text().await.unwrap()).unwrap();
    let mut schema =
        openapi["paths"]["/api/v1/alerts"]["get"]["responses"]["200"]["content"]["application/json"]["schema"].clone();
    schema["components"] = openapi["components"].clone();
    let (_, list) = pages.api("/api/v1/alerts", Some(TOKEN)).await;
    assert!(jsonschema::is_valid(&schema, &list), "{list}");
}

#[tokio::test]
async fn a_proxy_that_is_trusted_says_who_somebody_is_once() {
    let pages = Pages::start_with(&["--trust-user-header", "X-Forwarded-User"]).await;
    let get = async |pages: &Pages, path: &str, names: &[&str]| {
        let mut request = client().get(format!("{}{path}", pages.url));
        for name in names {
            request = request.header("X-Forwarded-User", *name);
        }
        let response = soon(path, request.send()).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let path = format!("/alerts/{}", pages.id);
    let (status, page) = get(&pages, &path, &["sam"]).await;
    assert!(status == 200 && page.contains("<span>sam</span>") && page.contains("I take it"), "{page}");
    // Whom the file does not name may look.
    let (status, page) = get(&pages, &path, &["somebody"]).await;
    assert!(status == 200 && page.contains("<span>somebody</span>") && !page.contains("I take it"), "{page}");
    for nobody in [&[][..], &[""]] {
        assert_eq!(get(&pages, &path, nobody).await.0, 303, "{nobody:?}");
        assert_eq!(get(&pages, "/api/v1/alerts", nobody).await.0, 401, "{nobody:?}");
    }
    // The proxy added to what the browser sent.
    for both in [["sam", "vera"], ["vera", "sam"], ["", "sam"], ["sam", "sam"]] {
        for path in [&path, "/api/v1/alerts", "/board/events"] {
            let (status, refused) = get(&pages, path, &both).await;
            assert!(status == 400 && refused.contains("x-forwarded-user came more than once"), "{path}: {refused}");
        }
    }
    // Where no proxy is trusted, the header says nothing.
    assert_eq!(get(&Pages::start().await, "/alerts", &["sam"]).await.0, 303);
}

#[tokio::test]
async fn alerts_are_found_by_their_day_on_the_page_and_by_programs() {
    let pages = Pages::start().await;
    let today: String = {
        let (_, one) = pages.api(&format!("/api/v1/alerts/{}", pages.id), Some(TOKEN)).await;
        one["created_at"].as_str().unwrap().chars().take(10).collect()
    };
    let (cookie, ..) = pages.log_in(TOKEN, "/").await.unwrap();
    for (query, found) in [
        (format!("from={today}&until={today}"), true),
        (format!("from={today}"), true),
        (format!("until={today}&days=1"), true),
        ("until=2001-01-01".to_owned(), false),
        ("from=2000-12-31&until=2001-01-01".to_owned(), false),
    ] {
        let (status, list) = pages.api(&format!("/api/v1/alerts?{query}"), Some(TOKEN)).await;
        assert_eq!((status, list["alerts"].as_array().unwrap().len()), (200, usize::from(found)), "{query}");
        let (status, rates) = pages.api(&format!("/api/v1/rates?{query}"), Some(TOKEN)).await;
        assert_eq!((status, &rates["rates"]["calls"]), (200, &json!(u8::from(found))), "{query}");
        let (status, page) = pages.get(&format!("/alerts?{query}"), &cookie).await;
        assert_eq!((status, page.contains(&pages.id)), (200, found), "{query}");
    }
    let (_, page) = pages.get("/alerts?from=2001-01-01&until=2001-01-31", &cookie).await;
    assert!(page.contains("Alerts from 2001-01-01 to 2001-01-31") && page.contains("value=\"2001-01-31\""), "{page}");
    let (status, wrong) = pages.api("/api/v1/alerts?from=2001-02-30", Some(TOKEN)).await;
    assert!(status == 400 && wrong["error"].as_str().unwrap().contains("from must be a day"), "{wrong}");
    assert_eq!(pages.get("/alerts?until=yesterday", &cookie).await.0, 400);
}

#[tokio::test]
async fn programs_are_told_of_what_there_is_not() {
    let pages = Pages::start().await;
    let one = format!("/api/v1/alerts/{}?full=yes", pages.id);
    for (path, status, says) in [
        ("/api/v1/alert", 404, "/api/openapi.json"),
        ("/api/v2/alerts", 404, "/api/openapi.json"),
        ("/api/v1/alerts?serverity=low", 400, "no parameter \"serverity\""),
        ("/api/v1/rates?days=1&room=a", 400, "there are days, from, until"),
        ("/api/v1/board?search=x", 400, "there are q, page"),
        (&one, 400, "no parameter \"full\": there are none here"),
    ] {
        let (got, told) = pages.api(path, Some(TOKEN)).await;
        assert!(got == status && told["error"].as_str().unwrap().contains(says), "{path}: {got} {told}");
    }
}

#[tokio::test]
async fn people_are_told_of_a_filter_that_there_is_not() {
    let pages = Pages::start().await;
    let (cookie, ..) = pages.log_in(TOKEN, "/").await.unwrap();
    for (path, says) in [
        ("/alerts?severty=high", "there is no parameter &#34;severty&#34;: there are days"),
        ("/alerts?room=a&room=b", "duplicate field"),
        ("/?caller=%2B1415", "there are q, page"),
        ("/board/events?search=x", "there are q, page"),
    ] {
        let (status, page) = pages.get(path, &cookie).await;
        assert!(status == 400 && page.contains(says) && page.contains("<h1>"), "{path}: {status} {page}");
    }
    // A link to one alert may say more, for whoever counts clicks.
    assert_eq!(pages.get(&format!("/alerts/{}?from=mail", pages.id), &cookie).await.0, 200);
}

#[tokio::test]
async fn what_waits_for_a_transfer_is_not_sent_from_the_page() {
    let pages = Pages::start().await;
    let store = pages.store().await;
    let held = Alert {
        id: sentiment_sidecar::alert::AlertId::derive(&["room", "session"], "held"),
        ..Alert::test(ActionKind::Transfer, unix_ms())
    };
    let id = held.id.clone();
    let allow = vec![AllowEntry::Net("127.0.0.0/8".parse().unwrap())];
    let outgoing = Outgoing::webhook(pages.receiver.uri().parse().unwrap(), WebhookDetail::Seed, allow, 5_000);
    let write = StoreWrite::Alert { alert: held, webhook: WebhookPlan::Hold { ms: 600_000 }, transfer_cap: None };
    store.write(&write, &[outgoing], unix_ms()).await.unwrap();
    let (cookie, ..) = pages.log_in(TOKEN, "/").await.unwrap();
    let (_, page) = pages.get(&format!("/alerts/{id}"), &cookie).await;
    let form = [("seal", seal(&page))];
    assert_eq!(pages.post(&format!("/alerts/{id}/resend"), &cookie, &form, Some("same-origin")).await, 409);
    assert!(pages.receiver.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn without_anybody_who_may_log_in_it_does_not_start() {
    let program = Program::new();
    let mut command = program.command(&["review", "--listen", "127.0.0.1:0"]);
    let output = soon("review", command.stderr(Stdio::piped()).output()).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("SIDECAR_REVIEW_TOKEN"), "{said}");
}
