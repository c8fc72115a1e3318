//! Tone instructions for the agent, sent when the label changes (rule 8).

use crate::config::settings::Tones;
use crate::room::message::SidecarMessage;
use crate::sentiment::Label;

/// The label that the agent was last told of; a call begins neutral.
#[derive(Debug, Clone, Copy)]
pub struct Tone(Label);

impl Default for Tone {
    fn default() -> Self {
        Self(Label::Neutral)
    }
}

impl Tone {
    /// The instruction to send, if the label is another one than before.
    pub fn change(&mut self, label: Label, tones: &Tones) -> Option<SidecarMessage> {
        if label == self.0 {
            return None;
        }
        self.0 = label;
        let instruction = match label {
            Label::Positive => &tones.positive,
            Label::Neutral => &tones.neutral,
            Label::Negative => &tones.negative,
        };
        Some(SidecarMessage::Tone { label: label.name().to_owned(), instruction: instruction.clone() })
    }
}
