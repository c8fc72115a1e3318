//! The LLM rater: any OpenAI-compatible endpoint as a second opinion on a turn.
//!
//! [`LlmRater::ask`] asks once and gives a typed answer: a rating within its ranges, or an [`LlmError`] that is counted.
//! It never retries, on a live call it never queues, and it leaves an endpoint alone that fails ([`breaker`]).
//!
//! What callers say is data. It stands in one JSON string of one user message (`prompt.rs`), the answer can hold nothing
//! but five checked fields (`answer.rs`), and what reads like instructions is no context of later turns
//! (`screen.rs`). How far such a rating may move the embedded one is bounded in [`blend`](super::blend).

mod answer;
pub mod breaker;
mod endpoint;
mod error;
mod prompt;
mod screen;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::cassette::Cassette;
use super::{Label, RateError, RateFuture, Rater, Rating, RatingSource, TurnInContext, Unit, Valence};
use crate::config::secret::Secret;
use crate::config::settings::Llm;
use crate::telemetry::meter::Meter;
use crate::tls::Authorities;
pub use answer::{Answer, LlmRating};
use breaker::{Breaker, Health, Ticket};
use endpoint::Endpoint;
pub use error::{LlmError, LlmStats};
pub use prompt::PROMPT_VERSION;
use prompt::Question;

/// How sure an LLM's rating counts as: models of the default's size agree with the rubric's writers about so often.
pub const LLM_CONFIDENCE: f64 = 0.7;

/// What questions may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// A live call's: 10 s, as an answer that comes later helps nobody; and none waits in line for another.
    Live,
    /// Those of replays and the like, where nobody is on the phone: 60 s, after waiting in line.
    Unhurried,
}

impl Pace {
    /// How long a question may stay open.
    #[must_use]
    pub fn limit(self) -> Duration {
        match self {
            Self::Live => Duration::from_secs(10),
            Self::Unhurried => Duration::from_secs(60),
        }
    }
}

/// Why an LLM rater could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the LLM rater did not start: {0}")]
pub struct LlmStart(String);

/// Asks an LLM, or a cassette, or a cassette first and then an LLM.
pub struct LlmRater {
    endpoint: Option<Endpoint>,
    model: String,
    pace: Pace,
    open: usize,
    permits: Semaphore,
    breaker: Mutex<Breaker>,
    since: Instant,
    stats: LlmStats,
    cassette: Option<Arc<Cassette>>,
}

impl LlmRater {
    /// A rater that asks `settings.url` (none without one), for which `authorities` must vouch, for answers that are not
    /// on the cassette, and records them there if it takes any.
    ///
    /// # Errors
    /// [`LlmStart`] when TLS or the HTTP client does not start.
    pub fn new(
        settings: &Llm,
        key: Option<&Secret>,
        cassette: Option<Arc<Cassette>>,
        pace: Pace,
        authorities: &Authorities,
    ) -> Result<Self, LlmStart> {
        let endpoint = settings.url.as_ref().map(|url| Endpoint::new(url, key, authorities));
        let endpoint = endpoint.transpose().map_err(LlmStart)?;
        Ok(Self { endpoint, pace, ..Self::unconnected(settings, cassette) })
    }

    /// A rater that has the answers of a cassette and no others.
    #[must_use]
    pub fn from_cassette(settings: &Llm, cassette: Arc<Cassette>) -> Self {
        Self::unconnected(settings, Some(cassette))
    }

    fn unconnected(settings: &Llm, cassette: Option<Arc<Cassette>>) -> Self {
        let open = settings.max_in_flight as usize;
        Self {
            endpoint: None,
            model: settings.model.clone(),
            pace: Pace::Live,
            open,
            permits: Semaphore::new(open),
            breaker: Mutex::default(),
            since: Instant::now(),
            stats: LlmStats::default(),
            cassette,
        }
    }

    /// Counts what comes of asking there as well.
    #[must_use]
    pub fn metered(mut self, meter: Arc<Meter>) -> Self {
        self.stats = LlmStats::metered(meter);
        self
    }

