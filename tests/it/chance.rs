//! Inputs made of good ones by chance, as a fuzzer makes them: on stable, and so many of them, not for so long.
//!
//! Every run begins at a seed of its own, and says which. `SIDECAR_TEST_SEED=N` begins at that one: with the seed that a
//! failure names, the first input is the one that failed.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use fastrand::Rng;
use serde_json::Value;

/// Where the first seed is read from.
const SEED: &str = "SIDECAR_TEST_SEED";

/// Makes so many inputs out of a corpus, and checks each.
pub(crate) fn many(
    what: &str,
    corpus: &[Vec<u8>],
    count: u64,
    change: impl Fn(&mut Vec<u8>, &mut Rng),
    check: impl Fn(&[u8]),
) {
    let first = seed();
    // Not captured, so that it is there even if the process dies.
    let mut shown = std::io::stderr();
    writeln!(shown, "{count} {what} made by chance: {SEED}={first}").unwrap();
    for seed in (0..count).map(|n| first.wrapping_add(n)) {
        let mut rng = Rng::with_seed(seed);
        let mut bytes = rng.choice(corpus).expect("the corpus is not empty").clone();
        for _ in 0..rng.usize(1..6) {
            change(&mut bytes, &mut rng);
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&bytes))) {
            writeln!(shown, "{SEED}={seed}: {}", bytes.escape_ascii()).unwrap();
            resume_unwind(panic);
        }
    }
}

/// Where a run begins: what `SIDECAR_TEST_SEED` says, else anywhere.
pub(crate) fn seed() -> u64 {
    match std::env::var(SEED) {
        Ok(seed) => seed.parse().expect("SIDECAR_TEST_SEED is a whole number"),
        Err(_) => Rng::new().u64(..),
    }
}

/// Changes bytes somewhere; `words` are what the format gives a meaning.
pub(crate) fn change_bytes(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&[u8]], rng: &mut Rng) {
    let len = bytes.len();
    let (at, until) = (rng.usize(0..=len), rng.usize(0..=len));
    let range = at.min(until)..at.max(until);
    match rng.u8(0..7) {
        0 if at < len => bytes[at] = rng.u8(..),
        1 if at < len => bytes[at] ^= 1 << rng.u8(0..8),
        2 => drop(bytes.drain(range.start..range.end.min(range.start + 40))),
        3 if len < 20_000 => drop(bytes.splice(at..at, bytes[range].to_vec())),
        4 => drop(bytes.splice(at..at, rng.choice(words).unwrap().iter().copied())),
        5 => {
            let other = rng.choice(corpus).unwrap();
            bytes.truncate(at);
            bytes.extend_from_slice(&other[rng.usize(0..=other.len())..]);
        }
        _ => bytes.truncate(at),
    }
}

/// Changes JSON somewhere, and keeps it JSON: a value becomes another one, goes, or takes another's place.
pub(crate) fn change_json(value: &mut Value, rng: &mut Rng) {
    let parts: Vec<String> = parts(value);
    let Some(place) = rng.choice(parts.iter()) else {
        *value = any_value(rng);
        return;
    };
    match rng.u8(0..4) {
        0 => {
            let (parent, key) = place.rsplit_once('/').unwrap();
            match value.pointer_mut(parent).unwrap() {
                Value::Object(object) => drop(object.remove(key)),
                Value::Array(array) => drop(array.remove(key.parse().unwrap())),
                _ => unreachable!("only these have parts"),
            }
        }
        1 => {
            let other = value.pointer(rng.choice(parts.iter()).unwrap()).unwrap().clone();
            *value.pointer_mut(place).unwrap() = other;
        }
        _ => *value.pointer_mut(place).unwrap() = any_value(rng),
    }
}

/// Where all parts of a value are, in its order.
fn parts(value: &Value) -> Vec<String> {
    let named: Vec<(String, &Value)> = match value {
        // None of our keys has a character that a pointer has to escape.
        Value::Object(object) => object.iter().map(|(key, part)| (key.clone(), part)).collect(),
        Value::Array(array) => array.iter().enumerate().map(|(n, part)| (n.to_string(), part)).collect(),
        _ => Vec::new(),
    };
    let named = named.into_iter().filter(|(name, _)| !name.contains(['/', '~']));
    named
        .flat_map(|(name, part)| [String::new()].into_iter().chain(parts(part)).map(move |p| format!("/{name}{p}")))
        .collect()
}

/// A value that few fields expect.
fn any_value(rng: &mut Rng) -> Value {
    match rng.u8(0..9) {
        0 => Value::Null,
        1 => rng.bool().into(),
        2 => rng.u64(..).into(),
        3 => rng.i64(-5..5).into(),
        4 => f64::from_bits(rng.u64(..)).into(),
        5 => Value::Array(vec![any_value(rng)]),
        6 => serde_json::json!({"type": any_value(rng)}),
        7 => "x".repeat(rng.usize(0..3_000)).into(),
        _ => (0..rng.usize(0..20)).map(|_| rng.char(..)).collect::<String>().into(),
    }
}
