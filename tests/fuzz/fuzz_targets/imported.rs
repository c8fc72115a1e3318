//! Any bytes as a transcript, in whatever format they look like, and as each format whatever they look like.
//!
//! In the repository's root, with a nightly toolchain and cargo-fuzz:
//!
//! ```sh
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz imported tests/formats
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentiment_sidecar::recording::import::{Format, Options, read};

fuzz_target!(|bytes: &[u8]| {
    read(bytes, "fuzz", &Options::default()).for_each(drop);
    // The first byte picks one of the formats.
    if let Some((pick, bytes)) = bytes.split_first() {
        let names: Vec<&str> = Format::all().map(|(name, _)| name).collect();
        let format = Format::named(names[usize::from(*pick) % names.len()]);
        read(bytes, "fuzz", &Options { format, ..Options::default() }).for_each(drop);
    }
});
