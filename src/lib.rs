//! sentiment-sidecar joins a live phone-call room, rates the caller's sentiment turn by turn, and brings in a human
//! before the customer is lost.
//!
//! # Shape
//! ```text
//! room edge ──Input──▶ call (pure core: no clock, no I/O, no randomness) ──Output──▶ edges: rater, transfer, notify,
//!      ▲                                                                              │      store, room
//!      └──────────────────────── results come back as Input ◀────────────────────────┘
//! ```
//! Live calls ([`runtime`]), replay ([`replay`]), benches and tests all drive the one core in [`call`]; no rule is
//! implemented twice.
//!
//! # Layout
//! | module | holds |
//! | --- | --- |
//! | [`call`] | the core: turns from segments, streak and trend, the decision, one escalation from decision to outcome |
//! | [`sentiment`] | how a turn is rated in the context of its call, and why (cues) |
//! | [`room`] | dialects over WebSocket: messages, client, a room that plays recordings |
//! | [`transfer`] | the ways to a human, SIP among them |
//! | [`notify`] | the signed webhook: payload, signature, schedule, addresses never dialled |
//! | [`store`] | sessions, alerts, flags and the outbox, durable and shared by all processes of a host |
//! | [`replay`] | recordings through the core in virtual time, with expectations |
//! | [`runtime`] | the drive loop of a live call, the only task tree, shutdown |
//! | [`config`] | settings with their provenance, secrets |
//! | [`cli`] | one file per subcommand; exit codes |
//! | [`telemetry`] | logs |
//! | [`manual`] | the manual for those who use the program, as it prints it |
//!
//! # The drive loop
//! ```
//! use std::sync::Arc;
//! use sentiment_sidecar::call::event::{Input, Millis, Output};
//! use sentiment_sidecar::call::{Call, CallOptions};
//! use sentiment_sidecar::config::settings::Settings;
//!
//! let mut call = Call::new(Arc::new(Settings::default()), CallOptions::default());
//! call.handle(Millis(0), Input::Shutdown);
//! loop {
//!     match call.poll() {
//!         // Come back with the next input, or with `Input::Tick` at that moment.
//!         Output::Wait { until } => { assert!(until.is_none()); break }
//!         Output::Ended { .. } => break,
//!         // Rate, store, send, transfer, report: do it, and hand the answer to `handle`.
//!         _ => {}
//!     }
//! }
//! ```
//!
//! # Invariants
//! - Same inputs, same journal, byte for byte: the core has no clock, and iterates over nothing unordered.
//! - An escalation is on disk before anything is sent; its webhook is queued in the same transaction.
//! - One escalation at a time; every phase of it has a deadline, so that no silence of a peer holds the call.
//! - A room's message is acknowledged once what followed from it is on disk.
//! - The target of a transfer comes from the settings only.
//!
//! # Panics
//! A panic is a bug, never the consequence of bad input. What comes from outside is checked where it comes in, and
//! what does not fit becomes a typed error that says what and where.

pub mod call;
pub mod cli;
pub mod config;
mod http;
pub mod manual;
pub mod notify;
pub mod replay;
pub mod room;
pub mod runtime;
pub mod sentiment;
pub mod store;
pub mod telemetry;
mod tls;
pub mod transfer;
