//! Where settings come from: a document, the environment, flags; which of them counts, and what keys are called there.

use serde_json::Value;

use super::{document, errors, from_env, from_file, layers};
use crate::config::settings::{AllowEntry, Settings};
use crate::config::{FlagValue, Layers, Source, keys, load};

#[test]
fn keys_are_found_anywhere_and_foreign_ones_ignored() {
    let loaded = from_file(
        r#"{"agent": {"tools": [{"parameters": {"sentiment_score": {"type": "integer"}}},
            {"config": {"sentimentThreshold": 4, "sentiment": "on"}}]}, "turnDetection": {"turnSilenceMs": 900}}"#,
    )
    .unwrap();
    assert_eq!((loaded.settings.threshold, loaded.settings.turn_silence_ms), (4, 900));
    let Source::File { pointer, line: 2, .. } = loaded.provenance.of("sentimentThreshold") else { panic!() };
    assert_eq!(pointer, "/agent/tools/1/config/sentimentThreshold");
}

#[test]
fn each_layer_overrides_those_below() {
    let env = [("SIDECAR_SENTIMENT_THRESHOLD", "5"), ("SIDECAR_SENTIMENT_WINDOW_TURNS", "5")];
    let flags = [("--window", "sentimentWindowTurns", "6"), ("--set", "sentimentNotifyWebhook", "")];
    let document = r#"{"sentimentThreshold": 4, "sentimentWindowTurns": 4, "turnSilenceMs": 400,
        "sentimentNotifyWebhook": "https://a.example/x"}"#;
    let loaded = load(&layers(document, &env, &flags)).unwrap();
    let settings = &loaded.settings;
    assert_eq!((settings.threshold, settings.window, settings.turn_silence_ms), (5, 6, 400));
    assert_eq!(settings.webhook.url, None);
    let explained: Vec<String> = loaded.explain().take(6).map(|entry| entry.to_string()).collect();
    insta::assert_snapshot!(explained.join("\n"));
}

/// Every key, with a value that is not its default.
const EVERY_KEY: &str = r#"{
    "sentimentEscalationEnabled": true, "sentimentThreshold": 7, "sentimentWindowTurns": 2,
    "sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+447700900123",
    "sentimentTransferHourlyCap": 40, "sentimentSipCaFile": "/etc/ssl/carrier.pem",
    "sentimentSipNameserver": "127.0.0.1:5353", "sentimentSipRealm": "Voice Carrier",
    "sentimentNotifyWebhook": "http://127.0.0.1:8080/hook", "sentimentWebhookDetail": "full",
    "sentimentWebhookAllow": ["127.0.0.0/8", "hooks.example.com"], "sentimentNotifyAlways": true,
    "sentimentNotifyTargets": [{"format": "standard", "url": "https://crm.example.com/alerts", "detail": "full"},
        {"format": "pagerduty", "keyEnv": "SIDECAR_PD_KEY", "url": "https://events.eu.pagerduty.com/v2/enqueue",
         "detail": "seed", "name": "night"}],
    "sentimentAlertLink": "https://board.example.com/{alert_id}", "sentimentKeepTranscripts": "all",
    "sentimentWebhookTimeoutMs": 2000, "sentimentCountFillerTurns": true, "turnSilenceMs": 900,
    "sentimentCallerIdentity": "sip_+15550111",
    "sentimentSustainedRule": true, "sentimentSustainedLevel": 2.75, "sentimentSustainedWeight": 0.25,
    "sentimentHumanRequests": 2,
    "sentimentRaterDeadlineMs": 500, "sentimentTrajectoryRules": true, "sentimentCriticalFrustration": 0.95,
    "sentimentHighFrustration": 0.5, "sentimentDecliningValence": -0.25, "sentimentExtremeValence": -0.5,
    "sentimentTrendDelta": 0.5, "sentimentTrajectorySignals": 3, "sentimentHandoverSentence": "One moment.",
    "sentimentFallbackSentence": "", "sentimentSayDeadlineMs": 1000, "sentimentTransferDeadlineMs": 20000,
    "sentimentRingingTimeoutMs": 10000, "sentimentTransferCountries": ["44", "1"],
    "sentimentTonePositive": "p", "sentimentToneNeutral": "n", "sentimentToneNegative": "x, y",
    "sentimentTransferMode": "attended", "sentimentAcceptDigit": "5", "sentimentDeclineDigit": "*",
    "sentimentAcceptTimeoutMs": 9000, "sentimentWhisperFile": "whisper.wav",
    "sentimentSipTransport": "tls", "sentimentSipListen": "127.0.0.1:5060",
    "sentimentSipProxy": "[::1]:5061", "sentimentSipPeers": ["10.1.2.3:5080", "10.2.0.0/16", "::1"],
    "sentimentSipUser": "agent+1", "sentimentSipDomain": "pbx.example.com",
    "sentimentSipTargetDomain": "trunk.example.com:5080", "llmUrl": "http://127.0.0.1:8000/v1",
    "llmModel": "some/model:latest", "llmDeadlineMs": 300, "llmMaxInFlight": 2
}"#;

