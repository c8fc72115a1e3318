//! Every format that can be read: how it is told from the others, and what reads it. The most specific stands first.

use super::call::{Call, Fault};
use super::json::Json;
use super::{
    assemblyai, azure, contact_lens, deepgram, elevenlabs, genesys, google, labelled, livekit, messages, plain,
    post_call, realtime, retell, rev, rows, segments, speechmatics, strings, subtitles, table, transcribe, twilio,
    vapi, vcon, within, zoom,
};

/// A format that transcripts come in.
#[derive(Clone, Copy)]
pub struct Format(pub(super) &'static Importer);

impl Format {
    /// The format of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        IMPORTERS.iter().find(|importer| importer.name == name).map(Self)
    }

    /// The names of all formats, each with what it is.
    pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        IMPORTERS.iter().map(|importer| (importer.name, importer.about))
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }
}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name)
    }
}

/// A row of the table: one foreign format.
pub(super) struct Importer {
    /// What `--input-format` calls it.
    pub(super) name: &'static str,
    /// What it is, for people.
    about: &'static str,
    pub(super) reads: Reads,
}

/// How a format is told and read.
pub(super) enum Reads {
    /// Our own recordings.
    Native,
    /// JSON documents, each of which holds whole calls.
    Calls { looks: fn(&Json) -> bool, read: fn(&Json) -> Result<Vec<Call>, Fault> },
    /// JSON documents that are parts of calls; `keep` tells which are needed.
    Parts { looks: fn(&Json) -> bool, keep: fn(&Json) -> bool, read: fn(&[Json]) -> Result<Vec<Call>, Fault> },
    /// JSON objects that are rows of any number of calls, or lists of them.
    Rows { looks: fn(&Json) -> bool, read: fn(&[Json]) -> Result<Vec<Call>, Fault> },
    /// Running text.
    Text { looks: fn(&str) -> bool, read: fn(&str) -> Result<Vec<Call>, Fault> },
    /// Rows with columns, of any number of calls.
    Table { looks: fn(&str) -> bool },
}

/// A row of [`Reads::Calls`].
const fn calls(
    name: &'static str,
    about: &'static str,
    looks: fn(&Json) -> bool,
    read: fn(&Json) -> Result<Vec<Call>, Fault>,
) -> Importer {
    Importer { name, about, reads: Reads::Calls { looks, read } }
}

/// A row of [`Reads::Text`].
const fn text(
    name: &'static str,
    about: &'static str,
    looks: fn(&str) -> bool,
    read: fn(&str) -> Result<Vec<Call>, Fault>,
) -> Importer {
    Importer { name, about, reads: Reads::Text { looks, read } }
}

/// A row of [`Reads::Parts`].
const fn parts(
    name: &'static str,
    about: &'static str,
    looks: fn(&Json) -> bool,
    keep: fn(&Json) -> bool,
    read: fn(&[Json]) -> Result<Vec<Call>, Fault>,
) -> Importer {
    Importer { name, about, reads: Reads::Parts { looks, keep, read } }
}

