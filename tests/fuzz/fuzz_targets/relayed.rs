//! Any lines as what passes between Twilio and an app, what we say to them, and what is heard of that; `room::drive` says how.
//!
//! In the repository's root, with a nightly toolchain and cargo-fuzz:
//!
//! ```sh
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz relayed
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentiment_sidecar::room::drive::relayed;

fuzz_target!(|bytes: &[u8]| drop(relayed(bytes)));
