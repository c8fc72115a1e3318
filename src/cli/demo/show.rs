//! What the demo prints: the call as it happens, then what the receiver and the store have, and the SIP messages if
//! they are wanted. Everything fits a terminal of 80 columns.

use std::io::Write;
use std::time::Instant;

use anstyle::{AnsiColor, Style};

use super::phone::{Direction, PhoneEvent};
use super::receiver::Delivery;
use super::stage::Stage;
use crate::alert::AlertId;
use crate::alert::outcome::{Outcome, Progress};
use crate::alert::record::DeliveryResult;
use crate::call::report::{Report, TurnReport};
use crate::config::settings::{Action, ActionKind, LlmUrl};
use crate::manual;
use crate::replay::shorten;
use crate::room::message::{CommandKind, Participant, Role, RoomMessage, SidecarMessage};
use crate::room::server::ServerEvent;
use crate::sentiment::{Cue, Label};

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// How wide everything is, in columns.
const WIDTH: usize = 80;
/// Where the words of the call begin: behind the time and who speaks.
const SAID_AT: usize = 17;
/// How much of a text is shown, in characters: four lines.
const SAID: usize = 240;
/// How many cues of a turn are shown, and how much of each.
const CUES: usize = 2;
const CUE: usize = 48;

pub(super) struct Show {
    out: anstream::AutoStream<std::io::Stdout>,
    started: Instant,
    window: u32,
    threshold: u8,
    action: Action,
    with_sip: bool,
    roles: Vec<Participant>,
    alert: Option<AlertId>,
    outcome: Option<String>,
    exchange: Vec<PhoneEvent>,
    deliveries: Vec<Delivery>,
}

impl Show {
    pub(super) fn begin(stage: &Stage, with_sip: bool) -> std::io::Result<Self> {
        let settings = &stage.settings;
        let mut show = Self {
            out: anstream::stdout(),
            started: Instant::now(),
            window: settings.window,
            threshold: settings.threshold,
            action: settings.action.clone(),
            with_sip,
            roles: stage.participants.clone(),
            alert: None,
            outcome: None,
            exchange: Vec::new(),
            deliveries: Vec::new(),
        };
        show.wrapped("", &format!("{BOLD}{}{BOLD:#}", shorten(&stage.title, SAID)))?;
        writeln!(show.out)?;
        show.part("room", &stage.room.url(), "plays the call")?;
        if settings.action.kind() == ActionKind::Transfer {
            show.part("phone", &format!("sip:caller@{}", stage.phone.address()), "the caller's leg")?;
        }
        if settings.action.kind() != ActionKind::Flag || settings.webhook.always {
            show.part("webhook", stage.receiver.url().as_str(), "where supervisors are told")?;
        }
        if !stage.raters.llms().is_empty() {
            let llm = &settings.llm;
            let asked = llm.url.as_ref().map_or_else(|| "a cassette".to_owned(), LlmUrl::shown);
            show.part("llm", &asked, &format!("{}, a second opinion", llm.model))?;
        }
        let rule = format!("{} caller turns in a row rated below {} of 10", settings.window, settings.threshold);
        let then = match &settings.action {
            Action::Transfer { target } => format!("transfer to {}", target.as_str()),
            Action::Notify => "notify the supervisors".to_owned(),
            Action::Flag => "flag the call for review".to_owned(),
        };
        show.wrapped("  rule     ", &format!("{rule}: {then}"))?;
        writeln!(show.out)?;
        Ok(show)
    }

    /// One of those who play a part.
    fn part(&mut self, who: &str, place: &str, what: &str) -> std::io::Result<()> {
        self.wrapped(&format!("  {who:<9}"), &format!("{place:<36} {DIM}{what}{DIM:#}"))
    }

    /// `text` behind `first`, wrapped so that it stays there.
    fn wrapped(&mut self, first: &str, text: &str) -> std::io::Result<()> {
        let further = " ".repeat(textwrap::core::display_width(first));
        writeln!(self.out, "{}", manual::wrapped(text, WIDTH, first, &further))
    }

    /// A line of the call: when, who, and what.
    fn line(&mut self, who: &str, style: Style, text: &str) -> std::io::Result<()> {
        let time = format!("{:.1} s", self.started.elapsed().as_secs_f64());
        self.wrapped(&format!("{DIM}{time:>7}{DIM:#}  {style}{who:<8}{style:#}"), text)
    }

    /// What belongs to the line above.
    fn below(&mut self, text: &str) -> std::io::Result<()> {
        self.wrapped(&" ".repeat(SAID_AT), text)
    }

