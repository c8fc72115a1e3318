//! What belongs together: what is refused or warned of only beside another setting.

use serde_json::json;

use super::{SEED_AGENT, errors, from_env, from_file, layers};
use crate::config::load;
use crate::config::settings::TransferMode;

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
