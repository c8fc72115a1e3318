//! The webhook ([`crate::alert::payload`] is what it says): how it is signed ([`sign`]), when it is sent
//! ([`schedule`]), where it may go ([`guard`]) and the sending itself ([`deliver`]).
//!
//! An alert's webhook lies in the store's outbox before anything is sent. An attempt is claimed there, made, and its
//! result noted; whoever dies in between leaves a claim that runs out, and the next process makes the next attempt with the
//! same `webhook-id` and the same body. So each alert is told at least once, and a receiver that dedupes on the id
//! sees it once.

pub mod deliver;
pub mod guard;
mod http;
pub mod schedule;
pub mod sign;

pub use deliver::Deliverer;
