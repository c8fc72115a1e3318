//! What can go wrong with an LLM, and how often it did.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::breaker::Health;
use crate::sentiment::OutOfRange;
use crate::telemetry::meter::Meter;

/// Why an LLM gave no rating. No variant holds what the caller or the LLM said.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LlmError {
    /// Too many questions are open; this one was not asked.
    #[error("{open} questions are open already, so this turn was not asked about")]
    Busy {
        /// How many may be open.
        open: usize,
    },
    /// The endpoint failed and is left alone; it was not asked.
    #[error("the LLM failed and is left alone for another {} ms", wait.as_millis())]
    Resting {
        /// For how long; zero while a probe is under way.
        wait: Duration,
    },
    /// It gave no whole answer in time.
    #[error("the LLM gave no answer within {} ms", limit.as_millis())]
    Timeout {
        /// The limit.
        limit: Duration,
    },
    /// There was no connection.
    #[error("the LLM cannot be reached: {detail}")]
    Unreachable {
        /// What happened, without the URL.
        detail: String,
    },
    /// The exchange broke off.
    #[error("the exchange with the LLM broke off: {detail}")]
    BrokenOff {
        /// What happened, without the URL.
        detail: String,
    },
    /// It answered with another status than 200.
    #[error("the LLM answered with HTTP status {status}")]
    Status {
        /// The status.
        status: u16,
        /// Its `Retry-After`, for 429 and 503.
        retry_after: Option<Duration>,
    },
    /// Its answer is larger than any rating.
    #[error("the answer of the LLM is larger than {max} bytes")]
    TooLarge {
        /// What is read at most.
        max: usize,
    },
    /// Its answer is no chat completion.
    #[error("the answer of the LLM is no chat completion: {detail}")]
    NotACompletion {
        /// Where it stops being one.
        detail: String,
    },
    /// The model would not answer.
    #[error("the LLM refused to rate the turn")]
    Refused,
    /// A content filter stopped the answer.
    #[error("a content filter stopped the answer of the LLM")]
    Filtered,
    /// The answer was cut off at the most tokens that it may have.
    #[error("the answer of the LLM was cut off")]
    CutOff,
    /// What the model wrote is no rating.
    #[error("what the LLM wrote is no rating: {detail}")]
    NotARating {
        /// Where it stops being one.
        detail: String,
    },
    /// It is a rating with an impossible number.
    #[error("the rating of the LLM is impossible: {0}")]
    OutOfRange(OutOfRange),
    /// There is only a cassette, and the turn is not on it.
    #[error("the turn is not on the cassette")]
    NotOnCassette,
}

impl LlmError {
    /// The kind of error, as [`LlmStats`] counts it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            Self::Resting { .. } => "resting",
            Self::Timeout { .. } => "timeout",
            Self::Unreachable { .. } => "unreachable",
            Self::BrokenOff { .. } => "broken_off",
            Self::Status { .. } => "status",
            Self::TooLarge { .. } => "too_large",
            Self::NotACompletion { .. } => "not_a_completion",
            Self::Refused => "refused",
            Self::Filtered => "filtered",
            Self::CutOff => "cut_off",
            Self::NotARating { .. } => "not_a_rating",
            Self::OutOfRange(_) => "out_of_range",
            Self::NotOnCassette => "not_on_cassette",
        }
    }

    /// What the error says about the endpoint. A model that will not answer one turn may well answer the next.
    pub(super) fn health(&self) -> Health {
        match self {
            Self::Refused | Self::Filtered => Health::Healthy,
            Self::Status { retry_after: Some(retry_after), .. } => Health::Overloaded { retry_after: *retry_after },
            _ => Health::Failed,
        }
    }
}

/// Where a decoding error lies, without what stands there: that may be the caller's words.
pub(super) fn place(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Io | Category::Syntax => "it is no JSON",
        Category::Data => "a field is missing, doubled or of the wrong type",
        Category::Eof => "it breaks off",
    };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

/// How often an LLM answered, and how often it did not, by kind.
#[derive(Debug, Default)]
pub struct LlmStats {
    counts: Mutex<BTreeMap<&'static str, u64>>,
    /// The HTTP statuses of those that had another than 200.
    statuses: Mutex<BTreeSet<u16>>,
    meter: Arc<Meter>,
}

impl LlmStats {
    /// The endpoint gave a good rating.
    pub const ANSWERED: &str = "answered";
    /// A rating came from the cassette.
    pub const FROM_CASSETTE: &str = "from_cassette";
    /// A turn was rated without the LLM at its deadline.
    pub const LATE: &str = "late";

    /// Nothing asked yet; what is asked is counted there as well.
    pub(crate) fn metered(meter: Arc<Meter>) -> Self {
        Self { meter, ..Self::default() }
    }

    pub(crate) fn count(&self, kind: &'static str) {
        self.meter.llm(kind);
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
    }

    /// Counts what went wrong.
    pub(super) fn failed(&self, error: &LlmError) {
        if let LlmError::Status { status, .. } = error {
            self.statuses.lock().unwrap_or_else(PoisonError::into_inner).insert(*status);
        }
        self.count(error.kind());
    }

    /// The sums over several raters.
    #[must_use]
    pub fn total<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let total = Self::default();
        for stats in all {
            let counts = stats.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut sums = total.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.into_iter().for_each(|(kind, count)| *sums.entry(kind).or_default() += count);
            let statuses = stats.statuses.lock().unwrap_or_else(PoisonError::into_inner).clone();
            total.statuses.lock().unwrap_or_else(PoisonError::into_inner).extend(statuses);
        }
        total
    }

    /// How often a kind occurred: one of the constants, or an [`LlmError::kind`].
    #[must_use]
    pub fn of(&self, kind: &str) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).get(kind).copied().unwrap_or_default()
    }
}

impl LlmStats {
    /// Of how many turns there was a rating, from the LLM or its cassette.
    #[must_use]
    pub fn rated(&self) -> u64 {
        self.of(Self::ANSWERED) + self.of(Self::FROM_CASSETTE)
    }

    /// Of how many there was none.
    #[must_use]
    pub fn unrated(&self) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_error = |kind: &&&str| ![Self::ANSWERED, Self::FROM_CASSETTE, Self::LATE].contains(*kind);
        counts.iter().filter(|(kind, _)| is_error(kind)).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for LlmStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if counts.is_empty() {
            return f.write_str("nothing asked");
        }
        for (n, (kind, count)) in counts.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{kind} {count}")?;
            if *kind == "status" {
                let statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
                let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
                write!(f, " (HTTP {})", statuses.join(", "))?;
            }
        }
        Ok(())
    }
}
