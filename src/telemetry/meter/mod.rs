//! What a process counts of its calls, and how Prometheus reads it ([`Meter`]).
//!
//! The only place that counts for `/metrics`. It knows nothing of calls: whoever has something to count says so in the words
//! of the labels. No label holds what somebody said, a number, or a room.

mod process;
mod series;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use series::{Counter, Gauge, Head, Histogram, Label};

/// How a call ended for its sidecar.
const ENDINGS: &[Label] = &[("ending", &["ended", "superseded", "removed", "refused", "lost", "broke"])];
const SOURCES: &[Label] = &[("source", &["embedded", "llm", "blend"])];
const UNRATED: &[Label] = &[("reason", &["deadline", "language", "unheard", "failed"])];
const ESCALATIONS: &[Label] = &[
    ("rule", &["streak", "sustained", "human_request", "trajectory", "tool"]),
    ("severity", &["low", "medium", "high", "critical"]),
];
const OUTCOMES: &[Label] = &[(
    "outcome",
    &[
        "transferred",
        "busy",
        "declined",
        "no_answer",
        "rejected",
        "unreachable",
        "cancelled",
        "caller_gone",
        "unknown",
        "notified",
        "flagged",
    ],
)];
const DELIVERIES: &[Label] = &[("result", &["delivered", "retry", "gave_up"])];
const LLM: &[Label] = &[(
    "result",
    &[
        "answered",
        "from_cassette",
        "late",
        "busy",
        "resting",
        "timeout",
        "unreachable",
        "broken_off",
        "status",
        "too_large",
        "not_a_completion",
        "refused",
        "filtered",
        "cut_off",
        "not_a_rating",
        "out_of_range",
        "not_on_cassette",
    ],
)];

/// A turn is to be rated within two seconds, and takes some ten milliseconds where nothing waits.
const RATING_US: &[u64] = &[5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_000_000, 5_000_000];
/// A commit takes a millisecond or ten; another process may hold the lock for seconds.
const STORE_US: &[u64] = &[1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_000_000, 10_000_000];

/// How long a failed write speaks against the store. Whether it works again is seen at the next write, and there may be none
/// before the next call.
const STORE_FAILED_FOR: Duration = Duration::from_secs(30);

