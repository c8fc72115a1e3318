//! Someone in the room, as LiveKit tells of them ([`Person`]).

use crate::room::livekit::act::{OUTCOME, TAKEN, TOLD};
use crate::room::livekit::proto::models::{ParticipantInfo, ParticipantKind, TrackType};
use crate::room::message::{Role, TakenAlert};

/// Agents that carry out what we ask for say so.
pub(super) const WIRED: &str = "sentiment-sidecar";

/// Someone in the room.
#[derive(Debug, Clone)]
pub(in crate::room::livekit) struct Person {
    pub(super) info: ParticipantInfo,
    /// In the order of coming.
    pub(super) number: u64,
    /// There was a caller when they came.
    pub(super) beside: bool,
    /// The role that the core was told.
    pub(super) told: Option<Role>,
}

impl Person {
    pub(in crate::room::livekit) fn identity(&self) -> &str {
        &self.info.identity
    }

    pub(in crate::room::livekit) fn sid(&self) -> &str {
        &self.info.sid
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.info.attributes.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn kind(&self) -> ParticipantKind {
        self.info.kind()
    }

    /// For people.
    pub(super) fn name(&self) -> Option<String> {
        Some(self.info.name.clone()).filter(|name| !name.is_empty())
    }

    /// Whether it carries out what we ask for.
    pub(in crate::room::livekit) fn is_wired(&self) -> bool {
        self.attribute(WIRED).is_some()
    }

    /// When they joined, in ms since 1970.
    pub(in crate::room::livekit) fn joined_at_ms(&self) -> i64 {
        joined_at_ms(&self.info)
    }

    /// The caller's number.
    pub(in crate::room::livekit) fn number_of_phone(&self) -> Option<&str> {
        self.attribute("sip.phoneNumber")
    }

    /// The number that was called.
    pub(in crate::room::livekit) fn number_called(&self) -> Option<&str> {
        self.attribute("sip.trunkPhoneNumber")
    }

    pub(super) fn is_phone(&self) -> bool {
        matches!(self.kind(), ParticipantKind::Sip | ParticipantKind::Connector)
    }

    /// Whether LiveKit's SIP service can transfer them.
    pub(super) fn is_sip(&self) -> bool {
        self.kind() == ParticipantKind::Sip
    }

    /// A phone that rang us: only for those a dispatch rule was looked up.
    pub(super) fn called_in(&self) -> bool {
        self.attribute("sip.ruleID").is_some()
    }

    /// A phone that was dialled from a room that had a caller: of somebody who is to help.
    pub(super) fn was_dialled_beside(&self) -> bool {
        self.beside && self.is_sip() && !self.called_in()
    }

    /// A phone that is on the call, not one that still rings.
    pub(super) fn is_on_the_line(&self) -> bool {
        self.attribute("sip.callStatus").is_none_or(|status| status == "active")
    }

    /// Whether they can be heard. Apps publish a microphone that is muted of whoever only listens.
    pub(super) fn speaks(&self) -> bool {
        self.info.tracks.iter().any(|track| track.r#type() == TrackType::Audio && !track.muted)
    }

    /// The alerts that are marked at them.
    pub(super) fn taken_alerts(&self) -> impl Iterator<Item = TakenAlert> {
        let ids = self.info.attributes.keys().filter_map(|name| name.strip_prefix(TAKEN));
        ids.map(|id| TakenAlert {
            alert_id: id.to_owned(),
            outcome: self.attribute(&format!("{OUTCOME}{id}")).map(str::to_owned),
            told: self.attribute(&format!("{TOLD}{id}")).is_some(),
        })
    }
}

/// When somebody joined, in ms since 1970.
pub(in crate::room::livekit) fn joined_at_ms(info: &ParticipantInfo) -> i64 {
    match info.joined_at_ms {
        0 => info.joined_at.saturating_mul(1000),
        ms => ms,
    }
}
