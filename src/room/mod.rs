//! Rooms: where calls happen, and the dialects that they speak.
//!
//! [`message`] is the vocabulary. [`native`] is the client that `attach` uses, built from [`socket`] (dial, TLS),
//! [`pace`] (heartbeat, back-off), [`sequence`] (order, duplicates, acks) and two bounded queues. [`server`] plays a
//! recording as a live room. [`schema`] describes the dialect for people who build a platform side.

pub mod error;
pub mod message;
pub mod native;
pub mod pace;
mod queue;
pub mod samples;
pub mod schema;
pub mod script;
pub mod sequence;
pub mod server;
pub mod socket;
