//! Settings of one call of many: what the platform says of the call, over the settings of the process ([`PerCall`]).

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::{SettingsError, SettingsErrors};
use super::load::{AgentFile, Layers, Loaded, NAMED_AGENT, Over, load, load_with};
use super::shown::plain;

/// How what a platform says of a call is named in errors.
const METADATA: &str = "metadata";
/// Longest name of an agent document.
const LONGEST_NAME: usize = 64;

/// What a call's own metadata may set: how the caller is judged, and what is said in the room. Not whom callers are transferred
/// to, where alerts and words go and who signs in there, what is kept, and files of this machine: whoever can begin a call could
/// lead callers and what they say to themselves.
const OF_CALL: [&str; 27] = [
    "sentimentEscalationEnabled",
    "sentimentThreshold",
    "sentimentWindowTurns",
    "sentimentEscalationAction",
    "sentimentCountFillerTurns",
    "turnSilenceMs",
    "sentimentCallerIdentity",
    "sentimentRaterDeadlineMs",
    "sentimentSustainedRule",
    "sentimentSustainedLevel",
    "sentimentSustainedWeight",
    "sentimentHumanRequests",
    "sentimentTrajectoryRules",
    "sentimentCriticalFrustration",
    "sentimentHighFrustration",
    "sentimentDecliningValence",
    "sentimentExtremeValence",
    "sentimentTrendDelta",
    "sentimentTrajectorySignals",
    "sentimentHandoverSentence",
    "sentimentFallbackSentence",
    "sentimentSayDeadlineMs",
    "sentimentTransferDeadlineMs",
    "sentimentRingingTimeoutMs",
    "sentimentTonePositive",
    "sentimentToneNeutral",
    "sentimentToneNegative",
];

/// Why a call's metadata cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMetadata {
    /// It names an agent document, and there is no place for these.
    #[error("it names {NAMED_AGENT} {name}, and no --agents says where such documents are")]
    NoAgents {
        /// The name, fit to print.
        name: String,
    },
    /// What it names is no name.
    #[error(
        "{NAMED_AGENT} = {name}: it is no name; allowed: 1 to {LONGEST_NAME} letters, digits, dots, dashes and underscores, \
         beginning with none of the dots"
    )]
    Name {
        /// The value, fit to print.
        name: String,
    },
    /// Something in it is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsErrors),
}

/// Settings for calls: those of the process, and over them what the platform says of a call.
#[derive(Debug, Clone)]
pub struct PerCall {
    layers: Layers,
    agents: Option<PathBuf>,
}

impl PerCall {
    /// `layers` are those of the process. `agents` is a folder of agent documents, `NAME.json` each, of which a call can name
    /// one in the place of the process's.
    #[must_use]
    pub fn new(layers: Layers, agents: Option<PathBuf>) -> Self {
        Self { layers, agents }
    }

    /// The settings of a call of which the platform says nothing.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn usual(&self) -> Result<Loaded, SettingsErrors> {
        load(&self.layers)
    }

    /// The settings of a call. `metadata` is empty or a JSON object: its `sentimentAgent`, if any, names the agent document, and
    /// settings anywhere in it go over that document's, below environment and flags. May read a file.
    ///
    /// # Errors
    /// [`BadMetadata`] with everything that is wrong.
    pub fn of(&self, metadata: &str) -> Result<Loaded, BadMetadata> {
        if metadata.trim().is_empty() {
            return Ok(self.usual()?);
        }
        let document = AgentFile { path: METADATA.into(), text: metadata.to_owned() };
        let mut layers = self.layers.clone();
        if let Some(path) = self.named(metadata)? {
            layers.agent = Some(AgentFile::read(&path)?);
        }
        Ok(load_with(&layers, Some(&Over { document: &document, may_set }))?)
    }

    /// The agent document that a call names. What is no JSON is told by whoever reads it for settings.
    fn named(&self, metadata: &str) -> Result<Option<PathBuf>, BadMetadata> {
        let Ok(Value::Object(members)) = serde_json::from_str(metadata) else { return Ok(None) };
        let Some(name) = members.get(NAMED_AGENT) else { return Ok(None) };
        let shown = || plain(&name.to_string());
        let name = name.as_str().filter(|name| is_name(name)).ok_or_else(|| BadMetadata::Name { name: shown() })?;
        let Some(agents) = &self.agents else { return Err(BadMetadata::NoAgents { name: shown() }) };
        Ok(Some(agents.join(format!("{name}.json"))))
    }

    /// Reads every agent document that a call can name: its name, and what it sets.
    ///
    /// # Errors
    /// Everything that is wrong with the first of them that cannot be used, or why the folder cannot be read.
    pub fn check(&self) -> Result<Vec<(String, Loaded)>, SettingsErrors> {
        let Some(agents) = &self.agents else { return Ok(Vec::new()) };
        let mut named = documents(agents)?;
        named.sort();
        let read = |(name, path): (String, PathBuf)| {
            let layers = Layers { agent: Some(AgentFile::read(&path)?), ..self.layers.clone() };
            Ok((name, load(&layers)?))
        };
        named.into_iter().map(read).collect()
    }
}

