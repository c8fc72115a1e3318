//! Scenarios of reading settings.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::keys::ROWS;
use super::settings::{Action, AllowEntry, Settings, TransferMode};
use super::*;

/// The seed's configuration example.
const SEED_CONFIGURATION: &str = r#"{
"sentimentEscalationEnabled": true,
"sentimentThreshold": 3,
"sentimentWindowTurns": 3,
"sentimentEscalationAction": "transfer",
"sentimentEscalationTarget": "+14155551234",
"sentimentNotifyWebhook": "https://your-app.com/webhooks/sentiment"
}"#;

/// The body of the seed's curl example.
const SEED_AGENT: &str = r#"{
"name": "Support Agent with Escalation",
"model": "gpt-4o",
"instructions": "You are a customer support agent. Monitor the caller emotional state. If they become frustrated for multiple turns, acknowledge their feelings empathetically before escalating.",
"voiceEnabled": true,
"transcriber": { "provider": "deepgram", "model": "nova-2-conversationalai" },
"voice": { "provider": "deepgram", "voiceId": "aura-2-thalia-en" },
"sentimentEscalationEnabled": true,
"sentimentThreshold": 3,
"sentimentWindowTurns": 3,
"sentimentEscalationAction": "transfer",
"sentimentEscalationTarget": "+14155551234"
}"#;

