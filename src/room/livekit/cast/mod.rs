//! Who is in the room ([`Cast`]): one [`Person`] each, and which `role` they have.

mod person;
mod role;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use self::role::role;
use super::accounts::Standing;
use super::proto::models::{ParticipantInfo, ParticipantKind, ParticipantState};
use crate::room::message::{Participant, Role, TakenAlert};

pub(super) use self::person::{Person, joined_at_ms};

/// How many stays are remembered that have ended.
const MAX_ENDED: usize = 64;

/// A stay that has ended. Its last data may come later than that word.
#[derive(Debug)]
struct Ended {
    sid: String,
    identity: String,
    role: Role,
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

/// Who is in the room.
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
        self.people().filter(|person| person.kind() == ParticipantKind::Agent)
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
        if person.kind() == ParticipantKind::Agent {
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
            let name = person.name();
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
        Participant { id: person.identity().to_owned(), role: self.role(person), name: person.name() }
    }

    fn role(&self, person: &Person) -> Role {
        role(person, self.people.values(), self.named.as_deref())
    }
}
