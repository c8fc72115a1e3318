//! Data streams: puts together what comes in pieces, inflates what is compressed, and lets nobody fill the memory
//! ([`Streams`]).

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use flate2::read::DeflateDecoder;
use prost::Message as _;

use super::proto::models::{Compression, StreamChunk, StreamHeader, StreamTrailer};

/// What agents tell of their session: bytes.
pub(super) const SESSION: &str = "lk.agent.session";
/// What was said: text.
pub(super) const TRANSCRIPTION: &str = "lk.transcription";

/// Largest transcript, in bytes: an agent's answer at full length is a hundredth of it.
const MAX_TRANSCRIPT: usize = 256 * 1024;
/// Largest message of a session, in bytes: the history of a call of hours.
const MAX_SESSION: usize = 8 * 1024 * 1024;
/// How many streams may be under way.
const MAX_OPEN: usize = 64;
/// How many bytes all streams that are under way may take.
const MAX_HELD: usize = 2 * MAX_SESSION;
/// What a chunk takes besides its content, in bytes, roughly: its place in a tree and in memory.
const CHUNK: usize = 128;

/// Who sent something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Sender {
    /// As whom: an agent sends a transcript as the one who spoke.
    pub(super) identity: String,
    /// The stay of the one who really sent it.
    pub(super) sid: String,
}

/// A stream that is all there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stream {
    /// Who sent it.
    pub(super) sender: Sender,
    /// What it is about.
    pub(super) topic: String,
    /// What is said of it, at its start or its end.
    pub(super) attributes: BTreeMap<String, String>,
    /// What it says.
    pub(super) content: Vec<u8>,
}

/// Why a stream cannot be read. Nothing of its content is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum StreamError {
    /// A stream, or all that are under way, is too large.
    #[error("it is larger than {max} bytes")]
    TooLarge {
        /// The most.
        max: usize,
    },
    /// Too many at a time.
    #[error("more than {MAX_OPEN} are under way")]
    TooMany,
    /// It ended before all of it was there.
    #[error("chunk {index} is missing at its end")]
    Gap {
        /// The first that is missing.
        index: u64,
    },
    /// It has another length than its header says.
    #[error("it has {size} bytes, and its header says {told}")]
    Length {
        /// What it has.
        size: usize,
        /// What the header says.
        told: u64,
    },
    /// It is compressed in a way that we do not know.
    #[error("its compression {compression} is unknown; only none (0) and raw DEFLATE (1) are read")]
    Compression {
        /// `LiveKit`'s number.
        compression: i32,
    },
    /// It is not what it is said to be.
    #[error("it cannot be inflated")]
    Deflate,
}

/// A stream that is under way.
#[derive(Debug)]
struct Open {
    sender: Sender,
    header: StreamHeader,
    /// The bytes of its header, whose id stands in the table, too.
    head: usize,
    chunks: BTreeMap<u64, Chunk>,
    /// The bytes of its content so far.
    size: usize,
    /// In the order of their beginnings.
    number: u64,
}

/// A part of a stream that is under way.
#[derive(Debug)]
struct Chunk {
    version: i32,
    content: Vec<u8>,
}

impl Open {
    /// The bytes that it takes.
    fn held(&self) -> usize {
        self.head + self.size + self.chunks.len() * CHUNK
    }
}

/// The stay of the sender, and the stream's id.
type Key = (String, String);

/// The streams of a room that are about the conversation; others are passed over.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: HashMap<Key, Open>,
    /// The bytes that all of them take.
    held: usize,
    begun: u64,
}

impl Streams {
    /// A stream begins. Returned at once when it is short.
    pub(super) fn header(&mut self, sender: Sender, mut header: StreamHeader) -> Result<Option<Stream>, StreamError> {
        let Some(max) = most(&header.topic) else { return Ok(None) };
        if let Some(content) = header.inline_content.take() {
            let content = decoded(&header, content, max)?;
            let StreamHeader { topic, attributes, .. } = header;
            return Ok(Some(Stream { sender, topic, attributes, content }));
        }
        if header.total_length.is_some_and(|told| told > max as u64) {
            return Err(StreamError::TooLarge { max });
        }
        let too_many = self.open.len() >= MAX_OPEN;
        if too_many {
            self.drop_oldest();
        }
        let key = self.begin(sender, header);
        self.bound(&key)?;
        if too_many { Err(StreamError::TooMany) } else { Ok(None) }
    }