fn layers(agent: &str, env: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> Layers {
    let flag = |(flag, key, value): &(&str, &str, &str)| FlagValue {
        flag: (*flag).to_owned(),
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    Layers {
        agent: (!agent.is_empty()).then(|| AgentFile { path: "agent.json".into(), text: agent.to_owned() }),
        env: env.iter().copied().collect(),
        flags: flags.iter().map(flag).collect(),
    }
}

fn from_file(agent: &str) -> Result<Loaded, SettingsErrors> {
    load(&layers(agent, &[], &[]))
}

fn from_env(env: &[(&str, &str)]) -> Result<Loaded, SettingsErrors> {
    load(&layers("", env, &[]))
}

fn set(key: &str, value: &str) -> Result<Loaded, SettingsErrors> {
    load(&layers("", &[], &[("--set", key, value)]))
}

/// All keys as a document, from what `explain` says.
fn document(loaded: &Loaded) -> Value {
    Value::Object(loaded.explain().map(|entry| (entry.key.to_owned(), entry.value)).collect())
}

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

#[test]
fn every_key_is_set_by_file_environment_and_flag_alike() {
    let values: Value = serde_json::from_str(
        r#"{
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
    }"#,
    )
    .unwrap();
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

/// Everything that is wrong with each of these, one paragraph per document.
fn errors(cases: impl IntoIterator<Item = Result<Loaded, SettingsErrors>>) -> String {
    cases.into_iter().map(|case| case.unwrap_err().to_string()).collect::<Vec<_>>().join("\n")
}

#[test]
fn wrong_values_in_a_document_are_refused() {
    let cases = [
        r#""sentimentEscalationEnabled": "true""#,
        r#""sentimentEscalationEnabled": 1"#,
        r#""sentimentThreshold": 0"#,
        r#""sentimentThreshold": 11"#,
        r#""sentimentThreshold": 3.5"#,
        r#""sentimentThreshold": "3""#,
        r#""sentimentThreshold": -3"#,
        r#""sentimentThreshold": null"#,
        r#""sentimentThreshold": [3]"#,
        r#""sentimentThreshold": 1e300"#,
        r#""sentimentWindowTurns": 0"#,
        r#""sentimentWindowTurns": 18446744073709551616"#,
        r#""sentimentEscalationAction": "call""#,
        r#""sentimentEscalationAction": "Transfer""#,
        r#""sentimentEscalationAction": true"#,
        r#""sentimentEscalationTarget": "+1 (415) DROP""#,
        r#""sentimentEscalationTarget": "14155551234""#,
        r#""sentimentEscalationTarget": "+14155551234\r\nX-Evil: 1""#,
        r#""sentimentEscalationTarget": 14155551234"#,
        r#""sentimentEscalationTarget": "+19005551234""#,
        r#""sentimentEscalationTarget": "+491803123456""#,
        r#""sentimentTransferHourlyCap": -1"#,
        r#""sentimentNotifyWebhook": "ftp://a.example/x""#,
        r#""sentimentNotifyWebhook": "https://user:hunter2@a.example/x?token=hunter2""#,
        r#""sentimentNotifyWebhook": "a.example/hook""#,
        r#""sentimentNotifyWebhook": "https://a.example/\r\nx""#,
        r#""sentimentWebhookDetail": "all""#,
        r#""sentimentWebhookAllow": "127.0.0.1""#,
        r#""sentimentWebhookAllow": ["127.0.0.1", 5]"#,
        r#""sentimentWebhookAllow": ["10.1.2.3/8"]"#,
        r#""sentimentCriticalFrustration": 1.5"#,
        r#""sentimentDecliningValence": "-0.6""#,
        r#""sentimentTransferCountries": ["+1"]"#,
        r#""sentimentTransferCountries": [1]"#,
        r#""sentimentTransferCountries": ["4"]"#,
        r#""sentimentHandoverSentence": "One moment.\nBye.""#,
        r#""sentimentHandoverSentence": null"#,
        r#""sentimentToneNegative": "calm\u001b[2J""#,
        r#""sentimentSipListen": "0.0.0.0""#,
        r#""sentimentSipProxy": "pbx.example.com:0""#,
        r#""sentimentSipProxy": "sip:pbx.example.com;lr""#,
        r#""sentimentSipUser": "a>b""#,
        r#""sentimentSipTransport": "ws""#,
        r#""sentimentSipCaFile": """#,
        r#""sentimentSipNameserver": "dns.example.com""#,
        r#""sentimentSipRealm": "a\"b""#,
        r#""sentimentSipDomain": "a.example\r\nX-Evil: 1""#,
        r#""sentimentSipTargetDomain": "a.example>;x=<""#,
        r#""llmUrl": "http://llm.example/v1""#,
        r#""llmUrl": "https://user:hunter2@llm.example/v1""#,
        r#""llmUrl": "ftp://llm.example/""#,
        r#""llmUrl": true"#,
        r#""llmModel": """#,
        r#""llmModel": "a b""#,
        r#""llmDeadlineMs": 9"#,
        r#""llmMaxInFlight": 0"#,
    ];
    let shown = errors(cases.map(|case| from_file(&format!("{{{case}}}"))));
    let values = shown.replace("e.g. +14155551234", "");
    assert!(!values.contains("hunter2") && !values.contains("4155551234"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn wrong_text_in_environment_and_flags_is_refused() {
    insta::assert_snapshot!(errors([
        from_env(&[("SIDECAR_SENTIMENT_ESCALATION_ENABLED", "yes")]),
        from_env(&[("SIDECAR_SENTIMENT_THRESHOLD", "3.5")]),
        from_env(&[("SIDECAR_SENTIMENT_THRESHOLD", "")]),
        from_env(&[("SIDECAR_SENTIMENT_THRESHOLD", "three")]),
        from_env(&[("SIDECAR_SENTIMENT_THRESHOLD", "-1")]),
        from_env(&[("SIDECAR_SENTIMENT_TREND_DELTA", "NaN")]),
        from_env(&[("SIDECAR_SENTIMENT_TREND_DELTA", "inf")]),
        from_env(&[("SIDECAR_SENTIMENT_WEBHOOK_ALLOW", "127.0.0.1,,::1")]),
        from_env(&[("SIDECAR_SENTIMENT_ESCALATION_TARGET", "415 555 1234")]),
        set("sentimentThreshold", "99999999999999999999999"),
        set("sentimentEscalationAction", "page"),
        set("sentimentHandoverSentence", "a\rb"),
    ]));
}

#[test]
fn unknown_keys_name_the_nearest_right_one() {
    insta::assert_snapshot!(errors([
        from_file(r#"{"a": [{"sentimentTreshold": 3}]}"#),
        from_file(r#"{"sentiment_window_turns": 3}"#),
        from_file(r#"{"turnSilenceMS": 900}"#),
        from_file(r#"{"model": {"llmDeadline": 900}}"#),
        from_env(&[("SIDECAR_LLM_URI", "x")]),
        from_file(r#"{"SentimentThreshold": 3}"#),
        from_file(r#"{"sentimentWebhookSecret": "hunter2"}"#),
        from_env(&[("SIDECAR_SENTIMENT_WINDOW", "3")]),
        from_env(&[("SIDECAR_SENTIMENT_SIP_PASSWORD", "hunter2")]),
        from_env(&[("SIDECAR_TURN_SILENCE", "3")]),
        set("threshold", "3"),
        set("sentimentSipPassword", "hunter2"),
        set("windowTurns", "3"),
    ]));
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

/// An agent whose human is asked first.
const ATTENDED: &str = r#"{"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234",
    "sentimentTransferMode": "attended", MORE}"#;

#[test]
fn an_attended_transfer_needs_a_way_to_call_the_human() {
    let by = |key: &str| from_file(&ATTENDED.replace("MORE", &format!("\"{key}\": \"pbx.example:5070\"")));
    for key in ["sentimentSipProxy", "sentimentSipTargetDomain"] {
        assert_eq!(by(key).unwrap().settings.sip.mode, TransferMode::Attended);
    }
}

#[test]
fn what_belongs_together_is_checked_together() {
    insta::assert_snapshot!(errors([
        from_file(r#"{"sentimentEscalationAction": "transfer"}"#),
        from_file(r#"{"sentimentEscalationAction": "notify"}"#),
        from_file(r#"{"sentimentNotifyAlways": true}"#),
        from_file(r#"{"sentimentNotifyWebhook": "http://localhost:8080/x", "sentimentWebhookAllow": ["127.0.0.0/8"]}"#),
        from_file(r#"{"sentimentEscalationTarget": "+447700900123", "sentimentTransferCountries": ["1", "353"]}"#),
        from_file(r#"{"sentimentRingingTimeoutMs": 45000}"#),
        from_file(&ATTENDED.replace("MORE", r#""sentimentAcceptDigit": "2""#)),
        from_file(
            &ATTENDED.replace("MORE", r#""sentimentSipProxy": "pbx.example:5060", "sentimentAcceptTimeoutMs": 15000"#)
        ),
        from_file(r#"{"llmUrl": "https://llm.example/v1", "llmDeadlineMs": 2000}"#),
        load(&layers(
            SEED_AGENT,
            &[("SIDECAR_SENTIMENT_TRANSFER_COUNTRIES", "44")],
            &[("--action", "sentimentEscalationAction", "notify")]
        )),
    ]));
}

#[test]
fn plain_http_is_for_hosts_on_the_allow_list() {
    for (allow, url) in [
        ("localhost", "http://LOCALHOST:8080/x"),
        ("127.0.0.1", "http://127.0.0.1:8080/x"),
        ("127.0.0.0/8", "http://127.9.9.9/x"),
        ("::1", "http://[::1]:9/x"),
    ] {
        let env = [("SIDECAR_SENTIMENT_NOTIFY_WEBHOOK", url), ("SIDECAR_SENTIMENT_WEBHOOK_ALLOW", allow)];
        assert!(from_env(&env).is_ok(), "{allow} {url}");
    }
}

#[test]
fn an_llm_is_asked_in_the_clear_only_near_by() {
    let url = |url: &str| load(&layers(&json!({ "llmUrl": url }).to_string(), &[], &[])).map(|l| l.settings.llm.url);
    for (base, completions) in [
        ("https://api.example/v1", "https://api.example/v1/chat/completions"),
        ("https://api.example/v1/", "https://api.example/v1/chat/completions"),
        ("https://api.example/x?api-version=2", "https://api.example/x/chat/completions?api-version=2"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1/chat/completions"),
        ("http://127.0.0.1", "http://127.0.0.1/chat/completions"),
        ("http://10.1.2.3/v1", "http://10.1.2.3/v1/chat/completions"),
        ("http://172.16.0.1/v1", "http://172.16.0.1/v1/chat/completions"),
        ("http://192.168.1.9/v1", "http://192.168.1.9/v1/chat/completions"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/chat/completions"),
        ("http://[fd00::7]/v1", "http://[fd00::7]/v1/chat/completions"),
    ] {
        assert_eq!(url(base).unwrap().unwrap().completions().as_str(), completions);
    }
    for far in [
        "http://llm.internal/v1",
        "http://localhost.example/v1",
        "http://8.8.8.8/v1",
        "http://169.254.169.254/v1",
        "http://172.32.0.1/v1",
        "http://[2001:db8::1]/v1",
        "http://[::ffff:8.8.8.8]/v1",
        "http://0.0.0.0/v1",
    ] {
        assert!(url(far).is_err(), "{far}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let document = "{\n  \"sentimentThreshold\": 11,\n  \"sentimentEscalationTarget\": \"+1415\",\n  \
                    \"sentimentEscalationAction\": \"transfer\",\n  \"sentimentNotifyAlways\": true\n}";
    let env = [("SIDECAR_SENTIMENT_WINDOW_TURNS", "none")];
    insta::assert_snapshot!(errors([load(&layers(document, &env, &[("--set", "x", "1")]))]));
}

#[test]
fn a_document_that_is_none_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        AgentFile::read(&path).and_then(|agent| load(&Layers { agent: Some(agent), ..Layers::default() }))
    };
    let missing = AgentFile::read(&folder.path().join("missing.json")).map(|_| panic!());
    let shown = errors([
        read("broken.json", b"{\n  \"sentimentThreshold\": 3,\n}"),
        read("list.json", b"[]"),
        read("empty.json", b""),
        read("latin1.json", b"{\n  \"name\": \"caf\xe9\"}"),
        read("huge.json", &vec![b' '; 4 * 1024 * 1024 + 1]),
        missing,
    ]);
    insta::assert_snapshot!(shown.replace(folder.path().to_str().unwrap(), "FOLDER"));
    assert_eq!(read("bom.json", b"\xef\xbb\xbf{\"sentimentThreshold\": 4}").unwrap().settings.threshold, 4);
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let warnings = |document: &str| {
        from_file(document).unwrap().warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(
        [
            r#"{"sentimentThreshold": 1}"#,
            r#"{"sentimentEscalationTarget": "+14155551234"}"#,
            r#"{"sentimentNotifyWebhook": "https://a.example/"}"#,
            r#"{"sentimentHighFrustration": 0.5, "sentimentExtremeValence": -0.9}"#,
            r#"{"sentimentTrajectoryRules": true, "sentimentHighFrustration": 0.95}"#,
            r#"{"sentimentWebhookAllow": ["0.0.0.0/0"]}"#,
            r#"{"llmDeadlineMs": 300, "llmModel": "m"}"#,
            r#"{"sentimentAcceptDigit": "5", "sentimentWhisperFile": "w.wav"}"#,
            r#"{"sentimentAlertLink": "https://a.example/{alert_id}"}"#,
        ]
        .map(warnings)
        .join("\n")
    );
}

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
    use super::shape::Shape;
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
