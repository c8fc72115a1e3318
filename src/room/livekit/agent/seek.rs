//! Which rooms want one of us. Pure.

use std::time::Duration;

use super::super::proto::agent::{AgentDispatch, JobStatus};
use super::super::proto::models::{ParticipantInfo, ParticipantKind, ParticipantState};
use super::super::token::IDENTITY;

/// A dispatch that is younger than that may still bring somebody: to be asked, to join.
const UNDER_WAY: Duration = Duration::from_secs(10);
/// Each further dispatch of the last so much time is given twice as long as the one before it: a room that nobody can join
/// is asked about ever more rarely, and what was asked for does not pile up in it.
const RECENT: Duration = Duration::from_secs(300);

/// Whether somebody in a room could need one of us: there is a caller, and none of us.
pub(super) fn is_bare(participants: &[ParticipantInfo]) -> bool {
    let there = || participants.iter().filter(|one| one.state() != ParticipantState::Disconnected);
    let is_person = |one: &&ParticipantInfo| {
        matches!(one.kind(), ParticipantKind::Standard | ParticipantKind::Sip | ParticipantKind::Connector)
    };
    there().any(|one| is_person(&one)) && !there().any(|one| one.identity == IDENTITY)
}

/// Which of a room's dispatches are of this agent.
pub(super) fn of_agent<'a>(dispatches: &'a [AgentDispatch], name: &str) -> impl Iterator<Item = &'a AgentDispatch> {
    let name = name.to_owned();
    dispatches.iter().filter(move |dispatch| dispatch.agent_name == name)
}

/// With which metadata one of us is to be asked for, in a room without one: where it was asked for and nobody is left, or, with
/// `every_room`, where nobody was asked for.
pub(super) fn wanted(dispatches: &[AgentDispatch], name: &str, every_room: bool, now_unix: Duration) -> Option<String> {
    let ours: Vec<&AgentDispatch> = of_agent(dispatches, name).collect();
    let created = |dispatch: &AgentDispatch| {
        let nanos = dispatch.state.as_ref().map_or(0, |state| state.created_at);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
    };
    let Some(newest) = ours.iter().max_by_key(|dispatch| created(dispatch)) else {
        return every_room.then(String::new);
    };
    // Of the states of jobs, the server keeps this one only: we said that nobody is needed.
    let mut jobs = ours.iter().filter_map(|dispatch| dispatch.state.as_ref()).flat_map(|state| &state.jobs);
    let unwanted = jobs.any(|job| job.state.is_some_and(|state| state.status() == JobStatus::Success));
    // The clock that dispatches have is the server's.
    let age = |dispatch: &AgentDispatch| now_unix.abs_diff(created(dispatch));
    let before = ours.iter().filter(|dispatch| age(dispatch) < RECENT).count().saturating_sub(1);
    let patience = UNDER_WAY.saturating_mul(1 << before.min(5)).min(RECENT);
    let under_way = age(newest) < patience;
    (!unwanted && !under_way).then(|| newest.metadata.clone())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::super::super::proto::agent::{AgentDispatchState, Job, JobState};
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn one(identity: &str, kind: ParticipantKind, state: ParticipantState) -> ParticipantInfo {
        let identity = identity.to_owned();
        ParticipantInfo { identity, kind: kind.into(), state: state.into(), ..ParticipantInfo::default() }
    }

    #[test]
    fn a_room_is_bare_when_a_caller_is_in_it_and_none_of_us() {
        use ParticipantKind::{Agent, Egress, Sip, Standard};
        use ParticipantState::{Active, Disconnected, Joining};
        let (phone, voice) = (one("sip_1", Sip, Active), one("agent-1", Agent, Active));
        let us = |state| one(IDENTITY, Agent, state);
        assert!(is_bare(&[phone.clone(), voice.clone()]));
        assert!(is_bare(&[one("app", Standard, Joining)]));
        assert!(!is_bare(&[phone.clone(), us(Active)]));
        assert!(!is_bare(&[phone.clone(), us(Joining)]), "one of us is on the way");
        assert!(is_bare(&[phone.clone(), us(Disconnected)]));
        assert!(!is_bare(&[voice, one("recorder", Egress, Active)]));
        assert!(!is_bare(&[one("sip_1", Sip, Disconnected)]));
        assert!(!is_bare(&[]));
    }

    fn dispatch(name: &str, age_s: u64, metadata: &str, status: Option<JobStatus>) -> AgentDispatch {
        let state = |status: JobStatus| Some(JobState { status: status.into() });
        let jobs = status.map(|status| Job { state: state(status), ..Job::default() }).into_iter().collect();
        let created = (NOW - Duration::from_secs(age_s)).as_nanos();
        AgentDispatch {
            id: format!("AD_{age_s}"),
            agent_name: name.to_owned(),
            metadata: metadata.to_owned(),
            state: Some(AgentDispatchState { jobs, created_at: i64::try_from(created).unwrap_or_default() }),
        }
    }

    fn asked(dispatches: &[AgentDispatch], every_room: bool) -> Option<String> {
        wanted(dispatches, "us", every_room, NOW)
    }

    #[test]
    fn who_was_asked_for_and_is_not_there_is_asked_for_again_with_the_same_metadata() {
        let running = Some(JobStatus::Running);
        let old = dispatch("us", 300, "old", running);
        let newer = dispatch("us", 60, "newer", running);
        assert_eq!(asked(&[newer.clone(), old.clone()], false).as_deref(), Some("newer"));
        assert_eq!(asked(&[dispatch("us", 60, "", None)], false).as_deref(), Some(""), "nobody was free then");
        let just_now = dispatch("us", 9, "", running);
        assert_eq!(asked(&[old.clone(), just_now], false), None, "somebody is on the way");
        assert_eq!(asked(&[old, dispatch("us", 11, "now", None)], false).as_deref(), Some("now"));
    }

    #[test]
    fn where_nobody_can_join_somebody_is_asked_for_ever_more_rarely() {
        let mut dispatches = vec![dispatch("us", 3_000, "", None)];
        let mut asked_at = Vec::new();
        for second in 0..600u64 {
            let now = NOW + Duration::from_secs(second);
            if wanted(&dispatches, "us", false, now).is_some() {
                let mut new = dispatch("us", 0, "", None);
                new.state.as_mut().unwrap().created_at = i64::try_from(now.as_nanos()).unwrap();
                dispatches.push(new);
                asked_at.push(second);
            }
        }
        assert_eq!(asked_at[..5], [0, 10, 30, 70, 150]);
        assert!(asked_at.len() < 12, "{asked_at:?}");
    }

    #[test]
    fn nobody_is_asked_for_where_nobody_wanted_us() {
        let others = [dispatch("", 300, "", Some(JobStatus::Running)), dispatch("voice", 300, "", None)];
        assert_eq!(asked(&others, false), None);
        assert_eq!(asked(&others, true).as_deref(), Some(""), "with every room");
        let unwanted = dispatch("us", 300, "", Some(JobStatus::Success));
        let again = dispatch("us", 60, "", Some(JobStatus::Running));
        for every_room in [false, true] {
            assert_eq!(asked(&[unwanted.clone(), again.clone()], every_room), None);
        }
    }
}
