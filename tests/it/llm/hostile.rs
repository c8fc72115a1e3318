//! A server that stalls, breaks off, lies and floods costs a call nothing but its second opinion.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sentiment_sidecar::config::secret::Secret;
use sentiment_sidecar::config::settings::Llm;
use sentiment_sidecar::sentiment::llm::{LlmError, LlmRater, LlmStats, Pace};
use sentiment_sidecar::sentiment::{Rater, RatingSource, TurnInContext, embedded};
use sentiment_sidecar::tls::Authorities;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::{TURN, blended, completion, good, rater, server, settings, written};
use crate::support::soon;

/// A server that does with each connection, once its request has come, whatever it is told.
async fn bare<F: Future<Output = ()> + Send>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            // Bodies end with the schema of the answer.
            while !request.ends_with(b"}") {
                let mut chunk = [0; 4096];
                match stream.read(&mut chunk).await {
                    Ok(0) | Err(_) => break,
                    Ok(n) => request.extend_from_slice(&chunk[..n]),
                }
            }
            serve(stream).await;
        }
    });
    base
}

async fn ask(llm: &LlmRater) -> Result<f64, LlmError> {
    llm.ask(&TurnInContext::alone(TURN)).await.map(|rating| rating.sentiment.value())
}

/// Asks once, and returns the kind of error.
async fn kind(base: &str) -> &'static str {
    let llm = rater(base);
    let error = soon("an answer", ask(&llm)).await.unwrap_err();
    assert_eq!(llm.stats().of(error.kind()), 1, "{error}");
    error.kind()
}

#[tokio::test]
async fn a_good_answer_is_blended_in_and_the_request_is_what_was_agreed() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .and(header("authorization", "Bearer k3y"))
        .respond_with(good(1.5))
        .expect(1)
        .mount(&server)
        .await;
    let key = Secret::new("k3y");
    let llm = Arc::new(
        LlmRater::new(&settings(&server.uri()), Some(&key), None, Pace::Live, &Authorities::default()).unwrap(),
    );
    let turn = TurnInContext::alone(TURN);
    let alone = embedded().rate(&turn).await.unwrap();
    let rating = blended(&llm, 5_000).rate(&turn).await.unwrap();
    assert_eq!(rating.source, RatingSource::Blend);
    assert!(rating.sentiment < alone.sentiment, "{rating:?} {alone:?}");
    assert_eq!(rating.description.as_deref(), Some("Promised calls never came"));
    assert_eq!(llm.stats().to_string(), "answered 1");
    let body: Value = server.received_requests().await.unwrap()[0].body_json().unwrap();
    assert_eq!((&body["model"], &body["temperature"]), (&json!("gpt-4o-mini"), &json!(0)));
    assert_eq!(body["response_format"]["json_schema"]["strict"], true);
    assert!(body["max_tokens"].as_u64().unwrap() < 500);
}

#[tokio::test]
async fn filler_turns_are_not_asked_about() {
    let server = server(good(1.0)).await;
    let llm = rater(&server.uri());
    let rating = blended(&llm, 5_000).rate(&TurnInContext::alone("yeah")).await.unwrap();
    assert!(rating.filler);
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_language_that_the_embedded_rater_does_not_know_is_the_llms() {
    let server = server(good(1.5)).await;
    let llm = rater(&server.uri());
    let turn =
        TurnInContext::alone("Das ist wirklich eine Unverschämtheit, seit drei Wochen warte ich auf den Techniker.");
    assert!(embedded().rate(&turn).await.is_err());
    let rating = blended(&llm, 5_000).rate(&turn).await.unwrap();
    assert_eq!((rating.source, rating.sentiment.value()), (RatingSource::Llm, 1.5));
    drop(server);
    let nobody =
        LlmRater::new(&settings("http://127.0.0.1:1"), None, None, Pace::Live, &Authorities::default()).unwrap();
    assert!(blended(&Arc::new(nobody), 5_000).rate(&turn).await.is_err(), "unrated stays unrated");
}

#[tokio::test(start_paused = true)]
async fn a_stalling_llm_costs_no_more_than_the_deadline() {
    let base = bare(|stream| async move {
        tokio::spawn(async move {
            let _open = stream;
            std::future::pending::<()>().await;
        });
    })
    .await;
    let llm = rater(&base);
    let turn = TurnInContext::alone(TURN);
    let start = Instant::now();
    let rating = blended(&llm, 200).rate(&turn).await.unwrap();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(200) && took < Duration::from_millis(300), "{took:?}");
    assert_eq!(rating, embedded().rate(&turn).await.unwrap());
    assert_eq!(llm.stats().of(LlmStats::LATE), 1);
}

