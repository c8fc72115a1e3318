//! Which rater a call's settings ask for ([`Raters`]). A process makes them once: calls with the same LLM settings share one
//! LLM, with its permits and its breaker.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Rater;
use super::blend::{BlendedRater, Wait};
use super::cassette::Cassette;
use super::llm::{LlmRater, LlmStart, Pace};
use crate::config::secret::Secret;
use crate::config::settings::{Llm, Settings};
use crate::telemetry::meter::Meter;
use crate::tls::Authorities;

/// Where an LLM's answers come from.
pub enum Answers {
    /// No LLM has anything to do with the calls, whatever their settings say.
    Nobody,
    /// A cassette, in an LLM's place; nobody is asked.
    Tape(Arc<Cassette>),
    /// The endpoint that a call's settings name.
    Endpoint {
        /// Its key.
        key: Option<Secret>,
        /// What is on it is not asked again, and what is answered is appended.
        cassette: Option<Arc<Cassette>>,
    },
}

/// Whether somebody is on the phone meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// A live call: the LLM has until `llmDeadlineMs`, and a later answer re-rates the turn.
    Live,
    /// A recorded call: every turn has its LLM's answer before it is counted.
    None,
}

/// Why a call has no rater.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRater {
    /// Answers are to be recorded, and nobody is there to give them.
    #[error("--record-cassette records what an LLM answers, and llmUrl is not set")]
    NoLlm,
    /// The client of the LLM did not start.
    #[error(transparent)]
    Start(#[from] LlmStart),
}

/// The raters of a process.
pub struct Raters {
    embedded: Arc<dyn Rater>,
    answers: Answers,
    haste: Haste,
    authorities: Authorities,
    llms: Mutex<Vec<(Llm, Arc<LlmRater>)>>,
    meter: Arc<Meter>,
}

impl Raters {
    /// Raters that blend what `embedded` says with an LLM's answers, where the settings name one;
    /// `authorities` vouch for it.
    #[must_use]
    pub fn new(embedded: Arc<dyn Rater>, answers: Answers, haste: Haste, authorities: Authorities) -> Self {
        Self { embedded, answers, haste, authorities, llms: Mutex::default(), meter: Arc::default() }
    }

    /// Counts what comes of asking there.
    #[must_use]
    pub fn metered(mut self, meter: Arc<Meter>) -> Self {
        self.meter = meter;
        self
    }

    /// The rater that the settings ask for.
    ///
    /// # Errors
    /// [`NoRater`].
    pub fn of(&self, settings: &Settings) -> Result<Arc<dyn Rater>, NoRater> {
        let Some(llm) = self.llm(&settings.llm)? else { return Ok(Arc::clone(&self.embedded)) };
        let wait = match self.haste {
            Haste::Live => Wait::Until(Duration::from_millis(settings.llm.deadline_ms)),
            Haste::None => Wait::ForTheAnswer,
        };
        Ok(Arc::new(BlendedRater::new(Arc::clone(&self.embedded), llm, wait)))
    }

    fn llm(&self, settings: &Llm) -> Result<Option<Arc<LlmRater>>, NoRater> {
        // Nothing panics while it holds the lock, and the list would be whole even then.
        let mut llms = self.llms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = llms.iter().find(|(llm, _)| llm == settings) {
            return Ok(Some(Arc::clone(known)));
        }
        let pace = if self.haste == Haste::Live { Pace::Live } else { Pace::Unhurried };
        let llm = match &self.answers {
            Answers::Nobody => return Ok(None),
            Answers::Tape(cassette) => LlmRater::from_cassette(settings, Arc::clone(cassette)),
            Answers::Endpoint { cassette: None, .. } if settings.url.is_none() => return Ok(None),
            Answers::Endpoint { .. } if settings.url.is_none() => return Err(NoRater::NoLlm),
            Answers::Endpoint { key, cassette } => {
                LlmRater::new(settings, key.as_ref(), cassette.clone(), pace, &self.authorities)?
            }
        };
        let llm = Arc::new(llm.metered(Arc::clone(&self.meter)));
        llms.push((settings.clone(), Arc::clone(&llm)));
        Ok(Some(llm))
    }

    /// Where answers come from.
    #[must_use]
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The LLMs that calls have asked for so far.
    #[must_use]
    pub fn llms(&self) -> Vec<Arc<LlmRater>> {
        let llms = self.llms.lock().unwrap_or_else(PoisonError::into_inner);
        llms.iter().map(|(_, llm)| Arc::clone(llm)).collect()
    }
}
