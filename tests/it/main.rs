//! Scenarios that run the real program against real peers on loopback. One binary; each file is one theme.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod attach;
mod attended;
mod authorities;
mod bridges;
mod chance;
mod compare;
mod convert;
mod crash;
mod decoders;
mod demo;
mod doctor;
mod evaluate;
mod floors;
mod formats;
mod host;
mod livekit;
mod llm;
mod manual;
mod rate;
mod readme;
mod recognisers;
mod replay;
mod review;
mod room;
mod shown;
mod sip;
mod sip_peers;
mod storms;
mod streams;
mod support;
mod takeover;
mod targets;
mod transfer;
mod tune;
mod webhook;
