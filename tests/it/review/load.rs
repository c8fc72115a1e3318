//! The board on a busy day: 2,000 calls in progress, and 50 people who look.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sentiment_sidecar::clock::unix_ms;
use sentiment_sidecar::store::live::{LiveCall, LiveChange};
use serde_json::json;
use tokio::time::sleep;

use super::{Pages, TOKEN, client};
use crate::support::soon;

const CALLS: u32 = 2_000;
const PEOPLE: usize = 50;
/// How many turns come a second, until everybody has seen the board move so often.
const TURNS: u32 = 200;
const MOVES: u32 = 6;

fn call(number: u32, turns: u32) -> LiveChange {
    let sentiment = f64::from(10 + (number + turns) % 60) / 10.0;
    let call: LiveCall = serde_json::from_value(json!({
        "room_name": format!("room-{number}"), "session_id": "s", "started_ms": unix_ms() - u64::from(number) * 100,
        "caller": {"name": "Dana Cole", "number": format!("+1415555{number:04}")}, "turns": turns,
        "ratings": vec![sentiment; 40], "threshold": 3, "window": 3, "streak": 0, "mean": 4.2, "low": sentiment < 3.0,
        "with_human": false, "last_words": "I have told this to three people now, can I please talk to someone?",
    }))
    .unwrap();
    LiveChange::Stands(Box::new(call))
}

/// Resident memory of a process, in KiB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[expect(clippy::print_stdout, reason = "what was measured is for whoever asks")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_calls_and_fifty_people_who_look_are_no_load() {
    let pages = Pages::start().await;
    let mut live = pages.store().await.live();
    let all: Vec<LiveChange> = (0..CALLS).map(|number| call(number, 1)).collect();
    live.tell(&all, unix_ms()).await.unwrap();
    let (cookie, ..) = pages.log_in(TOKEN, "/").await.unwrap();
    let began = Instant::now();
    let (status, page) = pages.get("/", &cookie).await;
    let took = began.elapsed();
    assert_eq!((status, page.matches("<li id=").count()), (200, 100));
    assert!(page.len() < 200_000, "{} bytes", page.len());
    // How long it may take is for the bench to say: here others have the cores as well.
    println!("{CALLS} calls: a page of {} KB in {took:?}", page.len() / 1000);

    let pid = pages.child.id().unwrap();
    let seen: Vec<Arc<AtomicU32>> = (0..PEOPLE).map(|_| Arc::default()).collect();
    let people: Vec<_> = seen
        .iter()
        .cloned()
        .map(|moves| {
            let request = client().get(format!("{}/board/events", pages.url)).header("cookie", &cookie);
            tokio::spawn(async move {
                let (mut response, mut bytes) = (request.send().await.unwrap(), 0);
                while let Ok(Some(chunk)) = response.chunk().await {
                    bytes += chunk.len();
                    let more = chunk.windows(12).filter(|part| part == b"event: board").count() as u32;
                    moves.fetch_add(more, Ordering::Relaxed);
                }
                bytes
            })
        })
        .collect();
    let least = || seen.iter().map(|moves| moves.load(Ordering::Relaxed)).min().unwrap();
    let (mut second, mut half) = (0, None);
    soon("everybody to see the board move", async {
        while least() < MOVES {
            let turns: Vec<LiveChange> = (0..TURNS).map(|n| call((second * TURNS + n) % CALLS, second + 2)).collect();
            live.tell(&turns, unix_ms()).await.unwrap();
            assert_eq!(pages.get("/?q=555", &cookie).await.0, 200);
            if least() >= MOVES / 2 {
                half.get_or_insert_with(|| memory(pid));
            }
            second += 1;
            sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    let end = memory(pid);
    let half = half.unwrap_or(end);
    assert!(end < half + half / 4, "memory grows: {half} KiB, then {end} KiB");
    assert!(std::process::Command::new("kill").arg(pid.to_string()).status().unwrap().success());
    let mut most = 0;
    for person in people {
        most = most.max(soon("the streams to end", person).await.unwrap());
    }
    println!(
        "{PEOPLE} people: {} moves or more each in {second} s, {} KB at most, {end} KiB of memory",
        least(),
        most / 1000
    );
    live.leave().await.unwrap();
}
