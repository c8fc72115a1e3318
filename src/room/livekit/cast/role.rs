//! Who of those in a room is the caller, and who helps ([`role`]).
//!
//! The caller is whom the settings name; else the first phone that is there, unless it was dialled while there was a caller
//! already; else everybody who is no agent. Beside a caller, a phone that was called, once it is answered, and whoever else
//! speaks is a human who helps.

use super::person::Person;
use crate::room::livekit::proto::models::ParticipantKind;
use crate::room::message::Role;

/// The role of one of these people. `named`: the caller's identity, where the settings name one.
pub(super) fn role<'a>(person: &Person, people: impl Iterator<Item = &'a Person>, named: Option<&str>) -> Role {
    match person.kind() {
        ParticipantKind::Agent => Role::Agent,
        ParticipantKind::Egress | ParticipantKind::Ingress | ParticipantKind::Bridge => Role::Observer,
        ParticipantKind::Sip | ParticipantKind::Connector | ParticipantKind::Standard => match named {
            Some(named) if named == person.identity() => Role::Caller,
            Some(_) => helper(person),
            None => role_by_place(person, people),
        },
    }
}

fn role_by_place<'a>(person: &Person, people: impl Iterator<Item = &'a Person>) -> Role {
    // Who helped is no caller once the caller is gone.
    if person.told == Some(Role::Supervisor) {
        return Role::Supervisor;
    }
    let phones = people.filter(|other| other.is_phone() && !other.was_dialled_beside());
    match phones.min_by_key(|other| other.number) {
        None if person.was_dialled_beside() => helper(person),
        None => Role::Caller,
        Some(first) if first.number == person.number => Role::Caller,
        Some(_) if person.is_phone() && person.called_in() => Role::Caller,
        Some(_) => helper(person),
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
