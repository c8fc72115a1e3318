//! What a room gets wrong about a field costs nobody a word: the field is put right or dropped, and named.

use serde_json::{Map, Value};

/// What a field has to be.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A place in the session's stream: no other number stands for it.
    Seq,
    /// A whole number of at most so much.
    Count(u64),
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// Text; what is absent is absent.
    Text,
    /// Text that cannot be absent: numbers are taken as text, nothing as empty.
    Name,
    /// A list of ids.
    Ids,
}

/// The largest number that every JSON reader takes as it is (RFC 8259 section 6).
const MOST: u64 = (1 << 53) - 1;

const TRANSCRIPT: &[(&str, Kind)] = &[
    ("seq", Kind::Seq),
    ("segment_id", Kind::Name),
    ("rev", Kind::Count(u32::MAX as u64)),
    ("participant_id", Kind::Name),
    ("text", Kind::Name),
    ("final", Kind::Flag),
    ("start_ms", Kind::Count(MOST)),
    ("end_ms", Kind::Count(MOST)),
    ("confidence", Kind::Number),
    ("lang", Kind::Text),
];

const TURN_ENDED: &[(&str, Kind)] = &[
    ("seq", Kind::Seq),
    ("turn_id", Kind::Name),
    ("index", Kind::Count(MOST)),
    ("participant_id", Kind::Name),
    ("text", Kind::Text),
    ("segment_ids", Kind::Ids),
    ("start_ms", Kind::Count(MOST)),
    ("end_ms", Kind::Count(MOST)),
];

/// Mends the fields of a message that carries words. What had to be mended stands in its `mended` afterwards.
pub(super) fn mend(kind: &str, message: &mut Map<String, Value>) {
    let fields = match kind {
        "transcript" => TRANSCRIPT,
        "turn.ended" => TURN_ENDED,
        _ => return,
    };
    let mut mended = Vec::new();
    for (name, kind) in fields {
        let Some(value) = message.get_mut(*name) else { continue };
        match kind.mended(value) {
            Mended::Fits => {}
            Mended::By(right, what) => {
                mended.push(Value::String(format!("`{name}` {what}")));
                *value = right;
            }
            Mended::Dropped(what) => {
                mended.push(Value::String(format!("`{name}` {what}, and is dropped")));
                message.remove(*name);
            }
        }
    }
    if !mended.is_empty() {
        message.insert("mended".to_owned(), Value::Array(mended));
    }
}

/// What becomes of a field.
enum Mended {
    Fits,
    By(Value, &'static str),
    Dropped(&'static str),
}

impl Kind {
    fn mended(self, value: &Value) -> Mended {
        match (self, value) {
            (Self::Name, Value::Null) => Mended::By(Value::String(String::new()), "is null, and is taken for empty"),
            (_, Value::Null) => Mended::Dropped("is null"),
            (Self::Seq, value) if value.is_u64() => Mended::Fits,
            (Self::Seq, _) => Mended::Dropped("is no whole number"),
            (Self::Count(most), value) => count(value, most),
            (Self::Number, Value::Number(_))
            | (Self::Flag, Value::Bool(_))
            | (Self::Text | Self::Name, Value::String(_)) => Mended::Fits,
            (Self::Flag, Value::String(word)) if word == "true" || word == "false" => {
                Mended::By(Value::Bool(word == "true"), "is text instead of true or false")
            }
            (Self::Text | Self::Name, Value::Number(number)) => {
                Mended::By(Value::String(number.to_string()), "is a number instead of text")
            }
            // Without it the message is nothing; what is said of that names it.
            (Self::Name, _) => Mended::Fits,
            (Self::Ids, value) => ids(value),
            (Self::Number, _) => Mended::Dropped("is no number"),
            (Self::Flag, _) => Mended::Dropped("is neither true nor false"),
            (Self::Text, _) => Mended::Dropped("is no text"),
        }
    }
}

fn count(value: &Value, most: u64) -> Mended {
    if value.as_u64().is_some_and(|n| n <= most) {
        return Mended::Fits;
    }
    let (number, text) = match value {
        Value::String(text) => (text.trim().parse::<f64>().ok(), true),
        value => (value.as_f64(), false),
    };
    match number.filter(|number| number.is_finite()).map(f64::round) {
        Some(number) if number < 0.0 => Mended::By(Value::from(0), "is negative, and is taken for 0"),
        #[expect(clippy::cast_precision_loss, reason = "only compared")]
        Some(number) if number <= most as f64 && number <= MOST as f64 => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^53")]
            let whole = Value::from(number as u64);
            Mended::By(whole, if text { "is text instead of a number" } else { "is no whole number, and is rounded" })
        }
        Some(_) => Mended::Dropped("is too large"),
        None => Mended::Dropped("is no number"),
    }
}

fn ids(value: &Value) -> Mended {
    let id = |value: &Value| match value {
        Value::String(id) => Some(Value::String(id.clone())),
        Value::Number(id) => Some(Value::String(id.to_string())),
        _ => None,
    };
    match value {
        Value::Array(all) if all.iter().all(Value::is_string) => Mended::Fits,
        Value::Array(all) => Mended::By(all.iter().filter_map(id).collect(), "holds what is no text"),
        one => match id(one) {
            Some(id) => Mended::By(Value::Array(vec![id]), "is no list"),
            None => Mended::Dropped("is no list"),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::room::message::RoomMessage;

    #[test]
    fn words_count_whatever_the_fields_around_them_are() {
        let message = json!({"type": "transcript", "seq": 3, "segment_id": 7, "rev": null, "participant_id": "p", "text": "no",
            "final": "true", "start_ms": 1123.53, "end_ms": -2, "confidence": "high", "lang": 5, "mended": ["made up"]});
        let Ok(Some(RoomMessage::Transcript(piece))) = RoomMessage::from_value(message) else {
            panic!("no transcript")
        };
        assert_eq!((piece.segment_id.as_str(), piece.rev, piece.is_final), ("7", 0, true));
        assert_eq!((piece.start_ms, piece.end_ms, piece.confidence), (Some(1124), Some(0), None));
        assert_eq!(
            piece.mended,
            [
                "`segment_id` is a number instead of text",
                "`rev` is null, and is dropped",
                "`final` is text instead of true or false",
                "`start_ms` is no whole number, and is rounded",
                "`end_ms` is negative, and is taken for 0",
                "`confidence` is no number, and is dropped",
                "`lang` is a number instead of text",
            ]
        );
    }

    #[test]
    fn a_turn_keeps_its_words_and_its_segments() {
        let message = json!({"type": "turn.ended", "turn_id": "t", "index": 1e300, "participant_id": null, "text": {"no": 1},
            "segment_ids": [1, "two", null], "start_ms": "12", "end_ms": []});
        let Ok(Some(RoomMessage::TurnEnded(ended))) = RoomMessage::from_value(message) else { panic!("no turn") };
        assert_eq!((ended.index, ended.text, ended.start_ms, ended.end_ms), (None, None, Some(12), None));
        assert_eq!((ended.participant_id.as_str(), ended.segment_ids), ("", vec!["1".to_owned(), "two".to_owned()]));
        assert_eq!(ended.mended.len(), 6);
    }

    #[test]
    fn what_fits_is_left_as_it_is() {
        let message =
            json!({"type": "turn.ended", "turn_id": "t", "participant_id": "p", "text": "no", "seq": u64::MAX});
        let Ok(Some(RoomMessage::TurnEnded(ended))) = RoomMessage::from_value(message) else { panic!("no turn") };
        assert!(ended.mended.is_empty());
        assert_eq!(ended.seq, Some(u64::MAX));
    }
}
