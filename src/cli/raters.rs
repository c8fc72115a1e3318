//! The raters that settings and flags ask for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::exit::{Exit, Failure};
use super::secrets;
use crate::config::secret::{Secret, SecretName};
use crate::config::settings::Settings;
use crate::sentiment::cassette::{Cassette, CassetteError};
use crate::sentiment::llm::LlmStats;
use crate::sentiment::raters::{Answers, Haste, NoRater, Raters};
use crate::sentiment::{self, Rater};
use crate::tls::Authorities;

impl From<CassetteError> for Failure {
    fn from(error: CassetteError) -> Self {
        Self::new(Exit::BadRecording, error)
    }
}

impl From<NoRater> for Failure {
    fn from(error: NoRater) -> Self {
        let failure = Self::new(Exit::BadSettings, &error);
        match error {
            NoRater::NoLlm => failure.help(
                "set llmUrl to the base address of an OpenAI-compatible endpoint, e.g. --set llmUrl=https://host/v1",
            ),
            NoRater::Start(_) => failure,
        }
    }
}

/// What an LLM has to do with calls, besides what `llmUrl` says.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "LLM (an OpenAI-compatible endpoint at llmUrl; its key is SIDECAR_LLM_API_KEY)")]
pub struct CassetteArgs {
    /// Blends in the answers of an LLM that are on this cassette; no LLM is asked. Turns that are not on it are rated
    /// by the embedded rater alone, counted, and said.
    #[arg(long, value_name = "FILE", conflicts_with = "record_cassette")]
    pub llm_cassette: Option<PathBuf>,

    /// Asks the LLM at llmUrl about every turn that is not on this cassette yet, and appends its answers.
    #[arg(long, value_name = "FILE")]
    pub record_cassette: Option<PathBuf>,

    /// Trusts these certificate authorities (PEM) for the LLM, besides the system's.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Who vouches for the servers that a command dials: the system's authorities, and those of `--ca-file`.
///
/// # Errors
/// [`Exit::BadSettings`] when the file cannot be used.
pub(super) fn authorities(ca_file: Option<&Path>) -> Result<Authorities, Failure> {
    let mend = "give --ca-file a PEM file with the certificate of each further authority";
    Authorities::new(ca_file).map_err(|error| Failure::new(Exit::BadSettings, error).help(mend))
}

impl CassetteArgs {
    /// Where answers come from, with the key of the endpoint.
    fn answers(&self, key: Option<Secret>) -> Result<Answers, CassetteError> {
        if let Some(path) = &self.llm_cassette {
            return Ok(Answers::Tape(Arc::new(Cassette::play(path)?)));
        }
        let cassette = self.record_cassette.as_deref().map(Cassette::record).transpose()?.map(Arc::new);
        Ok(Answers::Endpoint { key, cassette })
    }

    /// The raters of live calls; `embedded` computes where the host wants it to.
    pub(super) fn live(
        &self,
        embedded: Arc<dyn Rater>,
        key: Option<Secret>,
        authorities: &Authorities,
    ) -> Result<Raters, Failure> {
        Ok(Raters::new(embedded, self.answers(key)?, Haste::Live, authorities.clone()))
    }

    /// Says that an LLM which the settings name has no part in what is done, as nobody asked for its answers.
    pub(super) fn warn_of_silence(&self, settings: &Settings) {
        if settings.llm.url.is_some() && self.llm_cassette.is_none() && self.record_cassette.is_none() {
            let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
            anstream::eprintln!(
                "{yellow}warning{yellow:#}: llmUrl is set, and turns are rated without that LLM; --record-cassette asks it, once"
            );
        }
    }

    /// The raters of recorded calls.
    pub(super) fn unhurried(&self, asks: Asks) -> Result<Raters, Failure> {
        self.unhurried_by(Arc::new(sentiment::embedded()), asks)
    }

    /// The same, with what stands before the embedded rater.
    pub(super) fn unhurried_by(&self, embedded: Arc<dyn Rater>, asks: Asks) -> Result<Raters, Failure> {
        let authorities = authorities(self.ca_file.as_deref())?;
        let answers = match asks {
            Asks::ToRecord if self.llm_cassette.is_none() && self.record_cassette.is_none() => Answers::Nobody,
            _ if self.llm_cassette.is_some() => self.answers(None)?,
            _ => self.answers(secrets::load(&[SecretName::LlmApiKey])?.llm_api_key)?,
        };
        Ok(Raters::new(embedded, answers, Haste::None, authorities))
    }
}

/// When a command asks an LLM about calls that nobody is on the phone for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// Wherever the settings name one.
    WhereSet,
    /// Only to record a cassette.
    ToRecord,
}

/// What asking came to, for people; nothing where nobody was asked.
///
/// # Errors
/// When an answer could not be recorded.
pub(super) fn asked(raters: &Raters) -> Result<Option<String>, Failure> {
    let llms = raters.llms();
    let stats = LlmStats::total(llms.iter().map(|llm| llm.stats()));
    match raters.answers() {
        Answers::Nobody => Ok(None),
        Answers::Tape(_) => {
            let (played, missed) = (stats.of(LlmStats::FROM_CASSETTE), stats.of("not_on_cassette"));
            Ok(Some(format!(
                "LLM: {played} answers from the cassette, {missed} turns not on it and rated by the embedded rater alone"
            )))
        }
        Answers::Endpoint { cassette: None, .. } if llms.is_empty() => Ok(None),
        Answers::Endpoint { cassette: None, .. } => Ok(Some(format!("LLM: {stats}{}", without(&stats)))),
        Answers::Endpoint { cassette: Some(cassette), .. } => match cassette.problem() {
            Some(problem) => Err(problem.into()),
            None => Ok(Some(format!("LLM: {stats}; {} answers on the cassette{}", cassette.len(), without(&stats)))),
        },
    }
}

/// What turns have that got no answer.
fn without(stats: &LlmStats) -> String {
    match stats.unrated() {
        0 => String::new(),
        1 => "; 1 turn without an answer has the embedded rating alone".to_owned(),
        turns => format!("; {turns} turns without an answer have the embedded rating alone"),
    }
}

/// Refuses to pass for a second opinion what an LLM had no part in: it was asked, and answered about no turn.
///
/// # Errors
/// [`Exit::Other`].
pub(super) fn answered_some(raters: &Raters) -> Result<(), Failure> {
    let llms = raters.llms();
    let stats = LlmStats::total(llms.iter().map(|llm| llm.stats()));
    match raters.answers() {
        Answers::Endpoint { .. } if stats.rated() == 0 && stats.unrated() > 0 => {
            Err(Failure::new(Exit::Other, "the LLM answered about no turn")
                .help("sentiment-sidecar doctor asks it about one sentence, and says what is wrong"))
        }
        _ => Ok(()),
    }
}
