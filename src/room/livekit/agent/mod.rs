//! LiveKit's dispatcher of agents: a worker registers, and the server asks it to take jobs.
//!
//! - `protocol` translates between its messages and what a worker says and hears ([`crate::room::dispatch`]).
//! - `keeper` keeps the connection, and registers again after a cut.
//! - `rooms` asks the server's API about its rooms and what they have asked for; `seek` says which of them want one of us.

mod keeper;
mod protocol;
mod rooms;
mod seek;

pub use self::keeper::{Registration, register};

/// The agent name under which workers register where nobody says otherwise. A name means that jobs come for explicit
/// dispatches of that name only: without one, we would be given rooms that a voice agent waits for.
pub const AGENT_NAME: &str = "sentiment-sidecar";
