//! Any lines as a call of OpenAI's Realtime API: its events, what we say to it, and what came of calls; `room::drive` says how.
//!
//! In the repository's root, with a nightly toolchain and cargo-fuzz:
//!
//! ```sh
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz realtime
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentiment_sidecar::room::drive::realtime;

fuzz_target!(|bytes: &[u8]| drop(realtime(bytes)));
