//! What is refused of a document, the environment or a flag by itself, and what is said of it.

use super::{errors, from_env, from_file, layers, set};
use crate::config::{AgentFile, Layers, load};

/// Members of a document, each with a value that is wrong.
const WRONG_VALUES: &[&str] = &[
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

#[test]
fn wrong_values_in_a_document_are_refused() {
    let shown = errors(WRONG_VALUES.iter().map(|case| from_file(&format!("{{{case}}}"))));
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
