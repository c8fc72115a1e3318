//! What is looked for: the fields of the search, as pages and programs send them.

use axum::extract::Query;
use axum::http::Uri;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use time::{Date, Month};

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
    /// The first and the last day, in UTC, as `2026-05-31`.
    pub(super) from: String,
    pub(super) until: String,
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

/// What a list of alerts is narrowed by.
pub(super) const OF_LIST: &[&str] = &[
    "days",
    "from",
    "until",
    "room",
    "caller",
    "action",
    "rule",
    "severity",
    "outcome",
    "verdict",
    "undelivered",
    "before",
];
/// What says of which days rates are.
pub(super) const OF_RATES: &[&str] = &["days", "from", "until"];
/// What says which part of the board is looked at.
pub(super) const OF_BOARD: &[&str] = &["q", "page"];

/// An address that asks for what there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadQuery {
    /// A parameter has a name that there is not, and maybe another one was meant.
    #[error("there is no parameter {unknown:?}: {}", those(known))]
    Unknown { unknown: String, known: &'static [&'static str] },
    /// The parameters cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

/// Which parameters there are, in words.
fn those(known: &[&str]) -> String {
    if known.is_empty() { "there are none here".to_owned() } else { format!("there are {}", known.join(", ")) }
}

/// What an address asks for by these parameters. One that is none of them, misspelt maybe, is told, as it would ask for nothing.
pub(super) fn asked<T: DeserializeOwned>(uri: &Uri, known: &'static [&'static str]) -> Result<T, BadQuery> {
    let names = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    if let Some((unknown, _)) = names.into_iter().find(|(name, _)| !known.contains(&name.as_ref())) {
        return Err(BadQuery::Unknown { unknown: unknown.into_owned(), known });
    }
    Query::try_from_uri(uri).map(|Query(asked)| asked).map_err(|error| BadQuery::Unreadable(error.body_text()))
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

    /// The period, Unix time in ms: its days by name, or so many back from its last one or from now.
    pub(super) fn period(&self) -> Result<(u64, u64), BadField> {
        let (from, until) = (day("from", &self.from)?, day("until", &self.until)?);
        // What is being written at this moment belongs to it.
        let until_ms = until.map_or_else(|| unix_ms() + 60_000, |until| until + DAY_MS);
        let span_ms = self.days()? * DAY_MS;
        let last_ms = if until.is_some() { until_ms } else { unix_ms() };
        let since_ms = from.unwrap_or(last_ms.saturating_sub(span_ms));
        // A period that ends before it begins has nothing in it.
        Ok((since_ms, until_ms.max(since_ms)))
    }

    /// The period in words.
    pub(super) fn period_words(&self) -> Result<String, BadField> {
        let days = self.days()?;
        let many = format!("{days} {}", if days == 1 { "day" } else { "days" });
        Ok(match (self.from.as_str(), self.until.as_str()) {
            ("", "") => format!("of the last {many}"),
            (from, "") => format!("since {from}"),
            ("", until) => format!("of the {many} up to {until}"),
            (from, until) if from == until => format!("of {from}"),
            (from, until) => format!("from {from} to {until}"),
        })
    }

    /// What the store is asked for.
    pub(super) fn filter(&self) -> Result<AlertFilter, BadField> {
        let (since_ms, until_ms) = self.period()?;
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
            since_ms: Some(since_ms),
            // What is written from now on comes first on the next page.
            until_ms: (!self.until.is_empty()).then_some(until_ms),
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
        address([
            ("days", &self.days),
            ("from", &self.from),
            ("until", &self.until),
            ("room", &self.room),
            ("action", &self.action),
            ("rule", &self.rule),
            ("severity", &self.severity),
            ("outcome", &self.outcome),
            ("verdict", &self.verdict),
            ("undelivered", &self.undelivered),
            ("caller", &self.caller),
            ("before", &before),
        ])
    }

    /// The address of what is undelivered in the period.
    pub(super) fn undelivered_too(&self) -> String {
        let narrow = "true".to_owned();
        address([("undelivered", &narrow), ("days", &self.days), ("from", &self.from), ("until", &self.until)])
    }
}

