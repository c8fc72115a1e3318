//! What goes into the core and what comes out: [`Input`] and [`Output`]. Serialised, they are the journal.

use serde::{Deserialize, Serialize};

use crate::alert::outcome::{Outcome, Progress};
use crate::alert::record::{DeliveryResult, StoreResult, StoreWrite};
use crate::alert::{Alert, AlertId};
use crate::call::route::TransferRequest;
use crate::clock::Millis;
use crate::room::message::{RoomMessage, SidecarMessage};
use crate::sentiment::{RateError, Rating, TurnInContext};

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "input")]
pub enum Input {
    /// The room said something.
    Room {
        /// What.
        message: RoomMessage,
    },
    /// A rater is done with a turn, for better or worse.
    Rated {
        /// The turn that was rated.
        turn_id: String,
        /// The revision of its text that was rated; an older one than the current is dropped.
        rev: u32,
        /// The rating, or why there is none.
        result: RateResult,
    },
    /// The store is done with a [`StoreWrite`].
    Stored {
        /// The alert that was written.
        alert_id: AlertId,
        /// What came of it.
        result: StoreResult,
    },
    /// The SIP edge reports a step.
    TransferProgress {
        /// The alert behind the transfer.
        alert_id: AlertId,
        /// The step.
        progress: Progress,
    },
    /// The SIP edge is done.
    TransferDone {
        /// The alert behind the transfer.
        alert_id: AlertId,
        /// What came of it.
        outcome: Outcome,
    },
    /// A webhook was delivered, or given up, or will be tried again.
    Delivery {
        /// The alert that it told of.
        alert_id: AlertId,
        /// What came of it.
        result: DeliveryResult,
        /// The place that it went to, where it is not the webhook's.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        target: String,
    },
    /// The process was asked to stop: rate what is open, leave everything consistent.
    Shutdown,
    /// The room will not have us, or is lost for good: as after `Shutdown`.
    RoomGone {
        /// `refused` or `lost`, and why.
        reason: String,
    },
    /// Nothing but time has passed: a deadline that [`Output::Wait`] named is due.
    Tick,
}

/// `Result` in the journal's clothes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateResult {
    /// The turn's rating.
    Rating(Rating),
    /// Why there is none.
    Unrated(RateError),
}

impl From<Result<Rating, RateError>> for RateResult {
    fn from(result: Result<Rating, RateError>) -> Self {
        match result {
            Ok(rating) => Self::Rating(rating),
            Err(error) => Self::Unrated(error),
        }
    }
}

/// What the core wants done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "output")]
pub enum Output {
    /// Rate a turn; the answer comes back as [`Input::Rated`].
    Rate {
        /// The turn.
        turn_id: String,
        /// The revision of its text.
        rev: u32,
        /// The turn and its context.
        turn: TurnInContext,
    },
    /// Tell the room.
    Room {
        /// What.
        message: SidecarMessage,
    },
    /// Write to the store; the answer comes back as [`Input::Stored`].
    Store {
        /// What.
        write: StoreWrite,
    },
    /// Transfer over SIP; steps and the outcome come back.
    Transfer {
        /// What.
        request: TransferRequest,
    },
    /// The caller is gone or the process stops: call the SIP transfer off.
    CancelTransfer {
        /// The alert behind the transfer.
        alert_id: AlertId,
    },
    /// The caller is gone or the process stops: an attended transfer whose human has yet to decide is called off; one that
    /// hands the caller over at this moment goes on.
    StopAsking {
        /// The alert behind the transfer.
        alert_id: AlertId,
    },
    /// The alert's webhook is due: send it now rather than at the next sweep.
    Deliver {
        /// The alert.
        alert_id: AlertId,
        /// Set when the store failed, so that the webhook must be sent from here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unstored: Option<Box<Alert>>,
    },
    /// Something to tell the platform (`attach`) or QA (`replay`).
    Report {
        /// What.
        report: super::report::Report,
    },
    /// Nothing more to do until the next input, or until this moment, when [`Input::Tick`] is due.
    Wait {
        /// The moment, if any.
        until: Option<Millis>,
    },
    /// The call is over, and nothing is pending.
    Ended {
        /// Why.
        reason: String,
    },
}

/// One line of the journal. It is written from what it tells of by reference ([`EntryRef`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry<I = Input, O = Output> {
    /// Something happened.
    In {
        /// When.
        at_ms: Millis,
        /// What.
        event: I,
    },
    /// The core answered.
    Out {
        /// When.
        at_ms: Millis,
        /// What.
        event: O,
    },
}

/// A line of the journal about something that goes on elsewhere.
pub type EntryRef<'a> = Entry<&'a Input, &'a Output>;
