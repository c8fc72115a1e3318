//! The role of people who have the board open.

use std::io::{Write as _, stdin, stdout};
use std::time::Duration;

use reqwest::{Client, redirect};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::process::Said;

/// A browser whose stream ends comes back.
const AGAIN: Duration = Duration::from_secs(1);

/// Opens so many boards, and says what they saw once stdin has a line.
pub(crate) fn run(url: &str, token: &str, people: usize) {
    let over = CancellationToken::new();
    let told = over.clone();
    std::thread::spawn(move || {
        let _ = stdin().read_line(&mut String::new());
        told.cancel();
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(watch(url, token, people, over));
}

fn say(said: &Said) {
    let _ = writeln!(stdout(), "{}", serde_json::to_string(said).unwrap());
}

async fn watch(url: &str, token: &str, people: usize, over: CancellationToken) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().build().unwrap();
    let login = client.post(format!("{url}/login")).header("content-type", "application/x-www-form-urlencoded");
    let answer = login.body(format!("token={token}&to=/")).send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let mut boards = JoinSet::new();
    for _ in 0..people {
        boards.spawn(board(client.clone(), format!("{url}/board/events"), cookie.clone(), over.clone()));
    }
    say(&Said::Attached);
    let seen = boards.join_all().await;
    let least = seen.iter().map(|(moves, _)| *moves).min().unwrap_or(0);
    let most_kb = seen.iter().map(|(_, bytes)| bytes / 1000).max().unwrap_or(0);
    say(&Said::Moved { least, most_kb });
}

/// How often a board moved, and how many bytes that took.
async fn board(client: Client, url: String, cookie: String, over: CancellationToken) -> (usize, usize) {
    let (mut moves, mut bytes) = (0, 0);
    let looking = async {
        loop {
            let mut response = client.get(&url).header("cookie", &cookie).send().await.unwrap();
            while let Ok(Some(chunk)) = response.chunk().await {
                bytes += chunk.len();
                moves += chunk.windows(12).filter(|part| part == b"event: board").count();
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::select! {
        () = looking => {}
        () = over.cancelled() => {}
    }
    (moves, bytes)
}
