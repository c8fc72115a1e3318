//! The LLM rater against servers that behave, stall, lie, flood and obey the caller, and against a real one.

mod commands;
mod hostile;
mod injections;
mod late;
mod real;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use sentiment_sidecar::config::settings::{Llm, Settings};
use sentiment_sidecar::sentiment::blend::{BlendedRater, Wait};
use sentiment_sidecar::sentiment::llm::{LlmRater, Pace};
use sentiment_sidecar::sentiment::{RateError, RateFuture, Rater, Rating, TurnInContext, embedded};
use sentiment_sidecar::tls::Authorities;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Respond, ResponseTemplate};

/// A turn that the embedded rater hears something in, and does not call filler.
pub(crate) const TURN: &str = "I have called three times now and nobody ever rang me back.";

pub(crate) fn settings(base: &str) -> Llm {
    let url = Some(format!("{base}/v1").parse().unwrap());
    Llm { url, deadline_ms: 400, ..Settings::default().llm }
}

pub(crate) fn rater(base: &str) -> Arc<LlmRater> {
    Arc::new(LlmRater::new(&settings(base), None, None, Pace::Live, &Authorities::default()).unwrap())
}

pub(crate) fn blended(llm: &Arc<LlmRater>, deadline_ms: u64) -> BlendedRater {
    BlendedRater::new(Arc::new(embedded()), Arc::clone(llm), Wait::Until(Duration::from_millis(deadline_ms)))
}

pub(crate) fn written(sentiment: f64) -> Value {
    json!({"sentiment": sentiment, "frustration": 0.7, "urgency": 0.1, "sarcasm": false,
        "description": "Promised calls never came"})
}

pub(crate) fn completion(content: &str) -> Value {
    json!({"id": "x", "object": "chat.completion", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]})
}

pub(crate) fn good(sentiment: f64) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(completion(&written(sentiment).to_string()))
}

pub(crate) async fn server(answer: impl Respond + 'static) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).and(path("/v1/chat/completions")).respond_with(answer).mount(&server).await;
    server
}

/// The embedded rater, which rates the same turn in the same context only once in all tests: without optimisation it is
/// slow, and the same calls are played over and over to servers of all kinds.
pub(crate) struct Remembering;

impl Rater for Remembering {
    fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
        static KNOWN: LazyLock<Mutex<HashMap<String, Result<Rating, RateError>>>> = LazyLock::new(Mutex::default);
        Box::pin(async move {
            let name = serde_json::to_string(turn).unwrap();
            let known = KNOWN.lock().unwrap().get(&name).cloned();
            match known {
                Some(rating) => rating,
                None => {
                    let rating = embedded().rate(turn).await;
                    KNOWN.lock().unwrap().insert(name, rating.clone());
                    rating
                }
            }
        })
    }
}
