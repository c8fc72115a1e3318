//! A store that fails while calls go on.

use futures_util::SinkExt;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use tokio_tungstenite::tungstenite::Message;

use super::{Behind, between, dial_signed, hang_up, next, prompt, setup};
use crate::crash::Lock;
use crate::support::{Program, SEED_TURNS};

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Store {
    /// Another process writes, and does not end.
    Locked,
    /// What alerts are kept in is gone.
    Broken,
}

/// A call, between whose turns the app answers: everything passes as it was said.
async fn a_call_with(store: Store) -> Vec<Value> {
    let (mut program, behind) = (Program::new(), Behind::start().await);
    let (mut running, proxy) = between(&mut program, &behind, json!({}), &[]).await;
    let lock = match store {
        Store::Locked => Some(Lock::take(&program).await),
        Store::Broken => {
            let mut connection = SqliteConnection::connect(&format!("sqlite://{}", program.store())).await.unwrap();
            sqlx::query("ALTER TABLE alerts RENAME TO taken_away").execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            None
        }
    };
    let (mut platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), behind.accept());
    let answer = r#"{"type":"text", "token":"I see." ,"last":true}"#;
    for text in [setup("CA1", &json!({}))].into_iter().chain(SEED_TURNS.map(prompt)) {
        platform.send(Message::text(text.clone())).await.unwrap();
        assert_eq!(next(&mut app).await, Message::text(text));
        app.send(Message::text(answer)).await.unwrap();
        assert_eq!(next(&mut platform).await, Message::text(answer));
    }
    running.event("escalation").await;
    // And after that.
    for text in ["{\"odd\" :1}".to_owned(), prompt("And now?")] {
        platform.send(Message::text(text.clone())).await.unwrap();
        assert_eq!(next(&mut app).await, Message::text(text));
    }
    hang_up(platform, app).await;
    running.event("ended").await;
    if let Some(lock) = lock {
        lock.release().await;
    }
    running.signal("-TERM");
    assert_eq!(running.exit().await, Some(0));
    assert_eq!((running.count("ended"), running.count("escalation")), (1, 1), "{:#?}", running.seen);
    running.seen
}

#[tokio::test]
async fn a_call_passes_whatever_becomes_of_the_store_and_an_event_says_so() {
    for store in [Store::Locked, Store::Broken] {
        let events = a_call_with(store).await;
        let warnings = events.iter().filter(|event| event["type"] == "warning");
        let said: Vec<&str> = warnings.filter_map(|event| event["detail"].as_str()).collect();
        assert!(said.iter().any(|detail| detail.starts_with("the store ")), "{store:?}: {said:?}");
    }
}
