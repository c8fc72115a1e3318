//! What a token says of itself that somebody made for us (`Given`), and what it lacks for our work ([`Lack`]). It is read,
//! not verified: the server says in the end what it allows.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::config::secret::Secret;

/// Clocks differ: a server takes a token for so long before it is good, in seconds.
const SLACK_S: u64 = 60;

/// What a token says of itself, as far as it matters here.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Given {
    exp: Option<u64>,
    nbf: u64,
    kind: String,
    pub(super) video: GivenVideo,
    pub(super) sip: GivenSip,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct GivenVideo {
    room: String,
    room_join: bool,
    pub(super) room_admin: bool,
    hidden: bool,
    can_publish: Option<bool>,
    can_publish_data: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct GivenSip {
    pub(super) call: bool,
}

/// Reads a token; none where it is none of `LiveKit`'s.
pub(super) fn read(token: &Secret) -> Option<Given> {
    let claims = token.expose().split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

impl Given {
    /// When it runs out, in seconds since 1970.
    pub(super) fn runs_out(&self) -> u64 {
        self.exp.unwrap_or(u64::MAX)
    }

    fn may_send(&self) -> bool {
        // Where nothing is said, everything is allowed.
        self.video.can_publish_data.or(self.video.can_publish).unwrap_or(true)
    }

    /// What it lacks for our work in a room.
    fn lacks(&self, room: &str, now_unix_s: u64) -> Vec<Lack> {
        let Self { video, kind, nbf, .. } = self;
        let ago_s = now_unix_s.saturating_sub(self.runs_out());
        let in_s = nbf.saturating_sub(now_unix_s);
        let lacks = [
            (self.runs_out() <= now_unix_s, Lack::RanOut { ago_s }),
            (in_s > SLACK_S, Lack::NotYet { in_s }),
            (!video.room_join, Lack::RoomJoin),
            (video.room_join && !video.room.is_empty() && video.room != room, Lack::OtherRoom),
            (!self.may_send(), Lack::CanPublishData),
            (kind != "agent", Lack::KindAgent),
            (!video.hidden, Lack::Hidden),
            (!video.room_admin, Lack::RoomAdmin),
        ];
        lacks.into_iter().filter_map(|(is_lacking, lack)| is_lacking.then_some(lack)).collect()
    }
}

/// What a token lacks for our work in a room. Nothing of the token is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// It is no token.
    #[error("the token is none of LiveKit's: it has no claims that can be read")]
    Unreadable,
    /// It is too old.
    #[error("the token ran out {ago_s} s ago (exp)")]
    RanOut {
        /// How long ago.
        ago_s: u64,
    },
    /// It is too new.
    #[error("the token is good in {in_s} s only (nbf)")]
    NotYet {
        /// In how long.
        in_s: u64,
    },
    /// It joins nothing.
    #[error("the token lacks roomJoin: it joins no room")]
    RoomJoin,
    /// It is for somewhere else.
    #[error("the token is for another room (video.room)")]
    OtherRoom,
    /// What we send vanishes.
    #[error("the token lacks canPublishData: no agent is asked for what was said before")]
    CanPublishData,
    /// The room does not close when everybody has left.
    #[error("the token is not of kind agent: the sidecar would keep the room open once everybody has left")]
    KindAgent,
    /// We are seen.
    #[error("the token lacks hidden: everybody in the room sees the sidecar")]
    Hidden,
    /// The server's API is closed.
    #[error("the token lacks roomAdmin: no sentence, tone, tool or flag reaches the room")]
    RoomAdmin,
}

impl Lack {
    /// What a token lacks for our work in a room.
    #[must_use]
    pub fn of(token: &Secret, room: &str, now_unix_s: u64) -> Vec<Self> {
        read(token).map_or_else(|| vec![Self::Unreadable], |given| given.lacks(room, now_unix_s))
    }

    /// Whether the work can be done without it, in part.
    #[must_use]
    pub fn is_bearable(&self) -> bool {
        matches!(self, Self::Hidden | Self::RoomAdmin)
    }

    /// What mends it.
    #[must_use]
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Unreadable => "set SIDECAR_ROOM_TOKEN to an access token that is signed with the server's API secret",
            Self::RanOut { .. } => "make a new token, which is good for as long as it takes to join",
            Self::NotYet { .. } => "set the clocks of this machine and of the one that makes tokens",
            Self::RoomJoin => "grant roomJoin for this room",
            Self::OtherRoom => "make the token for the room of --room",
            Self::CanPublishData => "grant canPublishData",
            Self::KindAgent => "set the token's kind to agent",
            Self::Hidden => "grant hidden",
            Self::RoomAdmin => "grant roomAdmin",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_000_000;

    fn lacks(claims: &Value) -> Vec<Lack> {
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
        Lack::of(&Secret::new(token), "call-7", NOW)
    }

    fn whole() -> Value {
        json!({"iss": "APIkey", "sub": "sentiment-sidecar", "exp": NOW + 1, "kind": "agent", "video": {"room": "call-7",
            "roomJoin": true, "hidden": true, "canPublish": false, "canPublishData": true, "roomAdmin": true}})
    }

    #[test]
    fn a_token_lacks_what_it_does_not_grant_and_nothing_else() {
        assert_eq!(lacks(&whole()), []);
        let without = |name: &str, value: Value| {
            let mut claims = whole();
            let video = ["room", "roomJoin", "hidden", "canPublishData", "roomAdmin"].contains(&name);
            let place = if video { &mut claims["video"] } else { &mut claims };
            place[name] = value;
            lacks(&claims)
        };
        assert_eq!(without("exp", json!(NOW)), [Lack::RanOut { ago_s: 0 }]);
        assert_eq!(without("nbf", json!(NOW + 61)), [Lack::NotYet { in_s: 61 }]);
        assert_eq!(without("nbf", json!(NOW + 60)), []);
        assert_eq!(without("room", json!("call-8")), [Lack::OtherRoom]);
        assert_eq!(without("room", json!("")), [], "it is for every room");
        assert_eq!(without("roomJoin", json!(false)), [Lack::RoomJoin]);
        assert_eq!(without("canPublishData", json!(false)), [Lack::CanPublishData]);
        assert_eq!(without("canPublishData", Value::Null), [Lack::CanPublishData], "as it may not publish");
        assert_eq!(without("kind", json!("standard")), [Lack::KindAgent]);
        assert_eq!(without("hidden", json!(false)), [Lack::Hidden]);
        assert_eq!(without("roomAdmin", json!(false)), [Lack::RoomAdmin]);
        let open = json!({"kind": "agent", "video": {"roomJoin": true, "hidden": true, "roomAdmin": true}});
        assert_eq!(lacks(&open), [], "what is not denied is allowed, for ever");
        assert_eq!(lacks(&json!({})), [Lack::RoomJoin, Lack::KindAgent, Lack::Hidden, Lack::RoomAdmin]);
    }

    #[test]
    fn what_is_no_token_is_said_to_be_none_and_not_shown() {
        for token in ["hunter2", "a.b.c", "e30.aHVudGVyMg.c2ln"] {
            let lacks = Lack::of(&Secret::new(token), "call-7", NOW);
            assert_eq!(lacks, [Lack::Unreadable], "{token}");
            assert!(!lacks.iter().any(|lack| format!("{lack} {lack:?}").contains(token)));
        }
    }
}
