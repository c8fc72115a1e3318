//! LiveKit's messages on the wire: of its protocol buffers, those messages and fields that this program reads or writes, under
//! LiveKit's own names and numbers. What others send besides is skipped.
//!
//! - [`models`]: rooms, participants, and what data channels carry.
//! - [`session`]: what an agent tells of its session, on the topic `lk.agent.session`.
//! - [`agent`]: how the server gives out jobs.
//! - [`api`]: requests and answers of the server's HTTP API.
//! - [`signal`]: joining and staying in a room.

pub mod agent;
pub mod api;
pub mod models;
pub mod session;
pub mod signal;
