//! Who comes and goes, and who of them is taken for the caller.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use super::person::WIRED;
use super::*;
use crate::room::livekit::proto::models::{TrackInfo, TrackType};

fn person(identity: &str, kind: ParticipantKind) -> ParticipantInfo {
    let (identity, sid) = (identity.to_owned(), format!("PA_{identity}"));
    ParticipantInfo { identity, sid, kind: kind.into(), ..ParticipantInfo::default() }
}

fn with(mut info: ParticipantInfo, name: &str, value: &str) -> ParticipantInfo {
    info.attributes.insert(name.to_owned(), value.to_owned());
    info.version += 1;
    info
}

fn phone(identity: &str) -> ParticipantInfo {
    with(person(identity, ParticipantKind::Sip), "sip.ruleID", "SDR_1")
}

fn dialled(identity: &str, status: &str) -> ParticipantInfo {
    with(person(identity, ParticipantKind::Sip), "sip.callStatus", status)
}

fn speaking(mut info: ParticipantInfo) -> ParticipantInfo {
    info.tracks.push(TrackInfo { sid: "TR_1".to_owned(), r#type: TrackType::Audio.into(), muted: false });
    info.version += 1;
    info
}

fn muted(mut info: ParticipantInfo) -> ParticipantInfo {
    info.tracks.iter_mut().for_each(|track| track.muted = true);
    info.version += 1;
    info
}

fn gone(mut info: ParticipantInfo) -> ParticipantInfo {
    info.state = ParticipantState::Disconnected.into();
    info
}

fn roles(cast: &Cast) -> Vec<(String, Role)> {
    cast.participants().into_iter().map(|one| (one.id, one.role)).collect()
}

fn told(changes: &[Change]) -> Vec<(&str, Role)> {
    let mut told = Vec::new();
    for change in changes {
        if let Change::Joined(one) = change {
            told.push((one.id.as_str(), one.role));
        }
    }
    told
}

#[test]
fn without_a_phone_everybody_who_is_no_agent_is_the_caller_s_side() {
    let mut cast = Cast::default();
    let all = [
        person("web-1", ParticipantKind::Standard),
        person("bot", ParticipantKind::Agent),
        person("web-2", ParticipantKind::Standard),
        person("recorder", ParticipantKind::Egress),
    ];
    cast.joined(all.iter(), false);
    let expected =
        [("web-1", Role::Caller), ("bot", Role::Agent), ("web-2", Role::Caller), ("recorder", Role::Observer)];
    assert_eq!(roles(&cast), expected.map(|(id, role)| (id.to_owned(), role)));
    assert_eq!(cast.caller_identity(), Some("web-1"));
    assert!(cast.caller_by_sip().is_none());
}

#[test]
fn the_first_phone_is_the_caller_and_who_speaks_beside_it_helps() {
    let mut cast = Cast::default();
    let watcher = person("desk", ParticipantKind::Standard);
    cast.joined([&watcher].into_iter(), false);
    assert_eq!(roles(&cast), [("desk".to_owned(), Role::Caller)]);
    let changes = cast.updated(&[phone("sip-1")]);
    assert_eq!(told(&changes), [("desk", Role::Observer), ("sip-1", Role::Caller)]);
    assert_eq!(told(&cast.updated(&[speaking(watcher)])), [("desk", Role::Supervisor)]);
    assert_eq!(cast.caller_by_sip().unwrap().identity(), "sip-1");
}

#[test]
fn who_publishes_a_muted_microphone_watches_and_who_mutes_it_in_between_still_helps() {
    let mut cast = Cast::default();
    let watcher = muted(speaking(person("desk", ParticipantKind::Standard)));
    cast.joined([&phone("sip-1"), &watcher].into_iter(), false);
    assert_eq!(roles(&cast), [("sip-1".to_owned(), Role::Caller), ("desk".to_owned(), Role::Observer)]);
    let unmuted = ParticipantInfo { version: watcher.version + 1, tracks: Vec::new(), ..watcher };
    let unmuted = speaking(unmuted);
    assert_eq!(told(&cast.updated(std::slice::from_ref(&unmuted))), [("desk", Role::Supervisor)]);
    assert!(told(&cast.updated(&[muted(unmuted)])).is_empty(), "they only listen for a moment");
    let mut cast = Cast::new(Some("sip-1".to_owned()));
    let helper = speaking(person("desk", ParticipantKind::Standard));
    cast.joined([&phone("sip-1"), &helper].into_iter(), false);
    assert!(told(&cast.updated(&[muted(helper)])).is_empty(), "also where the caller is named");
}

#[test]
fn alerts_are_known_by_the_caller_s_attributes() {
    let mut cast = Cast::default();
    let caller = with(phone("sip-1"), "sentiment-sidecar.alert.a1", "1");
    let caller = with(caller, "sentiment-sidecar.alert.a2", "1");
    let caller = with(caller, "sentiment-sidecar.outcome.a2", "no_answer");
    let caller = with(caller, "sentiment-sidecar.told.a2", "1");
    let another = with(person("desk", ParticipantKind::Standard), "sentiment-sidecar.alert.a3", "1");
    cast.joined([&caller, &another].into_iter(), false);
    let taken = |id: &str, outcome: Option<&str>| {
        let (alert_id, told) = (id.to_owned(), outcome.is_some());
        TakenAlert { alert_id, outcome: outcome.map(str::to_owned), told }
    };
    assert_eq!(cast.taken_alerts(), [taken("a1", None), taken("a2", Some("no_answer"))]);
}

#[test]
fn a_human_who_is_dialled_helps_once_the_phone_is_answered_and_is_no_caller_afterwards() {
    let mut cast = Cast::default();
    cast.joined([&phone("sip-1")].into_iter(), false);
    assert_eq!(told(&cast.updated(&[dialled("sip-2", "ringing")])), [("sip-2", Role::Observer)]);
    let answered = with(dialled("sip-2", "active"), "other", "1");
    assert_eq!(told(&cast.updated(&[answered])), [("sip-2", Role::Supervisor)]);
    assert_eq!(told(&cast.updated(&[phone("sip-3")])), [("sip-3", Role::Caller)], "a second one who rang");
    cast.updated(&[gone(phone("sip-3"))]);
    cast.updated(&[gone(phone("sip-1"))]);
    assert_eq!(roles(&cast), [("sip-2".to_owned(), Role::Supervisor)]);
    assert_eq!((cast.caller().is_none(), cast.caller_identity()), (true, Some("sip-1")));
}

#[test]
fn a_phone_that_is_dialled_beside_a_caller_on_the_web_takes_no_place_but_a_helper_s() {
    let web = |joined_at_ms| ParticipantInfo { joined_at_ms, ..person("web-1", ParticipantKind::Standard) };
    let mut cast = Cast::default();
    cast.joined([&web(1_000)].into_iter(), false);
    assert_eq!(told(&cast.updated(&[dialled("sip-2", "dialing")])), [("sip-2", Role::Observer)]);
    assert_eq!(cast.caller_identity(), Some("web-1"));
    cast.updated(&[gone(dialled("sip-2", "dialing"))]);
    assert_eq!(roles(&cast), [("web-1".to_owned(), Role::Caller)], "it was never answered");
    cast.updated(&[dialled("sip-3", "dialing")]);
    let answered = with(dialled("sip-3", "active"), "other", "1");
    assert_eq!(told(&cast.updated(&[answered])), [("sip-3", Role::Supervisor)]);
    cast.updated(&[gone(web(1_000))]);
    assert_eq!(roles(&cast), [("sip-3".to_owned(), Role::Supervisor)], "who helped is no caller");
    // Whoever joins later sees the same, in whatever order they are told of.
    let mut cast = Cast::default();
    let ringing = ParticipantInfo { joined_at_ms: 2_000, ..dialled("sip-2", "dialing") };
    cast.joined([&ringing, &web(1_000)].into_iter(), false);
    assert_eq!(cast.caller_identity(), Some("web-1"));
    assert_eq!(told(&cast.updated(&[phone("sip-4")])), [("web-1", Role::Observer), ("sip-4", Role::Caller)]);
}

#[test]
fn a_call_that_we_made_has_its_phone_as_the_caller() {
    let mut cast = Cast::default();
    cast.joined([&dialled("sip-1", "active")].into_iter(), false);
    assert_eq!(roles(&cast), [("sip-1".to_owned(), Role::Caller)]);
}

#[test]
fn whom_the_settings_name_is_the_caller_and_nobody_else() {
    let mut cast = Cast::new(Some("web-2".to_owned()));
    let all = [phone("sip-1"), person("web-1", ParticipantKind::Standard), person("web-2", ParticipantKind::Standard)];
    cast.joined(all.iter(), false);
    let roles: Vec<Role> = cast.participants().into_iter().map(|one| one.role).collect();
    assert_eq!(roles, [Role::Supervisor, Role::Observer, Role::Caller]);
    assert!(cast.caller_by_sip().is_none());
}

#[test]
fn of_several_callers_the_last_one_to_leave_is_told() {
    let mut cast = Cast::default();
    let (one, two) = (person("web-1", ParticipantKind::Standard), person("web-2", ParticipantKind::Standard));
    cast.joined([&one, &two].into_iter(), false);
    assert_eq!(cast.updated(&[gone(one)]), [Change::Gone { sid: "PA_web-1".to_owned() }]);
    let changes = cast.updated(&[gone(two.clone())]);
    assert!(matches!(&changes[0], Change::Left(left) if left.id == "web-2" && left.role == Role::Caller));
    assert!(cast.updated(&[gone(two)]).is_empty(), "once");
}

#[test]
fn updates_that_come_late_change_nothing() {
    let mut cast = Cast::default();
    let old = person("bot", ParticipantKind::Agent);
    let new = with(old.clone(), WIRED, "1");
    let changes = cast.updated(std::slice::from_ref(&new));
    let identity = "bot".to_owned();
    assert!(changes.contains(&Change::Wired { identity: identity.clone() }));
    assert!(cast.updated(&[old]).is_empty());
    assert!(cast.person("bot").unwrap().is_wired());
    let back = ParticipantInfo { sid: "PA_again".to_owned(), version: 0, ..new.clone() };
    let changes = cast.updated(&[back]);
    assert!(changes.contains(&Change::AgentCame { identity }), "another stay: {changes:?}");
    assert!(changes.contains(&Change::Gone { sid: "PA_bot".to_owned() }));
    assert!(cast.updated(&[gone(new)]).is_empty(), "of the stay before");
}

#[test]
fn when_the_server_begins_anew_who_is_not_there_yet_has_not_left() {
    let mut cast = Cast::default();
    let all = [phone("sip-1"), person("bot", ParticipantKind::Agent)];
    cast.joined(all.iter(), false);
    let changes = cast.joined([&person("bot", ParticipantKind::Agent)].into_iter(), true);
    assert_eq!(changes, [Change::Gone { sid: "PA_sip-1".to_owned() }]);
    let changes = cast.joined([&person("bot", ParticipantKind::Agent)].into_iter(), false);
    assert!(matches!(&changes[0], Change::Left(left) if left.id == "sip-1"), "{changes:?}");
}
