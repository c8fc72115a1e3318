//! What the demo prints: the call as it happens, then what the phone, the receiver and the store have seen.

use std::io::Write;
use std::time::Instant;

use anstyle::{AnsiColor, Style};

use super::phone::{Direction, PhoneEvent};
use super::receiver::Delivery;
use super::stage::Stage;
use crate::call::escalation::AlertId;
use crate::call::report::{Report, TurnReport};
use crate::config::settings::{ActionKind, LlmUrl};
use crate::replay::shorten;
use crate::room::message::{CommandKind, Participant, Role, RoomMessage, SidecarMessage};
use crate::room::server::ServerEvent;
use crate::sentiment::Label;
use crate::telemetry::shown::shown;

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// How much of a turn is shown.
const SAID: usize = 72;

pub(super) struct Show {
    out: anstream::AutoStream<std::io::Stdout>,
    started: Instant,
    window: u32,
    threshold: u8,
    roles: Vec<Participant>,
    alert: Option<AlertId>,
    outcome: Option<String>,
    exchange: Vec<PhoneEvent>,
    deliveries: Vec<Delivery>,
}

impl Show {
    pub(super) fn begin(stage: &Stage) -> std::io::Result<Self> {
        let mut show = Self {
            out: anstream::stdout(),
            started: Instant::now(),
            window: stage.settings.window,
            threshold: stage.settings.threshold,
            roles: stage.participants.clone(),
            alert: None,
            outcome: None,
            exchange: Vec::new(),
            deliveries: Vec::new(),
        };
        let action = stage.settings.action.kind();
        let out = &mut show.out;
        writeln!(out, "{BOLD}{}{BOLD:#}\n", stage.title)?;
        writeln!(out, "  room     {:<36} {DIM}plays the call{DIM:#}", stage.room.url())?;
        writeln!(out, "  phone    sip:caller@{:<25} {DIM}the caller's leg{DIM:#}", stage.phone.address())?;
        writeln!(out, "  webhook  {:<36} {DIM}verifies signatures{DIM:#}", stage.receiver.url().as_str())?;
        if stage.live.llm.is_some() {
            let llm = &stage.settings.llm;
            let asked = llm.url.as_ref().map_or_else(|| "a cassette".to_owned(), LlmUrl::shown);
            writeln!(out, "  llm      {asked:<36} {DIM}{}, a second opinion{DIM:#}", llm.model)?;
        }
        writeln!(
            out,
            "  rule     {} caller turns in a row below {} {DIM}→ {action}{DIM:#}\n",
            stage.settings.window, stage.settings.threshold
        )?;
        writeln!(
            out,
            "{BOLD}{:>7}  {:<6} {:>4}  {:<15} {:<6}  said{BOLD:#}",
            "time", "who", "turn", "sentiment", "streak"
        )?;
        Ok(show)
    }