    /// How often it answered, and how often not.
    #[must_use]
    pub fn stats(&self) -> &LlmStats {
        &self.stats
    }

    /// Asks about one turn, once.
    ///
    /// # Errors
    /// [`LlmError`], which is counted.
    pub async fn ask(&self, turn: &TurnInContext) -> Result<LlmRating, LlmError> {
        let question = Question::of(turn);
        let key = question.key(&self.model);
        if let Some(rating) = self.cassette.as_ref().and_then(|cassette| cassette.get(&key)) {
            self.stats.count(LlmStats::FROM_CASSETTE);
            return Ok(rating);
        }
        match self.ask_endpoint(&question).await {
            Ok(Answer { rating, .. }) => {
                self.stats.count(LlmStats::ANSWERED);
                // Somebody may have asked the same meanwhile: what is on the cassette stands.
                Ok(self.cassette.as_ref().map_or(rating.clone(), |cassette| cassette.add(&key, &self.model, rating)))
            }
            Err(error) => {
                self.stats.failed(&error);
                tracing::debug!(%error, "the LLM gave no rating");
                Err(error)
            }
        }
    }

    /// Asks about one turn, whatever is on the cassette, and leaves it and the statistics as they are: a try.
    ///
    /// # Errors
    /// [`LlmError`].
    pub async fn probe(&self, turn: &TurnInContext) -> Result<Answer, LlmError> {
        self.ask_endpoint(&Question::of(turn)).await
    }

    async fn ask_endpoint(&self, question: &Question) -> Result<Answer, LlmError> {
        let Some(endpoint) = &self.endpoint else { return Err(LlmError::NotOnCassette) };
        let permit = match self.pace {
            Pace::Live => self.permits.try_acquire().ok(),
            Pace::Unhurried => self.permits.acquire().await.ok(),
        };
        let _permit = permit.ok_or(LlmError::Busy { open: self.open })?;
        let limit = self.pace.limit();
        let mut pass = self.pass()?;
        let body = question.body(&self.model).to_string();
        let asked = match timeout(limit, endpoint.post(body)).await {
            Ok(body) => body.and_then(|body| answer::read(&body)),
            Err(_) => Err(LlmError::Timeout { limit }),
        };
        pass.health = asked.as_ref().err().map_or(Health::Healthy, LlmError::health);
        asked
    }

    fn pass(&self) -> Result<Pass<'_>, LlmError> {
        let admitted = self.breaker().admit(self.since.elapsed());
        let ticket = admitted.map_err(|wait| LlmError::Resting { wait })?;
        Ok(Pass { rater: self, ticket, health: Health::Abandoned })
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave of the breaker, which hears what came of it even when nobody waits for the end.
struct Pass<'a> {
    rater: &'a LlmRater,
    ticket: Ticket,
    health: Health,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let now = self.rater.since.elapsed();
        if let Some(time) = self.rater.breaker().settle(&self.ticket, self.health, now, fastrand::f64()) {
            tracing::warn!(for_ms = time.as_millis(), "the LLM fails and is left alone; turns are rated without it");
        }
    }
}

impl LlmRating {
    /// The rating as it stands without any other: what turns get in languages that the embedded rater does not know.
    #[must_use]
    pub fn alone(&self) -> Rating {
        let label = Label::of(self.sentiment);
        Rating {
            sentiment: self.sentiment,
            valence: Valence::of(self.sentiment),
            frustration: self.frustration,
            urgency: self.urgency,
            label,
            confidence: Unit::clamped(LLM_CONFIDENCE),
            filler: false,
            asks_human: false,
            cues: Vec::new(),
            source: RatingSource::Llm,
            description: self.description.clone().filter(|_| label == Label::Negative),
            embedded: None,
        }
    }
}

/// Alone: without an embedded rating that would be there at once.
impl Rater for LlmRater {
    fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
        Box::pin(async move {
            match self.ask(turn).await {
                Ok(rating) => Ok(rating.alone()),
                Err(error) => Err(RateError::Failed { detail: error.to_string() }),
            }
        })
    }
}
