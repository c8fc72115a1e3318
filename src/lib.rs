//! sentiment-sidecar: joins a live phone-call room, rates the caller's sentiment turn by turn, and brings in a human
//! before the customer is lost.

pub mod call;
pub mod cli;
pub mod config;
pub mod notify;
pub mod room;
pub mod sentiment;
pub mod store;
pub mod transfer;
