//! WAV files (RIFF) as `sentimentWhisperFile` takes them.

use super::g711::Codec;

/// Largest file that is read, in bytes: a minute of 16-bit samples and some room for what editors add.
pub const MAX_BYTES: u64 = 1 << 20;
/// The one rate of phones.
const RATE: u32 = 8000;
/// Longest whisper, in samples: a minute.
const MAX_SAMPLES: usize = 60 * 8000;

/// Why a file is no whisper.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAWhisper {
    /// It is not RIFF/WAVE, or it is cut off.
    #[error("it is no WAV file")]
    NotWav,
    /// It has more than one channel, another rate, or a coding that is not known here.
    #[error(
        "it has {channels} channel(s) at {rate} Hz with {bits} bits in format {format}; wanted is one channel at 8000 Hz as 16-bit PCM, A-law or \u{b5}-law"
    )]
    Format {
        /// Format tag: 1 PCM, 6 A-law, 7 µ-law.
        format: u16,
        /// Channels.
        channels: u16,
        /// Samples a second.
        rate: u32,
        /// Bits a sample.
        bits: u16,
    },
    /// It holds no sound.
    #[error("it holds no sound")]
    Empty,
    /// It is longer than a minute.
    #[error("it is longer than a minute")]
    TooLong,
}

/// The samples of a WAV file: one channel, 8000 Hz, 16-bit PCM, A-law or µ-law.
///
/// # Errors
/// [`NotAWhisper`] says what it is instead.
pub fn read(file: &[u8]) -> Result<Vec<i16>, NotAWhisper> {
    if file.get(..4) != Some(b"RIFF") || file.get(8..12) != Some(b"WAVE") {
        return Err(NotAWhisper::NotWav);
    }
    let (mut coding, mut data) = (None, None);
    let mut rest = &file[12..];
    while let Some((name, body, after)) = chunk(rest) {
        match name {
            b"fmt " => coding = Some(Coding::read(body)?),
            b"data" => {
                data = Some(body);
                break;
            }
            _ => {}
        }
        rest = after;
    }
    let (Some(coding), Some(data)) = (coding, data) else { return Err(NotAWhisper::NotWav) };
    let samples: Vec<i16> = match coding {
        Coding::Pcm => data.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).take(MAX_SAMPLES + 1).collect(),
        Coding::G711(codec) => data.iter().map(|b| codec.decode(*b)).take(MAX_SAMPLES + 1).collect(),
    };
    match samples.len() {
        0 => Err(NotAWhisper::Empty),
        1..=MAX_SAMPLES => Ok(samples),
        _ => Err(NotAWhisper::TooLong),
    }
}

#[derive(Debug, Clone, Copy)]
enum Coding {
    Pcm,
    G711(Codec),
}

impl Coding {
    fn read(body: &[u8]) -> Result<Self, NotAWhisper> {
        let short = |at: usize| Some(u16::from_le_bytes([*body.get(at)?, *body.get(at + 1)?]));
        let fields = || Some((short(0)?, short(2)?, short(4)?, short(6)?, short(14)?));
        let (mut format, channels, low, high, bits) = fields().ok_or(NotAWhisper::NotWav)?;
        let rate = u32::from(high) << 16 | u32::from(low);
        // WAVE_FORMAT_EXTENSIBLE: the tag is the first two bytes of the sub-format.
        if format == 0xFFFE {
            format = short(24).ok_or(NotAWhisper::NotWav)?;
        }
        match (format, channels, rate, bits) {
            (1, 1, RATE, 16) => Ok(Self::Pcm),
            (6, 1, RATE, 8) => Ok(Self::G711(Codec::Pcma)),
            (7, 1, RATE, 8) => Ok(Self::G711(Codec::Pcmu)),
            _ => Err(NotAWhisper::Format { format, channels, rate, bits }),
        }
    }
}

/// The next chunk: its name, its body and what follows. A body that promises more than there is ends with the file, as
/// programs that write into a pipe make them.
fn chunk(rest: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (name, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let body = rest.get(..length).unwrap_or(rest);
    // Chunks begin at even places.
    let after = rest.get(body.len() + (body.len() & 1)..).unwrap_or_default();
    Some((name, body, after))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A WAV file.
    pub(crate) fn wav(format: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        file.extend(format.to_le_bytes());
        file.extend(channels.to_le_bytes());
        file.extend(rate.to_le_bytes());
        file.extend((rate * u32::from(bits) / 8).to_le_bytes());
        file.extend((bits / 8).to_le_bytes());
        file.extend(bits.to_le_bytes());
        file.extend(b"LIST\x03\0\0\0abc\0data");
        file.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes());
        file.extend(data);
        file
    }

    #[test]
    fn the_three_codings_are_read() {
        assert_eq!(read(&wav(1, 1, 8000, 16, &[1, 0, 0xFF, 0xFF])), Ok(vec![1, -1]));
        assert_eq!(read(&wav(7, 1, 8000, 8, &[0xFF, 0x00])), Ok(vec![0, -32_124]));
        assert_eq!(read(&wav(6, 1, 8000, 8, &[0xD5])), Ok(vec![8]));
        let mut endless = wav(1, 1, 8000, 16, &[]);
        let at = endless.len() - 4;
        endless[at..].copy_from_slice(&[0xFF; 4]);
        endless.extend([2, 0]);
        assert_eq!(read(&endless), Ok(vec![2]), "written into a pipe");
    }

    #[test]
    fn anything_else_is_told_by_what_is_wrong_with_it() {
        assert_eq!(read(b"ID3"), Err(NotAWhisper::NotWav));
        assert_eq!(read(b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0\x01\0"), Err(NotAWhisper::NotWav));
        assert_eq!(read(&wav(1, 1, 8000, 16, &[])), Err(NotAWhisper::Empty));
        assert_eq!(read(&wav(7, 1, 8000, 8, &vec![0; MAX_SAMPLES + 1])), Err(NotAWhisper::TooLong));
        for (format, channels, rate, bits) in [(1, 2, 8000, 16), (1, 1, 44_100, 16), (1, 1, 8000, 8), (3, 1, 8000, 32)]
        {
            let file = wav(format, channels, rate, bits, &[0; 8]);
            assert_eq!(read(&file), Err(NotAWhisper::Format { format, channels, rate, bits }));
        }
    }

    proptest! {
        #[test]
        fn any_file_is_read_without_panic(start in prop_oneof![Just(wav(1, 1, 8000, 16, &[])), Just(Vec::new())], bytes in proptest::collection::vec(any::<u8>(), 0..120), cut in 0usize..60) {
            let mut file = start;
            file.truncate(file.len().saturating_sub(cut));
            file.extend(bytes);
            if let Ok(samples) = read(&file) {
                prop_assert!(!samples.is_empty() && samples.len() <= file.len());
            }
        }
    }
}