    fn line(&mut self, who: &str, style: Style, text: &str) -> std::io::Result<()> {
        let time = format!("{:.1} s", self.started.elapsed().as_secs_f64());
        writeln!(self.out, "{DIM}{time:>7}{DIM:#}  {style}{who:<6}{style:#} {:>4}  {:<15} {:<6}  {text}", "", "", "")
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
            ServerEvent::Heard(SidecarMessage::Command {
                command: CommandKind::SetFlag { .. }, command_id, ..
            }) => self.line("room", CYAN, &format!("{CYAN}is told to flag the session ({command_id}){CYAN:#}")),
            ServerEvent::Heard(SidecarMessage::Tone { label, .. }) => {
                self.line("room", CYAN, &format!("{CYAN}the agent is told to sound right for a {label} caller{CYAN:#}"))
            }
            _ => Ok(()),
        }
    }

    /// What the sidecar reports.
    pub(super) fn report(&mut self, report: &Report) -> std::io::Result<()> {
        match report {
            Report::Turn(turn) => self.turn(turn),
            Report::Unrated { turn, error, .. } => {
                self.line("caller", YELLOW, &format!("turn {turn} is unrated: {error}"))
            }
            Report::Escalation { severity, action, description, alert_id, .. } => {
                self.alert = Some(alert_id.clone());
                self.outcome.get_or_insert_with(|| action.to_string());
                let text = format!("{RED}ESCALATION{RED:#}  {} → {action}: {description}", severity.name());
                self.line("", RED, &text)
            }
            Report::Transfer { progress, .. } => {
                let status = progress.sip_status.map(|s| format!(" ({s})")).unwrap_or_default();
                self.line("sip", CYAN, &format!("{CYAN}{}{status}{CYAN:#}", progress.step))
            }
            Report::Outcome { transfer: Some(outcome), fallback, .. } => {
                self.outcome = Some(outcome.name().to_owned());
                let then = if *fallback { "; the webhook falls in" } else { "" };
                self.line("sip", BOLD, &format!("{BOLD}{}{then}{BOLD:#}", outcome.name()))
            }
            Report::Warning { detail } => self.line("", YELLOW, &format!("{YELLOW}{}{YELLOW:#}", shown(detail))),
            _ => Ok(()),
        }
    }

    fn turn(&mut self, turn: &TurnReport) -> std::io::Result<()> {
        let style = match turn.label {
            Label::Negative => RED,
            Label::Neutral => Style::new(),
            Label::Positive => GREEN,
        };
        let time = format!("{:.1} s", self.started.elapsed().as_secs_f64());
        let filled = usize::from(turn.sentiment.score()).min(10);
        let bar = format!("{}{}", "█".repeat(filled), "░".repeat(10 - filled));
        let below = if turn.low { format!("below {}", self.threshold) } else { String::new() };
        let streak = format!("{}/{}", turn.streak, self.window);
        writeln!(
            self.out,
            "{DIM}{time:>7}{DIM:#}  {BOLD}caller{BOLD:#} {:>4}  {style}{:>4} {bar}{style:#} {streak:<6}  {}",
            turn.turn,
            turn.sentiment.to_string(),
            shorten(&turn.text, SAID)
        )?;
        if !turn.cues.is_empty() {
            let cues: Vec<String> =
                turn.cues.iter().take(3).map(|cue| format!("“{}” {:+.1}", cue.text, cue.effect)).collect();
            writeln!(self.out, "{:45}{DIM}{below:<9}because of {}{DIM:#}", "", cues.join(", "))?;
        }
        Ok(())
    }

    pub(super) fn phone(&mut self, event: PhoneEvent) {
        self.exchange.push(event);
    }

    pub(super) fn delivery(&mut self, delivery: Delivery) {
        self.deliveries.push(delivery);
    }

    /// What everyone has seen, once the call is over.
    pub(super) async fn end(mut self, stage: &Stage) -> std::io::Result<()> {
        if stage.settings.action.kind() == ActionKind::Transfer {
            self.sip_exchange()?;
        }
        self.alerts()?;
        if let Some(id) = self.alert.clone() {
            writeln!(self.out, "\n{BOLD}What the store keeps for review{BOLD:#}")?;
            match stage.store.alert(&id).await {
                Ok(Some(stored)) => writeln!(
                    self.out,
                    "  {id}  turn {}  {}  {}  review: {}",
                    stored.alert.turn,
                    stored.alert.severity.name(),
                    stored
                        .alert
                        .outcome
                        .as_ref()
                        .map_or_else(|| stored.alert.action.to_string(), |o| o.name().to_owned()),
                    stored.review
                )?,
                Ok(None) => writeln!(self.out, "  {RED}nothing{RED:#}")?,
                Err(error) => writeln!(self.out, "  {RED}{error}{RED:#}")?,
            }
        }
        if let Some(llm) = &stage.live.llm {
            writeln!(self.out, "\n{BOLD}What came of asking the LLM{BOLD:#}\n  {}", llm.stats())?;
        }
        match &self.outcome {
            Some(outcome) => writeln!(self.out, "\n{GREEN}✔{GREEN:#} escalated: {outcome}"),
            None => writeln!(self.out, "\n{GREEN}✔{GREEN:#} no escalation: nobody was disturbed"),
        }
    }

    fn sip_exchange(&mut self) -> std::io::Result<()> {
        writeln!(self.out, "\n{BOLD}What the phone saw{BOLD:#}")?;
        if self.exchange.is_empty() {
            writeln!(self.out, "  nothing")?;
        }
        for event in &self.exchange {
            let arrow = match event.direction {
                Direction::Received => "▶",
                Direction::Sent => "◀",
            };
            writeln!(self.out, "  {CYAN}{arrow}{CYAN:#} {}", event.first_line)?;
            for (name, value) in &event.headers {
                writeln!(self.out, "      {DIM}{name}: {value}{DIM:#}")?;
            }
            if let Some(body) = event.body.as_deref().filter(|body| !body.trim().is_empty()) {
                writeln!(self.out, "      {}", body.trim())?;
            }
        }
        Ok(())
    }

    fn alerts(&mut self) -> std::io::Result<()> {
        writeln!(self.out, "\n{BOLD}What the receiver got{BOLD:#}")?;
        if self.deliveries.is_empty() {
            writeln!(self.out, "  nothing")?;
        }
        for delivery in &self.deliveries {
            match &delivery.verified {
                Ok(()) => writeln!(self.out, "  {GREEN}✔ signature verified{GREEN:#}")?,
                Err(error) => writeln!(self.out, "  {RED}✘ not verified: {error}{RED:#}")?,
            }
            for (name, value) in delivery.headers.iter().filter(|(name, _)| name.starts_with("webhook-")) {
                writeln!(self.out, "  {DIM}{name}: {value}{DIM:#}")?;
            }
            // As it was signed, byte for byte.
            writeln!(self.out, "  {}", delivery.body)?;
        }
        Ok(())
    }
}
