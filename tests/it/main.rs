//! Scenarios that run the real program against real peers on loopback. One binary; each file is one theme.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod attach;
mod attended;
mod convert;
mod crash;
mod demo;
mod doctor;
mod evaluate;
mod llm;
mod rate;
mod readme;
mod recognisers;
mod replay;
mod room;
mod sip;
mod support;
mod transfer;
mod webhook;
