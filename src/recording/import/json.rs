//! A foreign JSON document, held in little memory: keys are shared, and what no importer reads is left out.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// `null`, and whatever is not there.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// Any number. Whole ones up to 2^53 are exact.
    Number(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object, in the order of the file.
    Object(Vec<(Arc<str>, Json)>),
}

static NULL: Json = Json::Null;

/// Fields that take most of a file's bytes and that no importer reads: scores by the word, tokens, vectors, audio.
const BULK: [&str; 24] = [
    "Confidence",
    "IssuesDetected",
    "Items",
    "LoudnessScore",
    "LoudnessScores",
    "acoustics",
    "audio",
    "audio_item_indices",
    "audio_items",
    "avg_logprob",
    "chars",
    "combinedPhrases",
    "combinedRecognizedPhrases",
    "compression_ratio",
    "confidence",
    "delta",
    "embedding",
    "logprobs",
    "probability",
    "sentiment_analysis_results",
    "speaker_confidence",
    "temperature",
    "tokens",
    "word_segments",
];

impl Json {
    /// A field of an object; null where there is none.
    pub(crate) fn get(&self, key: &str) -> &Json {
        match self {
            Self::Object(fields) => fields.iter().find(|(name, _)| &**name == key).map_or(&NULL, |(_, value)| value),
            _ => &NULL,
        }
    }

    /// The first of these fields that is there and not null.
    pub(crate) fn any(&self, keys: &[&str]) -> &Json {
        keys.iter().map(|key| self.get(key)).find(|value| !value.is_null()).unwrap_or(&NULL)
    }

    /// A field of a field.
    pub(crate) fn at(&self, path: &[&str]) -> &Json {
        path.iter().fold(self, |value, key| value.get(key))
    }

    /// Whether an object has the field, null or not.
    pub(crate) fn has(&self, key: &str) -> bool {
        matches!(self, Self::Object(fields) if fields.iter().any(|(name, _)| &**name == key))
    }

    /// The elements of a list; none where it is no list.
    pub(crate) fn list(&self) -> &[Json] {
        match self {
            Self::List(elements) => elements,
            _ => &[],
        }
    }

    /// The first element of a list; null where there is none.
    pub(crate) fn first(&self) -> &Json {
        self.list().first().unwrap_or(&NULL)
    }

    /// Whether it is a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }

    /// Whether it is an object.
    pub(crate) fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// Whether it is null or missing.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The words of a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number, or a string that is one.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self) -> Option<bool> {
        match self {
            Self::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// What names something: a string that is not empty, or a number.
    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Self::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The names of an object's fields.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let fields = match self {
            Self::Object(fields) => fields.as_slice(),
            _ => &[],
        };
        fields.iter().map(|(name, _)| &**name)
    }

    /// The fields of an object.
    pub(crate) fn fields(&self) -> &[(Arc<str>, Json)] {
        match self {
            Self::Object(fields) => fields,
            _ => &[],
        }
    }

    /// What it is, for people: its kind and its first fields, without any of its words.
    pub(crate) fn shape(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(_) => "true or false".to_owned(),
            Self::Number(_) => "a number".to_owned(),
            Self::Text(_) => "a string".to_owned(),
            Self::List(elements) => match elements.first() {
                None => "an empty array".to_owned(),
                Some(first) => format!("an array of {}, the first {}", elements.len(), first.shape()),
            },
            Self::Object(fields) if fields.is_empty() => "an empty object".to_owned(),
            Self::Object(fields) => {
                let shown: Vec<String> = self.keys().take(8).map(|key| format!("\"{}\"", shown_key(key))).collect();
                let more = if fields.len() > shown.len() { ", …" } else { "" };
                format!("an object with the fields {}{more}", shown.join(", "))
            }
        }
    }
}

/// A key may be anything: only so much of it is shown.
fn shown_key(key: &str) -> String {
    key.chars().take(32).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// What the documents of a file share: field names, and a bound on the memory that one of them takes.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    known: HashSet<Arc<str>>,
    /// Bytes that the document takes that is being read.
    held: usize,
}

impl Keys {
    /// A document's names are few; what has more of them than this is data.
    const MOST: usize = 10_000;
    /// Most bytes that one document may take: some 150 MB of a recogniser's words with their times, days of talk.
    pub(crate) const MOST_HELD: usize = 384 * 1024 * 1024;

    fn shared(&mut self, key: &str) -> Arc<str> {
        if let Some(known) = self.known.get(key) {
            return Arc::clone(known);
        }
        let new: Arc<str> = key.into();
        if self.known.len() < Self::MOST {
            self.known.insert(Arc::clone(&new));
        }
        new
    }

    /// Begins a document.
    pub(crate) fn begin(&mut self) {
        self.held = 0;
    }

    /// Whether the document takes more than it may.
    pub(crate) fn is_over(&self) -> bool {
        self.held > Self::MOST_HELD
    }

    /// How many bytes the document takes that was read last.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Counts what a part of it takes.
    fn hold<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.held += bytes;
        if self.is_over() { Err(E::custom("it is larger than any call")) } else { Ok(()) }
    }
}

/// What an allocation takes beside what is in it.
const ALLOCATION: usize = 16;
const FIELD: usize = size_of::<(Arc<str>, Json)>();

/// Reads one [`Json`].
pub(crate) struct Seed<'a>(pub(crate) &'a mut Keys);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Json, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Json, E> {
        self.0.hold(value.len() + ALLOCATION)?;
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(Seed(&mut *self.0))? {
            self.0.hold(size_of::<Json>())?;
            list.push(element);
        }
        list.shrink_to_fit();
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        self.0.hold(ALLOCATION)?;
        while let Some(key) = fields.next_key::<String>()? {
            if BULK.binary_search(&key.as_str()).is_ok() {
                fields.next_value::<IgnoredAny>()?;
            } else {
                let key = self.0.shared(&key);
                self.0.hold(FIELD)?;
                object.push((key, fields.next_value_seed(Seed(&mut *self.0))?));
            }
        }
        object.shrink_to_fit();
        Ok(Json::Object(object))
    }
}

/// Reads a whole document from text.
pub(crate) fn parse(text: &[u8]) -> Result<Json, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Seed(&mut Keys::default()).deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn bulk_is_left_out_and_the_list_of_it_is_sorted() {
        assert!(BULK.is_sorted());
        let read = parse(br#"{"text":"hi","tokens":[1,2],"n":[{"confidence":0.5}]}"#).unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), ["text", "n"]);
        assert_eq!(read.get("n").first(), &Json::Object(Vec::new()));
    }

    #[test]
    fn the_shape_of_a_value_tells_none_of_its_words() {
        let read = parse(br#"[{"secret":"my words","b":2}]"#).unwrap();
        assert_eq!(read.shape(), "an array of 1, the first an object with the fields \"secret\", \"b\"");
    }
}
