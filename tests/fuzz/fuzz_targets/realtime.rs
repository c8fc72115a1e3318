//! Any lines as events of OpenAI's Realtime API.
//!
//! In the repository's root, with a nightly toolchain and cargo-fuzz:
//!
//! ```sh
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz realtime
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentiment_sidecar::room::link::dialect::{Dialect, Greeting, Received};
use sentiment_sidecar::room::openai::OpenAi;
use url::Url;

fuzz_target!(|bytes: &[u8]| {
    let Ok(url) = Url::parse("wss://api.openai.com/v1/realtime?call_id=rtc_1") else { return };
    let mut openai = OpenAi::at(&url);
    openai.hello(Greeting { room_name: "rtc_1", resume: None });
    for line in String::from_utf8_lossy(bytes).lines() {
        openai.read(Received::Text(line)).into_iter().for_each(drop);
    }
});
