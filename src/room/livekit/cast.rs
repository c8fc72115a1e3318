//! Who is in the room, and who of them is the caller ([`Cast`]).

use std::collections::{BTreeMap, VecDeque};

use super::accounts::Standing;
use super::act::{OUTCOME, TAKEN, TOLD};
use super::proto::models::{ParticipantInfo, ParticipantKind, ParticipantState, TrackType};
use crate::room::message::{Participant, Role, TakenAlert};

/// Agents that carry out what we ask for say so.
pub(super) const WIRED: &str = "sentiment-sidecar";
/// How many stays are remembered that have ended.
const MAX_ENDED: usize = 64;

/// A stay that has ended. Its last data may come later than that word.
#[derive(Debug)]
struct Ended {
    sid: String,
    identity: String,
    role: Role,
}

/// Someone in the room.
#[derive(Debug, Clone)]
pub(super) struct Person {
    info: ParticipantInfo,
    /// In the order of coming.
    number: u64,
    /// There was a caller when they came.
    beside: bool,
    /// The role that the core was told.
    told: Option<Role>,
}

impl Person {
    pub(super) fn identity(&self) -> &str {
        &self.info.identity
    }

    pub(super) fn sid(&self) -> &str {
        &self.info.sid
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.info.attributes.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether it carries out what we ask for.
    pub(super) fn is_wired(&self) -> bool {
        self.attribute(WIRED).is_some()
    }

    /// When they joined, in ms since 1970.
    pub(super) fn joined_at_ms(&self) -> i64 {
        joined_at_ms(&self.info)
    }

    /// The caller's number.
    pub(super) fn number_of_phone(&self) -> Option<&str> {
        self.attribute("sip.phoneNumber")
    }

    /// The number that was called.
    pub(super) fn number_called(&self) -> Option<&str> {
        self.attribute("sip.trunkPhoneNumber")
    }

    fn is_phone(&self) -> bool {
        matches!(self.info.kind(), ParticipantKind::Sip | ParticipantKind::Connector)
    }

    /// Whether LiveKit's SIP service can transfer them.
    fn is_sip(&self) -> bool {
        self.info.kind() == ParticipantKind::Sip
    }

    /// A phone that rang us: only for those a dispatch rule was looked up.
    fn called_in(&self) -> bool {
        self.attribute("sip.ruleID").is_some()
    }

    /// A phone that was dialled from a room that had a caller: of somebody who is to help.
    fn was_dialled_beside(&self) -> bool {
        self.beside && self.is_sip() && !self.called_in()
    }

    /// A phone that is on the call, not one that still rings.
    fn is_on_the_line(&self) -> bool {
        self.attribute("sip.callStatus").is_none_or(|status| status == "active")
    }

    /// Whether they can be heard. Apps publish a microphone that is muted of whoever only listens.
    fn speaks(&self) -> bool {
        self.info.tracks.iter().any(|track| track.r#type() == TrackType::Audio && !track.muted)
    }

    /// The alerts that are marked at them.
    fn taken_alerts(&self) -> impl Iterator<Item = TakenAlert> {
        let ids = self.info.attributes.keys().filter_map(|name| name.strip_prefix(TAKEN));
        ids.map(|id| TakenAlert {
            alert_id: id.to_owned(),
            outcome: self.attribute(&format!("{OUTCOME}{id}")).map(str::to_owned),
            told: self.attribute(&format!("{TOLD}{id}")).is_some(),
        })
    }
}

/// When somebody joined, in ms since 1970.
pub(super) fn joined_at_ms(info: &ParticipantInfo) -> i64 {
    match info.joined_at_ms {
        0 => info.joined_at.saturating_mul(1000),
        ms => ms,
    }
}

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Someone came, or is something else now.
    Joined(Participant),
    /// Someone left; of several callers only the last one is told.
    Left(Participant),
    /// An agent's stay has begun.
    AgentCame {
        /// Who.
        identity: String,
    },
    /// A stay has ended.
    Gone {
        /// The stay.
        sid: String,
    },
    /// An agent carries out what we ask for from now on.
    Wired {
        /// Who.
        identity: String,
    },
}

/// Who is in the room. The caller is whom the settings name; else the first phone that is there, unless it was dialled while there
/// was a caller already; else everybody who is no agent. Beside a caller, a phone that was called, once it is answered, and
/// whoever else speaks is a human who helps.
#[derive(Debug, Default)]
pub(super) struct Cast {
    /// The caller's identity, where the settings name one.
    named: Option<String>,
    people: BTreeMap<String, Person>,
    /// The newest at the end.
    ended: VecDeque<Ended>,
    came: u64,
    /// The last main caller, there or gone.
    last_caller: Option<String>,
}

impl Cast {
    pub(super) fn new(named: Option<String>) -> Self {
        Self { named, ..Self::default() }
    }

    pub(super) fn person(&self, identity: &str) -> Option<&Person> {
        self.people.get(identity)
    }