    fn begin(&mut self, sender: Sender, header: StreamHeader) -> Key {
        self.begun += 1;
        let key = (sender.sid.clone(), header.stream_id.clone());
        let head = header.encoded_len() + header.stream_id.len();
        let open = Open { sender, header, head, chunks: BTreeMap::new(), size: 0, number: self.begun };
        self.held += open.held();
        let before = self.open.insert(key.clone(), open);
        self.held -= before.map_or(0, |before| before.held());
        key
    }

    /// Gives a stream up with which all of them take too much.
    fn bound(&mut self, key: &Key) -> Result<(), StreamError> {
        if self.held > MAX_HELD {
            self.give_up(key);
            return Err(StreamError::TooLarge { max: MAX_HELD });
        }
        Ok(())
    }

    fn give_up(&mut self, key: &Key) -> Option<Open> {
        let open = self.open.remove(key)?;
        self.held -= open.held();
        Some(open)
    }

    /// A stream that nobody ends must not keep others out.
    fn drop_oldest(&mut self) {
        let oldest = self.open.iter().min_by_key(|(_, open)| open.number).map(|(key, _)| key.clone());
        if let Some(key) = oldest {
            self.give_up(&key);
        }
    }

    /// A stream goes on. One that is too large is given up.
    pub(super) fn chunk(&mut self, sender: &Sender, chunk: StreamChunk) -> Result<(), StreamError> {
        let StreamChunk { stream_id, chunk_index, content, version } = chunk;
        let key = (sender.sid.clone(), stream_id);
        let Some(open) = self.open.get_mut(&key) else { return Ok(()) };
        let max = most(&open.header.topic).unwrap_or_default();
        if open.chunks.get(&chunk_index).is_some_and(|before| before.version >= version) {
            return Ok(());
        }
        let (before, size) = (open.held(), content.len());
        let replaced = open.chunks.insert(chunk_index, Chunk { version, content });
        open.size = open.size + size - replaced.map_or(0, |replaced| replaced.content.len());
        self.held = self.held + open.held() - before;
        if open.size > max {
            self.give_up(&key);
            return Err(StreamError::TooLarge { max });
        }
        self.bound(&key)
    }

    /// A stream ends.
    pub(super) fn trailer(&mut self, sender: &Sender, trailer: StreamTrailer) -> Result<Option<Stream>, StreamError> {
        let Some(open) = self.give_up(&(sender.sid.clone(), trailer.stream_id)) else { return Ok(None) };
        let Open { sender, header, chunks, .. } = open;
        if let Some((index, _)) = (0..).zip(chunks.keys()).find(|(index, key)| index != *key) {
            return Err(StreamError::Gap { index });
        }
        let content: Vec<u8> = chunks.into_values().flat_map(|chunk| chunk.content).collect();
        let content = decoded(&header, content, most(&header.topic).unwrap_or_default())?;
        let StreamHeader { topic, mut attributes, total_length, .. } = header;
        if let Some(told) = total_length.filter(|told| *told != content.len() as u64) {
            return Err(StreamError::Length { size: content.len(), told });
        }
        attributes.extend(trailer.attributes);
        Ok(Some(Stream { sender, topic, attributes, content }))
    }

    /// How many have begun and not ended.
    #[cfg(test)]
    pub(super) fn under_way(&self) -> usize {
        self.open.len()
    }

    /// Somebody is gone: what they had begun is never ended.
    pub(super) fn forget(&mut self, sid: &str) {
        self.open.retain(|(of, _), _| of != sid);
        self.held = self.open.values().map(Open::held).sum();
    }

    /// Everything that was under way is lost.
    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.held = 0;
    }
}

/// How many bytes a stream on a topic may have; none where nobody reads it.
fn most(topic: &str) -> Option<usize> {
    match topic {
        TRANSCRIPTION => Some(MAX_TRANSCRIPT),
        SESSION => Some(MAX_SESSION),
        _ => None,
    }
}

