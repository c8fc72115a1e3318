//! `alerts export`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::named::audit;
use crate::alert::Alert;
use crate::alert::verdict::Verdict;
use crate::cli::ago;
use crate::cli::exit::{Exit, Failure};
use crate::cli::private::save;
use crate::cli::terminal::say;
use crate::clock::unix_ms;
use crate::recording::expect::{EscalateAt, Expectation};
use crate::recording::{CutLine, Recording};
use crate::store::Store;
use crate::store::course::Course;
use crate::store::review::{Concern, LabelledCall};

/// Write what people said of alerts as labels, with the calls: recordings that `tune` and `evaluate` read.
///
/// Each call is a recording that expects an escalation at the turn of its alert (right), at the first low turn that led to
/// it (late), or none (wrong). Only calls whose transcript was kept can be written, see sentimentKeepTranscripts.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Write labels into this folder, which only you may read then; nothing there is overwritten.
    #[arg(long, value_name = "FOLDER")]
    labels: PathBuf,
    /// Write calls with an alert of the last 30d, or so.
    #[arg(long, value_name = "AGO", value_parser = ago::duration)]
    since: Option<Duration>,
}

pub(super) async fn run(args: &ExportArgs, store: &Store) -> Result<Exit, Failure> {
    let since_ms = args.since.map_or(0, |since| ago::before(unix_ms(), since));
    let calls = store.labelled(since_ms).await?;
    make_folder(&args.labels)?;
    audit(store, "export", Concern::Many).await?;
    let (mut written, mut without) = (0, 0);
    for (at, call) in calls.iter().enumerate() {
        let Some(kept) = &call.kept else {
            without += 1;
            continue;
        };
        let name = format!("{:04}-{}.jsonl", at + 1, file_name(&call.session_id));
        let path = args.labels.join(name);
        let wrong = |error: &dyn std::fmt::Display| Failure::new(Exit::Other, format!("{}: {error}", path.display()));
        let read = Recording::read(kept.recording.as_bytes(), &call.session_id, CutLine::LeaveOut);
        let mut recording = read.map_err(|error| wrong(&error))?;
        recording.expectation = Some(expected(call));
        save(&path, |mut out| recording.write(&mut out)).map_err(|error| {
            let failure = wrong(&error);
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                failure.help("give a folder of its own")
            } else {
                failure
            }
        })?;
        written += 1;
    }
    let calls = |many: usize| if many == 1 { "1 call".to_owned() } else { format!("{many} calls") };
    say(format_args!("{} written to {}", calls(written), args.labels.display()))?;
    if without > 0 {
        anstream::eprintln!(
            "{} with a verdict left out: no transcript was kept (sentimentKeepTranscripts)",
            calls(without)
        );
    }
    Ok(Exit::Ok)
}

/// What the verdicts on a call's alerts say that should have happened.
fn expected(call: &LabelledCall) -> Expectation {
    let course = call.kept.as_ref().and_then(|kept| kept.course.as_ref());
    let wanted = call.alerts.iter().find_map(|(alert, verdict)| match verdict {
        Verdict::Right => Some(alert.turn.max(1)),
        Verdict::Late => Some(first_low(alert, course)),
        Verdict::Wrong => None,
    });
    let at = wanted.map_or(EscalateAt::Never, EscalateAt::Turn);
    Expectation { escalate_at_turn: Some(at), ..Expectation::default() }
}

/// The first of the low turns in a row that led to an alert. Between them may lie turns that do not count.
fn first_low(alert: &Alert, course: Option<&Course>) -> u32 {
    let counted = |course: &Course| -> Option<u32> {
        let before = course.turns.iter().rev().filter(|turn| !turn.filler && turn.turn <= alert.turn);
        before.take_while(|turn| turn.low).take(alert.streak.max(1) as usize).last().map(|turn| turn.turn)
    };
    let as_if_all_counted = || alert.turn.saturating_sub(alert.streak.saturating_sub(1));
    course.and_then(counted).unwrap_or_else(as_if_all_counted).max(1)
}

/// A session's id as the name of a file.
fn file_name(id: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    let name: String = id.chars().map(fits).take(80).collect();
    if name.is_empty() { "call".to_owned() } else { name }
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| Failure::new(Exit::Other, format!("{}: {error}", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::ActionKind;
    use crate::sentiment::Sentiment;
    use crate::store::course::RatedTurn;

    #[test]
    fn late_names_the_first_low_turn_whatever_lay_between() {
        let alert = Alert { turn: 9, streak: 3, ..Alert::test(ActionKind::Flag, 1) };
        let mut course = Course::default();
        // Turns 6 and 8 are fillers, and 1 was low in an earlier streak.
        for (turn, low, filler) in
            [(1, true, false), (3, false, false), (5, true, false), (6, false, true), (7, true, false), (8, true, true)]
                .into_iter()
                .chain([(9, true, false), (10, true, false)])
        {
            course.rated(RatedTurn {
                turn,
                turn_id: turn.to_string(),
                at_ms: 0,
                sentiment: Sentiment::clamped(if low { 2.0 } else { 6.0 }),
                low,
                filler,
                asks_human: false,
                cues: Vec::new(),
            });
        }
        assert_eq!(first_low(&alert, Some(&course)), 5);
        assert_eq!(first_low(&Alert { streak: 2, ..alert.clone() }, Some(&course)), 7, "one streak, not all");
        assert_eq!(first_low(&alert, None), 7, "as if all counted, where nothing else is known");
        assert_eq!(first_low(&Alert { turn: 3, streak: 0, ..alert }, Some(&course)), 3, "a turn that is not low");
    }
}
