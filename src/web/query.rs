//! What is looked for: the fields of the search, as pages and programs send them.

use serde::Deserialize;

use crate::alert::verdict::Verdict;
use crate::alert::{AlertId, Rule, Severity};
use crate::clock::unix_ms;
use crate::config::settings::ActionKind;
use crate::store::review::{AlertFilter, outcome_names};

/// How many days are looked at where nobody says.
const DAYS: u64 = 7;
const DAY_MS: u64 = 86_400_000;
/// How many alerts a page has.
pub(super) const PAGE: u32 = 50;

/// The fields. Empty ones ask for nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Search {
    pub(super) days: String,
    pub(super) room: String,
    pub(super) action: String,
    pub(super) rule: String,
    pub(super) severity: String,
    pub(super) outcome: String,
    pub(super) verdict: String,
    pub(super) undelivered: String,
    pub(super) caller: String,
    /// `created_ms,alert_id` of the last alert of the page before.
    pub(super) before: String,
}

/// A field that cannot be, and what it can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {allowed}")]
pub(super) struct BadField {
    field: &'static str,
    allowed: String,
}

impl BadField {
    /// A field, and what it can be.
    pub(super) fn new(field: &'static str, allowed: &str) -> Self {
        Self { field, allowed: allowed.to_owned() }
    }
}

/// One of some names, or nothing.
fn one_of<T>(field: &'static str, text: &str, all: &[(&str, T)]) -> Result<Option<T>, BadField>
where
    T: Clone,
{
    if text.is_empty() {
        return Ok(None);
    }
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let found = all.iter().find(|(name, _)| *name == text).map(|(_, value)| value.clone());
    found.map(Some).ok_or_else(|| BadField { field, allowed: names.join(", ") })
}

impl Search {
    /// Whether anything but a period is looked for.
    pub(super) fn is_narrow(&self) -> bool {
        let fields = [&self.room, &self.action, &self.rule, &self.severity, &self.outcome, &self.verdict, &self.caller];
        !self.undelivered.is_empty() || fields.into_iter().any(|field| !field.is_empty())
    }

    /// How many days back.
    pub(super) fn days(&self) -> Result<u64, BadField> {
        let wrong = || BadField { field: "days", allowed: "a number from 1 to 3650".to_owned() };
        match self.days.as_str() {
            "" => Ok(DAYS),
            text => text.parse().ok().filter(|days| (1..=3650).contains(days)).ok_or_else(wrong),
        }
    }

    /// The period, Unix time in ms.
    pub(super) fn period(&self) -> Result<(u64, u64), BadField> {
        let now_ms = unix_ms();
        // What is being written at this moment belongs to it.
        Ok((now_ms.saturating_sub(self.days()? * DAY_MS), now_ms + 60_000))
    }

    /// What the store is asked for.
    pub(super) fn filter(&self) -> Result<AlertFilter, BadField> {
        let some = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        let verdicts = [("none", None)].into_iter().chain(Verdict::ALL.map(|verdict| (verdict.name(), Some(verdict))));
        let before = match self.before.split_once(',') {
            None if self.before.is_empty() => None,
            Some((at, id)) if at.parse::<u64>().is_ok() => {
                Some((at.parse().unwrap_or_default(), AlertId::from(id.to_owned())))
            }
            _ => return Err(BadField { field: "before", allowed: "what the page before it said".to_owned() }),
        };
        Ok(AlertFilter {
            since_ms: Some(self.period()?.0),
            until_ms: None,
            room: some(&self.room),
            action: one_of("action", &self.action, &ActionKind::ALL.map(|action| (action.name(), action)))?,
            rule: one_of("rule", &self.rule, &Rule::ALL.map(|rule| (rule.name(), rule)))?,
            severity: one_of("severity", &self.severity, &Severity::ALL.map(|severity| (severity.name(), severity)))?,
            outcome: one_of("outcome", &self.outcome, &outcome_names().map(|name| (name, name.to_owned())))?,
            verdict: one_of("verdict", &self.verdict, &verdicts.collect::<Vec<_>>())?,
            undelivered: one_of("undelivered", &self.undelivered, &[("true", true), ("false", false), ("on", true)])?
                .unwrap_or(false),
            caller: some(&self.caller),
            before,
        })
    }

    /// The address of the page after an alert.
    pub(super) fn after(&self, created_ms: u64, id: &AlertId) -> String {
        let before = format!("{created_ms},{id}");
        let fields = [
            ("days", &self.days),
            ("room", &self.room),
            ("action", &self.action),
            ("rule", &self.rule),
            ("severity", &self.severity),
            ("outcome", &self.outcome),
            ("verdict", &self.verdict),
            ("undelivered", &self.undelivered),
            ("caller", &self.caller),
            ("before", &before),
        ];
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        format!("/alerts?{}", query.finish())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn fields_are_read_and_wrong_ones_told() {
        let search = Search {
            severity: "high".to_owned(),
            verdict: "none".to_owned(),
            before: "17,alert_1".to_owned(),
            undelivered: "on".to_owned(),
            ..Search::default()
        };
        let filter = search.filter().unwrap();
        assert_eq!((filter.severity, filter.verdict, filter.undelivered), (Some(Severity::High), Some(None), true));
        assert_eq!(filter.before, Some((17, AlertId::from("alert_1".to_owned()))));
        assert_eq!(
            search.after(5, &AlertId::from("alert_0".to_owned())),
            "/alerts?severity=high&verdict=none&undelivered=on&before=5%2Calert_0"
        );
        for wrong in [
            Search { severity: "worst".to_owned(), ..Search::default() },
            Search { days: "0".to_owned(), ..Search::default() },
            Search { before: "x".to_owned(), ..Search::default() },
        ] {
            assert!(wrong.filter().is_err(), "{wrong:?}");
        }
    }
}
