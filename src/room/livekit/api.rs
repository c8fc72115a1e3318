//! The server's HTTP API, Twirp over protocol buffers ([`ApiClient`]).

use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use url::Url;

use super::seen::{ApiCall, ApiError};
use super::token::{Grants, Key};
use crate::http::{self, innermost};
use crate::room::error::RoomError;
use crate::tls::Authorities;

/// Largest answer, in bytes: half a kilobyte a room, of thousands of rooms.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// How long a token is good for beyond the call that it is made for.
const SPARE: Duration = Duration::from_secs(60);
/// A token needs a beginning.
const PROTOBUF: &str = "application/protobuf";

/// An answer of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// What it says, in protocol buffers.
    pub(super) body: Vec<u8>,
    /// When it was given, by the server's clock, since 1970, to the second; none where the server does not say.
    pub(super) at_unix: Option<Duration>,
}

/// Calls the API of one server, for one room. Clones share their connections.
#[derive(Debug, Clone)]
pub(in crate::room) struct ApiClient {
    http: reqwest::Client,
    /// Ends in `/twirp/`.
    base: Url,
    key: Key,
    grants: Grants,
}

impl ApiClient {
    /// For the server whose rooms are at `room_url` (`ws://` or `wss://`).
    ///
    /// # Errors
    /// [`RoomError::Url`], [`RoomError::TlsSetup`].
    pub(in crate::room) fn new(
        room_url: &Url,
        key: Key,
        room_name: &str,
        authorities: &Authorities,
    ) -> Result<Self, RoomError> {
        let base = base(room_url).ok_or_else(|| RoomError::Url { problem: "it has no place for an API".to_owned() })?;
        let secure = base.scheme() == "https";
        let http = http::client(secure.then_some(authorities))
            .and_then(|builder| builder.build().map_err(|error| innermost(&error)))
            .map_err(|problem| RoomError::TlsSetup { problem })?;
        Ok(Self { http, base, key, grants: Grants::api(room_name) })
    }

    /// The same server, with tokens that allow something else.
    pub(super) fn allowed(&self, grants: Grants) -> Self {
        Self { grants, ..self.clone() }
    }

    /// Makes a call, and waits for its answer as long as the call says.
    ///
    /// # Errors
    /// [`ApiError`], which holds no word of a server's that could repeat our token.
    pub(in crate::room) async fn call(&self, call: ApiCall) -> Result<Vec<u8>, ApiError> {
        Ok(self.answer(call).await?.body)
    }

    /// The same, with when it was answered.
    ///
    /// # Errors
    /// As those of [`ApiClient::call`].
    pub(super) async fn answer(&self, call: ApiCall) -> Result<Answer, ApiError> {
        let after_ms = u64::try_from(call.timeout.as_millis()).unwrap_or(u64::MAX);
        let timeout = call.timeout;
        tokio::time::timeout(timeout, self.exchange(call)).await.unwrap_or(Err(ApiError::Timeout { after_ms }))
    }

    async fn exchange(&self, call: ApiCall) -> Result<Answer, ApiError> {
        let token = self.key.token(&self.grants, call.timeout + SPARE);
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| ApiError::Unauthorized { status: StatusCode::UNAUTHORIZED.as_u16() })?;
        bearer.set_sensitive(true);
        let mut url = self.base.clone();
        url.set_path(&format!("{}{}", self.base.path(), call.method.path()));
        let request = self.http.post(url).header(AUTHORIZATION, bearer).header(CONTENT_TYPE, PROTOBUF).body(call.body);
        let response = request.send().await.map_err(|error| broken(&error))?;
        let (status, at_unix) = (response.status(), date(response.headers()));
        let body = body(response).await?;
        if status.is_success() { Ok(Answer { body, at_unix }) } else { Err(refusal(status, &body)) }
    }
}

/// Where the API of a server is.
fn base(room_url: &Url) -> Option<Url> {
    let mut url = room_url.clone();
    let scheme = if url.scheme() == "wss" { "https" } else { "http" };
    // Between schemes that the standard knows, this always works.
    url.set_scheme(scheme).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    let path = format!("{}/twirp/", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Some(url)
}

/// What a server's clock says, since 1970.
fn date(headers: &HeaderMap) -> Option<Duration> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    date.duration_since(UNIX_EPOCH).ok()
}

/// What went wrong, without the URL.
fn broken(error: &reqwest::Error) -> ApiError {
    let problem = innermost(error);
    if error.is_connect() { ApiError::Unreachable { problem } } else { ApiError::Cut { problem } }
}

