//! LiveKit: a participant of the room, hidden from the others, that reads what agents tell of the conversation.
//!
//! - [`proto`]: LiveKit's messages on the wire. [`seen`]: what a participant sees and does, between the connection and the
//!   translator.
//! - `translator`: the two languages, into each other. `streams` puts data streams together, `cast` knows who is the caller,
//!   `accounts` which account of the conversation counts, `turns` what is passed on of it, `session` reads what an agent tells of
//!   its own, `act` what we ask of the room, and what comes of it (`failure`, where it failed).
//! - `participant` is the connection: `door` is the way in, `signal` the WebSocket behind it, `peer` one WebRTC connection
//!   over `wires` to a `candidate`, `peers` those of a session, `stay` the task that keeps them, with a `line` that may be away
//!   and `calls` of the server's API, `received` what of data has come.
//! - `api` calls the server's HTTP API, with what [`token`] makes, or somebody else made ([`given`]); [`probe`] asks whether callers may be transferred.
//! - [`agent`] is how the server gives out calls to workers.

mod accounts;
mod act;
pub mod agent;
mod api;
mod calls;
mod candidate;
mod cast;
mod dialect;
mod door;
mod failure;
pub mod given;
mod line;
pub(in crate::room) mod participant;
mod peer;
mod peers;
pub mod probe;
pub mod proto;
mod received;
pub mod seen;
mod session;
mod signal;
mod stay;
mod streams;
pub mod token;
mod translator;
mod turns;
mod wires;

#[cfg(test)]
mod tests;

pub use self::translator::Livekit;