/// The agent documents of a folder, each with its name. One that no call could name is a mistake; hidden files are none.
fn documents(folder: &Path) -> Result<Vec<(String, PathBuf)>, SettingsErrors> {
    let unreadable = |error: std::io::Error| {
        let problem = format!("the folder of agent documents cannot be read: {error}");
        SettingsErrors::from(SettingsError::Unreadable { path: folder.to_owned(), problem })
    };
    let mut named = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if stem.starts_with('.') || path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        if !is_name(&stem) {
            let problem = format!(
                "no call can name this document; allowed: ASCII letters, digits, '.', '-' and '_', at most {LONGEST_NAME}"
            );
            return Err(SettingsError::Unreadable { path, problem }.into());
        }
        named.push((stem, path));
    }
    Ok(named)
}

/// Whether a name leads to a file of the folder, and nowhere else.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=LONGEST_NAME).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(fits)
}

fn may_set(key: &'static str) -> Result<(), &'static str> {
    if OF_CALL.contains(&key) {
        return Ok(());
    }
    Err(
        "a call's metadata says nothing of where callers, alerts and words go; put it into an agent document of --agents, and \
         name that as sentimentAgent",
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
    use std::fs;

    use super::super::keys::row;
    use super::super::settings::ActionKind;
    use super::*;
    use crate::config::{Env, FlagValue};

    fn process() -> Layers {
        let text = r#"{"sentimentEscalationEnabled": true, "sentimentThreshold": 4, "sentimentWindowTurns": 2,
            "sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234"}"#;
        Layers { agent: Some(AgentFile { path: "agent.json".into(), text: text.to_owned() }), ..Layers::default() }
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let claims = r#"{"sentimentEscalationEnabled": true, "sentimentThreshold": 6}"#;
        fs::write(folder.path().join("claims.json"), claims).unwrap();
        fs::write(folder.path().join("notes.txt"), "not looked at").unwrap();
        folder
    }

    #[test]
    fn what_a_call_says_goes_over_the_document_and_below_environment_and_flags() {
        let per_call = |layers| PerCall::new(layers, None);
        let of = |layers, metadata: &str| per_call(layers).of(metadata).unwrap().settings;
        for nothing in ["", " ", "{}", r#"{"tenant": 7, "agent": {"name": "x"}}"#] {
            let settings = of(process(), nothing);
            assert_eq!((settings.threshold, settings.window), (4, 2), "{nothing:?}");
        }
        let metadata = r#"{"tenant": {"sentimentThreshold": 7}}"#;
        let settings = of(process(), metadata);
        assert_eq!((settings.threshold, settings.window, settings.action.kind()), (7, 2, ActionKind::Transfer));
        let env = [("SIDECAR_SENTIMENT_THRESHOLD", "8")].into_iter().collect::<Env>();
        assert_eq!(of(Layers { env, ..process() }, metadata).threshold, 8);
        let (flag, key, value) = ("--threshold".to_owned(), "sentimentThreshold".to_owned(), "9".to_owned());
        assert_eq!(of(Layers { flags: vec![FlagValue { flag, key, value }], ..process() }, metadata).threshold, 9);
    }

    #[test]
    fn a_call_names_a_document_of_the_folder_in_the_place_of_the_usual_one() {
        let folder = folder();
        let per_call = PerCall::new(process(), Some(folder.path().to_owned()));
        let of = |metadata: &str| per_call.of(metadata).unwrap().settings;
        let claims = of(r#"{"sentimentAgent": "claims"}"#);
        assert_eq!((claims.threshold, claims.window, claims.action.kind()), (6, 3, ActionKind::Flag));
        let more = of(r#"{"sentimentAgent": "claims", "sentimentWindowTurns": 5}"#);
        assert_eq!((more.threshold, more.window), (6, 5));
        // A file that is changed counts from the next call on.
        fs::write(folder.path().join("claims.json"), r#"{"sentimentThreshold": 5}"#).unwrap();
        assert_eq!(of(r#"{"sentimentAgent": "claims"}"#).threshold, 5);
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let folder = folder();
        fs::write(folder.path().join("secret.json"), "{}").unwrap();
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let per_call = PerCall::new(process(), Some(inside));
        let long = "x".repeat(65);
        for name in ["../secret", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "a\0b", ".hidden", "é", &long] {
            let metadata = serde_json::json!({"sentimentAgent": name}).to_string();
            assert!(matches!(per_call.of(&metadata), Err(BadMetadata::Name { .. })), "{name}");
        }
        assert!(matches!(per_call.of(r#"{"sentimentAgent": 7}"#), Err(BadMetadata::Name { .. })));
        assert!(matches!(per_call.of(r#"{"sentimentAgent": "secret"}"#), Err(BadMetadata::Settings(_))));
        let nowhere = PerCall::new(process(), None);
        assert!(matches!(nowhere.of(r#"{"sentimentAgent": "claims"}"#), Err(BadMetadata::NoAgents { .. })));
    }

    #[test]
    fn metadata_never_says_where_callers_alerts_and_words_go() {
        let per_call = PerCall::new(process(), None);
        for (key, value) in [
            ("sentimentEscalationTarget", "\"+14155559999\""),
            ("sentimentNotifyWebhook", "\"https://elsewhere.example/\""),
            ("sentimentWebhookAllow", "[\"127.0.0.1\"]"),
            ("sentimentNotifyTargets", "[]"),
            ("sentimentSipProxy", "\"elsewhere.example\""),
            ("sentimentWhisperFile", "\"/etc/passwd\""),
            ("sentimentKeepTranscripts", "\"all\""),
            ("llmUrl", "\"https://elsewhere.example/v1\""),
        ] {
            let error = per_call.of(&format!(r#"{{"deep": [{{"{key}": {value}}}]}}"#)).unwrap_err().to_string();
            assert!(error.contains(&format!("{key} is not set here")), "{error}");
            assert!(!error.contains("4155559999") && !error.contains("elsewhere"), "{error}");
        }
        for key in OF_CALL {
            assert!(row(key).is_some(), "{key} is no setting");
        }
    }

    #[test]
    fn what_is_wrong_with_metadata_is_told_with_its_place() {
        let per_call = PerCall::new(process(), None);
        for (metadata, told) in [
            ("tenant-7", "metadata:1:"),
            ("[1]", "allowed: a JSON object"),
            (r#"{"sentimentThreshold": 11}"#, "metadata:1:2 (/sentimentThreshold): sentimentThreshold = 11"),
            (r#"{"sentimentTreshold": 3}"#, "sentimentThreshold"),
        ] {
            let error = per_call.of(metadata).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_folder_is_checked_whole() {
        let folder = folder();
        let per_call = PerCall::new(process(), Some(folder.path().to_owned()));
        let named: Vec<_> = per_call.check().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(named, ["claims"]);
        fs::write(folder.path().join("wrong.json"), r#"{"sentimentThreshold": 0}"#).unwrap();
        let error = per_call.check().unwrap_err().to_string();
        assert!(error.contains("wrong.json:1:2"), "{error}");
        let (wrong, unnamed) = (folder.path().join("wrong.json"), folder.path().join("Sales Team.json"));
        fs::rename(wrong, unnamed).unwrap();
        let error = per_call.check().unwrap_err().to_string();
        assert!(error.contains("Sales Team.json: no call can name this document; allowed: ASCII letters"), "{error}");
        let nowhere = PerCall::new(process(), Some(folder.path().join("nowhere")));
        assert!(nowhere.check().unwrap_err().to_string().contains("the folder of agent documents cannot be read"));
        assert!(PerCall::new(process(), None).check().unwrap().is_empty());
    }
}