async fn body(mut response: Response) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(ApiError::Unreadable { problem: format!("it is larger than {MAX_ANSWER} bytes") });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why the server did not do it: Twirp's code and what LiveKit adds to it, and none of its words, which can repeat the token.
fn refusal(status: StatusCode, body: &[u8]) -> ApiError {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Meta {
        sip_status_code: Option<String>,
        sip_transfer_reason: Option<String>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Refusal {
        code: String,
        meta: Meta,
    }
    let Refusal { code, meta } = serde_json::from_slice(body).unwrap_or_default();
    let sip = meta.sip_status_code.and_then(|code| code.parse().ok());
    let reason = meta.sip_transfer_reason.filter(|reason| is_name(reason));
    let status = status.as_u16();
    // A phone that declines is answered with 403, too.
    if matches!(status, 401 | 403) && sip.is_none() && reason.is_none() {
        return ApiError::Unauthorized { status };
    }
    let code = if is_name(&code) { code } else { "no code".to_owned() };
    ApiError::Refused { status, code, sip, reason }
}

/// One of LiveKit's or Twirp's names, which are no place for a token.
fn is_name(text: &str) -> bool {
    (1..=48).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
    use serde_json::json;
    use wiremock::matchers::{body_bytes, header, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::super::seen::ApiMethod;
    use super::super::token::GivenToken;
    use super::*;
    use crate::config::secret::Secret;

    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.e30.c2VjcmV0";

    fn client(url: &str) -> ApiClient {
        let url = Url::parse(url).unwrap();
        ApiClient::new(&url, Key::Token(GivenToken::new(Secret::new(TOKEN))), "room_1", &Authorities::default())
            .unwrap()
    }

    fn call(timeout: Duration) -> ApiCall {
        let method = ApiMethod::TransferSipParticipant;
        ApiCall { id: "call-1".to_owned(), method, body: vec![1, 2, 3], timeout }
    }

    async fn answered(answer: ResponseTemplate) -> Result<Vec<u8>, ApiError> {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/rooms/twirp/livekit.SIP/TransferSIPParticipant"))
            .and(header("authorization", format!("Bearer {TOKEN}")))
            .and(header("content-type", PROTOBUF))
            .and(body_bytes([1, 2, 3]))
            .respond_with(answer)
            .mount(&server)
            .await;
        let url = format!("{}/rooms/?key=hidden", server.uri().replace("http://", "ws://"));
        client(&url).call(call(Duration::from_secs(20))).await
    }

    #[tokio::test]
    async fn a_call_goes_to_its_method_with_our_token_and_its_answer_comes_back() {
        let answer = ResponseTemplate::new(200).set_body_bytes(vec![7, 8]);
        assert_eq!(answered(answer).await, Ok(vec![7, 8]));
    }

    #[tokio::test]
    async fn a_refusal_says_what_the_phone_said_and_never_what_the_server_wrote() {
        let told = json!({"code": "resource_exhausted", "msg": format!("sip status 486 {TOKEN}"),
            "meta": {"sip_status_code": "486", "sip_transfer_reason": "STR_REJECTED", "other": "x"}});
        let error = answered(ResponseTemplate::new(429).set_body_json(told)).await.unwrap_err();
        let (code, reason) = ("resource_exhausted".to_owned(), Some("STR_REJECTED".to_owned()));
        assert_eq!(error, ApiError::Refused { status: 429, code, sip: Some(486), reason });
        assert_eq!(error.to_string(), "the server's API answered HTTP 429: resource_exhausted, SIP 486");
        let told = json!({"code": "permission_denied", "meta": {"sip_status_code": "603"}});
        let error = answered(ResponseTemplate::new(403).set_body_json(told)).await.unwrap_err();
        assert!(matches!(error, ApiError::Refused { sip: Some(603), .. }), "{error:?}");
        for body in [format!("invalid token: {TOKEN}"), json!({"code": TOKEN, "msg": TOKEN}).to_string()] {
            for status in [401, 403, 500] {
                let error = answered(ResponseTemplate::new(status).set_body_string(body.clone())).await.unwrap_err();
                assert!(!format!("{error} {error:?}").contains(TOKEN), "{error:?}");
            }
        }
    }

    #[tokio::test]
    async fn no_server_and_no_answer_are_told_apart() {
        let slow = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(200).set_delay(Duration::from_secs(60)))
            .mount(&slow)
            .await;
        let slow = client(&slow.uri().replace("http://", "ws://")).call(call(Duration::from_millis(50))).await;
        assert_eq!(slow, Err(ApiError::Timeout { after_ms: 50 }));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let nobody = client(&format!("ws://{free}")).call(call(Duration::from_secs(20))).await;
        assert!(matches!(nobody, Err(ApiError::Unreachable { .. })), "{nobody:?}");
    }

    #[test]
    fn the_api_is_beside_the_rooms() {
        let base = |url: &str| base(&Url::parse(url).unwrap()).unwrap().to_string();
        assert_eq!(base("wss://rooms.example.com"), "https://rooms.example.com/twirp/");
        assert_eq!(base("ws://127.0.0.1:7880/a/b/?x=y"), "http://127.0.0.1:7880/a/b/twirp/");
    }

    #[test]
    fn no_token_is_shown() {
        let shown = format!("{:?}", client("ws://127.0.0.1:7880"));
        assert!(!shown.contains(TOKEN), "{shown}");
    }
}
