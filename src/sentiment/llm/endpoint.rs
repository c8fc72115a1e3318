//! One exchange with an OpenAI-compatible endpoint.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response};
use url::Url;

use super::error::LlmError;
use crate::clock::unix_ms;
use crate::config::secret::Secret;
use crate::config::settings::LlmUrl;
use crate::http::retry_after;
use crate::http::{self, innermost};
use crate::tls::Authorities;

/// The largest answer that is read, in bytes; a rating takes one or two thousand.
const MAX_ANSWER: usize = 64 * 1024;
/// How long a connection is kept for the next turn: callers may talk long.
const KEEP_CONNECTION: Duration = Duration::from_secs(120);

/// Where and how the model is asked.
pub(super) struct Endpoint {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
}

impl Endpoint {
    pub(super) fn new(url: &LlmUrl, key: Option<&Secret>, authorities: &Authorities) -> Result<Self, String> {
        let url = url.completions();
        let client = http::client((url.scheme() == "https").then_some(authorities))?
            .pool_idle_timeout(KEEP_CONNECTION)
            .build()
            .map_err(|error| format!("the HTTP client did not start: {}", innermost(&error)))?;
        let bearer = |key: &Secret| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                .map_err(|_| "the API key cannot stand in a header".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        };
        Ok(Self { client, url, authorization: key.map(bearer).transpose()? })
    }

    /// Posts a body, and returns that of a 200.
    pub(super) async fn post(&self, body: String) -> Result<Vec<u8>, LlmError> {
        let mut request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let response = request.send().await.map_err(|error| {
            let detail = innermost(&error);
            if error.is_connect() { LlmError::Unreachable { detail } } else { LlmError::BrokenOff { detail } }
        })?;
        match response.status().as_u16() {
            200 => body_of(response).await,
            status => Err(LlmError::Status { status, retry_after: asked_wait(status, &response) }),
        }
    }
}

async fn body_of(mut response: Response) -> Result<Vec<u8>, LlmError> {
    let too_large = LlmError::TooLarge { max: MAX_ANSWER };
    if response.content_length().is_some_and(|length| length > MAX_ANSWER as u64) {
        return Err(too_large);
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER => return Err(too_large),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(LlmError::BrokenOff { detail: innermost(&error) }),
        }
    }
}

/// `Retry-After` of 429 and 503 (RFC 9110 section 10.2.3).
fn asked_wait(status: u16, response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER).filter(|_| matches!(status, 429 | 503))?;
    retry_after(value.to_str().ok()?, unix_ms() / 1000)
}