/// The counts of one process. Counting is an atomic addition; nobody waits for anybody.
#[derive(Debug)]
pub struct Meter {
    began: Instant,
    began_at: SystemTime,
    calls: Gauge,
    started: Counter,
    endings: Counter,
    turns: Counter,
    ratings: Counter,
    rating: Histogram,
    unrated: Counter,
    pool: Gauge,
    escalations: Counter,
    outcomes: Counter,
    deliveries: Counter,
    llm: Counter,
    reconnects: Counter,
    cuts: Counter,
    warnings: Counter,
    settings_refused: Counter,
    store: Histogram,
    store_failures: Counter,
    /// When the last write failed, in ms since it began, plus 1; 0 where none did, or one worked since.
    store_failed: AtomicU64,
    events_lost: Counter,
    /// The bits of what [`Meter::set_load`] was last told; those of no number where it never was.
    load: AtomicU64,
    ready: AtomicBool,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        let (counter, gauge) = (Counter::new, Gauge::new);
        Self {
            began: Instant::now(),
            began_at: SystemTime::now(),
            calls: gauge("sentiment_sidecar_calls", "Calls that this process is attached to now."),
            started: counter("sentiment_sidecar_calls_started_total", "Calls that were begun.", &[]),
            endings: counter(
                "sentiment_sidecar_calls_ended_total",
                "Calls that are over, by how they ended for the sidecar.",
                ENDINGS,
            ),
            turns: counter("sentiment_sidecar_caller_turns_total", "Caller turns that were heard.", &[]),
            ratings: counter(
                "sentiment_sidecar_ratings_total",
                "Ratings of caller turns, those of turns that were rated again included, by who made them.",
                SOURCES,
            ),
            rating: Histogram::new(
                "sentiment_sidecar_rating_duration_seconds",
                "From the end of a caller turn to its rating, or to its deadline.",
                RATING_US,
            ),
            unrated: counter(
                "sentiment_sidecar_unrated_turns_total",
                "Caller turns that could not be rated when they were said, by reason.",
                UNRATED,
            ),
            pool: gauge("sentiment_sidecar_rating_pool_turns", "Turns that are being rated or wait for it."),
            escalations: counter(
                "sentiment_sidecar_escalations_total",
                "Escalations, by what decided and how severe it is.",
                ESCALATIONS,
            ),
            outcomes: counter("sentiment_sidecar_outcomes_total", "What the actions of escalations came to.", OUTCOMES),
            deliveries: counter(
                "sentiment_sidecar_webhook_deliveries_total",
                "Attempts to tell a webhook or another place of an alert, by what came of them.",
                DELIVERIES,
            ),
            llm: counter("sentiment_sidecar_llm_answers_total", "What came of asking the LLM about a turn.", LLM),
            reconnects: counter(
                "sentiment_sidecar_room_reconnects_total",
                "Connections to rooms that were made anew within a call.",
                &[],
            ),
            cuts: counter(
                "sentiment_sidecar_room_connection_failures_total",
                "Connections to rooms that broke or could not be made, and are tried again.",
                &[],
            ),
            warnings: counter("sentiment_sidecar_warnings_total", "Warnings among the events of calls.", &[]),
            settings_refused: counter(
                "sentiment_sidecar_call_settings_refused_total",
                "Calls whose own settings could not be used, so that they have the usual ones.",
                &[],
            ),
            store: Histogram::new(
                "sentiment_sidecar_store_write_duration_seconds",
                "From the wish to write something to the store until it is on disk.",
                STORE_US,
            ),
            store_failures: counter(
                "sentiment_sidecar_store_write_failures_total",
                "Writes to the store that failed.",
                &[],
            ),
            store_failed: AtomicU64::new(0),
            events_lost: counter(
                "sentiment_sidecar_events_lost_total",
                "Events that were dropped because nobody read standard output.",
                &[],
            ),
            load: AtomicU64::new(f64::NAN.to_bits()),
            ready: AtomicBool::default(),
        }
    }

    /// A call is begun.
    pub fn call_began(&self) {
        self.calls.add(1);
        self.started.add(&[], 1);
    }

    /// A call is over: `ended`, `superseded`, `removed`, `refused`, `lost` or `broke`.
    pub fn call_ended(&self, ending: &str) {
        self.calls.add(-1);
        self.endings.add(&[ending], 1);
    }

    /// So many more caller turns were heard.
    pub fn turns(&self, more: u64) {
        self.turns.add(&[], more);
    }

    /// A turn was rated, by `embedded`, `llm` or `blend`.
    pub fn rated(&self, source: &str) {
        self.ratings.add(&[source], 1);
    }

    /// A turn had its rating, or its deadline, after so long.
    pub fn rating_took(&self, took: Duration) {
        self.rating.observe(took);
    }

    /// A turn is not rated: `deadline`, `language`, `unheard` or `failed`.
    pub fn unrated(&self, reason: &str) {
        self.unrated.add(&[reason], 1);
    }

    /// So many more turns, or fewer, are being rated or wait for it.
    pub fn in_pool(&self, by: i64) {
        self.pool.add(by);
    }

    /// A rule decided to act.
    pub fn escalated(&self, rule: &str, severity: &str) {
        self.escalations.add(&[rule, severity], 1);
    }

    /// An action came to something: an outcome of a transfer, `notified` or `flagged`.
    pub fn outcome(&self, outcome: &str) {
        self.outcomes.add(&[outcome], 1);
    }

    /// A place was told of an alert: `delivered`, `retry` or `gave_up`.
    pub fn delivery(&self, result: &str) {
        self.deliveries.add(&[result], 1);
    }

    /// What came of asking the LLM.
    pub fn llm(&self, result: &str) {
        self.llm.add(&[result], 1);
    }

    /// A room was joined anew within a call.
    pub fn reconnected(&self) {
        self.reconnects.add(&[], 1);
    }

    /// A connection to a room broke or could not be made.
    pub fn cut(&self) {
        self.cuts.add(&[], 1);
    }

    /// A call's events warn of something.
    pub fn warned(&self) {
        self.warnings.add(&[], 1);
    }

    /// A call has the usual settings, as its own could not be used.
    pub fn settings_refused(&self) {
        self.settings_refused.add(&[], 1);
    }

    /// An event was dropped.
    pub fn event_lost(&self) {
        self.events_lost.add(&[], 1);
    }

    /// The store wrote something after so long, or failed.
    pub fn stored(&self, took: Duration, worked: bool) {
        self.store.observe(took);
        if worked {
            self.store_failed.store(0, Ordering::Relaxed);
        } else {
            self.store_failures.add(&[], 1);
            self.store_failed.store(self.now_ms().saturating_add(1), Ordering::Relaxed);
        }
    }

    /// Whether a write to the store failed within the last half minute, and none worked since.
    #[must_use]
    pub fn store_fails(&self) -> bool {
        let failed = self.store_failed.load(Ordering::Relaxed);
        let since = self.now_ms().saturating_add(1).saturating_sub(failed);
        failed > 0 && u128::from(since) < STORE_FAILED_FOR.as_millis()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How loaded the process says that it is, from 0 (idle) to 1 (takes no more calls), and whether calls can be given to it
    /// at all.
    pub fn set_load(&self, load: f64, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
        self.load.store(load.clamp(0.0, 1.0).to_bits(), Ordering::Relaxed);
    }

    /// How many calls there are now.
    #[must_use]
    pub fn calls(&self) -> u64 {
        u64::try_from(self.calls.get()).unwrap_or_default()
    }

    /// How many turns are being rated or wait for it.
    #[must_use]
    pub fn pool_turns(&self) -> u64 {
        u64::try_from(self.pool.get()).unwrap_or_default()
    }

    /// All of it in Prometheus' text format 0.0.4, with how many alerts wait to be sent, where that is known, and what the
    /// system says of the process.
    #[must_use]
    pub fn text(&self, waiting: Option<u64>) -> String {
        let mut text = String::with_capacity(16 * 1024);
        self.calls.write(&mut text);
        for counter in [&self.started, &self.endings, &self.turns, &self.ratings, &self.unrated] {
            counter.write(&mut text);
        }
        self.rating.write(&mut text);
        self.pool.write(&mut text);
        self.write_load(&mut text);
        for counter in [&self.escalations, &self.outcomes, &self.deliveries, &self.llm, &self.reconnects, &self.cuts] {
            counter.write(&mut text);
        }
        self.warnings.write(&mut text);
        self.settings_refused.write(&mut text);
        self.store.write(&mut text);
        self.store_failures.write(&mut text);
        self.events_lost.write(&mut text);
        if let Some(waiting) = waiting {
            let name = "sentiment_sidecar_outbox_pending";
            let help = "Alerts in the store that wait to be sent, of all processes that share it.";
            Head { name, help }.write("gauge", &mut text);
            let _ = writeln!(text, "{name} {waiting}");
        }
        let (name, help) = ("sentiment_sidecar_build_info", "The version of the program; the value is always 1.");
        Head { name, help }.write("gauge", &mut text);
        let _ = writeln!(text, "{name}{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        process::write(self.began_at, &mut text);
        text
    }

    /// Only where somebody says it: a process of one call is neither idle nor full.
    fn write_load(&self, text: &mut String) {
        let load = f64::from_bits(self.load.load(Ordering::Relaxed));
        if load.is_nan() {
            return;
        }
        let name = "sentiment_sidecar_load_ratio";
        let help = "How loaded the worker is, from 0 (idle) to 1 (takes no more calls).";
        Head { name, help }.write("gauge", text);
        let _ = writeln!(text, "{name} {load}");
        let name = "sentiment_sidecar_worker_ready";
        let help = "Whether calls can be given to the worker (1): it is registered, and is not to end.";
        Head { name, help }.write("gauge", text);
        let _ = writeln!(text, "{name} {}", u8::from(self.ready.load(Ordering::Relaxed)));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    /// The value of a sample by its whole name.
    fn value(text: &str, name: &str) -> Option<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    #[test]
    fn what_was_counted_is_told() {
        let meter = Meter::new();
        meter.call_began();
        meter.call_began();
        meter.call_ended("lost");
        meter.turns(3);
        meter.unrated("deadline");
        meter.escalated("streak", "high");
        meter.outcome("transferred");
        meter.stored(Duration::from_millis(3), true);
        let text = meter.text(Some(7));
        for (name, right) in [
            ("sentiment_sidecar_calls", 1.0),
            ("sentiment_sidecar_calls_started_total", 2.0),
            ("sentiment_sidecar_calls_ended_total{ending=\"lost\"}", 1.0),
            ("sentiment_sidecar_calls_ended_total{ending=\"ended\"}", 0.0),
            ("sentiment_sidecar_caller_turns_total", 3.0),
            ("sentiment_sidecar_unrated_turns_total{reason=\"deadline\"}", 1.0),
            ("sentiment_sidecar_escalations_total{rule=\"streak\",severity=\"high\"}", 1.0),
            ("sentiment_sidecar_outcomes_total{outcome=\"transferred\"}", 1.0),
            ("sentiment_sidecar_store_write_duration_seconds_bucket{le=\"0.0025\"}", 0.0),
            ("sentiment_sidecar_store_write_duration_seconds_bucket{le=\"0.005\"}", 1.0),
            ("sentiment_sidecar_outbox_pending", 7.0),
        ] {
            assert_eq!(value(&text, name), Some(right), "{name} in\n{text}");
        }
        assert_eq!((meter.calls(), meter.pool_turns()), (1, 0));
    }

    #[test]
    fn what_nobody_knows_is_not_told() {
        let meter = Meter::new();
        let text = meter.text(None);
        for name in ["load_ratio", "worker_ready", "outbox_pending"] {
            assert!(!text.contains(&format!("sentiment_sidecar_{name}")), "{name} in\n{text}");
        }
        for ready in [true, false] {
            meter.set_load(1.5, ready);
            let text = meter.text(None);
            assert_eq!(value(&text, "sentiment_sidecar_load_ratio"), Some(1.0));
            assert_eq!(value(&text, "sentiment_sidecar_worker_ready"), Some(f64::from(u8::from(ready))));
        }
    }

    #[test]
    fn a_failed_write_speaks_against_the_store_until_one_works() {
        let meter = Meter::new();
        assert!(!meter.store_fails());
        meter.stored(Duration::ZERO, false);
        assert!(meter.store_fails());
        meter.stored(Duration::ZERO, true);
        assert!(!meter.store_fails());
        // Half a minute ago.
        meter.store_failed.store(1, Ordering::Relaxed);
        let long_ago = Meter { began: meter.began.checked_sub(STORE_FAILED_FOR).unwrap(), ..meter };
        assert!(!long_ago.store_fails());
    }
}
