//! Any file's bytes as text: unpacked when it is gzip, and decoded when its first bytes say UTF-16.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;
use flate2::bufread::MultiGzDecoder;

/// How much of a file is looked at to tell what it is.
const HEAD: usize = 64 * 1024;

/// A file as text, with its beginning.
pub(super) struct Opened<'a> {
    /// The whole text, its beginning included; UTF-8, unless the file is in an encoding that nothing in it names.
    pub(super) input: Box<dyn BufRead + 'a>,
    /// Its beginning, to tell what it is.
    pub(super) head: Vec<u8>,
}

/// Opens a file's bytes.
///
/// # Errors
/// When they cannot be read or unpacked.
pub(super) fn open<'a>(input: impl BufRead + 'a) -> io::Result<Opened<'a>> {
    let (magic, input) = peek(input, 8)?;
    if !magic.starts_with(&[0x1f, 0x8b]) {
        return decoded(input, &magic);
    }
    // Whoever packs what is packed already does so once.
    let unpacked = BufReader::new(MultiGzDecoder::new(input));
    let (magic, input) = peek(unpacked, 8)?;
    decoded(input, &magic)
}

fn decoded<'a>(input: impl Read + 'a, magic: &[u8]) -> io::Result<Opened<'a>> {
    let mut builder = DecodeReaderBytesBuilder::new();
    // What has no byte order mark is passed on as it is, for whoever reads it to tell what is wrong with it.
    builder.encoding(unmarked(magic)).utf8_passthru(true).strip_bom(true).bom_override(true);
    let (head, input) = peek(BufReader::with_capacity(HEAD, builder.build(input)), HEAD)?;
    Ok(Opened { input: Box::new(input), head })
}

/// UTF-16 without a mark: every other byte of what begins a transcript is zero.
fn unmarked(magic: &[u8]) -> Option<&'static Encoding> {
    match magic {
        [a, 0, b, 0, ..] if *a != 0 && *b != 0 => Some(UTF_16LE),
        [0, a, 0, b, ..] if *a != 0 && *b != 0 => Some(UTF_16BE),
        _ => None,
    }
}

/// The first bytes, and all bytes.
fn peek<'a>(mut input: impl BufRead + 'a, most: usize) -> io::Result<(Vec<u8>, impl BufRead + 'a)> {
    let mut head = Vec::new();
    (&mut input).take(most as u64).read_to_end(&mut head)?;
    Ok((head.clone(), Cursor::new(head).chain(input)))
}

/// Text that is not UTF-8 is Windows-1252, as spreadsheets write it; every byte is a character there.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// A text whose lines end as ours do where some of them end with a carriage return alone, as captions may.
pub(super) fn lines(text: Cow<'_, str>) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let alone = |(at, byte): (usize, &u8)| *byte == b'\r' && bytes.get(at + 1) != Some(&b'\n');
    if bytes.iter().enumerate().any(alone) { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text }
}

/// The beginning of a text, without a character that was cut in its middle.
pub(super) fn head_text(head: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(head) {
        Ok(text) => text.into(),
        Err(error) if error.error_len().is_none() => String::from_utf8_lossy(&head[..error.valid_up_to()]),
        Err(_) => text(head),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use std::io::Write;

    use super::*;

    fn read(bytes: &[u8]) -> String {
        let mut opened = open(bytes).unwrap();
        let mut all = Vec::new();
        opened.input.read_to_end(&mut all).unwrap();
        assert!(all.starts_with(&opened.head));
        text(&all).into_owned()
    }

    #[test]
    fn gzip_and_every_encoding_come_out_as_the_same_text() {
        let wanted = "Sprecher;Text\r\nKundin;Grüße";
        let utf_16 = |to: fn(u16) -> [u8; 2]| wanted.encode_utf16().flat_map(to).collect::<Vec<u8>>();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(wanted.as_bytes()).unwrap();
        let files = [
            wanted.as_bytes().to_vec(),
            [b"\xEF\xBB\xBF", wanted.as_bytes()].concat(),
            [b"\xFF\xFE".to_vec(), utf_16(u16::to_le_bytes)].concat(),
            [b"\xFE\xFF".to_vec(), utf_16(u16::to_be_bytes)].concat(),
            utf_16(u16::to_le_bytes),
            WINDOWS_1252.encode(wanted).0.into_owned(),
            packed.finish().unwrap(),
        ];
        for file in files {
            assert_eq!(read(&file), wanted, "{file:x?}");
        }
    }
}
