//! The flags that set settings, shared by every command that uses them.

use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::{Exit, Failure};
use crate::config::settings::Settings;
use crate::config::{AgentFile, Env, FlagValue, Layers, Loaded, SettingsErrors, load};
use crate::telemetry::shown::shown;

const HEADING: &str = "Settings (file < SIDECAR_* environment < flags)";

/// Where settings come from, for commands that use them but do not count or act.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = HEADING)]
pub struct SourceArgs {
    /// Read settings from an agent document: any JSON object that holds them somewhere.
    ///
    /// The body of a platform's `POST /v1/agents` works unchanged: keys that are not settings are ignored, but a
    /// misspelt `sentiment*` key is an error.
    #[arg(long, value_name = "FILE")]
    pub agent: Option<PathBuf>,

    /// Set any setting, e.g. --set turnSilenceMs=900; may be repeated.
    ///
    /// KEY is a key of the agent document; lists are separated by commas, and an empty VALUE unsets what is optional.
    /// The same settings come from the environment as SIDECAR_ and the key in capitals, e.g. SIDECAR_TURN_SILENCE_MS.
    /// Secrets are not settings: they come from the environment or from files only.
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
}

/// Settings: an agent document, then SIDECAR_* variables, then flags; each overrides those before it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = HEADING)]
pub struct SettingsArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for help")]
    pub sources: SourceArgs,

    /// Count a caller turn as low when it is rated strictly below N (1-10) [default: 3].
    ///
    /// Sets `sentimentThreshold`; at 3, a turn rated 3 is not low and one rated 2.9 is.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub threshold: Option<String>,

    /// Escalate after N consecutive low turns (1-100) [default: 3].
    ///
    /// Sets `sentimentWindowTurns`.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub window: Option<String>,

    /// Choose what an escalation does [default: flag].
    ///
    /// Sets `sentimentEscalationAction`: `transfer` brings the caller to sentimentEscalationTarget, `notify` sends the
    /// webhook to sentimentNotifyWebhook, `flag` marks the session for review.
    #[arg(long, value_name = "transfer|notify|flag")]
    pub action: Option<String>,
}

/// Says that a document leaves live calls alone, where it does: calls of files are rated all the same.
pub(super) fn warn_of_switch(settings: &Settings, agent: &Path) {
    if !settings.enabled {
        let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
        anstream::eprintln!(
            "{yellow}warning{yellow:#}: sentimentEscalationEnabled is off in {}: live calls under it are not rated; what \
             follows is as if it were on",
            shown(&agent.display().to_string())
        );
    }
}

/// Splits `KEY=VALUE`. The value is not repeated in the error: somebody may have typed a secret.
fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE, e.g. sentimentThreshold=3".to_owned()),
    }
}

impl SettingsArgs {
    /// Reads the agent document, this process's environment, and the flags.
    ///
    /// # Errors
    /// [`Exit::BadSettings`] with everything that is wrong.
    pub fn load(&self) -> Result<Loaded, Failure> {
        self.load_from(&Env::of_process())
    }

    /// The same with a given environment.
    ///
    /// # Errors
    /// [`Exit::BadSettings`] with everything that is wrong.
    pub fn load_from(&self, env: &Env) -> Result<Loaded, Failure> {
        self.layer(env, None)
    }

    /// Reads the flags and this process's environment over an agent document that goes with the input, unless the
    /// flags name another one.
    ///
    /// # Errors
    /// [`Exit::BadSettings`] with everything that is wrong.
    pub fn load_over(&self, document: Option<AgentFile>) -> Result<Loaded, Failure> {
        self.layer(&Env::of_process(), document)
    }

    /// The layers of which settings are made, for who lays something between them.
    ///
    /// # Errors
    /// [`Exit::BadSettings`] where the agent document cannot be read.
    pub fn layers(&self) -> Result<Layers, Failure> {
        self.sources.layers(&Env::of_process(), None, self.short()).map_err(wrong)
    }

    fn layer(&self, env: &Env, document: Option<AgentFile>) -> Result<Loaded, Failure> {
        self.sources.layer(env, document, self.short())
    }

    fn short(&self) -> Vec<FlagValue> {
        let short = [
            ("--threshold", "sentimentThreshold", &self.threshold),
            ("--window", "sentimentWindowTurns", &self.window),
            ("--action", "sentimentEscalationAction", &self.action),
        ];
        let set = |(flag, key, value): (&str, &str, &Option<String>)| {
            let value = value.clone()?;
            Some(FlagValue { flag: flag.to_owned(), key: key.to_owned(), value })
        };
        short.into_iter().filter_map(set).collect()
    }
}

impl SourceArgs {
    /// Reads the agent document, this process's environment, and the flags.
    ///
    /// # Errors
    /// [`Exit::BadSettings`] with everything that is wrong.
    pub fn load(&self) -> Result<Loaded, Failure> {
        self.layer(&Env::of_process(), None, Vec::new())
    }

    /// `short` are flags of their own, before those of `--set`.
    fn layer(&self, env: &Env, document: Option<AgentFile>, short: Vec<FlagValue>) -> Result<Loaded, Failure> {
        self.layers(env, document, short).and_then(|layers| load(&layers)).map_err(wrong)
    }

    fn layers(&self, env: &Env, document: Option<AgentFile>, short: Vec<FlagValue>) -> Result<Layers, SettingsErrors> {
        let named = self.agent.as_deref().map(AgentFile::read).transpose()?;
        let agent = named.or(document);
        let set = self.set.iter().map(|(key, value)| FlagValue {
            flag: "--set".to_owned(),
            key: key.clone(),
            value: value.clone(),
        });
        Ok(Layers { agent, env: env.clone(), flags: short.into_iter().chain(set).collect() })
    }
}

/// Settings that are wrong, as the end of a command.
pub(super) fn wrong(errors: SettingsErrors) -> Failure {
    Failure::new(Exit::BadSettings, errors)
        .help("sentiment-sidecar doctor checks settings; sentiment-sidecar schema prints every key")
}
