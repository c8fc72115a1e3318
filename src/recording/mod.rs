//! The recording format: JSON Lines with a header, room messages each with `at_ms`, pinned ratings, and what is
//! expected of the call.
//!
//! ```text
//! {"type":"recording","version":1,"room_name":"room_abc123","title":"…","agent":{"sentimentThreshold":3}}
//! {"at_ms":0,"type":"welcome", …}
//! {"at_ms":4200,"type":"transcript", …}
//! {"type":"rating","turn_id":"u2","sentiment":3.0}
//! {"type":"expect","escalate_at_turn":3,"action":"transfer"}
//! ```
//!
//! - The header may also carry `title` (for people), `agent` (settings, as in an agent document), and, for recordings
//!   without a `welcome`, the room's `participants` and `capabilities`.
//! - `at_ms` is in ms since the recording began and never decreases.
//! - A **pinned rating** stands in for the rater at one turn, so that a recording can be about arithmetic rather than
//!   about words. It is valid in recordings only. What it leaves out follows from its sentiment; `"unrated":true` says
//!   that the rater fails at that turn.
//! - Blank lines, unknown line types and unknown fields are ignored.
//!
//! `lines` reads lines as JSON objects, `reader` makes them parts of a recording, `pinned` has the ratings, and `writer`
//! writes a recording whole. [`import`] reads transcripts in other forms, and [`redact`] takes out
//! what tells who somebody is.

mod address;
mod amounts;
pub mod expect;
pub mod import;
pub mod lasting;
mod lines;
mod pieced;
mod pinned;
pub mod problem;
mod reader;
pub mod recorder;
pub mod redact;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::expect::Expectation;
use crate::clock::Millis;
use crate::room::message::{Participant, RoomMessage};
use crate::sentiment::{RateError, Rating};

pub use self::lines::{CutLine, MAX_LINE};
pub use self::pinned::PinnedRating;
pub use self::reader::Reader;

/// The version of the format that this program writes and reads.
pub const VERSION: u64 = 1;

/// Latest `at_ms`: the largest whole number that every JSON reader keeps exactly.
pub const MAX_AT_MS: u64 = (1 << 53) - 1;

/// The first line of a recording.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The room.
    pub room_name: String,
    /// What the recording shows, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Settings as in an agent document; flags and files go before them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Map<String, Value>>,
    /// Who is in the room, for recordings without a `welcome`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participants: Option<Vec<Participant>>,
    /// What the room offers, for recordings without a `welcome`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
}

/// A room message and when it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// Since the recording began.
    pub at: Millis,
    /// The message.
    pub message: RoomMessage,
}

/// One line of a recording after its header.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A room message.
    Message(Timed),
    /// A pinned rating.
    Rating(PinnedRating),
    /// What is expected of the call.
    Expect(Expectation),
}

/// A whole recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recording {
    /// Its header.
    pub header: Header,
    /// What the room said, in the order of arrival.
    pub messages: Vec<Timed>,
    /// Ratings that stand in for the rater, by turn id.
    pub pinned: BTreeMap<String, Result<Rating, RateError>>,
    /// What is expected of the call.
    pub expectation: Option<Expectation>,
}
