//! The way into a room: where its server listens for signalling, and with which token.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use prost::Message;
use url::Url;

use super::proto::signal::client_info::{Capability, Sdk};
use super::proto::signal::{
    ClientInfo, ConnectionSettings, JoinRequest, SessionDescription, SyncState, WrappedJoinRequest,
};
use super::signal::Signal;
use super::token::{Grants, Key};
use crate::config::secret::Secret;
use crate::room::error::RoomError;
use crate::tls::Authorities;

/// The version of signalling that we speak.
const PROTOCOL: i32 = 17;
/// The version of what clients say to each other that we speak: data streams, and those that fit one packet.
const CLIENT_PROTOCOL: i32 = 2;
/// How long a token that we make is good for joining; the server gives out newer ones once we are in.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// Everything that a connection to signalling needs, checked once.
#[derive(Clone)]
pub(super) struct Door {
    base: Url,
    room_name: String,
    key: Key,
    authorities: Authorities,
}

/// How a session is asked for.
#[derive(Debug)]
pub(super) enum Knock {
    /// One WebRTC connection for both directions, that we offer.
    Single {
        /// Our offer.
        offer: String,
    },
    /// Two: the server offers the one that it sends on.
    Dual,
    /// A session goes on over one connection.
    ResumeSingle {
        /// Ours (`PA_…`).
        sid: String,
        /// What we have.
        state: Box<SyncState>,
    },
    /// A session goes on over two.
    ResumeDual {
        /// Ours (`PA_…`).
        sid: String,
    },
}

impl Door {
    /// # Errors
    /// [`RoomError`]: all final.
    pub(super) fn new(base: &Url, room_name: &str, key: Key, authorities: &Authorities) -> Result<Self, RoomError> {
        let mut base = base.clone();
        base.set_query(None);
        base.set_fragment(None);
        let door = Self { base, room_name: room_name.to_owned(), key, authorities: authorities.clone() };
        // What cannot work is said before anything is dialled.
        Signal::dialer(&door.base, &door.token(), &door.authorities)?;
        Ok(door)
    }

    /// The server gave us a newer token.
    pub(super) fn refresh(&self, token: String) {
        self.key.refresh(token);
    }

    /// The server sends us to another one.
    ///
    /// # Errors
    /// [`RoomError::Url`], also where what was encrypted would go on in the clear.
    pub(super) fn lead_to(&mut self, url: &str) -> Result<(), RoomError> {
        let problem = |e: url::ParseError| RoomError::Url { problem: format!("the room sends us elsewhere: {e}") };
        let base = Url::parse(url).map_err(problem)?;
        // Our token must not be led onto an open line.
        if self.base.scheme() == "wss" && base.scheme() != "wss" {
            return Err(RoomError::Url { problem: "the room sends us elsewhere, and not to wss://".to_owned() });
        }
        self.base = base;
        Ok(())
    }

    /// Dials signalling.
    ///
    /// # Errors
    /// [`RoomError`], whose `is_final` says whether to try again.
    pub(super) async fn knock(&self, how: &Knock, limit: Duration) -> Result<Signal, RoomError> {
        Signal::dial(&self.url(how), &self.token(), &self.authorities, limit).await
    }

    fn token(&self) -> Secret {
        self.key.token(&Grants::join(&self.room_name), LIFETIME)
    }

    fn url(&self, how: &Knock) -> Url {
        let mut url = self.base.clone();
        let path = |end: &str| format!("{}/{end}", self.base.path().trim_end_matches('/'));
        match how {
            Knock::Single { .. } | Knock::ResumeSingle { .. } => {
                url.set_path(&path("rtc/v1"));
                let request = WrappedJoinRequest { join_request: how.request().encode_to_vec() };
                url.query_pairs_mut().append_pair("join_request", &URL_SAFE.encode(request.encode_to_vec()));
            }
            Knock::Dual | Knock::ResumeDual { .. } => {
                url.set_path(&path("rtc"));
                let mut query = url.query_pairs_mut();
                query.append_pair("protocol", &PROTOCOL.to_string());
                query.append_pair("client_protocol", &CLIENT_PROTOCOL.to_string());
                query.append_pair("sdk", "rust").append_pair("version", env!("CARGO_PKG_VERSION"));
                query.append_pair("auto_subscribe", "0");
                if let Knock::ResumeDual { sid } = how {
                    query.append_pair("reconnect", "1").append_pair("sid", sid);
                }
            }
        }
        url
    }
}

