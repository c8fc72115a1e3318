//! Writes a recording of a live call: `attach --record FILE`.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::VERSION;
use super::lasting::{go_on, last_line};
use crate::clock::Millis;
use crate::room::message::RoomMessage;

/// Why a recording could not be begun or gone on with.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// It cannot be written.
    #[error("the recording cannot be written: {0}")]
    Io(#[from] io::Error),
    /// What is there is none of this room, and nothing is overwritten.
    #[error("the file is there already and is no recording of the room {room_name}; name a new file")]
    Another {
        /// The room that is to be recorded.
        room_name: String,
    },
}

/// Appends what a room says to a recording, one whole line per message, so that a crash loses at most the last line.
#[derive(Debug)]
pub struct Recorder<W> {
    out: W,
    /// When this process began, on the recording's clock.
    since: Millis,
    latest: Millis,
}

impl Recorder<File> {
    /// Begins a recording in a file that only its owner may read, for it holds what the caller said; or goes on with the one
    /// that an earlier process of the same call began. What the room says again stands there twice, and counts once when it
    /// is replayed.
    ///
    /// # Errors
    /// [`RecorderError`] when the file holds something else (no recording is ever overwritten) or cannot be written.
    pub fn create(path: &Path, room_name: &str) -> Result<Self, RecorderError> {
        let ours = |first: &str| {
            let header: Value = serde_json::from_str(first).unwrap_or_default();
            header["type"] == "recording" && header["version"] == VERSION && header["room_name"] == room_name
        };
        let mut file = go_on(path, ours).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => RecorderError::Another { room_name: room_name.to_owned() },
            _ => RecorderError::Io(error),
        })?;
        let Some(last) = last_line(&mut file)? else { return Self::begin(file, room_name) };
        let last: Value = serde_json::from_str(&last).unwrap_or_default();
        let since = Millis(last["at_ms"].as_u64().unwrap_or_default());
        Ok(Self { out: file, since, latest: since })
    }
}

impl<W: Write> Recorder<W> {
    /// Begins a recording by writing its header.
    ///
    /// # Errors
    /// [`RecorderError`] when `out` fails.
    pub fn begin(out: W, room_name: &str) -> Result<Self, RecorderError> {
        let mut recorder = Self { out, since: Millis::default(), latest: Millis::default() };
        let room_name = json!(room_name);
        recorder.line(&format!(r#"{{"type":"recording","version":{VERSION},"room_name":{room_name}}}"#))?;
        Ok(recorder)
    }

    /// Writes one room message with the time of its arrival.
    ///
    /// # Errors
    /// [`RecorderError`] when the line cannot be written; the recording may end in a cut line then.
    pub fn record(&mut self, at: Millis, message: &RoomMessage) -> Result<(), RecorderError> {
        // A reader refuses time that runs backwards.
        self.latest = self.latest.max(self.since.plus(at.0));
        let message = serde_json::to_string(message).map_err(io::Error::from)?;
        // A message is an object with at least its type, so something follows the brace.
        let fields = message.strip_prefix('{').unwrap_or(&message);
        self.line(&format!(r#"{{"at_ms":{},{fields}"#, self.latest.0))
    }

    fn line(&mut self, line: &str) -> Result<(), RecorderError> {
        // One write per line: what another process or a crash leaves is whole lines.
        self.out.write_all(format!("{line}\n").as_bytes())?;
        self.out.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::recording::{CutLine, Recording};
    use crate::room::message::{AgentActivity, Transcript};

    fn said(text: &str) -> RoomMessage {
        RoomMessage::Transcript(Transcript {
            seq: Some(7),
            segment_id: "s1".to_owned(),
            rev: 0,
            participant_id: "caller".to_owned(),
            text: text.to_owned(),
            is_final: true,
            start_ms: None,
            end_ms: None,
            confidence: Some(0.93),
            lang: None,
            mended: Vec::new(),
        })
    }

    #[test]
    fn what_is_recorded_reads_back_the_same() {
        let mut bytes = Vec::new();
        let mut recorder = Recorder::begin(&mut bytes, "room \"7\"\n").unwrap();
        let speaking = RoomMessage::AgentState { seq: None, state: AgentActivity::Speaking };
        recorder.record(Millis(5), &said("hello\n“there”")).unwrap();
        recorder.record(Millis(9), &speaking).unwrap();
        let recording = Recording::read(bytes.as_slice(), "r", CutLine::Refuse).unwrap();
        assert_eq!(recording.header.room_name, "room \"7\"\n");
        let messages: Vec<_> = recording.messages.into_iter().map(|t| (t.at, t.message)).collect();
        assert_eq!(messages, [(Millis(5), said("hello\n“there”")), (Millis(9), speaking)]);
    }

    #[test]
    fn the_largest_frame_still_fits_a_line() {
        let empty = serde_json::to_string(&said("")).unwrap().len();
        let message = said(&"x".repeat(crate::room::message::MAX_FRAME - empty));
        let mut bytes = Vec::new();
        Recorder::begin(&mut bytes, "r").unwrap().record(Millis(u64::from(u32::MAX)), &message).unwrap();
        assert_eq!(Recording::read(bytes.as_slice(), "r", CutLine::Refuse).unwrap().messages.len(), 1);
    }

    #[test]
    fn a_recording_is_gone_on_with_and_no_other_file_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("call.jsonl");
        Recorder::create(&path, "r").unwrap().record(Millis(700), &said("before")).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(Recorder::create(&path, "another"), Err(RecorderError::Another { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        // A process that died in the middle of a line.
        std::fs::write(&path, [&before[..], br#"{"at_ms":900,"type":"trans"#].concat()).unwrap();
        let mut again = Recorder::create(&path, "r").unwrap();
        again.record(Millis(0), &said("before")).unwrap();
        again.record(Millis(50), &said("after")).unwrap();
        let recording = Recording::read(std::fs::read(&path).unwrap().as_slice(), "r", CutLine::Refuse).unwrap();
        let times: Vec<u64> = recording.messages.iter().map(|timed| timed.at.0).collect();
        assert_eq!(times, [700, 700, 750]);
    }

    #[test]
    fn a_crash_costs_the_last_line_only() {
        let mut bytes = Vec::new();
        let mut recorder = Recorder::begin(&mut bytes, "r").unwrap();
        recorder.record(Millis(1), &said("kept")).unwrap();
        recorder.record(Millis(2), &said("lost ü")).unwrap();
        let kept = bytes.iter().take(bytes.len() - 1).rposition(|b| *b == b'\n').unwrap() + 1;
        for cut in kept + 1..bytes.len() - 1 {
            let error = Recording::read(&bytes[..cut], "r", CutLine::Refuse).unwrap_err();
            assert!(error.to_string().contains("line 3: the last line is cut off"), "{error}");
            let mended = Recording::read(&bytes[..cut], "r", CutLine::LeaveOut).unwrap();
            assert_eq!(mended.messages.len(), 1);
        }
    }
}
