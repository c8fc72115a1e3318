//! The corpus of the fuzz target, through the same entry: each message does what its file's name says, and nothing made
//! of them by chance breaks what must always hold.
//!
//! `answered-200-500-…` and `stream-200-…` are answered so; `busy-…` ends the transfer with that outcome, and `none-…`
//! neither ends it nor is answered.

use std::path::PathBuf;

use sentiment_sidecar::alert::outcome::Outcome;
use sentiment_sidecar::transfer::sip::intake::{Carrier, check, take_in};

use crate::chance::{self, change_bytes};

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/received");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let mut corpus: Vec<_> = files
        .map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap()))
        // What a fuzzer adds has no name, only a number in hex.
        .filter(|(name, _)| name.contains('-'))
        .collect();
    corpus.sort();
    assert!(corpus.len() > 80, "{}", corpus.len());
    corpus
}

#[test]
fn every_message_of_the_corpus_does_what_its_name_says() {
    let mut wrong = Vec::new();
    for (name, bytes) in corpus() {
        let (kind, rest) = name.split_once('-').unwrap();
        let several = bytes.windows(7).filter(|w| *w == b"\r\nCSeq:").count() > 1 && !name.contains("two-cseqs");
        let carrier = if several || kind == "stream" { Carrier::Stream(bytes.len()) } else { Carrier::Datagram };
        let taken = take_in(&bytes, carrier);
        let statuses: Vec<u16> = rest.split('-').map_while(|status| status.parse().ok()).collect();
        let is_right = match kind {
            "answered" | "stream" => taken.answers == statuses,
            "none" => taken.outcome.is_none() && taken.answers.is_empty(),
            outcome => taken.outcome.as_ref().map(Outcome::name) == Some(outcome),
        };
        let met = ["md5", "several-in-one", "stale", "unquoted", "server"].map(|kind| format!("challenge-{kind}"));
        if !is_right || taken.credentials.len() != usize::from(met.iter().any(|met| met == rest)) {
            wrong.push(format!("{name}: {taken:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_made_of_the_corpus_by_chance_breaks_what_must_hold() {
    let corpus: Vec<Vec<u8>> = corpus().into_iter().map(|(_, bytes)| bytes).collect();
    for bytes in &corpus {
        check(bytes);
    }
    chance::many("SIP messages", &corpus, 3_000, |bytes, rng| change_bytes(bytes, &corpus, &WORDS, rng), check);
}

/// What SIP gives a meaning.
const WORDS: [&[u8]; 12] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b":",
    b";",
    b"\"",
    b"<",
    b",",
    b"SIP/2.0",
    b"Content-Length: 1\r\n",
    b"99999999999999999999",
    b"\xc3\x28",
];
