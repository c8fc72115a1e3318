//! What the agent is asked to say, one answer at a time ([`Speech`]): an answer in progress is never broken off.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use super::events::{ASKED_AS, ApiError, Response};
use crate::room::message::{CommandStatus, RoomMessage};

/// The error when an answer is asked for while another is given: the server begins its own whenever the caller stops.
const BUSY: &str = "conversation_already_has_active_response";

/// An answer that the agent shall give.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// This sentence, and nothing else.
    Sentence { command_id: String, text: String },
    /// Whatever follows from what a tool returned.
    GoOn,
}

/// Which answers are given, and which are to be.
#[derive(Debug, Default)]
pub(super) struct Speech {
    /// One is given, or was asked for.
    active: bool,
    waiting: VecDeque<Wanted>,
    /// Asked for and not yet over, by the id of our event.
    asked: HashMap<String, Wanted>,
    events: u64,
    /// Whether the connection tells when audio is heard.
    tells: bool,
    /// The answer whose audio was over last, and whether it was heard to its end.
    over: Option<(String, bool)>,
    /// The answers whose audio is still to be heard to its end, and the commands behind them.
    playing: HashMap<String, String>,
}

impl Speech {
    /// A new connection: what was asked for over the one before may have been said, and is not asked for again.
    pub(super) fn reconnected(&mut self) {
        self.active = false;
        self.asked.clear();
        self.playing.clear();
        (self.tells, self.over) = (false, None);
    }

    /// Sentences that wait are out of date: something else is to be said or done now.
    pub(super) fn forget_sentences(&mut self) {
        self.waiting.retain(|wanted| !matches!(wanted, Wanted::Sentence { .. }));
    }

    /// Asks for an answer, now or when the one in progress is over.
    pub(super) fn want(&mut self, wanted: Wanted) -> Option<Value> {
        self.waiting.push_back(wanted);
        self.next()
    }

    /// The next event to send, if it is time for one.
    pub(super) fn next(&mut self) -> Option<Value> {
        if self.active {
            return None;
        }
        let wanted = self.waiting.pop_front()?;
        self.active = true;
        self.events += 1;
        let event_id = format!("sidecar_{}", self.events);
        let metadata = json!({ ASKED_AS: event_id });
        let response = match &wanted {
            Wanted::Sentence { text, .. } => {
                let instructions = format!(
                    "Say exactly this sentence to the caller, word for word, and nothing before or after it: {text}"
                );
                // Nothing is to be called while it says a sentence.
                json!({"instructions": instructions, "metadata": metadata, "tool_choice": "none"})
            }
            Wanted::GoOn => json!({"metadata": metadata}),
        };
        let event = json!({"type": "response.create", "event_id": event_id, "response": response});
        self.asked.insert(event_id, wanted);
        Some(event)
    }

    /// The agent begins an answer, ours or another.
    pub(super) fn began(&mut self) {
        self.active = true;
    }

    /// An answer is over: how the command behind it fared, if there is one. Its words are there before they are heard, and
    /// a transfer would cut them off: where audio is heard, its end tells, though the answer before may still be heard now.
    pub(super) fn ended(&mut self, response: &Response) -> Option<RoomMessage> {
        self.active = false;
        let Wanted::Sentence { command_id, .. } = self.asked.remove(response.asked_as()?)? else { return None };
        let Some(id) = response.id.clone().filter(|_| response.is_complete() && self.tells) else {
            return Some(said(command_id, response.is_complete()));
        };
        match self.over.take_if(|(over, _)| *over == id) {
            // So short that it was heard before it was whole.
            Some((_, whole)) => Some(said(command_id, whole)),
            None => {
                self.playing.insert(id, command_id);
                None
            }
        }
    }

    /// The audio of an answer begins.
    pub(super) fn audio_began(&mut self) {
        self.tells = true;
    }

    /// The audio of an answer is over, heard to its end or not: how the command behind it fared.
    pub(super) fn audio_ended(&mut self, response_id: Option<&str>, whole: bool) -> Option<RoomMessage> {
        self.tells = true;
        let id = response_id?;
        self.over = Some((id.to_owned(), whole));
        self.playing.remove(id).map(|command_id| said(command_id, whole))
    }

    /// An event of ours was refused: how the command behind it fared, if that was the end of it.
    pub(super) fn refused(&mut self, error: &ApiError) -> Option<RoomMessage> {
        let wanted = self.asked.remove(error.event_id.as_ref()?)?;
        if error.code.as_deref() == Some(BUSY) {
            // The server was faster; when that answer is over it is our turn.
            self.waiting.push_front(wanted);
            return None;
        }
        self.active = false;
        let Wanted::Sentence { command_id, .. } = wanted else { return None };
        let (code, detail) = (error.code.clone(), Some(error.message.clone()));
        Some(RoomMessage::CommandResult { seq: None, command_id, status: CommandStatus::Failed, code, detail })
    }
}

