//! What the pages show, made of what the store says.

use crate::alert::payload::FullPayload;
use crate::alert::{Alert, Severity};
use crate::clock::rfc3339_of;
use crate::config::settings::ActionKind;
use crate::replay::figures::Share;
use crate::store::review::{DeliveryState, ListedAlert, Rates};

/// The band that a well-set escalation rate lies in.
const BAND: (f64, f64) = (0.05, 0.15);

/// An alert in the list.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) when: String,
    pub(super) severity: &'static str,
    pub(super) caller: String,
    pub(super) said: String,
    pub(super) room: String,
    pub(super) action: String,
    pub(super) delivery: &'static str,
    pub(super) verdict: &'static str,
}

/// A moment as people read it, in UTC.
pub(super) fn moment(ms: u64) -> String {
    rfc3339_of(ms).replace('T', " ").chars().take(16).collect()
}

/// The same to the second.
pub(super) fn second(ms: u64) -> String {
    rfc3339_of(ms).replace('T', " ").chars().take(19).collect()
}

/// The action, and what a transfer came to.
pub(super) fn action(alert: &Alert) -> String {
    match (&alert.outcome, alert.action) {
        _ if alert.shadow => format!("{} (shadow)", alert.action),
        (Some(outcome), ActionKind::Transfer) => format!("transfer: {}", outcome.words()),
        (_, action) => action.name().to_owned(),
    }
}

impl Row {
    pub(super) fn of(one: &ListedAlert) -> Self {
        let caller = FullPayload::of(&one.alert, None).caller.and_then(|caller| caller.words());
        Self {
            id: one.alert.id.to_string(),
            when: moment(one.created_ms),
            severity: one.alert.severity.name(),
            caller: caller.unwrap_or_else(|| "caller not known".to_owned()),
            said: one.alert.description.clone(),
            room: one.alert.room_name.clone(),
            action: action(&one.alert),
            delivery: match one.delivery {
                DeliveryState::None => "",
                DeliveryState::Delivered => "delivered",
                DeliveryState::Pending => "not yet delivered",
                DeliveryState::GaveUp => "NOT delivered",
            },
            verdict: one.verdict.map_or("no verdict", |verdict| verdict.name()),
        }
    }
}

/// How the period went.
pub(super) struct Period {
    pub(super) calls: u64,
    pub(super) escalated: u64,
    pub(super) share: String,
    pub(super) says: &'static str,
    pub(super) precision: String,
    pub(super) undelivered: u64,
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

impl Period {
    pub(super) fn of(rates: &Rates) -> Self {
        let whole = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let share = Share::new(whole(rates.escalated), whole(rates.calls));
        let says = match share.share {
            None => "no calls yet",
            Some(_) if share.low > BAND.1 => "too sensitive: more than 15 % of calls escalate",
            Some(_) if share.high < BAND.0 => "missing callers: fewer than 5 % of calls escalate",
            Some(_) if share.low >= BAND.0 && share.high <= BAND.1 => "within 5 to 15 %, as it should be",
            Some(rate) if (BAND.0..=BAND.1).contains(&rate) => "within 5 to 15 % so far, of too few calls to be sure",
            Some(_) => "too few calls to say whether it lies within 5 to 15 %",
        };
        let judged = rates.right + rates.wrong + rates.late;
        let right = Share::new(whole(rates.right + rates.late), whole(judged));
        let precision = match right.share {
            None => "no verdicts yet".to_owned(),
            Some(rate) => {
                let (low, high) = (percent(right.low), percent(right.high));
                format!(
                    "{} of {judged} judged alerts were needed ({low} to {high}), {} of them late",
                    percent(rate),
                    rates.late
                )
            }
        };
        let between = format!("{} to {}", percent(share.low), percent(share.high));
        Self {
            calls: rates.calls,
            escalated: rates.escalated,
            share: share.share.map_or_else(String::new, |rate| format!("{} ({between})", percent(rate))),
            says,
            precision,
            undelivered: rates.undelivered,
        }
    }
}

/// How bad an alert is, as a class of the style sheet.
pub(super) fn class(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "bad",
        Severity::Medium => "warn",
        Severity::Low => "calm",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_too_sensitive_or_misses_callers_only_where_its_interval_says_so() {
        for (escalated, calls, says) in [
            (0, 0, "no calls yet"),
            // 20 %, and at the least 16.4 %.
            (80, 400, "too sensitive: more than 15 % of calls escalate"),
            // 2 %, and at the most 4.3 %.
            (6, 300, "missing callers: fewer than 5 % of calls escalate"),
            (100, 1_000, "within 5 to 15 %, as it should be"),
            (2, 20, "within 5 to 15 % so far, of too few calls to be sure"),
            (3, 15, "too few calls to say whether it lies within 5 to 15 %"),
            (0, 10, "too few calls to say whether it lies within 5 to 15 %"),
        ] {
            let period = Period::of(&Rates { calls, escalated, ..Rates::default() });
            assert_eq!(period.says, says, "{escalated} of {calls}: {}", period.share);
            assert_eq!(period.share.is_empty(), calls == 0);
        }
    }

    #[test]
    fn verdicts_say_how_many_alerts_were_needed_late_ones_among_them() {
        let period = Period::of(&Rates { right: 5, wrong: 2, late: 3, ..Rates::default() });
        assert!(period.precision.starts_with("80.0 % of 10 judged alerts were needed ("), "{}", period.precision);
        assert!(period.precision.ends_with("), 3 of them late"), "{}", period.precision);
        assert_eq!(Period::of(&Rates::default()).precision, "no verdicts yet");
    }
}