/// An address with those fields that ask for something.
fn address<const N: usize>(fields: [(&str, &String); N]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    format!("/alerts?{}", query.finish())
}

/// When a day begins in UTC, Unix time in ms; one before 1970 begins with it.
fn day(field: &'static str, text: &str) -> Result<Option<u64>, BadField> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || BadField::new(field, "a day, such as 2026-05-31");
    let digits = text.as_bytes();
    let as_written = digits.len() == 10
        && digits.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<u16>().ok());
    let (Some(year), Some(month), Some(day), true) = (number(0..4), number(5..7), number(8..10), as_written) else {
        return Err(wrong());
    };
    let month = u8::try_from(month).ok().and_then(|month| Month::try_from(month).ok()).ok_or_else(wrong)?;
    let day = u8::try_from(day).map_err(|_| wrong())?;
    let date = Date::from_calendar_date(i32::from(year), month, day).map_err(|_| wrong())?;
    let seconds = date.midnight().assume_utc().unix_timestamp();
    Ok(Some(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000)))
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
            Search { from: "2026-02-30".to_owned(), ..Search::default() },
            Search { until: "26-02-03".to_owned(), ..Search::default() },
            Search { until: "2026-2-3\u{e9}".to_owned(), ..Search::default() },
        ] {
            assert!(wrong.filter().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_address_asks_for_what_there_is_once_and_for_nothing_else() {
        let ask = |address: &str| asked::<Search>(&address.parse().unwrap(), OF_LIST);
        assert_eq!(ask("/alerts?severity=high&room=").unwrap().severity, "high");
        assert_eq!(
            ask("/alerts?room=r&severty=high").unwrap_err().to_string(),
            "there is no parameter \"severty\": there are days, from, until, room, caller, action, rule, severity, \
             outcome, verdict, undelivered, before"
        );
        assert!(matches!(ask("/alerts?room=a&room=b"), Err(BadQuery::Unreadable(_))));
        let none = asked::<Search>(&"/?x".parse().unwrap(), &[]).unwrap_err().to_string();
        assert_eq!(none, "there is no parameter \"x\": there are none here");
    }

    #[test]
    fn a_period_is_days_back_or_days_by_name_in_utc() {
        let search = |days: &str, from: &str, until: &str| Search {
            days: days.to_owned(),
            from: from.to_owned(),
            until: until.to_owned(),
            ..Search::default()
        };
        // 2026-05-31 began then.
        const DAY: u64 = 1_780_185_600_000;
        for (days, from, until, period, words) in [
            ("", "2026-05-31", "2026-05-31", (DAY, DAY + DAY_MS), "of 2026-05-31"),
            ("", "2026-05-30", "2026-05-31", (DAY - DAY_MS, DAY + DAY_MS), "from 2026-05-30 to 2026-05-31"),
            // The page's form sends both.
            ("7", "2026-05-31", "2026-06-01", (DAY, DAY + 2 * DAY_MS), "from 2026-05-31 to 2026-06-01"),
            ("2", "", "2026-05-31", (DAY - DAY_MS, DAY + DAY_MS), "of the 2 days up to 2026-05-31"),
            ("", "0001-01-01", "0001-01-02", (0, DAY_MS), "from 0001-01-01 to 0001-01-02"),
            ("", "2026-05-31", "2026-05-01", (DAY, DAY), "from 2026-05-31 to 2026-05-01"),
        ] {
            let search = search(days, from, until);
            assert_eq!(search.period().unwrap(), period, "{search:?}");
            assert_eq!(search.period_words().unwrap(), words);
            let filter = search.filter().unwrap();
            assert_eq!((filter.since_ms, filter.until_ms), (Some(period.0), Some(period.1)));
        }
        let open = search("", "2026-05-31", "");
        assert_eq!((open.period().unwrap().0, open.filter().unwrap().until_ms), (DAY, None));
        assert_eq!(open.period_words().unwrap(), "since 2026-05-31");
        assert!(open.after(5, &AlertId::from("a".to_owned())).starts_with("/alerts?from=2026-05-31&before="));
        assert_eq!(search("3", "", "").period_words().unwrap(), "of the last 3 days");
        assert_eq!(search("1", "", "").period_words().unwrap(), "of the last 1 day");
    }
}
