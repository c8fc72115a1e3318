//! What a worker says and hears on the WebSocket at `/agent`. Pure.

use prost::Message as _;

use super::super::proto::agent::{
    self, AvailabilityResponse, JobStatus, JobType, RegisterWorkerRequest, ServerMessage, UpdateJobStatus,
    UpdateWorkerStatus, WorkerMessage, WorkerPing, WorkerStatus, server_message, worker_message,
};
use super::super::proto::models::ParticipantPermission;
use super::super::token::IDENTITY;
use crate::room::dispatch::{Answer, Finish, Job, Standing};

/// How often we ask whether the server is there, in seconds.
pub(super) const PING_INTERVAL_S: u32 = 5;

/// A server asks nobody whose load is its target (`agents.target_load`, 0.7 unless configured otherwise) or more: a worker with
/// room for one more call stays below.
const TARGET_LOAD: f32 = 0.7;

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Registered { worker: String },
    Asked(Job),
    Assigned(Job),
    Terminated { id: String },
    Pong,
}

/// Why what the server said cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("it is no message: {0}")]
    Undecodable(String),
    #[error("a job without {0}")]
    NoJob(&'static str),
}

/// Reads a message; none where it says what we have no use for.
///
/// # Errors
/// [`Unusable`].
pub(super) fn read(bytes: &[u8]) -> Result<Option<Heard>, Unusable> {
    use server_message::Message;
    let message = ServerMessage::decode(bytes).map_err(|error| Unusable::Undecodable(error.to_string()))?;
    Ok(match message.message {
        Some(Message::Register(answer)) => Some(Heard::Registered { worker: answer.worker_id }),
        Some(Message::Availability(asked)) => Some(Heard::Asked(job(asked.job)?)),
        Some(Message::Assignment(assigned)) => Some(Heard::Assigned(job(assigned.job)?)),
        Some(Message::Termination(termination)) => Some(Heard::Terminated { id: termination.job_id }),
        Some(Message::Pong(_)) => Some(Heard::Pong),
        None => None,
    })
}

fn job(job: Option<agent::Job>) -> Result<Job, Unusable> {
    let agent::Job { id, room, metadata, .. } = job.ok_or(Unusable::NoJob("anything in it"))?;
    if id.is_empty() {
        return Err(Unusable::NoJob("an id"));
    }
    let room = room.filter(|room| !room.name.is_empty()).ok_or(Unusable::NoJob("a room"))?;
    Ok(Job { id, room: room.name, session: room.sid, metadata })
}

/// The first that a worker says.
pub(super) fn register(agent_name: &str) -> Vec<u8> {
    let permissions =
        ParticipantPermission { can_subscribe: true, can_publish_data: true, hidden: true, ..Default::default() };
    written(worker_message::Message::Register(RegisterWorkerRequest {
        r#type: JobType::Room.into(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ping_interval: PING_INTERVAL_S,
        allowed_permissions: Some(permissions),
        agent_name: agent_name.to_owned(),
    }))
}

/// Whether we take a job.
pub(super) fn answer(id: &str, answer: Answer) -> Vec<u8> {
    written(worker_message::Message::Availability(AvailabilityResponse {
        job_id: id.to_owned(),
        available: answer == Answer::Take,
        // Not the identity that we have in the room: of that one the server believes that whoever leaves takes the newest job
        // along. When two of us meet in a room, it would end the job of the one that stays.
        participant_identity: format!("{IDENTITY}-{id}"),
        terminate: answer == Answer::Unwanted,
    }))
}

/// A job that is begun.
pub(super) fn running(id: &str) -> Vec<u8> {
    job_status(id, JobStatus::Running, String::new())
}

/// A job that is over.
pub(super) fn finished(id: &str, how: &Finish) -> Vec<u8> {
    match how {
        // LiveKit's cloud begins failed jobs again.
        Finish::Done | Finish::Replaced => job_status(id, JobStatus::Success, String::new()),
        Finish::Failed { error } => job_status(id, JobStatus::Failed, error.clone()),
    }
}

fn job_status(id: &str, status: JobStatus, error: String) -> Vec<u8> {
    let update = UpdateJobStatus { job_id: id.to_owned(), status: status.into(), error };
    written(worker_message::Message::UpdateJob(update))
}

/// How we stand.
pub(super) fn standing(standing: Standing) -> Vec<u8> {
    let status = if standing.full { WorkerStatus::Full } else { WorkerStatus::Available };
    written(worker_message::Message::UpdateWorker(UpdateWorkerStatus {
        status: Some(status.into()),
        load: standing.load * TARGET_LOAD,
        job_count: standing.calls,
    }))
}

/// Whether the server is there.
pub(super) fn ping(now_unix_ms: i64) -> Vec<u8> {
    written(worker_message::Message::Ping(WorkerPing { timestamp: now_unix_ms }))
}