/// The content as its sender had it. What is small in the packet may be endless once it is inflated.
fn decoded(header: &StreamHeader, content: Vec<u8>, max: usize) -> Result<Vec<u8>, StreamError> {
    let content = match Compression::try_from(header.compression) {
        Ok(Compression::None) => content,
        Ok(Compression::DeflateRaw) => {
            let mut inflated = Vec::new();
            let limit = max as u64 + 1;
            DeflateDecoder::new(content.as_slice())
                .take(limit)
                .read_to_end(&mut inflated)
                .map_err(|_| StreamError::Deflate)?;
            inflated
        }
        Err(_) => return Err(StreamError::Compression { compression: header.compression }),
    };
    if content.len() > max { Err(StreamError::TooLarge { max }) } else { Ok(content) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
    use std::io::Write;

    use flate2::write::DeflateEncoder;

    use super::*;

    fn sender() -> Sender {
        Sender { identity: "caller".to_owned(), sid: "PA_agent".to_owned() }
    }

    fn header(id: &str, topic: &str) -> StreamHeader {
        let attributes = BTreeMap::from([("lk.segment_id".to_owned(), "SG_1".to_owned())]);
        StreamHeader { stream_id: id.to_owned(), topic: topic.to_owned(), attributes, ..StreamHeader::default() }
    }

    fn inline(content: &[u8], compression: Compression) -> StreamHeader {
        let compression = compression.into();
        StreamHeader { inline_content: Some(content.to_vec()), compression, ..header("s", TRANSCRIPTION) }
    }

    fn chunk(id: &str, index: u64, content: &[u8]) -> StreamChunk {
        StreamChunk { stream_id: id.to_owned(), chunk_index: index, content: content.to_vec(), version: 0 }
    }

    fn trailer(id: &str) -> StreamTrailer {
        let attributes = BTreeMap::from([("lk.transcription_final".to_owned(), "true".to_owned())]);
        StreamTrailer { stream_id: id.to_owned(), attributes, ..StreamTrailer::default() }
    }

    fn deflated(content: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_short_stream_is_whole_in_its_header_compressed_or_not() {
        let mut streams = Streams::default();
        let plain = streams.header(sender(), inline(b"Hello there.", Compression::None)).unwrap().unwrap();
        let packed = inline(&deflated(b"Hello there."), Compression::DeflateRaw);
        assert_eq!(streams.header(sender(), packed).unwrap().unwrap(), plain);
        assert_eq!((plain.content.as_slice(), plain.topic.as_str()), (b"Hello there.".as_slice(), TRANSCRIPTION));
        assert_eq!(plain.attributes["lk.segment_id"], "SG_1");
    }

    #[test]
    fn a_long_stream_is_put_together_and_its_end_adds_what_is_said_of_it() {
        let mut streams = Streams::default();
        let packed = deflated(b"Hello there, and good day.");
        let told = StreamHeader {
            compression: Compression::DeflateRaw.into(),
            total_length: Some(26),
            ..header("s", TRANSCRIPTION)
        };
        assert_eq!(streams.header(sender(), told).unwrap(), None);
        streams.chunk(&sender(), chunk("s", 1, &packed[5..])).unwrap();
        streams.chunk(&sender(), chunk("s", 0, &packed[..5])).unwrap();
        streams.chunk(&sender(), chunk("s", 0, b"again")).unwrap();
        let stream = streams.trailer(&sender(), trailer("s")).unwrap().unwrap();
        assert_eq!(stream.content, b"Hello there, and good day.");
        assert_eq!(stream.attributes.len(), 2);
        assert_eq!(streams.trailer(&sender(), trailer("s")).unwrap(), None, "it has ended");
        assert_eq!(streams.held, 0);
    }

    #[test]
    fn a_newer_version_of_a_chunk_replaces_the_older_one() {
        let mut streams = Streams::default();
        streams.header(sender(), header("s", TRANSCRIPTION)).unwrap();
        streams.chunk(&sender(), chunk("s", 0, b"No.")).unwrap();
        streams.chunk(&sender(), StreamChunk { version: 1, ..chunk("s", 0, b"Yes, please.") }).unwrap();
        assert_eq!(streams.trailer(&sender(), trailer("s")).unwrap().unwrap().content, b"Yes, please.");
    }

    #[test]
    fn what_is_not_whole_is_told_as_such() {
        let mut streams = Streams::default();
        streams.header(sender(), header("s", TRANSCRIPTION)).unwrap();
        streams.chunk(&sender(), chunk("s", 0, b"one")).unwrap();
        streams.chunk(&sender(), chunk("s", 2, b"three")).unwrap();
        assert_eq!(streams.trailer(&sender(), trailer("s")), Err(StreamError::Gap { index: 1 }));
        let told = StreamHeader { total_length: Some(9), ..header("t", TRANSCRIPTION) };
        streams.header(sender(), told).unwrap();
        streams.chunk(&sender(), chunk("t", 0, b"one")).unwrap();
        assert_eq!(streams.trailer(&sender(), trailer("t")), Err(StreamError::Length { size: 3, told: 9 }));
        let garbled = inline(b"\xff\xff\xff\xff", Compression::DeflateRaw);
        assert_eq!(streams.header(sender(), garbled), Err(StreamError::Deflate));
        let unknown = StreamHeader { compression: 7, ..inline(b"x", Compression::None) };
        assert_eq!(streams.header(sender(), unknown), Err(StreamError::Compression { compression: 7 }));
    }

    #[test]
    fn nobody_fills_the_memory() {
        let mut streams = Streams::default();
        let bomb = inline(&deflated(&vec![b'a'; 64 * MAX_TRANSCRIPT]), Compression::DeflateRaw);
        assert!(bomb.inline_content.as_ref().unwrap().len() < MAX_TRANSCRIPT);
        assert_eq!(streams.header(sender(), bomb), Err(StreamError::TooLarge { max: MAX_TRANSCRIPT }));
        streams.header(sender(), header("s", TRANSCRIPTION)).unwrap();
        let piece = vec![b'a'; MAX_TRANSCRIPT / 2 + 1];
        streams.chunk(&sender(), chunk("s", 0, &piece)).unwrap();
        let more = streams.chunk(&sender(), chunk("s", 1, &piece));
        assert_eq!(more, Err(StreamError::TooLarge { max: MAX_TRANSCRIPT }));
        assert_eq!((streams.open.len(), streams.held), (0, 0));
        let endless = StreamHeader { total_length: Some(u64::MAX), ..header("s", SESSION) };
        assert_eq!(streams.header(sender(), endless), Err(StreamError::TooLarge { max: MAX_SESSION }));
        for n in 0..MAX_OPEN {
            streams.header(sender(), header(&n.to_string(), TRANSCRIPTION)).unwrap();
        }
        assert_eq!(streams.header(sender(), header("more", TRANSCRIPTION)), Err(StreamError::TooMany));
        assert_eq!(streams.trailer(&sender(), trailer("0")).unwrap(), None, "the oldest one was given up");
        assert!(streams.trailer(&sender(), trailer("more")).unwrap().is_some());
    }

    #[test]
    fn nobody_fills_the_memory_with_what_is_no_content() {
        // In pieces without content: long ids, and places that are kept.
        let mut streams = Streams::default();
        let id = "s".repeat(50_000);
        streams.header(sender(), header(&id, SESSION)).unwrap();
        for index in 0..1_000 {
            streams.chunk(&sender(), chunk(&id, index, b"")).unwrap();
        }
        assert!(streams.held < 400_000, "an id is kept once: {}", streams.held);
        streams.header(sender(), header("s", SESSION)).unwrap();
        let endless = (0..1_000_000).find_map(|index| streams.chunk(&sender(), chunk("s", index, b"")).err());
        assert_eq!(endless, Some(StreamError::TooLarge { max: MAX_HELD }));
        assert_eq!(streams.open.len(), 1);
        streams.forget(&sender().sid);
        assert_eq!(streams.held, 0);
        // In headers.
        let long = |n: usize| {
            let attributes = BTreeMap::from([("a".to_owned(), "a".repeat(1 << 20))]);
            StreamHeader { attributes, ..header(&n.to_string(), SESSION) }
        };
        let refused = (0..MAX_OPEN).find_map(|n| streams.header(sender(), long(n)).err());
        assert_eq!(refused, Some(StreamError::TooLarge { max: MAX_HELD }));
        streams.forget(&sender().sid);
        assert_eq!(streams.held, 0);
        // What an agent says letter by letter is no more than its letters.
        streams.header(sender(), header("s", TRANSCRIPTION)).unwrap();
        for index in 0..10_000 {
            streams.chunk(&sender(), chunk("s", index, b"a")).unwrap();
        }
        assert_eq!(streams.trailer(&sender(), trailer("s")).unwrap().unwrap().content.len(), 10_000);
    }

    #[test]
    fn of_other_topics_and_of_who_is_gone_nothing_is_kept() {
        let mut streams = Streams::default();
        streams.header(sender(), header("s", "files")).unwrap();
        streams.chunk(&sender(), chunk("s", 0, b"a file")).unwrap();
        assert_eq!(streams.trailer(&sender(), trailer("s")).unwrap(), None);
        streams.header(sender(), header("s", TRANSCRIPTION)).unwrap();
        streams.chunk(&sender(), chunk("s", 0, b"one")).unwrap();
        let other = Sender { sid: "PA_other".to_owned(), ..sender() };
        assert_eq!(streams.trailer(&other, trailer("s")).unwrap(), None, "an id is its sender's own");
        streams.forget("PA_agent");
        assert_eq!((streams.trailer(&sender(), trailer("s")).unwrap(), streams.held), (None, 0));
    }
}
