//! Access tokens: JSON Web Tokens (RFC 7519) with LiveKit's grants, signed with the API secret (HS256, RFC 7518 section 3.2).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;

use super::given::{Lack, read};
use super::seen::Api;
use crate::config::secret::Secret;

/// How we get into a LiveKit room.
#[derive(Debug, Clone)]
pub enum Key {
    /// With a token that somebody made for us.
    Token(GivenToken),
    /// With tokens that we make.
    Api(ApiKey),
}

/// A token that somebody made for us. While we are in a room its server makes newer ones, before the last one runs out;
/// clones share the newest.
#[derive(Debug, Clone)]
pub struct GivenToken {
    given: Secret,
    newest: Arc<Mutex<Secret>>,
}

impl GivenToken {
    /// The token that we begin with.
    #[must_use]
    pub fn new(token: Secret) -> Self {
        Self { newest: Arc::new(Mutex::new(token.clone())), given: token }
    }

    fn newest(&self) -> Secret {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For the server's API: the one that we began with, as the server leaves what it grants of SIP out of those that it makes;
    /// the newest, once that one has run out.
    fn for_api(&self, now_unix_s: u64) -> Secret {
        let runs_out = read(&self.given).map_or(u64::MAX, |given| given.runs_out());
        if now_unix_s < runs_out { self.given.clone() } else { self.newest() }
    }

    fn replace(&self, newer: Secret) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = newer;
    }
}

impl Key {
    /// A token: made for these grants, or the one that we were given.
    #[must_use]
    pub fn token(&self, grants: &Grants, lifetime: Duration) -> Secret {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        match self {
            Self::Token(given) if grants.sub.is_none() => given.for_api(now),
            Self::Token(given) => given.newest(),
            Self::Api(key) => key.token(grants, now, lifetime),
        }
    }

    /// A key to look into a room with, under another name than ours, so that whoever works there stays. With a token that was
    /// given there is no other name.
    #[must_use]
    pub fn visitor(&self, room: &str) -> Self {
        match self {
            Self::Token(_) => self.clone(),
            Self::Api(_) => Self::Token(GivenToken::new(self.token(&Grants::visit(room), VISIT))),
        }
    }

    /// The server made a newer token. Where we make our own there is no need of it.
    pub(super) fn refresh(&self, newer: String) {
        if let Self::Token(given) = self {
            given.replace(Secret::new(newer));
        }
    }

    /// What it lacks for our work in a room. Tokens that we make lack nothing.
    #[must_use]
    pub fn lacks(&self, room: &str, now_unix_s: u64) -> Vec<Lack> {
        match self {
            Self::Api(_) => Vec::new(),
            Self::Token(given) => Lack::of(&given.given, room, now_unix_s),
        }
    }

    /// What of the server's API it opens. A token is read, not verified: the server says in the end what it allows.
    #[must_use]
    pub fn opens(&self) -> Api {
        match self {
            Self::Api(_) => Api { room: true, sip: true },
            Self::Token(given) => read(&given.given)
                .map(|given| Api { room: given.video.room_admin, sip: given.sip.call })
                .unwrap_or_default(),
        }
    }
}

/// An API key of a LiveKit server, with its secret.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Names the secret.
    pub key: Secret,
    /// Signs.
    pub secret: Secret,
}

/// Under which name we are in a room. The same for all of us, so that who joins second puts the first one out: two of us
/// would tell everything twice.
pub const IDENTITY: &str = "sentiment-sidecar";

/// The name under which a room is looked into.
const VISITOR: &str = "sentiment-sidecar-doctor";
/// How long that may take, with what is asked of the server's API.
const VISIT: Duration = Duration::from_secs(120);

/// Hidden participants keep a room open once everybody has left; agents do not.
const KIND: &str = "agent";