fn written(message: worker_message::Message) -> Vec<u8> {
    WorkerMessage { message: Some(message) }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
    use super::*;
    use crate::room::livekit::proto::agent::{
        AvailabilityRequest, JobAssignment, JobTermination, RegisterWorkerResponse, WorkerPong,
    };
    use crate::room::livekit::proto::models::Room;

    fn said(bytes: &[u8]) -> worker_message::Message {
        WorkerMessage::decode(bytes).unwrap().message.unwrap()
    }

    fn heard(message: server_message::Message) -> Result<Option<Heard>, Unusable> {
        read(&ServerMessage { message: Some(message) }.encode_to_vec())
    }

    fn of_server(id: &str, room: &str) -> agent::Job {
        let room = Some(Room { name: room.to_owned(), sid: "RM_1".to_owned(), ..Room::default() });
        agent::Job { id: id.to_owned(), room, metadata: "{}".to_owned(), ..agent::Job::default() }
    }

    #[test]
    fn what_the_server_says_is_read() {
        use server_message::Message;
        let [id, room, session, metadata] = ["AJ_1", "call-7", "RM_1", "{}"].map(str::to_owned);
        let job = Job { id, room, session, metadata };
        let asked = AvailabilityRequest { job: Some(of_server("AJ_1", "call-7")) };
        assert_eq!(heard(Message::Availability(asked)), Ok(Some(Heard::Asked(job.clone()))));
        let assigned = JobAssignment { job: Some(of_server("AJ_1", "call-7")) };
        assert_eq!(heard(Message::Assignment(assigned)), Ok(Some(Heard::Assigned(job))));
        let worker = "AW_1".to_owned();
        let registered = RegisterWorkerResponse { worker_id: worker.clone() };
        assert_eq!(heard(Message::Register(registered)), Ok(Some(Heard::Registered { worker })));
        let termination = JobTermination { job_id: "AJ_1".to_owned() };
        let terminated = Heard::Terminated { id: "AJ_1".to_owned() };
        assert_eq!(heard(Message::Termination(termination)), Ok(Some(terminated)));
        assert_eq!(heard(Message::Pong(WorkerPong { last_timestamp: 1 })), Ok(Some(Heard::Pong)));
    }

    #[test]
    fn what_a_later_server_may_say_is_passed_over_and_what_is_no_message_is_told() {
        assert_eq!(read(&[]), Ok(None));
        // Field 15, a string.
        assert_eq!(read(&[0x7a, 1, b'x']), Ok(None));
        assert!(matches!(read(&[0xff]), Err(Unusable::Undecodable(_))));
        let jobs = [None, Some(of_server("", "call-7")), Some(of_server("AJ_1", "")), Some(agent::Job::default())];
        for job in jobs {
            let asked = server_message::Message::Availability(AvailabilityRequest { job });
            assert!(matches!(heard(asked), Err(Unusable::NoJob(_))));
        }
    }

    #[test]
    fn a_worker_is_hidden_and_has_a_name_of_its_own() {
        let worker_message::Message::Register(request) = said(&register("sentiment-sidecar")) else { panic!() };
        assert_eq!((request.agent_name.as_str(), request.r#type), ("sentiment-sidecar", 0));
        let may = request.allowed_permissions.unwrap();
        assert!(may.hidden && may.can_publish_data && !may.can_publish);
    }

    #[test]
    fn a_job_is_taken_passed_on_or_said_to_be_unwanted() {
        for (given, available, terminate) in
            [(Answer::Take, true, false), (Answer::Pass, false, false), (Answer::Unwanted, false, true)]
        {
            let worker_message::Message::Availability(answer) = said(&answer("AJ_1", given)) else { panic!() };
            assert_eq!((answer.available, answer.terminate), (available, terminate), "{given:?}");
            assert_ne!(answer.participant_identity, IDENTITY, "who leaves under it would end the job of who stays");
        }
    }

    #[test]
    fn how_a_job_ended_and_how_we_stand_is_said() {
        let error = "the room was lost".to_owned();
        for (how, status) in [
            (Finish::Done, JobStatus::Success),
            (Finish::Replaced, JobStatus::Success),
            (Finish::Failed { error: error.clone() }, JobStatus::Failed),
        ] {
            let worker_message::Message::UpdateJob(update) = said(&finished("AJ_1", &how)) else { panic!() };
            assert_eq!((update.job_id.as_str(), update.status()), ("AJ_1", status));
            assert_eq!(update.error.is_empty(), status == JobStatus::Success);
        }
        let full = standing(Standing { full: true, load: 0.5, calls: 7 });
        let worker_message::Message::UpdateWorker(update) = said(&full) else { panic!() };
        assert_eq!((update.status, update.load, update.job_count), (Some(WorkerStatus::Full.into()), 0.35, 7));
        let nearly = standing(Standing { full: false, load: 0.999, calls: 999 });
        let worker_message::Message::UpdateWorker(update) = said(&nearly) else { panic!() };
        assert!(update.load < TARGET_LOAD, "who has room for one more is asked");
    }

    #[test]
    fn metadata_is_in_no_log() {
        let [id, room, session, metadata] = ["AJ_1", "call-7", "RM_1", "+14155550123"].map(str::to_owned);
        let job = Job { id, room, session, metadata };
        assert!(!format!("{job:?} {:?}", Heard::Asked(job.clone())).contains("4155"));
    }
}