/// Every format, the most specific first.
pub(super) static IMPORTERS: [Importer; 48] = [
    Importer { name: "recording", about: "recordings of this program (JSON Lines)", reads: Reads::Native },
    calls("labelled", "labelled calls: {\"turns\":[{\"role\":…,\"text\":…}]}", labelled::looks, labelled::read),
    calls("vcon", "vCon, signed or not", vcon::looks, vcon::read),
    calls("contact-lens", "Amazon Connect Contact Lens", contact_lens::looks, contact_lens::read),
    calls("call-analytics", "Amazon Transcribe Call Analytics", contact_lens::looks_analytics, contact_lens::read),
    parts(
        "contact-lens-realtime",
        "Contact Lens real-time segment stream",
        contact_lens::looks_realtime,
        contact_lens::is_segments,
        contact_lens::read_realtime,
    ),
    calls("post-call-analytics", "Amazon Transcribe Post-Call Analytics", post_call::looks, post_call::read),
    calls("transcribe", "Amazon Transcribe", transcribe::looks, transcribe::read),
    parts(
        "transcribe-live",
        "Amazon Transcribe streaming log",
        transcribe::looks_live,
        transcribe::is_heard,
        transcribe::read_live,
    ),
    calls("bedrock", "Amazon Bedrock Data Automation", transcribe::looks_bedrock, transcribe::read_bedrock),
    calls("deepgram", "Deepgram, recorded", deepgram::looks, deepgram::read),
    parts("deepgram-live", "Deepgram live log", deepgram::looks_live, deepgram::is_final, deepgram::read_live),
    parts("deepgram-flux", "Deepgram Flux log", deepgram::looks_flux, deepgram::is_end_of_turn, deepgram::read_flux),
    calls("speechmatics", "Speechmatics job", speechmatics::looks, speechmatics::read),
    parts(
        "speechmatics-live",
        "Speechmatics real-time log",
        speechmatics::looks_live,
        speechmatics::is_final,
        speechmatics::read_live,
    ),
    calls("ccai", "Google CCAI conversation upload", google::looks_entries, google::read_entries),
    calls("insights", "Google CCAI Insights conversation", google::looks_insights, google::read_insights),
    calls("google-speech", "Google Speech-to-Text", google::looks_speech, google::read_speech),
    calls("azure-batch", "Azure batch transcription", azure::looks_batch, azure::read_batch),
    calls("azure-fast", "Azure fast transcription", azure::looks_fast, azure::read_fast),
    calls("azure-conversation", "Azure conversation analysis", azure::looks_conversation, azure::read_conversation),
    calls("genesys", "Genesys Cloud transcript", genesys::looks, genesys::read),
    parts("twilio", "Twilio Conversational Intelligence", twilio::looks, twilio::is_page, twilio::read),
    calls("zoom-phone", "Zoom Phone transcript", zoom::looks, zoom::read),
    calls("rev", "Rev.ai", rev::looks, rev::read),
    calls("livekit", "LiveKit session report or chat history", livekit::looks, livekit::read),
    calls("retell", "Retell call", retell::looks, retell::read),
    calls("vapi", "Vapi end-of-call report", vapi::looks, vapi::read),
    calls("elevenlabs", "ElevenLabs conversation", elevenlabs::looks, elevenlabs::read),
    calls("gladia", "Gladia", segments::looks_gladia, segments::read_gladia),
    calls("assemblyai", "AssemblyAI", assemblyai::looks, assemblyai::read),
    parts(
        "assemblyai-live",
        "AssemblyAI streaming log",
        assemblyai::looks_live,
        assemblyai::is_end_of_turn,
        assemblyai::read_live,
    ),
    parts("openai-realtime", "OpenAI Realtime log", realtime::looks, realtime::is_kept, realtime::read),
    calls("openai-diarized", "OpenAI diarized transcription", segments::looks_diarized, segments::read),
    calls("wtf", "World Transcription Format", segments::looks_wtf, segments::read),
    calls("whisper", "Whisper and WhisperX", segments::looks, segments::read),
    calls("openai-chat", "OpenAI chat: {\"messages\":[…]}", messages::looks_chat, messages::read_chat),
    parts("messages", "a list or lines of {role, content}", messages::looks, messages::is_message, messages::read),
    calls("call", "an object with a list of speaker and text", rows::looks_wrapped, rows::read_wrapped),
    Importer {
        name: "rows",
        about: "a list or lines of objects with speaker and text",
        reads: Reads::Rows { looks: rows::looks, read: rows::read },
    },
    parts("strings", "a list of strings with speaker labels", strings::looks, strings::is_kept, strings::read),
    calls("transcript", "an object with a labelled transcript in a string", within::looks_text, within::read_text),
    calls("within", "any of these within an object", within::looks, within::read),
    text("webvtt", "WebVTT (Zoom, Teams, WhisperX, …)", subtitles::looks_vtt, subtitles::read),
    text("srt", "SubRip subtitles", subtitles::looks_srt, subtitles::read),
    text("jose", "signed or encrypted JSON in one line", vcon::looks_compact, vcon::read_compact),
    Importer { name: "csv", about: "CSV or TSV with a column for words", reads: Reads::Table { looks: table::looks } },
    text("text", "plain text with speaker labels (Otter, Rev, …)", plain::looks, plain::read),
];

impl Importer {
    fn takes(&self, value: &Json) -> bool {
        match self.reads {
            Reads::Calls { looks, .. } | Reads::Parts { looks, .. } | Reads::Rows { looks, .. } => looks(value),
            _ => false,
        }
    }
}

/// The importer that a JSON document's fields speak of.
pub(super) fn importer_of(value: &Json) -> Option<&'static Importer> {
    IMPORTERS.iter().find(|importer| importer.takes(value))
}

/// The calls of a document in a document, such as a transcript in a vCon; `None` where no importer knows it.
pub(super) fn inner_calls(value: &Json) -> Option<Result<Vec<Call>, Fault>> {
    match importer_of(value)?.reads {
        Reads::Calls { read, .. } => Some(read(value)),
        Reads::Parts { read, .. } | Reads::Rows { read, .. } => Some(read(std::slice::from_ref(value))),
        _ => None,
    }
}
