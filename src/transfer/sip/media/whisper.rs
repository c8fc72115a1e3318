//! What the human hears before the caller: a WAV file of the settings, or the built-in words.
//!
//! The words are synthesised (`prompt/make.py`) and joined to one sentence that says how upset the caller is and which
//! keys to press: "A caller is very upset and needs your help. Press one to take the call, press two to decline."

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::FRAME;
use super::g711::Codec;
use super::wav::{self, NotAWhisper};
use crate::alert::Severity;
use crate::number::Digit;

/// Silence between two words that are joined, in samples.
const GAP: usize = 800;
/// Silence before the sentence, in samples: phones swallow the beginning of what they play.
const LEAD: usize = 3_200;
/// Silence after the sentence, before it is said again, in samples.
const PAUSE: usize = 12_000;

macro_rules! clip {
    ($name:literal) => {
        include_bytes!(concat!("prompt/", $name, ".ulaw")).as_slice()
    };
}

/// The keys' names, in the order of their event codes.
const KEYS: [&[u8]; 12] = [
    clip!("0"),
    clip!("1"),
    clip!("2"),
    clip!("3"),
    clip!("4"),
    clip!("5"),
    clip!("6"),
    clip!("7"),
    clip!("8"),
    clip!("9"),
    clip!("star"),
    clip!("hash"),
];

/// Sound at 8000 Hz that is said again and again, with a pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whisper {
    samples: Arc<[i16]>,
}

/// Why `sentimentWhisperFile` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("sentimentWhisperFile {}: {problem}", path.display())]
pub struct BadWhisper {
    path: PathBuf,
    problem: Problem,
}

impl BadWhisper {
    /// What would be right.
    pub const MEND: &str = "name a WAV file of at most a minute: one channel, 8000 Hz, 16-bit PCM, A-law or \u{b5}-law; \
                            `ffmpeg -i IN -ac 1 -ar 8000 OUT.wav` makes one";
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Unreadable(std::io::Error),
    #[error(transparent)]
    Unusable(NotAWhisper),
    #[error("it is larger than {} MiB", wav::MAX_BYTES >> 20)]
    TooLarge,
}

impl Whisper {
    /// The built-in words.
    #[must_use]
    pub fn built_in(severity: Severity, accept: Digit, decline: Digit) -> Self {
        let mut clips = vec![clip!("caller")];
        match severity {
            Severity::Low | Severity::Medium => {}
            Severity::High => clips.push(clip!("very")),
            Severity::Critical => clips.push(clip!("extremely")),
        }
        clips.push(clip!("upset"));
        for (key, what) in [(accept, clip!("accept")), (decline, clip!("decline"))] {
            clips.extend([clip!("press"), KEYS[usize::from(key.event())], what]);
        }
        let mut samples = Vec::new();
        for clip in clips {
            samples.extend(clip.iter().map(|code| Codec::Pcmu.decode(*code)));
            samples.extend([0; GAP]);
        }
        Self { samples: samples.into() }
    }

    /// The words of a WAV file (see [`wav::read`]), of at most a minute.
    ///
    /// # Errors
    /// [`BadWhisper`] when it cannot be read or is something else.
    pub fn from_file(path: &Path) -> Result<Self, BadWhisper> {
        let bad = |problem| BadWhisper { path: path.to_owned(), problem };
        let mut bytes = Vec::new();
        let reading = File::open(path).and_then(|file| file.take(wav::MAX_BYTES + 1).read_to_end(&mut bytes));
        let size = reading.map_err(|e| bad(Problem::Unreadable(e)))?;
        if size as u64 > wav::MAX_BYTES {
            return Err(bad(Problem::TooLarge));
        }
        let samples = wav::read(&bytes).map_err(|e| bad(Problem::Unusable(e)))?;
        Ok(Self { samples: samples.into() })
    }

    /// How many packets it takes to say it once, without the pause.
    #[must_use]
    pub fn frames(&self) -> usize {
        (LEAD + self.samples.len()).div_ceil(FRAME)
    }

    /// The packet of a position, without end: after the sentence a pause, and the sentence again.
    pub(super) fn frame(&self, at: usize, codec: Codec) -> [u8; FRAME] {
        let start = at % (LEAD + self.samples.len() + PAUSE).div_ceil(FRAME) * FRAME;
        let sample = |n: usize| (start + n).checked_sub(LEAD).and_then(|at| self.samples.get(at)).copied();
        std::array::from_fn(|n| codec.encode(sample(n).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::super::wav::tests::wav;
    use super::*;

    fn words(severity: Severity, accept: &str) -> Whisper {
        Whisper::built_in(severity, accept.parse().unwrap(), "2".parse().unwrap())
    }

    #[test]
    fn the_words_say_how_bad_it_is_and_which_key_to_press() {
        let all: Vec<Whisper> = [Severity::Medium, Severity::High, Severity::Critical]
            .iter()
            .flat_map(|severity| ["1", "7", "#"].map(|key| words(*severity, key)))
            .collect();
        for (n, whisper) in all.iter().enumerate() {
            // Between 4 and 8 seconds.
            assert!((200..400).contains(&whisper.frames()), "{}", whisper.frames());
            assert!(all[..n].iter().all(|other| other != whisper), "each is another sentence");
        }
    }

    #[test]
    fn it_is_said_again_after_a_pause() {
        let whisper = words(Severity::High, "1");
        let quiet = [Codec::Pcmu.encode(0); FRAME];
        let period = (LEAD + whisper.samples.len() + PAUSE).div_ceil(FRAME);
        assert_eq!(whisper.frame(LEAD / FRAME - 1, Codec::Pcmu), quiet);
        assert!((0..whisper.frames()).filter(|n| whisper.frame(*n, Codec::Pcmu) != quiet).count() > 100);
        assert!((whisper.frames()..period).all(|n| whisper.frame(n, Codec::Pcmu) == quiet));
        assert_eq!(whisper.frame(period + 40, Codec::Pcma), whisper.frame(40, Codec::Pcma));
        assert_ne!(whisper.frame(40, Codec::Pcma), whisper.frame(40, Codec::Pcmu));
    }

    #[test]
    fn a_file_is_read_or_said_to_be_wrong_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("whisper.wav");
        std::fs::write(&path, wav(1, 1, 8000, 16, &[5; 1000])).unwrap();
        assert_eq!(Whisper::from_file(&path).unwrap().frames(), (LEAD + 500).div_ceil(FRAME));
        std::fs::write(&path, wav(1, 2, 44_100, 16, &[5; 1000])).unwrap();
        let error = Whisper::from_file(&path).unwrap_err().to_string();
        assert!(error.starts_with("sentimentWhisperFile ") && error.contains("44100 Hz"), "{error}");
        assert!(Whisper::from_file(&folder.path().join("none.wav")).is_err());
        assert!(Whisper::from_file(folder.path()).is_err());
    }
}
