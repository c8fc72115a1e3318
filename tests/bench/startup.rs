//! From the start of the process to `welcome` handled: spawn, TLS and settings, dial, `hello`, `welcome`, and the
//! `tools.register` that answers it. Beside it, in the same run, what it costs to start a process at all (`true`).
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on should panic")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

const WELCOME: &str = r#"{"type":"welcome","version":1,"session_id":"s","room_name":"bench","participants":[{"id":"c","role":"caller"}]}"#;

async fn one_start(listener: &TcpListener, url: &str, store: &str) -> Duration {
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sentiment-sidecar"))
        .args(["attach", "--room-url", url, "--room", "bench", "--store", store])
        .args(["--set", "sentimentEscalationEnabled=true"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let choose = |_: &Request, mut response: Response| {
        let chosen = HeaderValue::from_static("sentiment-sidecar.room.v1");
        response.headers_mut().insert("sec-websocket-protocol", chosen);
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, choose).await.unwrap();
    let _hello = socket.next().await.unwrap().unwrap();
    socket.send(Message::text(WELCOME)).await.unwrap();
    while let Some(Ok(frame)) = socket.next().await {
        if frame.to_text().is_ok_and(|text| text.contains("tools.register")) {
            break;
        }
    }
    let took = started.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    took
}

fn startup(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store.db").display().to_string();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let mut group = c.benchmark_group("startup");
    group.sample_size(20).measurement_time(Duration::from_secs(8));
    group.bench_function("spawn to welcome handled", |b| {
        b.iter_custom(|n| (0..n).map(|_| runtime.block_on(one_start(&listener, &url, &store))).sum());
    });
    group.bench_function("spawn of true", |b| b.iter(|| Command::new("true").status().unwrap()));
    group.finish();
}

criterion_group!(benches, startup);
criterion_main!(benches);
