//! Any lines as what passes between Twilio and an app: those that begin with `<` are the platform's, with `>` the app's, with `=` the
//! status of a call that the platform made.
//!
//! In the repository's root, with a nightly toolchain and cargo-fuzz:
//!
//! ```sh
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz relayed
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentiment_sidecar::room::link::dialect::{Dialect, Greeting, Received};
use sentiment_sidecar::room::twilio::tap::Tapped;
use sentiment_sidecar::room::twilio::{Handoff, Platform, Twilio};

fuzz_target!(|bytes: &[u8]| {
    let mut twilio = Twilio::new(Platform::Twilio, Handoff::default());
    twilio.hello(Greeting { room_name: "fuzz", resume: None });
    for line in String::from_utf8_lossy(bytes).lines() {
        let rest = || line.chars().skip(1).collect();
        let tapped = match line.chars().next() {
            Some('<') => Tapped::Platform(rest()),
            Some('>') => Tapped::App(rest()),
            Some('=') => Tapped::Dialled(rest()),
            _ => Tapped::Unread,
        };
        twilio.read(Received::Tapped(&tapped)).into_iter().for_each(drop);
    }
});