    /// Everyone, in the order of coming.
    pub(super) fn people(&self) -> impl Iterator<Item = &Person> {
        let mut people: Vec<&Person> = self.people.values().collect();
        people.sort_by_key(|person| person.number);
        people.into_iter()
    }

    pub(super) fn agents(&self) -> impl Iterator<Item = &Person> {
        self.people().filter(|person| person.info.kind() == ParticipantKind::Agent)
    }

    pub(super) fn by_sid(&self, sid: &str) -> Option<&Person> {
        self.people.values().find(|person| person.sid() == sid)
    }

    /// Whether a transcript of what `who` said may come from this stay: from agents, and from a caller's app that recognises
    /// its own speech. Of whom we do not know yet it may: data overtakes signalling.
    pub(super) fn may_transcribe(&self, sid: &str, who: &str) -> bool {
        self.stay(sid).is_none_or(|(identity, role, _)| match role {
            Role::Agent => true,
            Role::Caller => identity == who,
            _ => false,
        })
    }

    /// Whether this stay is an agent's, or could be.
    pub(super) fn may_be_agent(&self, sid: &str) -> bool {
        self.stay(sid).is_none_or(|(_, role, _)| role == Role::Agent)
    }

    /// How sure it is that this stay may tell of the conversation.
    pub(super) fn standing(&self, sid: &str) -> Standing {
        match self.stay(sid) {
            None => Standing::Unknown,
            Some((_, Role::Agent | Role::Caller, true)) => Standing::There,
            Some(_) => Standing::Out,
        }
    }

    /// Whose stay this is or was, in which role, and whether it goes on; none where we do not know of it.
    fn stay(&self, sid: &str) -> Option<(&str, Role, bool)> {
        if sid.is_empty() {
            return None;
        }
        let ended = || self.ended.iter().find(|ended| ended.sid == sid);
        let here = self.by_sid(sid).map(|person| (person.identity(), self.role(person), true));
        here.or_else(|| ended().map(|ended| (ended.identity.as_str(), ended.role, false)))
    }

    /// Everyone as the core knows them.
    pub(super) fn participants(&self) -> Vec<Participant> {
        self.people().map(|person| self.participant(person)).collect()
    }

    /// The alerts that were taken up by whoever had the call before us.
    pub(super) fn taken_alerts(&self) -> Vec<TakenAlert> {
        self.people().filter(|one| self.role(one) == Role::Caller).flat_map(Person::taken_alerts).collect()
    }

    /// The caller that turns are of where nobody says of which one: the first.
    pub(super) fn caller(&self) -> Option<&Person> {
        self.people().find(|person| self.role(person) == Role::Caller)
    }

    /// The same, or who was it last.
    pub(super) fn caller_identity(&self) -> Option<&str> {
        self.caller().map(Person::identity).or(self.last_caller.as_deref())
    }

    /// Whether somebody is a caller, or was the last one.
    pub(super) fn is_caller(&self, identity: &str) -> bool {
        let person = self.person(identity);
        person.map_or(self.last_caller.as_deref() == Some(identity), |person| self.role(person) == Role::Caller)
    }

    /// Whether there was a caller, and is none any more.
    pub(super) fn caller_has_left(&self) -> bool {
        self.last_caller.is_some() && self.caller().is_none()
    }

    /// The caller whom the SIP service can transfer.
    pub(super) fn caller_by_sip(&self) -> Option<&Person> {
        self.people().find(|person| person.is_sip() && self.role(person) == Role::Caller)
    }

    /// A full join: everybody who is there. Those who are not have left, unless the server itself began anew: then they may be
    /// on their way back.
    pub(super) fn joined<'a>(
        &mut self,
        others: impl Iterator<Item = &'a ParticipantInfo> + Clone,
        anew: bool,
    ) -> Vec<Change> {
        let gone: Vec<String> = self
            .people
            .keys()
            .filter(|identity| !others.clone().any(|info| info.identity == **identity))
            .cloned()
            .collect();
        let mut changes = Vec::new();
        for identity in gone {
            if anew {
                changes.extend(self.people.get(&identity).map(|gone| Change::Gone { sid: gone.sid().to_owned() }));
            } else {
                self.leave(&identity, &mut changes);
            }
        }
        // The server tells of them in any order.
        let mut others: Vec<&ParticipantInfo> = others.collect();
        others.sort_by_key(|info| joined_at_ms(info));
        for info in others {
            self.note(info, &mut changes);
        }
        self.tell(&mut changes);
        changes
    }

