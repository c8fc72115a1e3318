//! The seed's documents and defaults.

use serde_json::{Value, json};

use super::{SEED_AGENT, SEED_CONFIGURATION, document, from_file};
use crate::config::settings::{Action, Settings};
use crate::config::{Layers, Source, Warning, load};

#[test]
fn nothing_set_is_the_defaults() {
    let loaded = load(&Layers::default()).unwrap();
    assert_eq!(loaded.settings, Settings::default());
    assert!(loaded.warnings.is_empty());
    assert!(loaded.explain().all(|entry| entry.source == Source::Default));
}

#[test]
fn the_seeds_configuration_example_works_unchanged() {
    let settings = from_file(SEED_CONFIGURATION).unwrap().settings;
    assert!(settings.enabled);
    assert_eq!((settings.threshold, settings.window), (3, 3));
    assert_eq!(settings.action, Action::Transfer { target: "+14155551234".parse().unwrap() });
    assert_eq!(settings.webhook.url, Some("https://your-app.com/webhooks/sentiment".parse().unwrap()));
}

#[test]
fn the_seeds_agent_document_works_unchanged() {
    let loaded = from_file(SEED_AGENT).unwrap();
    assert!(loaded.settings.enabled);
    assert_eq!(loaded.settings.action, Action::Transfer { target: "+14155551234".parse().unwrap() });
    assert_eq!(loaded.settings.webhook.url, None);
    assert_eq!(loaded.warnings, [Warning::NoFallback]);
    let pointer = "/sentimentThreshold".to_owned();
    let place = Source::File { path: "agent.json".into(), pointer, line: 9, column: 1 };
    assert_eq!(*loaded.provenance.of("sentimentThreshold"), place);
}

#[test]
fn the_six_keys_of_the_seed_have_its_defaults() {
    let document = document(&load(&Layers::default()).unwrap());
    for (key, default) in [
        ("sentimentEscalationEnabled", json!(false)),
        ("sentimentThreshold", json!(3)),
        ("sentimentWindowTurns", json!(3)),
        ("sentimentEscalationAction", json!("flag")),
        ("sentimentEscalationTarget", Value::Null),
        ("sentimentNotifyWebhook", Value::Null),
    ] {
        assert_eq!(document[key], default, "{key}");
    }
}