#[tokio::test]
async fn broken_answers_are_errors_of_their_kind() {
    let reply = |text: &'static str| {
        bare(move |mut stream: TcpStream| async move {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        })
    };
    assert_eq!(kind(&reply("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"choices\": [").await).await, "broken_off");
    assert_eq!(
        kind(&reply("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"choices\": [").await).await,
        "not_a_completion"
    );
    assert_eq!(kind(&reply("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n{").await).await, "too_large");
    assert_eq!(kind(&reply("SSH-2.0-OpenSSH_9.6\r\n").await).await, "broken_off");
    assert_eq!(kind(&reply("").await).await, "broken_off");
    assert_eq!(
        kind(&reply("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await).await,
        "status"
    );
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(kind(&format!("http://{nobody}")).await, "unreachable");
}

#[tokio::test]
async fn lies_leave_the_embedded_rating() {
    let turn = TurnInContext::alone(TURN);
    let alone = embedded().rate(&turn).await.unwrap();
    let with = |field: &str, value: Value| {
        let mut written = written(1.0);
        written[field] = value;
        written.to_string()
    };
    for (content, kind) in [
        (with("sentiment", json!(0)), "out_of_range"),
        (with("sentiment", json!(10.5)), "out_of_range"),
        (with("frustration", json!(-1)), "out_of_range"),
        (with("sentiment", json!("NaN")), "not_a_rating"),
        (with("sentiment", json!(null)), "not_a_rating"),
        (with("sarcasm", json!("true")), "not_a_rating"),
        (with("sentiment", json!(77777)).replace("77777", "1e400"), "not_a_rating"),
        ("I'm sorry, I cannot help with that.".to_owned(), "not_a_rating"),
        (String::new(), "not_a_rating"),
    ] {
        let server = server(ResponseTemplate::new(200).set_body_json(completion(&content))).await;
        let llm = rater(&server.uri());
        assert_eq!(blended(&llm, 5_000).rate(&turn).await.unwrap(), alone, "{content}");
        assert_eq!(llm.stats().of(kind), 1, "{content}: {}", llm.stats());
    }
    for (message, reason, kind) in [
        (json!({"content": null, "refusal": "I can't."}), "stop", "refused"),
        (json!({"content": ""}), "content_filter", "filtered"),
        (json!({"content": "{\"senti"}), "length", "cut_off"),
        (
            json!({"content": null, "tool_calls": [{"function": {"name": "transfer"}}]}),
            "tool_calls",
            "not_a_completion",
        ),
    ] {
        let body = json!({"choices": [{"message": message, "finish_reason": reason}]});
        let server = server(ResponseTemplate::new(200).set_body_json(body)).await;
        let llm = rater(&server.uri());
        assert_eq!(blended(&llm, 5_000).rate(&turn).await.unwrap(), alone);
        assert_eq!(llm.stats().of(kind), 1, "{}", llm.stats());
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let base = bare(move |mut stream| {
        let counted = Arc::clone(&counted);
        async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            let chunk = format!("2000\r\n{}\r\n", " ".repeat(0x2000));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {
                counted.fetch_add(0x2000, Ordering::Relaxed);
            }
        }
    })
    .await;
    assert_eq!(kind(&base).await, "too_large");
    // What the sockets hold comes on top of what was read.
    assert!(sent.load(Ordering::Relaxed) < 64 << 20);
}

#[tokio::test]
async fn retry_after_leaves_the_llm_alone() {
    let server = server(ResponseTemplate::new(429).insert_header("retry-after", "30")).await;
    let llm = rater(&server.uri());
    assert!(matches!(ask(&llm).await, Err(LlmError::Status { status: 429, .. })));
    let Err(LlmError::Resting { wait }) = ask(&llm).await else { panic!("it was asked again") };
    assert!(wait > Duration::from_secs(28) && wait <= Duration::from_secs(36), "{wait:?}");
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
    assert_eq!((llm.stats().of("status"), llm.stats().of("resting")), (1, 1));
}

#[tokio::test]
async fn the_breaker_opens_on_failures_and_closes_after_a_good_probe() {
    let broken = Arc::new(AtomicUsize::new(1));
    let is_broken = Arc::clone(&broken);
    let server = server(move |_: &Request| match is_broken.load(Ordering::Relaxed) {
        0 => good(3.0),
        _ => ResponseTemplate::new(500),
    })
    .await;
    let llm = rater(&server.uri());
    for _ in 0..3 {
        assert_eq!(ask(&llm).await.unwrap_err().kind(), "status");
    }
    for _ in 0..5 {
        assert_eq!(ask(&llm).await.unwrap_err().kind(), "resting");
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 3);
    let pass = |seconds| async move {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    };
    // A probe that fails opens it again, for longer.
    pass(3).await;
    assert_eq!(ask(&llm).await.unwrap_err().kind(), "status");
    pass(3).await;
    assert_eq!(ask(&llm).await.unwrap_err().kind(), "resting");
    broken.store(0, Ordering::Relaxed);
    pass(3).await;
    assert_eq!(ask(&llm).await, Ok(3.0));
    assert_eq!(ask(&llm).await, Ok(3.0));
    assert_eq!(server.received_requests().await.unwrap().len(), 6);
}

#[tokio::test]
async fn what_is_too_much_at_a_time_is_not_asked_and_not_queued() {
    let server = server(good(3.0).set_delay(Duration::from_millis(300))).await;
    let llm = LlmRater::new(
        &Llm { max_in_flight: 2, ..settings(&server.uri()) },
        None,
        None,
        Pace::Live,
        &Authorities::default(),
    )
    .unwrap();
    let answers = tokio::join!(ask(&llm), ask(&llm), ask(&llm), ask(&llm));
    let answers = [answers.0, answers.1, answers.2, answers.3];
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2, "{answers:?}");
    assert_eq!(llm.stats().of("busy"), 2);
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
    assert!(ask(&llm).await.is_ok());
}
