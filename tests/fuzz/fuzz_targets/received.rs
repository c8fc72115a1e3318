//! Any bytes, as a datagram and as a stream however it is cut, from the peer of a transfer under way.
//!
//! In the repository's root, with a nightly toolchain and cargo-fuzz:
//!
//! ```sh
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz received -- -dict=tests/fuzz/sip.dict
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentiment_sidecar::transfer::sip::intake::check;

fuzz_target!(|bytes: &[u8]| check(bytes));
