//! Scenarios of reading settings.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod refused;
mod schema;
mod seed;
mod sources;
mod together;

use serde_json::Value;

use super::{AgentFile, FlagValue, Layers, Loaded, SettingsErrors, load};

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

/// Everything that is wrong with each of these, one paragraph per document.
fn errors(cases: impl IntoIterator<Item = Result<Loaded, SettingsErrors>>) -> String {
    cases.into_iter().map(|case| case.unwrap_err().to_string()).collect::<Vec<_>>().join("\n")
}
