//! The board: calls in progress, as the real program tells of them.

use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use super::{Pages, TOKEN, client};
use crate::support::{Room, SEED_TURNS, soon};

/// What moves on the board, as a browser hears it.
struct Moves {
    response: reqwest::Response,
    bytes: Vec<u8>,
}

impl Moves {
    async fn open(pages: &Pages, cookie: &str) -> Self {
        let request = client().get(format!("{}/board/events", pages.url)).header("cookie", cookie);
        let response = soon("the board's events", request.send()).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, bytes: Vec::new() }
    }

    /// The next event.
    async fn next(&mut self) -> Value {
        soon("the board to move", async {
            loop {
                // A piece may end within a letter; an event does not.
                if let Some(end) = self.bytes.windows(2).position(|pair| pair == b"\n\n") {
                    let event: Vec<u8> = self.bytes.drain(..end + 2).collect();
                    let event = String::from_utf8(event).unwrap();
                    if let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) {
                        return serde_json::from_str(data).unwrap();
                    }
                    continue;
                }
                let chunk = self.response.chunk().await.unwrap().expect("the stream goes on");
                self.bytes.extend_from_slice(&chunk);
            }
        })
        .await
    }

    /// The first event that fits.
    async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.next().await;
            if fits(&event) {
                return event;
            }
        }
    }
}

fn has(text: &str) -> impl Fn(&Value) -> bool {
    move |event| event["cards"].as_object().unwrap().values().any(|card| card.as_str().unwrap().contains(text))
}

