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
//! From the ground up. A module uses those that stand before it, and knows nothing of those behind it; a test reads the
//! imports of every file.
//!
//! | module | holds |
//! | --- | --- |
//! | [`telemetry`] | logs, and what is counted |
//! | [`manual`] | the manual for those who use the program, as it prints it |
//! | [`number`] | phone numbers and digits |
//! | [`clock`] | time, for the core and for the world |
//! | [`tls`] | the one TLS stack of what we dial, and who vouches for servers |
//! | `http` | what all our HTTP clients have in common |
//! | [`config`] | settings with their provenance, secrets |
//! | [`sentiment`] | how a turn is rated in the context of its call, and why (cues) |
//! | [`alert`] | the nouns of an escalation, what is written of it and what is told of it |
//! | [`room::message`] | what rooms say and hear, in any dialect |
//! | [`room`] | the way to rooms in any dialect, and a room that plays recordings |
//! | [`recording`] | recordings, read and written; foreign transcripts |
//! | [`call`] | the core: turns from segments, streak and trend, the decision, one escalation from decision to outcome |
//! | [`transfer`] | the ways to a human, SIP among them |
//! | [`store`] | sessions, alerts, flags and the outbox, durable and shared by all processes of a host |
//! | [`notify`] | telling people: formats, signature, schedule, addresses never dialled, delivery |
//! | [`replay`] | recordings through the core in virtual time, with expectations; what came of it as a vCon |
//! | [`runtime`] | hosts and their live calls: the drive loop, the only task tree, shutdown; workers, which are given calls |
//! | [`web`] | the HTTP servers: review pages and their JSON API, probes and metrics |
//! | [`cli`] | one file per subcommand; exit codes |
//!
//! # The drive loop
//! ```
//! use std::sync::Arc;
//! use sentiment_sidecar::call::event::{Input, Output};
//! use sentiment_sidecar::clock::Millis;
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

pub mod alert;
pub mod call;
pub mod cli;
pub mod clock;
pub mod config;
mod http;
pub mod manual;
pub mod notify;
pub mod number;
pub mod recording;
pub mod replay;
pub mod room;
pub mod runtime;
pub mod sentiment;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod transfer;
pub mod web;
