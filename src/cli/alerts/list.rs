//! `alerts list`.

use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::named::{Format, audit, printed, short};
use crate::alert::payload::FullPayload;
use crate::alert::verdict::Verdict;
use crate::alert::{Alert, Rule, Severity};
use crate::cli::ago;
use crate::cli::exit::{Exit, Failure};
use crate::clock::{rfc3339_of, unix_ms};
use crate::config::settings::ActionKind;
use crate::store::Store;
use crate::store::review::{AlertFilter, Concern, DeliveryState, ListedAlert, outcome_names};
use crate::telemetry::shown::{json_line, shown};

/// Widest line, in columns.
const COLUMNS: usize = 80;

/// List alerts, the latest first. Times are in UTC.
///
/// Every alert has two lines: when, which, how bad, what was done and what came of a transfer, where it stands with the
/// places that it goes to, and the verdict; then the room, and what upset the caller.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// List those of the last 90m, 12h, 30d, 4w, or so.
    #[arg(long, value_name = "AGO", value_parser = ago::duration)]
    since: Option<Duration>,
    /// List those that are at least so old.
    #[arg(long, value_name = "AGO", value_parser = ago::duration)]
    until: Option<Duration>,
    /// List those of this room.
    #[arg(long, value_name = "NAME")]
    room: Option<String>,
    /// List those of this caller: a number as the room gives it, however it is spaced.
    #[arg(long, value_name = "NUMBER")]
    caller: Option<String>,
    /// List those with this action.
    #[arg(long, value_enum)]
    action: Option<ActionArg>,
    /// List those that this rule decided.
    #[arg(long, value_enum)]
    rule: Option<RuleArg>,
    /// List those that are at least so bad.
    #[arg(long, value_enum)]
    severity: Option<SeverityArg>,
    /// List those whose transfer came to this.
    #[arg(long, value_name = "OUTCOME", value_parser = outcome_names().to_vec())]
    outcome: Option<String>,
    /// List those of which somebody said this; none: of which nobody said anything.
    #[arg(long, value_enum)]
    verdict: Option<VerdictArg>,
    /// List those that are not everywhere delivered.
    #[arg(long)]
    undelivered: bool,
    /// List so many at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print a table, or JSON with one line an alert.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ActionArg {
    Transfer,
    Notify,
    Flag,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum RuleArg {
    Streak,
    Sustained,
    HumanRequest,
    Trajectory,
    Tool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SeverityArg {
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VerdictArg {
    Right,
    Wrong,
    Late,
    None,
}

impl ListArgs {
    fn filter(&self, now_ms: u64) -> AlertFilter {
        AlertFilter {
            since_ms: self.since.map(|since| ago::before(now_ms, since)),
            until_ms: self.until.map(|until| ago::before(now_ms, until)),
            room: self.room.clone(),
            action: self.action.map(|action| match action {
                ActionArg::Transfer => ActionKind::Transfer,
                ActionArg::Notify => ActionKind::Notify,
                ActionArg::Flag => ActionKind::Flag,
            }),
            rule: self.rule.map(|rule| match rule {
                RuleArg::Streak => Rule::Streak,
                RuleArg::Sustained => Rule::Sustained,
                RuleArg::HumanRequest => Rule::HumanRequest,
                RuleArg::Trajectory => Rule::Trajectory,
                RuleArg::Tool => Rule::Tool,
            }),
            severity: self.severity.map(|severity| match severity {
                SeverityArg::Low => Severity::Low,
                SeverityArg::Medium => Severity::Medium,
                SeverityArg::High => Severity::High,
                SeverityArg::Critical => Severity::Critical,
            }),
            outcome: self.outcome.clone(),
            verdict: self.verdict.map(|verdict| match verdict {
                VerdictArg::Right => Some(Verdict::Right),
                VerdictArg::Wrong => Some(Verdict::Wrong),
                VerdictArg::Late => Some(Verdict::Late),
                VerdictArg::None => None,
            }),
            undelivered: self.undelivered,
            caller: self.caller.clone(),
            before: None,
        }
    }
}

/// An alert as programs get it.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    created_at: String,
    delivery: DeliveryState,
    verdict: Option<Verdict>,
    shadow: bool,
    #[serde(flatten)]
    payload: &'a FullPayload,
}

pub(super) async fn run(args: &ListArgs, store: &Store) -> Result<Exit, Failure> {
    let listed = store.alerts(&args.filter(unix_ms()), args.limit).await?;
    audit(store, "list", Concern::Many).await?;
    printed(print(args, &listed))
}

fn print(args: &ListArgs, listed: &[ListedAlert]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    match args.format {
        Format::Json => {
            for one in listed {
                write!(out, "{}", line(one)?)?;
            }
        }
        Format::Table => {
            for one in listed {
                writeln!(out, "{}", row(one))?;
            }
            writeln!(out, "{}", summary(listed, args.limit))?;
        }
    }
    out.flush()
}

fn line(one: &ListedAlert) -> serde_json::Result<String> {
    json_line(&Line {
        created_at: rfc3339_of(one.created_ms),
        delivery: one.delivery,
        verdict: one.verdict,
        shadow: one.alert.shadow,
        payload: &FullPayload::of(&one.alert, None),
    })
}

fn summary(listed: &[ListedAlert], limit: u32) -> String {
    let many = listed.len();
    if many == 0 {
        return "no alert fits".to_owned();
    }
    let of = |verdict| listed.iter().filter(|one| one.verdict == Some(verdict)).count();
    let [right, wrong, late] = Verdict::ALL.map(of);
    let said = right + wrong + late;
    let verdicts = match said {
        0 => "no verdicts".to_owned(),
        _ => format!("{right} right, {wrong} wrong, {late} late"),
    };
    let alerts = if many == 1 { "alert" } else { "alerts" };
    let more = if many == limit as usize { "; there may be more: --limit" } else { "" };
    format!("{many} {alerts}, {verdicts}{more}")
}

/// What was done, and what came of a transfer.
fn action(alert: &Alert) -> String {
    match &alert.outcome {
        _ if alert.shadow => format!("{} (shadow)", alert.action),
        Some(outcome) if alert.action == ActionKind::Transfer => format!("transfer: {}", outcome.name()),
        _ => alert.action.name().to_owned(),
    }
}

fn row(one: &ListedAlert) -> String {
    let ListedAlert { created_ms, alert, verdict, delivery } = one;
    let when: String = rfc3339_of(*created_ms).replace('T', " ").chars().skip(5).take(11).collect();
    let bad = match alert.severity {
        Severity::Critical | Severity::High => AnsiColor::Red.on_default().bold(),
        Severity::Medium => AnsiColor::Yellow.on_default(),
        Severity::Low => Style::new(),
    };
    let sent = match delivery {
        DeliveryState::GaveUp => AnsiColor::Red.on_default().bold(),
        DeliveryState::Pending => AnsiColor::Yellow.on_default(),
        DeliveryState::Delivered | DeliveryState::None => Style::new().dimmed(),
    };
    let delivery = if *delivery == DeliveryState::None { "" } else { delivery.name() };
    let verdict = verdict.map(Verdict::name).unwrap_or_default();
    let action = action(alert);
    let mut head = format!("{when}  {:<14}  {bad}{:<8}{bad:#}  ", short(&alert.id), alert.severity.name());
    // No blanks stand at the end of a line.
    match (delivery, verdict) {
        ("", "") => head.push_str(&action),
        (delivery, "") => head.push_str(&format!("{action:<21}  {sent}{delivery}{sent:#}")),
        (delivery, verdict) => head.push_str(&format!("{action:<21}  {sent}{delivery:<9}{sent:#}  {verdict}")),
    }
    let dim = Style::new().dimmed();
    let (room, said) = (shown(&alert.room_name), shown(&alert.description));
    let below = fitted(&format!("{room}: {said}"), COLUMNS - 13);
    format!("{head}\n{dim}{:13}{below}{dim:#}", "")
}

/// As much of a text as fits.
fn fitted(text: &str, columns: usize) -> String {
    if textwrap::core::display_width(text) <= columns {
        return text.to_owned();
    }
    let mut cut = String::new();
    for c in text.chars() {
        if textwrap::core::display_width(&cut) + 3 > columns {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::outcome::Outcome;
    use crate::alert::payload::tests::told;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn an_alert_has_two_lines_that_fit_80_columns() {
        let alert = Alert {
            action: ActionKind::Transfer,
            outcome: Some(Outcome::Transferred),
            severity: Severity::Critical,
            room_name: "a room\u{1b}[2J with 部屋 in it ".repeat(9),
            ..told("t3")
        };
        let one = ListedAlert {
            created_ms: 1_709_164_800_500,
            alert,
            verdict: Some(Verdict::Right),
            delivery: DeliveryState::Delivered,
        };
        let text = plain(&row(&one));
        assert_eq!(text.lines().count(), 2, "{text}");
        for line in text.lines() {
            assert!(textwrap::core::display_width(line) <= COLUMNS, "{line}");
        }
        assert!(
            text.starts_with("02-29 00:00  alert_9bcdee26  critical  transfer: transferred  delivered  right"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_summary_counts_verdicts() {
        let one = |verdict| ListedAlert { created_ms: 0, alert: told("t3"), verdict, delivery: DeliveryState::None };
        assert_eq!(summary(&[], 50), "no alert fits");
        assert_eq!(summary(&[one(None)], 50), "1 alert, no verdicts");
        let listed = [one(Some(Verdict::Wrong)), one(Some(Verdict::Late)), one(None)];
        assert_eq!(summary(&listed, 3), "3 alerts, 0 right, 1 wrong, 1 late; there may be more: --limit");
    }
}
