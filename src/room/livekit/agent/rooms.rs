//! The server's rooms, and whom they have asked for, by its API ([`Rooms`]).

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt as _, stream};
use prost::Message;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::super::api::{Answer, ApiClient};
use super::super::proto::agent::{
    AgentDispatch, CreateAgentDispatchRequest, DeleteAgentDispatchRequest, ListAgentDispatchRequest,
    ListAgentDispatchResponse, ListParticipantsRequest, ListParticipantsResponse, ListRoomsRequest, ListRoomsResponse,
};
use super::super::proto::models::Room;
use super::super::seen::{ApiCall, ApiError, ApiMethod};
use super::super::token::Grants;
use super::seek::{is_bare, of_agent, wanted};
use crate::room::dispatch::{Job, Sought};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between one room and the next, so that a worker asks the server some sixty questions a second at most. Each worker goes
/// through the rooms in an order of its own: the more there are, the more often each room is looked at.
const PACE: Duration = Duration::from_millis(15);
/// So many rooms are looked at side by side, so that a server far away does not slow the pace.
const SIDE_BY_SIDE: usize = 8;
/// After so many failures without an answer between them, the server is asked about no further room. Fewer may be about
/// single rooms, such as those of a node that is gone.
const FAILURES: usize = 3;

/// The rooms of a server, for the workers of one agent name.
#[derive(Clone)]
pub(super) struct Rooms {
    api: ApiClient,
    agent_name: String,
    every_room: bool,
}

impl Rooms {
    pub(super) fn new(api: ApiClient, agent_name: String, every_room: bool) -> Self {
        Self { api, agent_name, every_room }
    }

    /// Looks at every room that is not `held`, and asks for one of us where one is wanted.
    pub(super) async fn seek(&self, held: &BTreeSet<String>) -> Sought {
        let mut sought = Sought::default();
        let rooms = match self.list(Vec::new()).await {
            Ok(rooms) => rooms,
            Err(error) => return Sought { problem: Some(error.to_string()), ..sought },
        };
        let names = rooms.into_iter().map(|room| room.name);
        let mut names: Vec<String> = names.filter(|name| !name.is_empty() && !held.contains(name)).collect();
        fastrand::shuffle(&mut names);
        // A server that does not answer is not asked about the rest.
        let (broken, mut failures) = (CancellationToken::new(), 0);
        let paced = stream::iter(names).then(|name| async {
            sleep(PACE).await;
            name
        });
        let paced = paced.take_until(broken.clone().cancelled_owned());
        let looks = paced.map(|name| {
            let rooms = self.clone();
            async move { (rooms.look(&name).await, name) }
        });
        let mut looks = pin!(looks.buffer_unordered(SIDE_BY_SIDE));
        while let Some((asked, name)) = looks.next().await {
            failures = if matches!(asked, Ok(_) | Err(ApiError::Refused { .. })) { 0 } else { failures + 1 };
            if failures == FAILURES {
                broken.cancel();
            }
            match asked {
                Ok(true) => sought.asked_for.push(name),
                Ok(false) => {}
                // It closed meanwhile, or somebody is at it: the next look will tell.
                Err(ApiError::Refused { code, .. }) => tracing::debug!(code, "a room could not be looked at"),
                // Those that are under way are waited for: they may ask for somebody.
                Err(error) => {
                    sought.problem.get_or_insert_with(|| error.to_string());
                }
            }
            sought.looked_at += 1;
        }
        sought
    }

    /// Whether one of us was asked for.
    async fn look(&self, room: &str) -> Result<bool, ApiError> {
        let request = ListParticipantsRequest { room: room.to_owned() };
        let listed: ListParticipantsResponse = self.ask(room, ApiMethod::ListParticipants, &request).await?;
        if !is_bare(&listed.participants) {
            return Ok(false);
        }
        let (dispatches, now) = self.dispatches(room).await?;
        let Some(metadata) = wanted(&dispatches, &self.agent_name, self.every_room, now) else { return Ok(false) };
        let (agent_name, room_name) = (self.agent_name.clone(), room.to_owned());
        let request = CreateAgentDispatchRequest { agent_name, room: room_name, metadata };
        let _: AgentDispatch = self.ask(room, ApiMethod::CreateDispatch, &request).await?;
        Ok(true)
    }

    /// There is no more to be done in the room of a job: what asked for one of us is taken back, so that nobody is asked for
    /// again. A room that was opened again under its name is another call's.
    pub(super) async fn forget(&self, job: &Job) -> Result<(), ApiError> {
        let room = &*job.room;
        if !self.list(vec![room.to_owned()]).await?.iter().any(|there| there.sid == job.session) {
            return Ok(());
        }
        for dispatch in of_agent(&self.dispatches(room).await?.0, &self.agent_name) {
            let request = DeleteAgentDispatchRequest { dispatch_id: dispatch.id.clone(), room: room.to_owned() };
            let _: AgentDispatch = self.ask(room, ApiMethod::DeleteDispatch, &request).await?;
        }
        Ok(())
    }

    /// All rooms, or those of `names` that there are.
    async fn list(&self, names: Vec<String>) -> Result<Vec<Room>, ApiError> {
        let request = ListRoomsRequest { names };
        let body = self.api.allowed(Grants::list()).call(call(ApiMethod::ListRooms, &request)).await?;
        let listed: ListRoomsResponse = decode(&body)?;
        Ok(listed.rooms)
    }

