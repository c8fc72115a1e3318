//! The JSON Schema, and properties of whatever document there may be.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{SEED_AGENT, SEED_CONFIGURATION, document, from_file, set};
use crate::config::keys::{self, ROWS};
use crate::config::settings_schema;
use crate::config::shape::Shape;

#[test]
fn the_schema_is_valid_and_takes_the_seeds_documents() {
    let schema = jsonschema::validator_for(&settings_schema()).unwrap();
    for document in [SEED_CONFIGURATION, SEED_AGENT, r#"{"a": [{"sentimentThreshold": 3, "sentiment_score": 1}]}"#] {
        assert!(schema.is_valid(&serde_json::from_str(document).unwrap()), "{document}");
    }
    for document in [
        json!([]),
        json!({ "sentimentTreshold": 3 }),
        json!({ "a": [{ "sentimentThreshold": 11 }] }),
        json!({ "sentimentThreshold": "3" }),
    ] {
        assert!(!schema.is_valid(&document), "{document}");
    }
}

/// A value for a key: often right, sometimes not.
fn value_for(row: &'static keys::Row) -> BoxedStrategy<Value> {
    let mostly = match row.shape {
        Shape::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        Shape::Integer { min, max } => (min.saturating_sub(1)..=max + 1).prop_map(Value::from).boxed(),
        Shape::Number { min, max } => (min - 0.1..=max + 0.1).prop_map(Value::from).boxed(),
        Shape::Share => (-0.1..=1.1).prop_map(Value::from).boxed(),
        Shape::Choice(names) => prop::sample::select(names).prop_map(Value::from).boxed(),
        Shape::Text { .. } => "[ -~]{0,20}".prop_map(Value::from).boxed(),
        Shape::Optional { .. } => prop_oneof![
            Just(Value::Null),
            prop::sample::select(&[
                "+14155551234",
                "+447700900123",
                "https://a.example/x",
                "http://10.0.0.1/",
                "a.example",
                "a.example:5060",
                "agent"
            ])
            .prop_map(Value::from)
        ]
        .boxed(),
        Shape::List { .. } => {
            let entries = prop::sample::select(&["1", "44", "10.0.0.0/8", "a.example"]);
            prop::collection::vec(entries, 0..3).prop_map(|list| list.into_iter().map(Value::from).collect()).boxed()
        }
        Shape::Targets => {
            let entries = prop::sample::select(vec![
                json!({"format": "standard", "url": "https://a.example/x"}),
                json!({"format": "slack", "urlEnv": "SIDECAR_SLACK_URL", "detail": "full"}),
                json!({"format": "pagerduty", "keyEnv": "SIDECAR_PD_KEY", "name": "night"}),
                json!({"format": "teams"}),
            ]);
            prop::collection::vec(entries, 0..3).prop_map(|list| list.into_iter().collect()).boxed()
        }
    };
    prop_oneof![
        9 => mostly,
        1 => prop::sample::select(vec![json!(3.0), json!("3"), json!(null), json!({}), json!([[]]), json!(-1), json!("\n")]),
    ]
    .boxed()
}

/// A few keys with values.
fn some_settings() -> impl Strategy<Value = Value> {
    let keys = prop::sample::subsequence((0..ROWS.len()).collect::<Vec<_>>(), 0..8);
    let with_value = |index: usize| (Just(ROWS[index].name.to_owned()), value_for(&ROWS[index]));
    keys.prop_flat_map(move |keys| keys.into_iter().map(with_value).collect::<Vec<_>>())
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    #[test]
    fn a_document_that_is_taken_round_trips_through_explain(settings in some_settings()) {
        if let Ok(loaded) = from_file(&settings.to_string()) {
            let again = from_file(&document(&loaded).to_string()).unwrap();
            prop_assert_eq!(&again.settings, &loaded.settings);
            prop_assert_eq!(document(&again), document(&loaded));
        }
    }

    #[test]
    fn what_is_taken_fits_the_schema(settings in some_settings(), nested in any::<bool>()) {
        let settings = if nested { json!({ "agent": [{ "config": settings }] }) } else { settings };
        if from_file(&settings.to_string()).is_ok() {
            let schema = settings_schema();
            prop_assert!(jsonschema::is_valid(&schema, &settings), "{}", settings);
        }
    }

    #[test]
    fn no_document_panics(
        key in prop_oneof!["sentiment[a-zA-Z]{0,12}", "\\PC{0,12}", prop::sample::select(ROWS.iter().map(|r| r.name.to_owned()).collect::<Vec<_>>())],
        text in any::<String>(),
        number in any::<f64>(),
    ) {
        for value in [json!(text), json!(number), json!([text]), json!({ &key: number })] {
            if let Err(errors) = from_file(&json!({ &key: value }).to_string()) {
                prop_assert!(errors.iter().count() > 0);
                let shown = errors.to_string();
                prop_assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
            }
            let _ = set(&key, &text);
            let _ = from_file(&text);
        }
    }
}