/// What a token allows.
#[derive(Debug, Clone, Serialize)]
pub struct Grants {
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    video: VideoGrant,
    #[serde(skip_serializing_if = "Option::is_none")]
    sip: Option<SipGrant>,
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct VideoGrant {
    room: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_join: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_admin: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_list: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    can_publish: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    can_subscribe: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    can_publish_data: Option<bool>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct SipGrant {
    call: bool,
}

impl Grants {
    /// To join a room as one whom nobody sees, who hears data, sends data, and takes no part in audio or video.
    #[must_use]
    pub fn join(room: &str) -> Self {
        let video = VideoGrant {
            room: room.to_owned(),
            room_join: Some(true),
            hidden: Some(true),
            can_publish: Some(false),
            can_subscribe: Some(true),
            can_publish_data: Some(true),
            ..VideoGrant::default()
        };
        Self { sub: Some(IDENTITY.to_owned()), kind: Some(KIND), video, sip: None }
    }

    /// To join a room, and to ask what else may be done there.
    fn visit(room: &str) -> Self {
        let Self { kind, mut video, .. } = Self::join(room);
        video.room_admin = Some(true);
        Self { sub: Some(VISITOR.to_owned()), kind, video, sip: Some(SipGrant { call: true }) }
    }

    /// To be given jobs.
    #[must_use]
    pub fn worker() -> Self {
        Self::of_server(VideoGrant { agent: Some(true), ..VideoGrant::default() })
    }

    /// To ask which rooms there are.
    #[must_use]
    pub fn list() -> Self {
        Self::of_server(VideoGrant { room_list: Some(true), ..VideoGrant::default() })
    }

    fn of_server(video: VideoGrant) -> Self {
        Self { sub: None, kind: None, video, sip: None }
    }

    /// To change a room and its participants, and to transfer its calls, over the server's API.
    #[must_use]
    pub fn api(room: &str) -> Self {
        let video = VideoGrant { room: room.to_owned(), room_admin: Some(true), ..VideoGrant::default() };
        Self { sub: None, kind: None, video, sip: Some(SipGrant { call: true }) }
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    nbf: u64,
    exp: u64,
    #[serde(flatten)]
    grants: &'a Grants,
}

/// Clocks differ: a token is good from so long before it was made.
const SLACK: Duration = Duration::from_secs(60);

impl ApiKey {
    /// Makes a token that is good for `lifetime` from `now_unix_s` on.
    #[must_use]
    pub fn token(&self, grants: &Grants, now_unix_s: u64, lifetime: Duration) -> Secret {
        let claims = Claims {
            iss: self.key.expose(),
            nbf: now_unix_s.saturating_sub(SLACK.as_secs()),
            exp: now_unix_s.saturating_add(lifetime.as_secs()),
            grants,
        };
        let claims = serde_json::to_vec(&claims).unwrap_or_default();
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = self.sign(signed.as_bytes());
        Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        // Keys of any length will do (RFC 2104).
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.secret.expose().as_bytes()) else { return Vec::new() };
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
    use serde_json::{Value, json};

    use super::*;

    fn key() -> ApiKey {
        ApiKey { key: Secret::new("APIkey"), secret: Secret::new("0123456789abcdef0123456789abcdef") }
    }

    fn part(token: &Secret, at: usize) -> Value {
        let part = token.expose().split('.').nth(at).unwrap().to_owned();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn a_token_to_join_says_who_comes_and_what_is_allowed() {
        let token = key().token(&Grants::join("call-7"), 1_000_000, Duration::from_secs(600));
        assert_eq!(part(&token, 0), json!({"alg": "HS256", "typ": "JWT"}));
        assert_eq!(
            part(&token, 1),
            json!({"iss": "APIkey", "sub": "sentiment-sidecar", "nbf": 999_940, "exp": 1_000_600, "kind": "agent",
                "video": {"room": "call-7", "roomJoin": true, "hidden": true, "canPublish": false, "canSubscribe": true,
                    "canPublishData": true}})
        );
    }

    #[test]
    fn a_token_for_the_api_joins_nothing() {
        let token = key().token(&Grants::api("call-7"), 1_000_000, Duration::from_secs(60));
        assert_eq!(
            part(&token, 1),
            json!({"iss": "APIkey", "nbf": 999_940, "exp": 1_000_060,
                "video": {"room": "call-7", "roomAdmin": true}, "sip": {"call": true}})
        );
    }

    #[test]
    fn a_given_token_is_for_the_api_until_it_runs_out_and_the_newest_to_join() {
        let given = key().token(&Grants::api("call-7"), 1_000_000, Duration::from_secs(60));
        let (token, newer) = (GivenToken::new(given.clone()), Secret::new("newer"));
        token.replace(newer.clone());
        assert_eq!(token.newest().expose(), newer.expose());
        assert_eq!(token.for_api(1_000_059).expose(), given.expose());
        assert_eq!(token.for_api(1_000_060).expose(), newer.expose());
        assert_eq!(Key::Token(token).opens(), Api { room: true, sip: true });
    }

    #[test]
    fn who_looks_into_a_room_puts_nobody_out_and_may_ask_for_everything() {
        let Key::Token(visitor) = Key::Api(key()).visitor("call-7") else { panic!("no token") };
        let claims = part(&visitor.newest(), 1);
        assert_ne!(claims["sub"], IDENTITY);
        assert_eq!((&claims["kind"], &claims["video"]["hidden"]), (&json!("agent"), &json!(true)));
        assert_eq!(Key::Token(visitor).opens(), Api { room: true, sip: true });
    }

    #[test]
    fn a_given_token_says_what_it_opens() {
        let opens = |token: Secret| Key::Token(GivenToken::new(token)).opens();
        let lifetime = Duration::from_secs(60);
        assert_eq!(opens(key().token(&Grants::api("call-7"), 1, lifetime)), Api { room: true, sip: true });
        assert_eq!(opens(key().token(&Grants::join("call-7"), 1, lifetime)), Api::default());
        assert_eq!(opens(Secret::new("no token")), Api::default());
    }

    #[test]
    fn the_newest_token_is_everybodys() {
        let given = Key::Token(GivenToken::new(Secret::new("first")));
        let another = given.clone();
        given.refresh("newer".to_owned());
        assert_eq!(another.token(&Grants::join("call-7"), Duration::ZERO).expose(), "newer");
    }

    #[test]
    fn the_signature_is_that_of_the_rfc() {
        // RFC 4231, test case 2.
        let jefe = ApiKey { key: Secret::new(""), secret: Secret::new("Jefe") };
        let hex: String = jefe.sign(b"what do ya want for nothing?").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn nothing_of_a_key_is_shown() {
        let shown = format!("{:?} {:?}", key(), Key::Api(key()));
        assert!(!shown.contains("APIkey") && !shown.contains("0123"), "{shown}");
    }
}