fn said(command_id: String, whole: bool) -> RoomMessage {
    let (status, detail) = match whole {
        true => (CommandStatus::Done, None),
        false => (CommandStatus::Failed, Some("the sentence was cut off".to_owned())),
    };
    RoomMessage::CommandResult { seq: None, command_id, status, code: None, detail }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    fn sentence(id: &str) -> Wanted {
        Wanted::Sentence { command_id: id.to_owned(), text: "One moment.".to_owned() }
    }

    fn done(status: &str, event: Option<&Value>) -> Response {
        let metadata = event.map(|event| event["response"]["metadata"].clone());
        serde_json::from_value(json!({"id": "resp", "status": status, "metadata": metadata, "output": null})).unwrap()
    }

    fn result(message: Option<RoomMessage>) -> Option<(String, CommandStatus)> {
        match message? {
            RoomMessage::CommandResult { command_id, status, .. } => Some((command_id, status)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_answer_at_a_time() {
        let mut speech = Speech::default();
        speech.began();
        assert!(speech.want(sentence("a")).is_none() && speech.want(Wanted::GoOn).is_none());
        assert_eq!(result(speech.ended(&done("completed", None))), None);
        let asked = speech.next().unwrap();
        assert!(speech.next().is_none(), "one is asked for");
        speech.began();
        assert_eq!(result(speech.ended(&done("completed", Some(&asked)))), Some(("a".to_owned(), CommandStatus::Done)));
        assert_eq!(speech.next().unwrap()["response"]["instructions"], Value::Null, "what follows from the tool");
    }

    #[test]
    fn a_sentence_that_the_server_overtook_is_said_after_its_answer() {
        let mut speech = Speech::default();
        let asked = speech.want(sentence("a")).unwrap();
        // The server began an answer of its own before it read ours.
        speech.began();
        let id = asked["event_id"].as_str().unwrap().to_owned();
        let busy = ApiError { code: Some(BUSY.to_owned()), message: String::new(), event_id: Some(id) };
        assert_eq!(result(speech.refused(&busy)), None);
        assert!(speech.next().is_none());
        assert_eq!(result(speech.ended(&done("completed", None))), None);
        let again = speech.next().unwrap();
        assert_eq!(
            result(speech.ended(&done("cancelled", Some(&again)))),
            Some(("a".to_owned(), CommandStatus::Failed))
        );
    }

    #[test]
    fn a_cut_forgets_what_was_asked_for_and_keeps_what_waits() {
        let mut speech = Speech::default();
        assert!(speech.want(sentence("a")).is_some() && speech.want(sentence("b")).is_none());
        speech.reconnected();
        assert!(speech.next().unwrap().to_string().contains("sidecar_2"));
        assert!(speech.next().is_none());
    }

    #[test]
    fn a_sentence_is_said_when_it_was_heard() {
        let heard = |whole| {
            let mut speech = Speech::default();
            let asked = speech.want(sentence("a")).unwrap();
            speech.began();
            speech.audio_began();
            assert_eq!(result(speech.ended(&done("completed", Some(&asked)))), None);
            assert_eq!(result(speech.audio_ended(Some("another"), true)), None);
            result(speech.audio_ended(Some("resp"), whole)).map(|(_, status)| status)
        };
        assert_eq!((heard(true), heard(false)), (Some(CommandStatus::Done), Some(CommandStatus::Failed)));
    }

    #[test]
    fn a_sentence_is_not_said_while_the_answer_before_it_is_heard() {
        for before_it_is_whole in [false, true] {
            let mut speech = Speech::default();
            speech.began();
            speech.audio_began();
            assert!(speech.want(sentence("a")).is_none());
            assert_eq!(result(speech.ended(&done("completed", None))), None);
            let asked = speech.next().unwrap();
            speech.began();
            let heard = Some(("a".to_owned(), CommandStatus::Done));
            if before_it_is_whole {
                assert_eq!(result(speech.audio_ended(Some("resp"), true)), None);
                assert_eq!(result(speech.ended(&done("completed", Some(&asked)))), heard);
            } else {
                assert_eq!(result(speech.ended(&done("completed", Some(&asked)))), None);
                assert_eq!(result(speech.audio_ended(Some("before"), true)), None);
                speech.audio_began();
                assert_eq!(result(speech.audio_ended(Some("resp"), true)), heard);
            }
        }
    }

    #[test]
    fn what_waits_is_dropped_when_something_else_is_to_be_said() {
        let mut speech = Speech::default();
        speech.began();
        assert!(speech.want(sentence("a")).is_none() && speech.want(Wanted::GoOn).is_none());
        speech.forget_sentences();
        assert_eq!(result(speech.ended(&done("completed", None))), None);
        assert!(!speech.next().unwrap().to_string().contains("One moment"));
        assert!(speech.next().is_none());
    }
}
