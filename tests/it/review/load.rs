//! The board on a busy day: 2,000 calls in progress, and 50 people who look.

use std::time::{Duration, Instant};

use sentiment_sidecar::clock::unix_ms;
use sentiment_sidecar::store::live::{LiveCall, LiveChange};
use serde_json::json;
use tokio::time::sleep;

use super::{Pages, TOKEN, client};
use crate::support::soon;

const CALLS: u32 = 2_000;
const PEOPLE: usize = 50;
/// How long turns come, and how many a second.
const SECONDS: u32 = 8;
const TURNS: u32 = 200;
/// What a page may take on a busy machine without optimisation. Optimised, the whole of it takes a tenth of that.
const PATIENCE: Duration = Duration::from_secs(3);

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
    assert!(took < PATIENCE, "{took:?}");
    println!("{CALLS} calls: a page of {} KB in {took:?}", page.len() / 1000);

    let pid = pages.child.id().unwrap();
    let people: Vec<_> = (0..PEOPLE)
        .map(|_| {
            let request = client().get(format!("{}/board/events", pages.url)).header("cookie", &cookie);
            tokio::spawn(async move {
                let (mut response, mut bytes, mut moves) = (request.send().await.unwrap(), 0, 0_u32);
                while let Ok(Some(chunk)) = response.chunk().await {
                    bytes += chunk.len();
                    moves += chunk.windows(12).filter(|part| part == b"event: board").count() as u32;
                }
                (bytes, moves)
            })
        })
        .collect();
    let mut first = None;
    for second in 0..SECONDS {
        let began = Instant::now();
        let turns: Vec<LiveChange> = (0..TURNS).map(|n| call((second * TURNS + n) % CALLS, second + 2)).collect();
        live.tell(&turns, unix_ms()).await.unwrap();
        let began_page = Instant::now();
        assert_eq!(pages.get("/?q=555", &cookie).await.0, 200);
        assert!(began_page.elapsed() < PATIENCE, "{:?} with all who look", began_page.elapsed());
        if second == SECONDS / 2 {
            first = Some(memory(pid));
        }
        sleep(Duration::from_secs(1).saturating_sub(began.elapsed())).await;
    }
    let (half, end) = (first.unwrap(), memory(pid));
    assert!(end < half + half / 4, "memory grows: {half} KiB, then {end} KiB");
    assert!(std::process::Command::new("kill").arg(pid.to_string()).status().unwrap().success());
    let mut least = u32::MAX;
    let mut most = 0;
    for person in people {
        let (bytes, moves) = soon("the streams to end", person).await.unwrap();
        (least, most) = (least.min(moves), most.max(bytes));
    }
    assert!(least >= SECONDS / 2, "somebody saw {least} moves in {SECONDS} s");
    println!("{PEOPLE} people: {least} moves or more each, {} KB at most, {end} KiB of memory", most / 1000);
    live.leave().await.unwrap();
}
