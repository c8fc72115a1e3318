//! Writes a whole recording, so that it reads back the same.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::{Recording, VERSION};
use crate::sentiment::{RateError, Rating};

impl Recording {
    /// Writes it as JSON Lines.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut header = object(&self.header)?;
        let mut first = Map::new();
        first.insert("type".to_owned(), json!("recording"));
        first.insert("version".to_owned(), json!(VERSION));
        first.append(&mut header);
        line(out, first)?;
        for timed in &self.messages {
            let mut message = object(&timed.message)?;
            message.insert("at_ms".to_owned(), json!(timed.at.0));
            line(out, message)?;
        }
        for (turn_id, result) in &self.pinned {
            line(out, pinned(turn_id, result)?)?;
        }
        match &self.expectation {
            Some(expectation) => line(out, expectation.to_object()),
            None => Ok(()),
        }
    }
}

/// A `rating` line.
fn pinned(turn_id: &str, result: &Result<Rating, RateError>) -> io::Result<Map<String, Value>> {
    let mut fields = match result {
        Ok(rating) => object(rating)?,
        Err(_) => Map::from_iter([("unrated".to_owned(), json!(true))]),
    };
    // They follow from the sentiment, or are of live calls only.
    for derived in ["label", "source", "embedded"] {
        fields.remove(derived);
    }
    fields.insert("type".to_owned(), json!("rating"));
    fields.insert("turn_id".to_owned(), json!(turn_id));
    Ok(fields)
}

fn object(value: &impl serde::Serialize) -> io::Result<Map<String, Value>> {
    match serde_json::to_value(value)? {
        Value::Object(object) => Ok(object),
        other => Ok(Map::from_iter([("value".to_owned(), other)])),
    }
}

fn line(out: &mut impl Write, object: Map<String, Value>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &object)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::recording::CutLine;

    #[test]
    fn every_fixture_reads_back_as_it_was_written() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let read = |bytes: &[u8]| Recording::read(bytes, "r", CutLine::Refuse).unwrap();
            let recording = read(&bytes);
            let mut written = Vec::new();
            recording.write(&mut written).unwrap();
            assert_eq!(read(&written), recording, "{}", path.display());
            count += 1;
        }
        assert!(count > 10);
    }
}
