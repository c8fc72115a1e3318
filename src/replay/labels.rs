//! Labelled calls: calls in any form that [`crate::recording::import`] reads, with what a careful reader made of them. The
//! labels ride along in the file, are what a recording expects, or stand in a table beside the calls
//! ([`super::label_table`]).

use std::collections::BTreeMap;
use std::io::BufRead;

use crate::recording::Recording;
use crate::recording::expect::EscalateAt;
use crate::recording::import::{self, Options, Source};
use crate::recording::problem::RecordingError;

/// Kinds of calls in which the caller gets angry at us, for good or for a while; all others are calm.
const ANGRY_KINDS: [&str; 2] = ["sustained", "recovers"];

/// The fields that calls are grouped by where nobody says otherwise.
pub const GROUPED_BY: [&str; 2] = ["style", "kind"];

/// A call with its labels.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// Where it came from, as people are told of it.
    pub name: String,
    /// The call.
    pub recording: Recording,
    /// A careful reader's sentiment (1 to 10) of caller turns, by turn id.
    pub gold: BTreeMap<String, f64>,
    /// Whether a supervisor should be brought in, where that was judged.
    pub escalate: Option<bool>,
    /// From which caller turn on (0 is the first).
    pub at: Option<u32>,
    /// Whether nobody gets angry at us in it.
    pub calm: bool,
    /// All other labels, such as `kind` and `style`.
    pub fields: BTreeMap<String, String>,
}

/// The groups that a call belongs to by its labels: each of these fields with its value, such as `kind` and `recovers`.
pub fn groups<'a>(
    fields: &'a BTreeMap<String, String>,
    by: &'a [String],
) -> impl Iterator<Item = (String, String)> + 'a {
    by.iter().filter_map(|field| Some((field.clone(), fields.get(field)?.clone())))
}

impl From<Source> for Labelled {
    fn from(source: Source) -> Self {
        let mut labels = source.labels.unwrap_or_default();
        if labels.escalate.is_none() {
            match source.recording.expectation.as_ref().and_then(|expected| expected.escalate_at_turn) {
                None => {}
                Some(EscalateAt::Never) => labels.escalate = Some(false),
                Some(EscalateAt::Turn(turn)) => {
                    (labels.escalate, labels.at) = (Some(true), Some(turn.saturating_sub(1)));
                }
            }
        }
        let calm = match labels.fields.get("kind") {
            Some(kind) => !ANGRY_KINDS.contains(&kind.as_str()),
            None => labels.escalate == Some(false),
        };
        let at = labels.at.filter(|_| labels.escalate == Some(true));
        let Source { name, recording, .. } = source;
        Self { name, recording, gold: labels.gold, escalate: labels.escalate, at, calm, fields: labels.fields }
    }
}

/// Reads labelled calls; `file` names them in errors.
///
/// # Errors
/// [`RecordingError`] of the first call that cannot be read.
pub fn read(input: impl BufRead, file: &str) -> Result<Vec<Labelled>, RecordingError> {
    import::read(input, file, &Options::default()).map(|source| source.map(Labelled::from)).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn labels_of_caller_turns_are_kept_by_turn() {
        let line = br#"{"id":7,"kind":"recovers","style":"lower","escalate":false,"at":2,"turns":[{"role":"agent","text":"hi","sentiment":9},{"role":"caller","text":"no","sentiment":2.5},{"role":"caller","text":"oh"}]}"#;
        let calls = read(&line[..], "calls.jsonl").unwrap();
        let [call] = &calls[..] else { panic!("{calls:?}") };
        assert_eq!(call.gold, BTreeMap::from([("u2".to_owned(), 2.5)]));
        assert_eq!((call.escalate, call.at, call.calm), (Some(false), None, false));
        let groups = |by: &[&str]| {
            let by: Vec<String> = by.iter().map(|field| (*field).to_owned()).collect();
            super::groups(&call.fields, &by).collect::<Vec<_>>()
        };
        let of = |field: &str, value: &str| (field.to_owned(), value.to_owned());
        assert_eq!(groups(&GROUPED_BY), [of("style", "lower"), of("kind", "recovers")]);
        assert_eq!(groups(&["kind", "colour"]), [of("kind", "recovers")]);
    }

    #[test]
    fn a_label_outside_the_scale_is_named() {
        let lines = b"{\"turns\":[{\"role\":\"caller\",\"text\":\"no\"}]}\n{\"turns\":[{\"role\":\"caller\",\"text\":\"no\",\"sentiment\":11}]}\n";
        let error = read(&lines[..], "calls.jsonl").unwrap_err().to_string();
        assert!(
            error.contains("calls.jsonl") && error.contains("turns[0].sentiment") && error.contains("11"),
            "{error}"
        );
    }

    #[test]
    fn a_file_without_calls_is_refused() {
        assert!(read(&b"\n"[..], "calls.jsonl").is_err());
    }
}
