//! Who is in the call, and in which role. Rooms forget to announce people, and callers come back under another id.

use std::collections::BTreeMap;

use crate::room::message::{Participant, Role};

/// Everyone who was announced or spoke.
#[derive(Debug, Default)]
pub(super) struct Roster {
    roles: BTreeMap<String, Known>,
    /// In the order of coming.
    present: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// The room said so.
    Announced(Role),
    /// By the look of it, until the room says more.
    Guessed(Role),
}

impl Known {
    fn role(self) -> Role {
        match self {
            Self::Announced(role) | Self::Guessed(role) => role,
        }
    }
}

impl Roster {
    pub(super) fn role(&self, id: &str) -> Option<Role> {
        self.roles.get(id).copied().map(Known::role)
    }

    /// Announces someone. Returns the role that they had before, if another.
    pub(super) fn joined(&mut self, participant: &Participant) -> Changed {
        let before = self.roles.insert(participant.id.clone(), Known::Announced(participant.role)).map(Known::role);
        if !self.present.contains(&participant.id) {
            self.present.push(participant.id.clone());
        }
        if before == Some(participant.role) { Changed::No } else { Changed::From(before) }
    }

    /// Someone left; returns their role.
    pub(super) fn left(&mut self, participant: &Participant) -> Role {
        let known = *self.roles.entry(participant.id.clone()).or_insert(Known::Announced(participant.role));
        self.present.retain(|id| *id != participant.id);
        known.role()
    }

    pub(super) fn all_left(&mut self) {
        self.present.clear();
    }

    pub(super) fn is_present(&self, role: Role) -> bool {
        self.present.iter().any(|id| self.role(id) == Some(role))
    }

    /// Everyone of a role, by id.
    pub(super) fn with(&self, role: Role) -> impl Iterator<Item = &str> {
        self.roles.iter().filter(move |(_, known)| known.role() == role).map(|(id, _)| id.as_str())
    }

    /// Someone speaks. Whom the room never announced is taken for the human where one has joined, for the caller where the
    /// caller is not there or where the agent is known to be somebody else, and for the agent otherwise. Returns what a
    /// newcomer is taken for, where anything hangs on it.
    pub(super) fn speaks(&mut self, id: &str) -> Option<Role> {
        if self.roles.contains_key(id) {
            return None;
        }
        let agent_is_known = self.with(Role::Agent).next().is_some();
        let role = match (self.is_present(Role::Supervisor), self.is_present(Role::Caller)) {
            (true, _) => Role::Supervisor,
            (false, true) if !agent_is_known => Role::Agent,
            (false, _) => Role::Caller,
        };
        self.roles.insert(id.to_owned(), Known::Guessed(role));
        self.present.push(id.to_owned());
        (role != Role::Supervisor).then_some(role)
    }
}

/// Whether someone's role is another now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    No,
    From(Option<Role>),
}