    /// Someone came, changed or left.
    pub(super) fn updated<'a>(&mut self, infos: impl IntoIterator<Item = &'a ParticipantInfo>) -> Vec<Change> {
        let mut changes = Vec::new();
        for info in infos {
            if info.state() == ParticipantState::Disconnected {
                // Of an earlier stay: who left is back already.
                let known = self.people.get(&info.identity).is_some_and(|known| known.sid() == info.sid);
                if known {
                    self.leave(&info.identity, &mut changes);
                }
            } else {
                self.note(info, &mut changes);
            }
        }
        self.tell(&mut changes);
        changes
    }

    fn note(&mut self, info: &ParticipantInfo, changes: &mut Vec<Change>) {
        let identity = info.identity.clone();
        let before = self.people.get(&identity);
        // Updates may overtake one another.
        if before.is_some_and(|before| before.sid() == info.sid && before.info.version > info.version) {
            return;
        }
        let another_stay = before.is_none_or(|before| before.sid() != info.sid);
        let was_wired = !another_stay && before.is_some_and(Person::is_wired);
        if let Some(before) = before.filter(|_| another_stay) {
            changes.push(Change::Gone { sid: before.sid().to_owned() });
            let ended = self.ended(before);
            self.remember(ended);
        }
        let (number, beside, told) = match self.people.get(&identity) {
            Some(before) => (before.number, before.beside, before.told),
            None => {
                self.came += 1;
                (self.came, self.caller().is_some(), None)
            }
        };
        let person = Person { info: info.clone(), number, beside, told };
        if person.info.kind() == ParticipantKind::Agent {
            if another_stay {
                changes.push(Change::AgentCame { identity: identity.clone() });
            }
            if person.is_wired() && !was_wired {
                changes.push(Change::Wired { identity: identity.clone() });
            }
        }
        self.people.insert(identity, person);
    }

    fn ended(&self, person: &Person) -> Ended {
        Ended { sid: person.sid().to_owned(), identity: person.identity().to_owned(), role: self.role(person) }
    }

    fn remember(&mut self, ended: Ended) {
        self.ended.push_back(ended);
        if self.ended.len() > MAX_ENDED {
            self.ended.pop_front();
        }
    }

    fn leave(&mut self, identity: &str, changes: &mut Vec<Change>) {
        let Some(ended) = self.people.get(identity).map(|person| self.ended(person)) else { return };
        let Some(person) = self.people.remove(identity) else { return };
        self.remember(ended);
        let role = person.told.unwrap_or(Role::Observer);
        let one_side = role == Role::Caller && self.people.values().any(|other| other.told == Some(Role::Caller));
        if !one_side && person.told.is_some() {
            let name = name(&person.info);
            changes.push(Change::Left(Participant { id: identity.to_owned(), role, name }));
        }
        changes.push(Change::Gone { sid: person.sid().to_owned() });
    }

    /// What a change of one makes of all.
    fn tell(&mut self, changes: &mut Vec<Change>) {
        let news: Vec<Participant> = self
            .people()
            .filter(|person| person.told != Some(self.role(person)))
            .map(|person| self.participant(person))
            .collect();
        for participant in news {
            if let Some(person) = self.people.get_mut(&participant.id) {
                person.told = Some(participant.role);
            }
            changes.push(Change::Joined(participant));
        }
        if let Some(caller) = self.caller() {
            self.last_caller = Some(caller.identity().to_owned());
        }
    }

    fn participant(&self, person: &Person) -> Participant {
        Participant { id: person.identity().to_owned(), role: self.role(person), name: name(&person.info) }
    }

    fn role(&self, person: &Person) -> Role {
        match person.info.kind() {
            ParticipantKind::Agent => Role::Agent,
            ParticipantKind::Egress | ParticipantKind::Ingress | ParticipantKind::Bridge => Role::Observer,
            ParticipantKind::Sip | ParticipantKind::Connector | ParticipantKind::Standard => match &self.named {
                Some(named) if *named == person.info.identity => Role::Caller,
                Some(_) => helper(person),
                None => self.role_by_place(person),
            },
        }
    }

    fn role_by_place(&self, person: &Person) -> Role {
        // Who helped is no caller once the caller is gone.
        if person.told == Some(Role::Supervisor) {
            return Role::Supervisor;
        }
        let phones = self.people.values().filter(|other| other.is_phone() && !other.was_dialled_beside());
        match phones.min_by_key(|other| other.number) {
            None if person.was_dialled_beside() => helper(person),
            None => Role::Caller,
            Some(first) if first.number == person.number => Role::Caller,
            Some(_) if person.is_phone() && person.called_in() => Role::Caller,
            Some(_) => helper(person),
        }
    }
}

/// Beside the caller: a human who helps, once they can be heard, and from then on.
fn helper(person: &Person) -> Role {
    if person.told == Some(Role::Supervisor) {
        return Role::Supervisor;
    }
    let heard = if person.is_phone() { person.is_on_the_line() } else { person.speaks() };
    if heard { Role::Supervisor } else { Role::Observer }
}

fn name(info: &ParticipantInfo) -> Option<String> {
    Some(info.name.clone()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
    use super::super::proto::models::TrackInfo;
    use super::*;

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
        let all =
            [phone("sip-1"), person("web-1", ParticipantKind::Standard), person("web-2", ParticipantKind::Standard)];
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
}