#[test]
fn every_key_is_set_by_file_environment_and_flag_alike() {
    let values: Value = serde_json::from_str(EVERY_KEY).unwrap();
    let file = from_file(&values.to_string()).unwrap();
    assert_eq!(document(&file), values);
    assert!(file.explain().all(|entry| entry.source != Source::Default));
    assert_eq!(file.settings.webhook.allow[1], AllowEntry::Host("hooks.example.com".to_owned()));

    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(entries) if entries[0].is_string() => {
            entries.iter().map(|e| e.as_str().unwrap()).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    let named: Vec<_> = file.explain().map(|entry| (entry.env, entry.key, text(&entry.value))).collect();
    let env = Layers { env: named.iter().map(|(name, _, text)| (name, text)).collect(), ..Layers::default() };
    assert_eq!(load(&env).unwrap().settings, file.settings);
    let flag = |(_, key, value): &(String, &str, String)| FlagValue {
        flag: "--set".to_owned(),
        key: (*key).to_owned(),
        value: value.clone(),
    };
    let flags = Layers { flags: named.iter().map(flag).collect(), ..Layers::default() };
    assert_eq!(load(&flags).unwrap().settings, file.settings);
}

#[test]
fn variables_are_named_after_their_keys() {
    let name = |key: &str| keys::row(key).map(keys::Row::env_name);
    assert_eq!(name("sentimentThreshold").as_deref(), Some("SIDECAR_SENTIMENT_THRESHOLD"));
    assert_eq!(name("turnSilenceMs").as_deref(), Some("SIDECAR_TURN_SILENCE_MS"));
    assert_eq!(name("sentimentSipTargetDomain").as_deref(), Some("SIDECAR_SENTIMENT_SIP_TARGET_DOMAIN"));
}

#[test]
fn variables_of_others_are_left_alone() {
    let env = [("SENTIMENT_X", "1"), ("SIDECAR_STORE", "x"), ("SIDECAR_ROOM_TOKEN", "t"), ("SIDECAR_LOG", "debug")];
    assert_eq!(from_env(&env).unwrap().settings, Settings::default());
}

#[test]
fn a_key_that_is_set_twice_in_a_layer_must_agree() {
    from_file(r#"{"sentimentThreshold": 4, "a": {"sentimentThreshold": 4}}"#).unwrap();
    insta::assert_snapshot!(errors([
        from_file(r#"{"sentimentThreshold": 4, "a": {"sentimentThreshold": 5}}"#),
        from_file(r#"{"sentimentThreshold": 4, "sentimentThreshold": 5}"#),
        load(&layers("", &[], &[("--threshold", "sentimentThreshold", "2"), ("--set", "sentimentThreshold", "4")])),
    ]));
}
