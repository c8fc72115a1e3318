//! What is counted of calls: from what each of them reports, in this one place ([`Counted`]).

use std::sync::Arc;

use crate::alert::record::DeliveryResult;
use crate::call::report::Report;
use crate::config::settings::ActionKind;
use crate::sentiment::{RateError, RatingSource};
use crate::telemetry::meter::Meter;

/// One call, as it is counted.
#[derive(Debug)]
pub(super) struct Counted {
    meter: Arc<Meter>,
    /// The last caller turn that was heard, and the last of those that could not be rated: turns are reported again when
    /// their rating changes.
    turns: u32,
    unrated: u32,
    attached: bool,
}

impl Counted {
    /// A call that begins.
    pub(super) fn began(meter: Arc<Meter>) -> Self {
        meter.call_began();
        Self { meter, turns: 0, unrated: 0, attached: false }
    }

    /// The call is over, and ended so.
    pub(super) fn ended(self, ending: &str) {
        self.meter.call_ended(ending);
    }

    /// The room's connection broke, or could not be made, and is tried again.
    pub(super) fn cut(&self) {
        self.meter.cut();
    }

    pub(super) fn reported(&mut self, report: &Report) {
        let meter = &self.meter;
        match report {
            Report::Attached { .. } => {
                if self.attached {
                    meter.reconnected();
                }
                self.attached = true;
            }
            Report::Turn(turn) => {
                self.heard(turn.turn);
                self.meter.rated(match turn.source {
                    RatingSource::Embedded => "embedded",
                    RatingSource::Llm => "llm",
                    RatingSource::Blend => "blend",
                });
            }
            Report::Unrated { turn, error, .. } => {
                self.heard(*turn);
                if *turn > self.unrated {
                    self.unrated = *turn;
                    self.meter.unrated(match error {
                        RateError::Deadline { .. } => "deadline",
                        RateError::Language { .. } => "language",
                        RateError::Unheard => "unheard",
                        RateError::Failed { .. } => "failed",
                    });
                }
            }
            Report::Escalation { rule, severity, .. } => meter.escalated(rule.name(), severity.name()),
            Report::Outcome { action, transfer, .. } => meter.outcome(match (transfer, action) {
                (Some(outcome), _) => outcome.name(),
                (None, ActionKind::Flag) => "flagged",
                (None, ActionKind::Notify | ActionKind::Transfer) => "notified",
            }),
            Report::Delivery { result, .. } => delivered(meter, result),
            Report::Warning { .. } => meter.warned(),
            Report::Transfer { .. } | Report::Tool { .. } | Report::Ended { .. } => {}
        }
    }

    fn heard(&mut self, turn: u32) {
        self.meter.turns(u64::from(turn.saturating_sub(self.turns)));
        self.turns = self.turns.max(turn);
    }
}

/// Counts an attempt to tell a place of an alert, whosever call it is of. Whoever still waits for a turn has made none.
pub fn delivered(meter: &Meter, result: &DeliveryResult) {
    meter.delivery(match result {
        DeliveryResult::Retry { attempts: 0, .. } => return,
        DeliveryResult::Delivered { .. } => "delivered",
        DeliveryResult::Retry { .. } => "retry",
        DeliveryResult::GaveUp { .. } => "gave_up",
    });
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    fn turn(turn: u32, source: &str) -> Report {
        let text = serde_json::json!({"type": "turn", "turn": turn, "turn_id": "t", "text": "hello", "sentiment": 5.0,
            "valence": 0.0, "frustration": 0.0, "urgency": 0.0, "label": "neutral", "confidence": 1.0, "filler": false,
            "streak": 0, "low": false, "trend": "stable", "cues": [], "source": source});
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_turn_that_is_told_again_is_one_turn() {
        let meter = Arc::new(Meter::new());
        let mut counted = Counted::began(Arc::clone(&meter));
        let error = RateError::Deadline { deadline_ms: 2000 };
        let unrated = |turn| Report::Unrated { turn, turn_id: "t".to_owned(), error: error.clone() };
        let attached = Report::Attached { room_name: "r".to_owned(), session_id: "s".to_owned(), resumed: false };
        let told =
            [&attached, &turn(1, "embedded"), &unrated(2), &attached, &unrated(2), &turn(2, "llm"), &turn(1, "blend")];
        for report in told {
            counted.reported(report);
        }
        let text = meter.text(None);
        for sample in [
            "sentiment_sidecar_calls 1",
            "sentiment_sidecar_caller_turns_total 2",
            "sentiment_sidecar_unrated_turns_total{reason=\"deadline\"} 1",
            "sentiment_sidecar_ratings_total{source=\"embedded\"} 1",
            "sentiment_sidecar_ratings_total{source=\"blend\"} 1",
            "sentiment_sidecar_room_reconnects_total 1",
        ] {
            assert!(text.lines().any(|line| line == sample), "{sample} in\n{text}");
        }
        counted.ended("broke");
        assert!(meter.text(None).contains("sentiment_sidecar_calls_ended_total{ending=\"broke\"} 1"));
    }
}