    /// What the room saw: the agent's words, and the commands that it was given.
    pub(super) fn room(&mut self, event: &ServerEvent) -> std::io::Result<()> {
        match event {
            ServerEvent::Said(RoomMessage::TurnEnded(turn)) => {
                let caller = self.roles.iter().any(|p| p.id == turn.participant_id && p.role == Role::Caller);
                match turn.text.as_deref().filter(|_| !caller) {
                    Some(text) => self.line("agent", DIM, &format!("{DIM}{}{DIM:#}", shorten(text, SAID))),
                    None => Ok(()),
                }
            }
            ServerEvent::Heard(SidecarMessage::Command { command: CommandKind::Say { text }, .. }) => {
                self.line("agent", CYAN, &format!("{CYAN}{}{CYAN:#}", shorten(text, SAID)))
            }
            ServerEvent::Heard(SidecarMessage::Command { command: CommandKind::SetFlag { .. }, .. }) => {
                self.line("room", CYAN, &format!("{CYAN}is told to flag the session{CYAN:#}"))
            }
            ServerEvent::Heard(SidecarMessage::Tone { instruction, .. }) => {
                let text = format!("{CYAN}The agent is told: {}{CYAN:#}", shorten(instruction, SAID));
                self.line("sidecar", CYAN, &text)
            }
            _ => Ok(()),
        }
    }

    /// What the sidecar reports.
    pub(super) fn report(&mut self, report: &Report) -> std::io::Result<()> {
        match report {
            Report::Turn(turn) => self.turn(turn),
            Report::Unrated { turn, error, .. } => {
                self.line("caller", YELLOW, &format!("turn {turn} is unrated: {}", shorten(&error.to_string(), SAID)))
            }
            Report::Escalation { turn, severity, action, description, alert_id, .. } => {
                self.alert = Some(alert_id.clone());
                self.outcome.get_or_insert_with(|| action.to_string());
                let then = match action {
                    ActionKind::Transfer => "the caller is to be transferred",
                    ActionKind::Notify => "the supervisors are to be told",
                    ActionKind::Flag => "the call is to be flagged",
                };
                let text = format!("{RED}ESCALATION{RED:#} at turn {turn}, severity {}: {then}.", severity.name());
                self.line("sidecar", RED, &text)?;
                self.below(&shorten(description, SAID))
            }
            Report::Transfer { progress, .. } => {
                let text = format!("{CYAN}{}{CYAN:#}", self.step(progress));
                self.line("sip", CYAN, &text)
            }
            Report::Outcome { transfer: Some(outcome), fallback, .. } => {
                self.outcome = Some(outcome.name().to_owned());
                let then = match outcome {
                    Outcome::Transferred => ": the caller is with the supervisor.",
                    _ if *fallback => ": the supervisors are told by webhook instead.",
                    _ => ".",
                };
                self.line("sidecar", BOLD, &format!("{BOLD}{}{BOLD:#}{then}", outcome.name()))
            }
            Report::Delivery { result, .. } => {
                let text = match result {
                    DeliveryResult::Delivered { status, .. } => format!("The alert is delivered ({status})."),
                    DeliveryResult::Retry { detail, .. } => format!("The alert will be sent again: {detail}"),
                    DeliveryResult::GaveUp { detail, .. } => format!("The alert is given up: {detail}"),
                };
                self.line("webhook", CYAN, &format!("{CYAN}{}{CYAN:#}", shorten(&text, SAID)))
            }
            Report::Warning { detail } => {
                self.line("warning", YELLOW, &format!("{YELLOW}{}{YELLOW:#}", shorten(detail, SAID)))
            }
            _ => Ok(()),
        }
    }

    /// A step of a transfer, in words.
    fn step(&self, progress: &Progress) -> String {
        let target = match &self.action {
            Action::Transfer { target } => target.as_str(),
            _ => "the supervisor",
        };
        let words = match (progress.step.as_str(), progress.sip_status) {
            ("refer_sent", _) => format!("The caller's phone is asked to call {target}"),
            ("accepted", _) => "It agrees".to_owned(),
            ("trying", _) => "It is calling".to_owned(),
            ("ringing", _) => "The supervisor's phone rings".to_owned(),
            ("result", Some(200..=299)) => "The supervisor answers".to_owned(),
            ("result", Some(486 | 600)) => "The supervisor's line is busy".to_owned(),
            (other, _) => shorten(&other.replace('_', " "), CUE),
        };
        progress.sip_status.map_or_else(|| format!("{words}."), |status| format!("{words} ({status})."))
    }

    fn turn(&mut self, turn: &TurnReport) -> std::io::Result<()> {
        let style = match turn.label {
            Label::Negative => RED,
            Label::Neutral => Style::new(),
            Label::Positive => GREEN,
        };
        self.line("caller", BOLD, &shorten(&turn.text, SAID))?;
        let filled = usize::from(turn.sentiment.score()).min(10);
        let bar = format!("{}{}", "█".repeat(filled), "░".repeat(10 - filled));
        let standing = if turn.low {
            format!("below {}, {} of {} in a row", self.threshold, turn.streak, self.window)
        } else if turn.filler {
            "without feeling".to_owned()
        } else {
            format!("not below {}", self.threshold)
        };
        self.below(&format!("{style}{bar} {}{style:#}  turn {}: {standing}", turn.sentiment, turn.turn))?;
        let cues = telling(&turn.cues);
        if cues.is_empty() {
            return Ok(());
        }
        self.below(&format!("{DIM}because of {}{DIM:#}", cues.join(" and ")))
    }

    pub(super) fn phone(&mut self, event: PhoneEvent) {
        self.exchange.push(event);
    }

