//! The JSON Schema of our keys in an agent document.

use serde_json::{Map, Value, json};

use super::keys::{Draft, ROWS};
use super::nearest::NOT_SETTINGS;

/// The JSON Schema (2020-12) of an agent document as we read it: any object, our keys anywhere in it, and no misspelt
/// `sentiment*` key. Forms of text, and what must hold between keys, are told in descriptions and checked at start.
#[must_use]
pub fn settings_schema() -> Value {
    let defaults = Draft::default();
    let properties: Map<String, Value> = ROWS
        .iter()
        .map(|row| {
            let mut schema = row.shape.schema();
            schema["description"] = format!("{} Allowed: {}.", row.about, row.shape.allowed()).into();
            schema["default"] = row.get(&defaults);
            (row.name.to_owned(), schema)
        })
        .collect();
    let names: Vec<&str> = ROWS.iter().map(|row| row.name).chain(NOT_SETTINGS.iter().copied()).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Agent document",
        "description": "Any JSON object. The settings of sentiment-sidecar are found anywhere in it; other keys are ignored.",
        "type": "object",
        "$ref": "#/$defs/anywhere",
        "$defs": {
            "anywhere": {
                "properties": properties,
                "propertyNames": { "if": { "pattern": "^[sS]entiment" }, "then": { "enum": names } },
                "additionalProperties": { "$ref": "#/$defs/anywhere" },
                "items": { "$ref": "#/$defs/anywhere" },
            },
        },
    })
}
