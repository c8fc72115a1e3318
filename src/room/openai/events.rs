//! What the Realtime API sends and takes, as far as we need it: <https://platform.openai.com/docs/api-reference/realtime>.
//!
//! Whatever else an event says is passed over, and so are events of other kinds: the API grows faster than its clients.

use serde::Deserialize;
use serde_json::Value;

/// The metadata of an answer that we asked for: the id of our event.
pub(super) const ASKED_AS: &str = "sidecar_event_id";

/// An event from the server.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub(super) enum ServerEvent {
    /// We are in, and this is the session.
    #[serde(rename = "session.created")]
    SessionCreated { session: Session },
    /// The session's configuration changed, by whomever.
    #[serde(rename = "session.updated")]
    SessionUpdated { session: Session },
    /// What the caller said is an item now; its words follow.
    #[serde(rename = "input_audio_buffer.committed")]
    Committed {
        item_id: String,
        #[serde(default)]
        previous_item_id: Option<String>,
    },
    /// An item has its place (`created` in older sessions; `done` says it again once it is whole).
    #[serde(rename = "conversation.item.added", alias = "conversation.item.created", alias = "conversation.item.done")]
    ItemPlaced {
        #[serde(default)]
        previous_item_id: Option<String>,
        item: Item,
    },
    /// An item that we asked for.
    #[serde(rename = "conversation.item.retrieved")]
    ItemRetrieved { item: Item },
    /// The words of what the caller said.
    #[serde(rename = "conversation.item.input_audio_transcription.completed")]
    TranscriptionCompleted {
        item_id: String,
        #[serde(default)]
        content_index: u32,
        transcript: String,
    },
    /// There will be no words of it.
    #[serde(rename = "conversation.item.input_audio_transcription.failed")]
    TranscriptionFailed { item_id: String },
    /// The agent begins to answer.
    #[serde(rename = "response.created")]
    ResponseCreated {},
    /// The answer is over, one way or another.
    #[serde(rename = "response.done")]
    ResponseDone { response: Response },
    /// The agent is heard.
    #[serde(rename = "output_audio_buffer.started")]
    SpeechStarted {},
    /// The agent was heard to the end.
    #[serde(rename = "output_audio_buffer.stopped")]
    SpeechStopped {
        #[serde(default)]
        response_id: Option<String>,
    },
    /// The caller spoke, or the app had it, and the agent is heard no more.
    #[serde(rename = "output_audio_buffer.cleared")]
    SpeechCleared {
        #[serde(default)]
        response_id: Option<String>,
    },
    /// Something that was asked could not be done.
    #[serde(rename = "error")]
    Error { error: ApiError },
    /// What nobody here needs.
    #[serde(other)]
    Other,
}

/// The session, as far as we need it.
#[derive(Debug, Deserialize)]
pub(super) struct Session {
    /// The tools that its agent has, as they came: they are given back whole.
    #[serde(default)]
    pub(super) tools: Option<Vec<Value>>,
    #[serde(default)]
    audio: Option<Audio>,
    /// Where sessions before `audio` said it.
    #[serde(default)]
    input_audio_transcription: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Audio {
    #[serde(default)]
    input: Option<Input>,
}

#[derive(Debug, Deserialize)]
struct Input {
    #[serde(default)]
    transcription: Option<Value>,
}

impl Session {
    /// Whether what the caller says is transcribed.
    pub(super) fn transcribes(&self) -> bool {
        let input = self.audio.as_ref().and_then(|audio| audio.input.as_ref());
        input.and_then(|input| input.transcription.as_ref()).or(self.input_audio_transcription.as_ref()).is_some()
    }
}

/// An item of the conversation.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    role: Option<String>,
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    content: Option<Vec<Content>>,
    /// The call of a tool.
    #[serde(default)]
    call_id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

/// A part of an item.
#[derive(Debug, Deserialize)]
struct Content {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    transcript: Option<String>,
    #[serde(default)]
    text: Option<String>,
}

impl Content {
    fn is_speech(&self) -> bool {
        self.kind.as_deref() == Some("input_audio")
    }
}

/// A call of a tool.
pub(super) struct ToolCall<'a> {
    pub(super) call_id: &'a str,
    pub(super) name: &'a str,
    /// JSON, as the model wrote it.
    pub(super) arguments: &'a str,
}

impl Item {
    /// Whether the caller spoke it. What the app typed in the caller's name was never said.
    pub(super) fn is_callers(&self) -> bool {
        self.role.as_deref() == Some("user") && self.parts().any(|part| part.is_speech())
    }

    fn parts(&self) -> impl Iterator<Item = &Content> {
        self.content.iter().flatten()
    }

    /// The transcripts of what the caller said, by their place in the item; without those that are still to come.
    pub(super) fn transcripts(&self) -> impl Iterator<Item = (u32, &str)> {
        (0u32..)
            .zip(self.parts())
            .filter_map(|(at, part)| Some((at, part.transcript.as_deref().filter(|_| part.is_speech())?)))
    }

    /// What the agent said, written or spoken.
    pub(super) fn said(&self) -> Option<String> {
        let said: Vec<&str> =
            self.parts().filter_map(|part| part.transcript.as_deref().or(part.text.as_deref())).collect();
        let said = said.join(" ").trim().to_owned();
        (self.kind.as_deref() == Some("message") && self.role.as_deref() == Some("assistant") && !said.is_empty())
            .then_some(said)
    }

    /// The tool that the agent calls.
    pub(super) fn tool_call(&self) -> Option<ToolCall<'_>> {
        match (self.kind.as_deref(), &self.call_id, &self.name) {
            (Some("function_call"), Some(call_id), Some(name)) => {
                Some(ToolCall { call_id, name, arguments: self.arguments.as_deref().unwrap_or_default() })
            }
            _ => None,
        }
    }
}

/// An answer of the agent.
#[derive(Debug, Deserialize)]
pub(super) struct Response {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    output: Option<Vec<Item>>,
    #[serde(default)]
    metadata: Option<Value>,
}

impl Response {
    /// Whether it was given whole: what was cancelled or cut off was not said, and called no tool.
    pub(super) fn is_complete(&self) -> bool {
        self.status.as_deref() == Some("completed")
    }

    /// What it consists of.
    pub(super) fn output(&self) -> impl Iterator<Item = &Item> {
        self.output.iter().flatten()
    }

    /// The name under which we asked for it.
    pub(super) fn asked_as(&self) -> Option<&str> {
        self.metadata.as_ref()?.get(ASKED_AS)?.as_str()
    }
}

/// What the API says when something cannot be done.
#[derive(Debug, Deserialize)]
pub(super) struct ApiError {
    #[serde(default)]
    pub(super) code: Option<String>,
    #[serde(default)]
    pub(super) message: String,
    /// The event of ours that it is about.
    #[serde(default)]
    pub(super) event_id: Option<String>,
}
