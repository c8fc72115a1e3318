//! The webhook ([`crate::alert::payload`] is what it says) and what other places are told (`format`): how it is signed
//! ([`sign`]), where it may go ([`guard`]), one attempt ([`send`]), when it is made ([`schedule`]) and the delivery from
//! the outbox ([`deliver`]).
//!
//! Whatever is sent lies in the store's outbox before anything is sent. An attempt is claimed there, made, and its
//! result noted; whoever dies in between leaves a claim that runs out, and the next process makes the next attempt with the
//! same `webhook-id` and the same body. So each alert is told at least once, and a receiver that dedupes on the id
//! sees it once.

pub mod deliver;
mod format;
pub mod guard;
mod http;
mod pace;
pub mod schedule;
pub mod send;
pub mod sign;

pub use deliver::Deliverer;
