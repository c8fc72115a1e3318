//! The rater that settings and flags ask for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::exit::{Exit, Failure};
use super::secrets;
use crate::config::secret::Secret;
use crate::config::settings::{Llm, Settings};
use crate::sentiment::blend::{BlendedRater, Wait};
use crate::sentiment::cassette::{Cassette, CassetteError};
use crate::sentiment::llm::{LIVE_LIMIT, LlmRater, LlmStart, LlmStats, RECORDING_LIMIT};
use crate::sentiment::{self, Rater};

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

/// The rater of a live call, and the LLM behind it where there is one.
pub(super) struct Live {
    pub(super) rater: Arc<dyn Rater>,
    pub(super) llm: Option<Arc<LlmRater>>,
}

impl Live {
    /// The embedded rater, with the LLM that the settings name.
    pub(super) fn new(settings: &Settings, key: Option<&Secret>, record: Option<&Path>) -> Result<Self, Failure> {
        let embedded: Arc<dyn Rater> = Arc::new(sentiment::embedded());
        if settings.llm.url.is_none() {
            return if record.is_some() { Err(no_llm()) } else { Ok(Self { rater: embedded, llm: None }) };
        }
        let cassette = record.map(Cassette::record).transpose()?.map(Arc::new);
        let llm = Arc::new(LlmRater::new(&settings.llm, key, cassette, LIVE_LIMIT)?);
        let wait = Wait::Until(Duration::from_millis(settings.llm.deadline_ms));
        let rater = Arc::new(BlendedRater::new(embedded, Arc::clone(&llm), wait));
        Ok(Self { rater, llm: Some(llm) })
    }
}

/// What an LLM has to do with a replay: nothing, unless it is asked for.
#[derive(Debug, Clone, Default, Args)]
pub struct CassetteArgs {
    /// Blends in the answers of an LLM that are on this cassette; no LLM is asked. Turns that are not on it are rated
    /// by the embedded rater alone, counted, and said.
    #[arg(long, value_name = "FILE", conflicts_with = "record_cassette")]
    pub llm_cassette: Option<PathBuf>,

    /// Asks the LLM at llmUrl about every turn that is not on this cassette yet, and appends its answers.
    #[arg(long, value_name = "FILE")]
    pub record_cassette: Option<PathBuf>,
}

enum Tape {
    Play(Arc<Cassette>),
    Record { cassette: Arc<Cassette>, key: Option<Secret> },
}

/// The raters of replayed calls. Calls with the same LLM settings share one.
pub(super) struct Replaying {
    embedded: Arc<dyn Rater>,
    tape: Option<Tape>,
    llms: Vec<(Llm, Arc<LlmRater>)>,
}

impl Replaying {
    pub(super) fn new(args: &CassetteArgs) -> Result<Self, Failure> {
        let tape = match (&args.llm_cassette, &args.record_cassette) {
            (Some(path), _) => Some(Tape::Play(Arc::new(Cassette::play(path)?))),
            (None, Some(path)) => {
                let key = secrets::load()?.llm_api_key;
                Some(Tape::Record { cassette: Arc::new(Cassette::record(path)?), key })
            }
            (None, None) => None,
        };
        Ok(Self { embedded: Arc::new(sentiment::embedded()), tape, llms: Vec::new() })
    }

    /// The rater of one call.
    pub(super) fn rater(&mut self, settings: &Settings) -> Result<Arc<dyn Rater>, Failure> {
        let Some(tape) = &self.tape else { return Ok(Arc::clone(&self.embedded)) };
        let known = self.llms.iter().find(|(llm, _)| *llm == settings.llm).map(|(_, rater)| Arc::clone(rater));
        let llm = match (known, tape) {
            (Some(llm), _) => llm,
            (None, Tape::Record { .. }) if settings.llm.url.is_none() => return Err(no_llm()),
            (None, tape) => {
                let llm = Arc::new(match tape {
                    Tape::Play(cassette) => LlmRater::from_cassette(&settings.llm, Arc::clone(cassette)),
                    Tape::Record { cassette, key } => {
                        LlmRater::new(&settings.llm, key.as_ref(), Some(Arc::clone(cassette)), RECORDING_LIMIT)?
                    }
                });
                self.llms.push((settings.llm.clone(), Arc::clone(&llm)));
                llm
            }
        };
        Ok(Arc::new(BlendedRater::new(Arc::clone(&self.embedded), llm, Wait::ForTheAnswer)))
    }

    /// What the cassette came to, for people; nothing without one.
    ///
    /// # Errors
    /// When an answer could not be recorded.
    pub(super) fn finish(&self) -> Result<Option<String>, Failure> {
        let stats = LlmStats::total(self.llms.iter().map(|(_, llm)| llm.stats()));
        let played = stats.of(LlmStats::FROM_CASSETTE);
        match &self.tape {
            None => Ok(None),
            Some(Tape::Play(_)) => {
                let missed = stats.of("not_on_cassette");
                Ok(Some(format!(
                    "LLM: {played} answers from the cassette, {missed} turns not on it and rated by the embedded rater \
                     alone"
                )))
            }
            Some(Tape::Record { cassette, .. }) => match cassette.problem() {
                Some(problem) => Err(problem.into()),
                None => Ok(Some(format!("LLM: {stats}; {} answers on the cassette", cassette.len()))),
            },
        }
    }
}