    pub(super) fn delivery(&mut self, delivery: Delivery) {
        self.deliveries.push(delivery);
    }

    /// What everyone has seen, once the call is over.
    pub(super) async fn end(mut self, stage: &Stage) -> std::io::Result<()> {
        self.alerts(stage)?;
        if let Some(id) = self.alert.clone() {
            writeln!(self.out, "\n{BOLD}What is kept for review{BOLD:#}")?;
            match stage.store.alert(&id).await {
                Ok(Some(stored)) => {
                    let alert = &stored.alert;
                    let outcome =
                        alert.outcome.as_ref().map_or_else(|| alert.action.to_string(), |o| o.name().to_owned());
                    let text = format!(
                        "{id}, turn {}, {}, {outcome}, review: {}",
                        alert.turn,
                        alert.severity.name(),
                        stored.review
                    );
                    self.wrapped("  ", &text)?;
                }
                Ok(None) => writeln!(self.out, "  {RED}nothing{RED:#}")?,
                Err(error) => self.wrapped("  ", &format!("{RED}{error}{RED:#}"))?,
            }
        }
        for llm in stage.raters.llms() {
            writeln!(self.out, "\n{BOLD}What came of asking the LLM{BOLD:#}")?;
            self.wrapped("  ", &llm.stats().to_string())?;
        }
        if self.with_sip {
            self.sip_exchange()?;
        }
        match &self.outcome {
            Some(outcome) => writeln!(self.out, "\n{GREEN}✔{GREEN:#} escalated: {outcome}")?,
            None => writeln!(self.out, "\n{GREEN}✔{GREEN:#} no escalation: nobody was disturbed")?,
        }
        if !self.with_sip && !self.exchange.is_empty() {
            writeln!(self.out, "  {DIM}--sip shows the SIP messages of the transfer{DIM:#}")?;
        }
        Ok(())
    }

    fn sip_exchange(&mut self) -> std::io::Result<()> {
        writeln!(self.out, "\n{BOLD}What the phone saw{BOLD:#}")?;
        if self.exchange.is_empty() {
            writeln!(self.out, "  no SIP message")?;
        }
        for event in std::mem::take(&mut self.exchange) {
            let arrow = match event.direction {
                Direction::Received => "▶",
                Direction::Sent => "◀",
            };
            self.verbatim(&format!("  {arrow} "), CYAN, &event.first_line)?;
            for (name, value) in &event.headers {
                self.verbatim("      ", DIM, &format!("{name}: {value}"))?;
            }
            if let Some(body) = event.body.as_deref().filter(|body| !body.trim().is_empty()) {
                self.verbatim("      ", Style::new(), body.trim())?;
            }
        }
        Ok(())
    }

    fn alerts(&mut self, stage: &Stage) -> std::io::Result<()> {
        writeln!(self.out, "\n{BOLD}What the supervisors' receiver got{BOLD:#}")?;
        if self.deliveries.is_empty() {
            let why = match stage.settings.action.kind() {
                _ if self.alert.is_none() => "nothing, as nothing escalated",
                ActionKind::Transfer => "nothing: beside a transfer the webhook is for one that fails",
                ActionKind::Flag => "nothing: a flag sends no webhook unless sentimentNotifyAlways is set",
                ActionKind::Notify => "nothing",
            };
            writeln!(self.out, "  {why}")?;
        }
        for delivery in std::mem::take(&mut self.deliveries) {
            match &delivery.verified {
                Ok(()) => writeln!(self.out, "  {GREEN}✔ signature verified{GREEN:#}")?,
                Err(error) => self.wrapped("  ", &format!("{RED}✘ not verified: {error}{RED:#}"))?,
            }
            for (name, value) in delivery.headers.iter().filter(|(name, _)| name.starts_with("webhook-")) {
                self.verbatim("  ", DIM, &format!("{name}: {value}"))?;
            }
            // As it was signed, but for the line breaks.
            self.verbatim("  ", Style::new(), &delivery.body)?;
        }
        Ok(())
    }

    /// Text of a protocol, which is broken where a line is full and nowhere else.
    fn verbatim(&mut self, first: &str, style: Style, text: &str) -> std::io::Result<()> {
        let further = " ".repeat(textwrap::core::display_width(first) + 2);
        let text = manual::verbatim(&shorten(text, usize::MAX), WIDTH, first, &further);
        writeln!(self.out, "{style}{text}{style:#}")
    }
}

/// The words that moved a rating most, each in quotes: those that moved it the same way as the first and at least a
/// third as far, and none that is part of another.
fn telling(cues: &[Cue]) -> Vec<String> {
    let mut told: Vec<&str> = Vec::new();
    let most = cues.first().map_or(0.0, |cue| cue.effect);
    for cue in cues.iter().filter(|cue| cue.effect / most >= 1.0 / 3.0) {
        if told.len() < CUES && !told.iter().any(|other| other.contains(&cue.text) || cue.text.contains(other)) {
            told.push(&cue.text);
        }
    }
    told.into_iter().map(|text| format!("“{}”", shorten(text, CUE))).collect()
}