    /// The dispatches of a room, and what the clock says that has put the time on them: ours may be minutes off.
    async fn dispatches(&self, room: &str) -> Result<(Vec<AgentDispatch>, Duration), ApiError> {
        let request = ListAgentDispatchRequest { room: room.to_owned() };
        let Answer { body, at_unix } = self.answer(room, ApiMethod::ListDispatch, &request).await?;
        let listed: ListAgentDispatchResponse = decode(&body)?;
        Ok((listed.agent_dispatches, at_unix.unwrap_or_else(now)))
    }

    async fn ask<T: Message + Default>(
        &self,
        room: &str,
        method: ApiMethod,
        request: &impl Message,
    ) -> Result<T, ApiError> {
        decode(&self.answer(room, method, request).await?.body)
    }

    async fn answer(&self, room: &str, method: ApiMethod, request: &impl Message) -> Result<Answer, ApiError> {
        self.api.allowed(Grants::api(room)).answer(call(method, request)).await
    }
}

fn call(method: ApiMethod, request: &impl Message) -> ApiCall {
    ApiCall { id: String::new(), method, body: request.encode_to_vec(), timeout: PATIENCE }
}

fn decode<T: Message + Default>(body: &[u8]) -> Result<T, ApiError> {
    T::decode(body).map_err(|error| ApiError::Unreadable { problem: error.to_string() })
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use url::Url;
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

    use super::super::super::proto::agent::AgentDispatchState;
    use super::super::super::proto::models::{ParticipantInfo, ParticipantKind};
    use super::super::super::token::{ApiKey, Key};
    use super::*;
    use crate::config::secret::Secret;
    use crate::tls::Authorities;

    fn rooms(server: &MockServer) -> Rooms {
        let url = Url::parse(&server.uri().replace("http://", "ws://")).unwrap();
        let key = Key::Api(ApiKey { key: Secret::new("key"), secret: Secret::new("secret") });
        Rooms::new(ApiClient::new(&url, key, "", &Authorities::default()).unwrap(), "us".to_owned(), false)
    }

    async fn answers(server: &MockServer, method: ApiMethod, answer: impl Respond + 'static) {
        let at = format!("/twirp/{}", method.path());
        Mock::given(path(at)).respond_with(answer).mount(server).await;
    }

    fn ok(message: &impl Message) -> ResponseTemplate {
        ResponseTemplate::new(200).set_body_bytes(message.encode_to_vec())
    }

    /// Whether one of us is asked for in a room, some time after somebody was, by the clock of a server that is so much ahead of
    /// ours.
    async fn asked_again(age: Duration, ahead: Duration) -> bool {
        let (server, clock) = (MockServer::start().await, now() + ahead);
        let caller = ParticipantInfo {
            identity: "sip_1".to_owned(),
            kind: ParticipantKind::Sip.into(),
            ..ParticipantInfo::default()
        };
        answers(&server, ApiMethod::ListParticipants, ok(&ListParticipantsResponse { participants: vec![caller] }))
            .await;
        let created_at = i64::try_from((clock - age).as_nanos()).unwrap();
        let state = Some(AgentDispatchState { created_at, ..AgentDispatchState::default() });
        let dispatch = AgentDispatch { agent_name: "us".to_owned(), state, ..AgentDispatch::default() };
        let date = httpdate::fmt_http_date(UNIX_EPOCH + clock);
        let listed = ok(&ListAgentDispatchResponse { agent_dispatches: vec![dispatch] }).insert_header("date", date);
        answers(&server, ApiMethod::ListDispatch, listed).await;
        answers(&server, ApiMethod::CreateDispatch, ok(&AgentDispatch::default())).await;
        rooms(&server).look("room_1").await.unwrap()
    }

    #[tokio::test]
    async fn the_age_of_a_dispatch_is_told_by_the_clock_of_the_server_that_made_it() {
        for ahead in [Duration::ZERO, Duration::from_secs(3_600)] {
            assert!(!asked_again(Duration::from_secs(5), ahead).await, "somebody is on the way; {ahead:?}");
            assert!(asked_again(Duration::from_secs(60), ahead).await, "{ahead:?}");
        }
    }

    /// Answers about rooms; what it says of those that are named so cannot be read.
    struct Strange(&'static str);

    impl Respond for Strange {
        fn respond(&self, request: &Request) -> ResponseTemplate {
            let asked = ListParticipantsRequest::decode(request.body.as_slice()).unwrap();
            if asked.room.starts_with(self.0) {
                return ResponseTemplate::new(200).set_body_bytes([0xff]);
            }
            ok(&ListParticipantsResponse::default())
        }
    }

    async fn sought(strange: &'static str) -> Sought {
        let server = MockServer::start().await;
        let names = (0..60).map(|n| if n < FAILURES - 1 { format!("stale_{n}") } else { format!("room_{n}") });
        let listed = names.map(|name| Room { name, ..Room::default() }).collect();
        answers(&server, ApiMethod::ListRooms, ok(&ListRoomsResponse { rooms: listed })).await;
        answers(&server, ApiMethod::ListParticipants, Strange(strange)).await;
        rooms(&server).seek(&BTreeSet::new()).await
    }

    #[tokio::test]
    async fn a_few_rooms_that_cannot_be_looked_at_keep_none_of_the_others_from_it() {
        let some = sought("stale_").await;
        assert_eq!(some.looked_at, 60);
        assert!(some.problem.is_some());
        let none = sought("").await;
        assert!((FAILURES..FAILURES + SIDE_BY_SIDE).contains(&none.looked_at), "the server is not there: {none:?}");
    }
}