impl Knock {
    fn request(&self) -> JoinRequest {
        let request = JoinRequest {
            client_info: Some(ClientInfo {
                sdk: Sdk::Rust.into(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                protocol: PROTOCOL,
                client_protocol: CLIENT_PROTOCOL,
                capabilities: vec![Capability::CompressionDeflateRaw.into()],
            }),
            connection_settings: Some(ConnectionSettings { auto_subscribe: false }),
            ..JoinRequest::default()
        };
        match self {
            Self::Single { offer } => JoinRequest { publisher_offer: Some(description("offer", offer, 1)), ..request },
            Self::ResumeSingle { sid, state } => JoinRequest {
                reconnect: true,
                participant_sid: sid.clone(),
                sync_state: Some((**state).clone()),
                ..request
            },
            Self::Dual | Self::ResumeDual { .. } => request,
        }
    }
}

/// A description of a connection, as signalling carries it.
pub(super) fn description(kind: &str, sdp: &str, id: u32) -> SessionDescription {
    SessionDescription { r#type: kind.to_owned(), sdp: sdp.to_owned(), id }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
    use super::*;
    use crate::room::livekit::token::GivenToken;

    fn door(base: &str) -> Result<Door, RoomError> {
        Door::new(
            &Url::parse(base).unwrap(),
            "call-7",
            Key::Token(GivenToken::new(Secret::new("t0ken"))),
            &Authorities::default(),
        )
    }

    #[test]
    fn a_join_over_one_connection_brings_our_offer_along() {
        let url = door("ws://127.0.0.1:7880/behind/").unwrap().url(&Knock::Single { offer: "v=0".to_owned() });
        assert_eq!(url.path(), "/behind/rtc/v1");
        let (name, value) = url.query_pairs().next().unwrap();
        assert_eq!(name, "join_request");
        let wrapped = WrappedJoinRequest::decode(&*URL_SAFE.decode(value.as_bytes()).unwrap()).unwrap();
        let request = JoinRequest::decode(&*wrapped.join_request).unwrap();
        assert_eq!(request.publisher_offer.unwrap(), description("offer", "v=0", 1));
        assert_eq!(request.client_info.unwrap().capabilities, [2]);
        assert_eq!(request.connection_settings.unwrap(), ConnectionSettings { auto_subscribe: false });
    }

    #[test]
    fn older_servers_are_asked_for_two_connections() {
        let door = door("ws://127.0.0.1:7880?key=1#f").unwrap();
        let url = door.url(&Knock::ResumeDual { sid: "PA_1".to_owned() });
        assert!(url.as_str().starts_with("ws://127.0.0.1:7880/rtc?protocol=17&"), "{url}");
        assert!(url.as_str().ends_with("&auto_subscribe=0&reconnect=1&sid=PA_1"), "{url}");
        assert!(!door.url(&Knock::Dual).as_str().contains("reconnect"));
    }

    #[test]
    fn an_encrypted_room_does_not_send_us_onto_an_open_line() {
        let mut safe = door("wss://host").unwrap();
        assert!(matches!(safe.lead_to("ws://other"), Err(RoomError::Url { .. })));
        assert_eq!(safe.base.host_str(), Some("host"));
        safe.lead_to("wss://other").unwrap();
        assert_eq!(safe.base.host_str(), Some("other"));
        door("ws://host").unwrap().lead_to("ws://other").unwrap();
    }

    #[test]
    fn what_no_room_can_be_is_refused_before_any_dial() {
        for bad in ["https://host", "ws://user:pass@host", "mailto:x"] {
            assert!(matches!(door(bad).err(), Some(RoomError::Url { .. })), "{bad}");
        }
    }
}
