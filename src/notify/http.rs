//! One attempt over HTTP.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Response;
use reqwest::dns::Resolve;
use reqwest::header::RETRY_AFTER;
use url::Url;

use super::format::request::Rendered;
use super::guard::{Guard, GuardedResolver, Refusal, SystemResolver};
use super::schedule::Answer;
use super::sign::Signer;
use crate::alert::outgoing::Outgoing;
use crate::http::retry_after;
use crate::http::{self, innermost};
use crate::tls::Authorities;

/// How much of an answer's body is read, so that the connection can be used again; what it says does not matter.
const MAX_ANSWER: usize = 64 * 1024;
/// How long it is read. Nobody waits for that.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// What one attempt sends.
pub(super) struct Post<'a> {
    /// The `webhook-id`.
    pub(super) id: &'a str,
    /// Where to.
    pub(super) url: &'a Url,
    /// The request.
    pub(super) request: Rendered,
    /// Who signs it, where it is signed.
    pub(super) signer: Option<&'a Signer>,
    /// How it is sent.
    pub(super) outgoing: &'a Outgoing,
    /// How long it may take, from the look-up of the name to the head of the answer.
    pub(super) timeout: Duration,
    /// Unix time of the attempt in s.
    pub(super) now_s: u64,
}

/// A client for each scheme and allow-list, as its resolver depends on them. There is one, mostly.
pub(super) struct Http {
    clients: Mutex<HashMap<(bool, String), reqwest::Client>>,
    resolver: Arc<dyn Resolve>,
    authorities: Authorities,
}

impl Http {
    /// Delivers to receivers that `authorities` vouch for.
    pub(super) fn new(authorities: Authorities) -> Self {
        Self { clients: Mutex::default(), resolver: Arc::new(SystemResolver), authorities }
    }

    /// Makes one attempt. It ends within its timeout, whatever the receiver does.
    pub(super) async fn post(&self, post: Post<'_>) -> Answer {
        let url = post.url;
        let guard = Guard::new(url, &post.outgoing.allow);
        if let Err(refusal) = guard.check(url) {
            return Answer::Refused { detail: refusal.to_string() };
        }
        let client = match self.client(url.scheme() == "https", post.outgoing, guard) {
            Ok(client) => client,
            Err(detail) => return Answer::Failed { detail },
        };
        let Rendered { content_type, headers, body } = post.request;
        let mut request = client.post(url.clone()).header("content-type", content_type);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(signer) = post.signer {
            request = request
                .header("webhook-id", post.id)
                .header("webhook-timestamp", post.now_s)
                .header("webhook-signature", signer.sign(post.id, post.now_s, body.as_bytes()));
        }
        let request = request.body(body);
        match tokio::time::timeout(post.timeout, request.send()).await {
            Err(_) => Answer::Failed { detail: format!("no answer within {} ms", post.timeout.as_millis()) },
            Ok(Err(error)) => failure(&error),
            Ok(Ok(response)) => {
                let answer = answer_of(&response, post.now_s);
                // The status has said it all: the attempt is over, whatever becomes of the body.
                tokio::spawn(tokio::time::timeout(DRAIN_TIME, drain(response)));
                answer
            }
        }
    }

    fn client(&self, tls: bool, outgoing: &Outgoing, guard: Guard) -> Result<reqwest::Client, String> {
        let key = (tls, outgoing.allow_text());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let resolver = Arc::new(GuardedResolver::new(guard, Arc::clone(&self.resolver)));
        let client = http::client(tls.then_some(&self.authorities))?
            .dns_resolver(resolver)
            .pool_idle_timeout(Duration::from_secs(5))
            .build()
            .map_err(|error| format!("the HTTP client did not start: {}", innermost(&error)))?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}

fn answer_of(response: &Response, now_s: u64) -> Answer {
    let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Answer::Status {
        status: response.status().as_u16(),
        retry_after: asked.and_then(|value| retry_after(value, now_s)),
    }
}

async fn drain(mut response: Response) {
    let mut read = 0;
    while read < MAX_ANSWER {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            _ => break,
        }
    }
}

/// What went wrong, without the URL, which may hold what is nobody's business.
fn failure(error: &reqwest::Error) -> Answer {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(current) = source {
        if let Some(refusal) = current.downcast_ref::<Refusal>() {
            return Answer::Refused { detail: refusal.to_string() };
        }
        source = current.source();
    }
    let what = if error.is_connect() { "the receiver cannot be reached" } else { "the exchange broke off" };
    Answer::Failed { detail: format!("{what}: {}", innermost(error)) }
}
