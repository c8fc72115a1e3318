//! The rater that settings and flags ask for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::exit::{Exit, Failure};
use super::secrets;
use crate::config::secret::{Secret, SecretName};
use crate::config::settings::{Llm, Settings};
use crate::sentiment::blend::{BlendedRater, Wait};
use crate::sentiment::cassette::{Cassette, CassetteError};
use crate::sentiment::llm::{LlmRater, LlmStart, LlmStats, Pace};
use crate::sentiment::{self, Rater};
use crate::tls::Authorities;

impl From<CassetteError> for Failure {
    fn from(error: CassetteError) -> Self {
        Self::new(Exit::BadRecording, error)
    }
}

impl From<LlmStart> for Failure {
    fn from(error: LlmStart) -> Self {
        Self::new(Exit::BadSettings, error)
    }
}

fn no_llm() -> Failure {
    Failure::new(Exit::BadSettings, "--record-cassette records what an LLM answers, and llmUrl is not set")
        .help("set llmUrl to the base address of an OpenAI-compatible endpoint, e.g. --set llmUrl=https://host/v1")
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

/// The rater of a live call, and the LLM behind it where there is one.
pub(super) struct Live {
    pub(super) rater: Arc<dyn Rater>,
    pub(super) llm: Option<Arc<LlmRater>>,
}

impl Live {
    /// The embedded rater, with the LLM that the settings name, or with a cassette in its place.
    pub(super) fn new(
        settings: &Settings,
        key: Option<&Secret>,
        args: &CassetteArgs,
        authorities: &Authorities,
    ) -> Result<Self, Failure> {
        let embedded: Arc<dyn Rater> = Arc::new(sentiment::embedded());
        let llm = match (&args.llm_cassette, &args.record_cassette) {
            (Some(tape), _) => LlmRater::from_cassette(&settings.llm, Arc::new(Cassette::play(tape)?)),
            (None, None) if settings.llm.url.is_none() => return Ok(Self { rater: embedded, llm: None }),
            (None, Some(_)) if settings.llm.url.is_none() => return Err(no_llm()),
            (None, record) => {
                let cassette = record.as_deref().map(Cassette::record).transpose()?.map(Arc::new);
                LlmRater::new(&settings.llm, key, cassette, Pace::Live, authorities)?
            }
        };
        let llm = Arc::new(llm);
        let wait = Wait::Until(Duration::from_millis(settings.llm.deadline_ms));
        let rater = Arc::new(BlendedRater::new(embedded, Arc::clone(&llm), wait));
        Ok(Self { rater, llm: Some(llm) })
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

/// Where an LLM's answers come from.
enum Answers {
    Nobody,
    Tape(Arc<Cassette>),
    Endpoint { cassette: Option<Arc<Cassette>> },
}

/// The raters of calls that nobody is on the phone for: every turn has its LLM's answer before it is counted. Calls with
/// the same LLM settings share one.
pub(super) struct Unhurried {
    embedded: Arc<dyn Rater>,
    answers: Answers,
    authorities: Authorities,
    llms: Vec<(Llm, Arc<LlmRater>)>,
}

impl Unhurried {
    pub(super) fn new(args: &CassetteArgs, asks: Asks) -> Result<Self, Failure> {
        let answers = match (&args.llm_cassette, &args.record_cassette, asks) {
            (Some(path), ..) => Answers::Tape(Arc::new(Cassette::play(path)?)),
            (None, Some(path), _) => Answers::Endpoint { cassette: Some(Arc::new(Cassette::record(path)?)) },
            (None, None, Asks::WhereSet) => Answers::Endpoint { cassette: None },
            (None, None, Asks::ToRecord) => Answers::Nobody,
        };
        let authorities = authorities(args.ca_file.as_deref())?;
        Ok(Self { embedded: Arc::new(sentiment::embedded()), answers, authorities, llms: Vec::new() })
    }

    /// The rater of one call.
    ///
    /// # Errors
    /// When answers are to be recorded and nobody is there to give them, and when the client of the LLM does not start.
    pub(super) fn rater(&mut self, settings: &Settings) -> Result<Arc<dyn Rater>, Failure> {
        let Some(llm) = self.llm(&settings.llm)? else { return Ok(Arc::clone(&self.embedded)) };
        Ok(Arc::new(BlendedRater::new(Arc::clone(&self.embedded), llm, Wait::ForTheAnswer)))
    }

    fn llm(&mut self, settings: &Llm) -> Result<Option<Arc<LlmRater>>, Failure> {
        if let Some((_, known)) = self.llms.iter().find(|(llm, _)| llm == settings) {
            return Ok(Some(Arc::clone(known)));
        }
        let llm = match &self.answers {
            Answers::Nobody => return Ok(None),
            Answers::Tape(cassette) => LlmRater::from_cassette(settings, Arc::clone(cassette)),
            Answers::Endpoint { cassette: None } if settings.url.is_none() => return Ok(None),
            Answers::Endpoint { .. } if settings.url.is_none() => return Err(no_llm()),
            Answers::Endpoint { cassette } => {
                let key = secrets::load(&[SecretName::LlmApiKey])?.llm_api_key;
                LlmRater::new(settings, key.as_ref(), cassette.clone(), Pace::Unhurried, &self.authorities)?
            }
        };
        let llm = Arc::new(llm);
        self.llms.push((settings.clone(), Arc::clone(&llm)));
        Ok(Some(llm))
    }

    /// What asking came to, for people; nothing where nobody was asked.
    ///
    /// # Errors
    /// When an answer could not be recorded.
    pub(super) fn finish(&self) -> Result<Option<String>, Failure> {
        let stats = LlmStats::total(self.llms.iter().map(|(_, llm)| llm.stats()));
        match &self.answers {
            Answers::Nobody => Ok(None),
            Answers::Tape(_) => {
                let (played, missed) = (stats.of(LlmStats::FROM_CASSETTE), stats.of("not_on_cassette"));
                Ok(Some(format!(
                    "LLM: {played} answers from the cassette, {missed} turns not on it and rated by the embedded rater \
                     alone"
                )))
            }
            Answers::Endpoint { cassette: None } if self.llms.is_empty() => Ok(None),
            Answers::Endpoint { cassette: None } => Ok(Some(format!("LLM: {stats}"))),
            Answers::Endpoint { cassette: Some(cassette) } => match cassette.problem() {
                Some(problem) => Err(problem.into()),
                None => Ok(Some(format!("LLM: {stats}; {} answers on the cassette", cassette.len()))),
            },
        }
    }
}