/// Where the one card leads.
fn link_of(event: &Value) -> String {
    let card = event["cards"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
    card.split_once("href=\"").unwrap().1.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_call_in_progress_is_on_the_board_turn_by_turn_until_it_is_over() {
    let pages = Pages::start().await;
    let (cookie, ..) = pages.log_in(TOKEN, "/").await.unwrap();
    let (status, page) = pages.get("/", &cookie).await;
    assert!(status == 200 && page.contains("All quiet: there is no call."), "{page}");
    let mut moves = Moves::open(&pages, &cookie).await;
    assert_eq!(moves.next().await["order"], json!([]));

    let room = Room::start().await;
    let mut running = pages.program.attach(&room, json!({"sentimentRaterDeadlineMs": 30_000}));
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    let mut event = moves.until(has("not rated yet")).await;
    assert_eq!(event["says"], "All quiet: no call needs anybody.");
    for (n, text) in SEED_TURNS.iter().enumerate() {
        connection.turn(n as u64 + 1, n, text).await;
        event = moves.until(has(&text.replace('\'', "&#39;"))).await;
        if n == 0 {
            let (status, page) = pages.get(&link_of(&event), &cookie).await;
            assert!(
                status == 200 && page.contains(&text.replace('\'', "&#39;")) && page.contains("1 of the caller"),
                "{page}"
            );
        }
    }
    let alert = running.event("escalation").await;
    // The last words and what came of them may have been told at once.
    if !has("needs somebody now")(&event) {
        event = moves.until(has("needs somebody now")).await;
    }
    assert_eq!(event["says"], "1 call needs somebody.");
    let link = format!("/alerts/{}", alert["alert_id"].as_str().unwrap());
    assert!(has(&link)(&event) && has(": flagged")(&event), "{event}");

    let (status, told) = pages.api("/api/v1/board?q=ABC123", Some("abc")).await;
    let calls = (told["urgent"].as_u64(), told["calls"][0]["need"].as_str(), told["calls"][0]["turns"].as_u64());
    assert_eq!((status, calls), (200, (Some(1), Some("somebody"), Some(3))), "{told}");
    assert_eq!(pages.api("/api/v1/board?q=elsewhere", Some("abc")).await.1["calls"], json!([]));
    assert_eq!(pages.api("/api/v1/board?page=0", Some("abc")).await.0, 400);
    assert_eq!(pages.api("/api/v1/board", None).await.0, 401);

    // Who takes it is seen by all others.
    let (_, page) = pages.get(&link, &cookie).await;
    let seal = super::seal(&page).to_owned();
    assert_eq!(pages.post(&format!("{link}/claim"), &cookie, &[("seal", &seal)], Some("same-origin")).await, 303);
    moves.until(has("supervisor looks after it")).await;

    connection.turn(4, 3, "My card is 4111 1111 1111 1111.").await;
    let event = moves.until(has("My card is")).await;
    assert!(!event.to_string().contains("4111"), "numbers are masked: {event}");
    connection.end(5).await;
    let event = moves.until(|event| event["order"] == json!([])).await;
    assert_eq!(event["says"], "All quiet: there is no call.");
    assert_eq!(running.exit().await, Some(0));
    let left = pages.store().await.board(sentiment_sidecar::clock::unix_ms()).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

/// Who looked at which call in progress, as the audit log has it.
async fn looks_at_calls(pages: &Pages) -> Vec<(String, String, String)> {
    let mut conn = SqliteConnectOptions::new().filename(pages.program.store()).connect().await.unwrap();
    let rows = sqlx::query_as("SELECT who, room_name, session_id FROM audit WHERE what = 'call' ORDER BY audit_id");
    rows.fetch_all(&mut conn).await.unwrap()
}

#[tokio::test]
async fn no_word_of_a_caller_is_on_the_board_where_none_is_kept() {
    let pages = Pages::start().await;
    let room = Room::start().await;
    let mut running =
        pages.program.attach(&room, json!({"sentimentKeepTranscripts": "none", "sentimentRaterDeadlineMs": 30_000}));
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    connection.turn(1, 0, SEED_TURNS[0]).await;
    running.event("turn").await;
    let told = soon("the turn", async {
        loop {
            let (_, told) = pages.api("/api/v1/board", Some(TOKEN)).await;
            if told["calls"][0]["turns"] == 1 {
                return told;
            }
        }
    })
    .await;
    assert_eq!(told["calls"][0]["last_words"], Value::Null, "{told}");
    let (cookie, ..) = pages.log_in(TOKEN, "/").await.unwrap();
    let (_, board) = pages.get("/", &cookie).await;
    let link = board.split_once("href=\"/calls/").unwrap().1.split('"').next().unwrap().to_owned();
    let (status, page) = pages.get(&format!("/calls/{link}"), &cookie).await;
    assert!(
        status == 200 && page.contains("None of its words are kept.") && page.contains("class=\"chart\""),
        "{page}"
    );
    assert!(!page.contains(SEED_TURNS[0]), "{page}");
    // Whoever looks at a call, once or while it moves, stands in the log with the call.
    let moves = client().get(format!("{}/calls/{link}/events", pages.url)).header("cookie", &cookie);
    assert_eq!(soon("the call's events", moves.send()).await.unwrap().headers()["content-type"], "text/event-stream");
    assert_eq!(pages.get("/calls/call0123456789abcdef/events", &cookie).await.0, 404);
    assert_eq!(looks_at_calls(&pages).await, vec![("supervisor".into(), "room_abc123".into(), "session-1".into()); 2]);
    assert_eq!(pages.get("/calls/call0123456789abcdef", &cookie).await.0, 404);
    assert_eq!(pages.get(&format!("/calls/{link}"), "").await.0, 303);
    connection.end(2).await;
    assert_eq!(running.exit().await, Some(0));
}

#[tokio::test]
async fn a_stranger_gets_no_board_and_a_stop_ends_what_moves() {
    let mut pages = Pages::start().await;
    assert_eq!(pages.get("/", "").await.0, 303);
    assert_eq!(pages.get("/board/events", "").await.0, 303);
    let (cookie, ..) = pages.log_in("abc", "/").await.unwrap();
    assert_eq!(pages.get("/board/events?page=x", &cookie).await.0, 400);
    let mut moves = Moves::open(&pages, &cookie).await;
    moves.next().await;
    let pid = pages.child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").arg(&pid).status().unwrap().success());
    assert!(soon("the program to end", pages.child.wait()).await.unwrap().success());
    assert!(soon("the stream to end", moves.response.chunk()).await.unwrap().is_none());
}
