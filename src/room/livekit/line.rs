//! Signalling of a stay, that may be away for a while ([`Line`]).

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::sleep;

use super::door::{Door, Knock};
use super::proto::signal::signal_response;
use super::signal::Signal;
use crate::room::error::RoomError;

/// How long one attempt to resume may take.
const RESUME_LIMIT: Duration = Duration::from_secs(5);

/// Signalling.
pub(super) enum Line {
    Up(Box<Signal>),
    /// It is being resumed.
    Down(BoxFuture<'static, Result<Box<Signal>, RoomError>>),
}

/// What happened to it.
#[expect(clippy::large_enum_variant, reason = "none is kept, and almost every one is a message")]
pub(super) enum Said {
    Message(signal_response::Message),
    Lost(RoomError),
    Dialled(Box<Signal>),
    NotDialled(RoomError),
}

impl Line {
    /// A session is asked for again, after `delay`.
    pub(super) fn resuming(door: Door, knock: Knock, delay: Duration) -> Self {
        Self::Down(Box::pin(async move {
            sleep(delay).await;
            door.knock(&knock, RESUME_LIMIT).await.map(Box::new)
        }))
    }

    /// Nothing comes any more.
    pub(super) fn cut() -> Self {
        Self::Down(Box::pin(std::future::pending()))
    }

    /// What comes next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Said {
        match self {
            Self::Up(signal) => signal.next().await.map_or_else(Said::Lost, Said::Message),
            Self::Down(dialling) => match dialling.await {
                Ok(signal) => Said::Dialled(signal),
                Err(error) => Said::NotDialled(error),
            },
        }
    }
}
