//! Ratings that are known already: calls that are gone through again and again are rated once.
//!
//! A rating is kept under a hash of all that its rater saw (the turn's words, its language, the turns before it), in a
//! file per version of the rater, which its owner alone may read. No words are in it: an entry is the hash and the
//! numbers, and a rating from the cache has no cues. Entries have one length and are only ever appended, under a lock,
//! so that several processes may use the file; losing it costs nothing but time, which is why it is no database.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::sentiment::{
    ContextTurn, Label, RateError, RateFuture, Rater, Rating, RatingSource, Sentiment, Speaker, TurnInContext, Unit,
    Valence,
};

/// What every file begins with.
const HEAD: &[u8; 16] = b"sidecar ratings\n";
const KEY: usize = 16;
const ENTRY: usize = 32;
/// The rater's code and weights, hashed when the program was built.
const RATER: &str = env!("SIDECAR_RATER_ID");
/// So many new ratings are lost at most when the process is killed.
const BATCH: usize = 1024;
/// Files of other versions go when nobody has written to them for so long.
const KEPT: Duration = Duration::from_secs(60 * 86_400);

const FILLER: u8 = 1;
const ASKS_HUMAN: u8 = 2;
const LANGUAGE: u8 = 4;
/// Most bytes of a language's code; what is longer is not kept.
const LANG: usize = 6;

type Key = [u8; KEY];
type Value = [u8; ENTRY - KEY];

/// Ratings by what was rated.
#[derive(Debug, Default)]
pub struct RatingCache {
    path: Option<PathBuf>,
    known: RwLock<HashMap<Key, Value>>,
    new: Mutex<New>,
    found: AtomicUsize,
    rated: AtomicUsize,
}

/// What is not in the file yet.
#[derive(Debug, Default)]
struct New {
    bytes: Vec<u8>,
    problem: Option<io::Error>,
}

impl RatingCache {
    /// A cache that is gone with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// The cache in a folder, which is made where it is not there.
    ///
    /// # Errors
    /// When the folder or its file cannot be read and written, or the file is none of ours.
    pub fn open(folder: &Path) -> io::Result<Self> {
        make_private(folder)?;
        let path = folder.join(format!("ratings-{RATER}"));
        if !path.exists() {
            forget_old(folder);
        }
        let mut bytes = Vec::new();
        opened(&path)?.read_to_end(&mut bytes)?;
        let entries = match bytes.strip_prefix(HEAD) {
            Some(entries) => entries,
            None if bytes.is_empty() => &[],
            None => {
                let strange = format!("{} holds something else than ratings; remove it", path.display());
                return Err(io::Error::other(strange));
            }
        };
        let mut known = HashMap::with_capacity(entries.len() / ENTRY);
        for entry in entries.chunks_exact(ENTRY) {
            if let Some((key, value)) = entry.split_first_chunk::<KEY>()
                && let Ok(value) = value.try_into()
            {
                known.insert(*key, value);
            }
        }
        Ok(Self { path: Some(path), known: RwLock::new(known), ..Self::default() })
    }

    /// The folder of the user whose environment `env` reads: `sentiment-sidecar` in `XDG_CACHE_HOME`, else in `~/.cache`
    /// (XDG Base Directory Specification: a relative `XDG_CACHE_HOME` is ignored).
    pub fn folder_of_user(env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let absolute = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        cache.map(|cache| cache.join("sentiment-sidecar"))
    }

    /// How many ratings were known, and how many had to be made.
    pub fn counts(&self) -> (usize, usize) {
        (self.found.load(Ordering::Relaxed), self.rated.load(Ordering::Relaxed))
    }

    /// Writes what is new into the file.
    ///
    /// # Errors
    /// When that fails now or failed before; the ratings are right all the same.
    pub fn save(&self) -> io::Result<()> {
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&mut new);
        new.problem.take().map_or(Ok(()), Err)
    }

    fn write(&self, new: &mut New) {
        let bytes = std::mem::take(&mut new.bytes);
        if let Some(path) = self.path.as_ref().filter(|_| !bytes.is_empty() && new.problem.is_none()) {
            new.problem = append(path, &bytes).err();
        }
    }

    fn get(&self, key: &Key) -> Option<Value> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    fn keep(&self, key: Key, value: Value) {
        let known = self.known.write().unwrap_or_else(PoisonError::into_inner).insert(key, value);
        if known.is_none() && self.path.is_some() {
            let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
            new.bytes.extend_from_slice(&key);
            new.bytes.extend_from_slice(&value);
            if new.bytes.len() >= BATCH * ENTRY {
                self.write(&mut new);
            }
        }
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn opened(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Appends whole entries behind the whole ones that are there.
fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = opened(path)?;
    file.lock()?;
    let length = file.seek(SeekFrom::End(0))?;
    let (head, entry) = (HEAD.len() as u64, ENTRY as u64);
    if length < head {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(HEAD)?;
    } else {
        // What a process that died left of an entry is written over.
        file.seek(SeekFrom::Start(length - (length - head) % entry))?;
    }
    file.write_all(bytes)
}

/// Takes away files of other versions that are no longer used. Whatever fails stays.
fn forget_old(folder: &Path) {
    let now = SystemTime::now();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with("ratings-");
        let written = entry.metadata().and_then(|about| about.modified());
        if ours && written.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > KEPT)) {
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

/// A hash of all that a rater sees.
fn key(turn: &TurnInContext) -> Key {
    let TurnInContext { text, lang, earlier } = turn;
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        // The length keeps ("ab","c") apart from ("a","bc").
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(text.as_bytes());
    part(lang.as_deref().unwrap_or_default().as_bytes());
    for ContextTurn { speaker, text, sentiment } in earlier {
        let rated = sentiment.map_or(0, tenths);
        part(&[
            match speaker {
                Speaker::Caller => 1,
                Speaker::Agent => 2,
            },
            rated,
        ]);
        part(text.as_bytes());
    }
    let mut key = Key::default();
    key.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    key
}

fn tenths(sentiment: Sentiment) -> u8 {
    // From 10 to 100.
    (sentiment.value() * 10.0).round() as u8
}

/// The numbers of a rating; none where they do not tell all of it.
fn value(result: &Result<Rating, RateError>) -> Option<Value> {
    let mut value = Value::default();
    match result {
        Ok(rating) if rating.source.is_embedded() && rating.description.is_none() => {
            // From -1000 to 1000.
            let thousandths = |value: f64| ((value * 1000.0).round() as i16).to_be_bytes();
            value[0] = u8::from(rating.filler) * FILLER + u8::from(rating.asks_human) * ASKS_HUMAN;
            value[1] = tenths(rating.sentiment);
            let numbers =
                [rating.valence.value(), rating.frustration.value(), rating.urgency.value(), rating.confidence.value()];
            for (to, number) in value[2..].chunks_exact_mut(2).zip(numbers) {
                to.copy_from_slice(&thousandths(number));
            }
        }
        Err(RateError::Language { lang }) if lang.len() <= LANG => {
            value[0] = LANGUAGE;
            value[2..2 + lang.len()].copy_from_slice(lang.as_bytes());
        }
        _ => return None,
    }
    Some(value)
}

/// What [`value`] was made of, without cues; none where it was made by nothing of ours.
fn result(value: &Value) -> Option<Result<Rating, RateError>> {
    if value[0] & LANGUAGE != 0 {
        let lang = value[2..2 + LANG].split(|byte| *byte == 0).next()?;
        return Some(Err(RateError::Language { lang: String::from_utf8(lang.to_vec()).ok()? }));
    }
    let number = |at: usize| f64::from(i16::from_be_bytes([value[at], value[at + 1]])) / 1000.0;
    let sentiment = Sentiment::new(f64::from(value[1]) / 10.0).ok()?;
    Some(Ok(Rating {
        sentiment,
        valence: Valence::new(number(2)).ok()?,
        frustration: Unit::new(number(4)).ok()?,
        urgency: Unit::new(number(6)).ok()?,
        label: Label::of(sentiment),
        confidence: Unit::new(number(8)).ok()?,
        filler: value[0] & FILLER != 0,
        asks_human: value[0] & ASKS_HUMAN != 0,
        cues: Vec::new(),
        source: RatingSource::Embedded,
        description: None,
        embedded: None,
    }))
}

/// A rater that asks another one about what is not in the cache.
pub struct CachedRater {
    inner: Arc<dyn Rater>,
    cache: Arc<RatingCache>,
}

impl CachedRater {
    /// Puts a cache before a rater that is made of this program alone: what an LLM says hangs on more than is hashed.
    #[must_use]
    pub fn new(inner: Arc<dyn Rater>, cache: Arc<RatingCache>) -> Self {
        Self { inner, cache }
    }
}

impl Rater for CachedRater {
    fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
        Box::pin(async move {
            let key = key(turn);
            if let Some(known) = self.cache.get(&key).as_ref().and_then(result) {
                self.cache.found.fetch_add(1, Ordering::Relaxed);
                return known;
            }
            let rated = self.inner.rate(turn).await;
            self.cache.rated.fetch_add(1, Ordering::Relaxed);
            if let Some(value) = value(&rated) {
                self.cache.keep(key, value);
            }
            // As it will be the next time.
            rated.map(|rating| Rating { cues: Vec::new(), ..rating })
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::recording::PinnedRating;

    /// A rater that counts how often it is asked.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Rater for Counting {
        fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let result = match turn.text.as_str() {
                "hola" => Err(RateError::Language { lang: "spa".to_owned() }),
                "broken" => Err(RateError::Failed { detail: "broken".to_owned() }),
                text => Ok(Rating {
                    asks_human: text.contains("manager"),
                    ..PinnedRating::from_sentiment(Sentiment::clamped(text.len() as f64 / 2.0))
                }),
            };
            Box::pin(std::future::ready(result))
        }
    }

    fn rated(cache: RatingCache, turns: &[TurnInContext]) -> (Vec<Result<Rating, RateError>>, usize) {
        let (inner, cache) = (Arc::new(Counting::default()), Arc::new(cache));
        let rater = CachedRater::new(Arc::clone(&inner) as Arc<dyn Rater>, Arc::clone(&cache));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let results = turns.iter().map(|turn| runtime.block_on(rater.rate(turn))).collect();
        cache.save().unwrap();
        (results, inner.0.load(Ordering::Relaxed))
    }

    fn turns() -> Vec<TurnInContext> {
        let said = |text: &str, sentiment: Option<f64>| ContextTurn {
            speaker: if sentiment.is_some() { Speaker::Caller } else { Speaker::Agent },
            text: text.to_owned(),
            sentiment: sentiment.map(Sentiment::clamped),
        };
        let after = |earlier: Vec<ContextTurn>| TurnInContext { earlier, ..TurnInContext::alone("get me a manager") };
        vec![
            TurnInContext::alone("get me a manager"),
            after(vec![said("hello", None)]),
            after(vec![said("hello", Some(5.0))]),
            after(vec![said("hello", Some(5.1))]),
            TurnInContext { lang: Some("en".to_owned()), ..TurnInContext::alone("get me a manager") },
            TurnInContext::alone("hola"),
        ]
    }

    #[test]
    fn a_second_run_rates_nothing_and_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("below/cache");
        let (first, asked) = rated(RatingCache::open(&place).unwrap(), &turns());
        assert_eq!(asked, 6, "whatever the rater sees makes it another turn");
        let (second, asked) = rated(RatingCache::open(&place).unwrap(), &turns());
        assert_eq!((&second, asked), (&first, 0));
        // Failures may be gone the next time.
        let broken = [TurnInContext::alone("broken")];
        assert_eq!(rated(RatingCache::open(&place).unwrap(), &broken).1, 1);
        assert_eq!(rated(RatingCache::open(&place).unwrap(), &broken).1, 1);
    }

    #[test]
    fn no_words_are_in_it_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        rated(RatingCache::open(folder.path()).unwrap(), &turns());
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(bytes.len(), HEAD.len() + 6 * ENTRY);
        for word in ["manager", "hello", "get"] {
            assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_torn_entry_is_written_over_and_a_strange_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        rated(RatingCache::open(folder.path()).unwrap(), &turns()[..2]);
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() - 5]).unwrap();
        assert_eq!(rated(RatingCache::open(folder.path()).unwrap(), &turns()).1, 5);
        assert_eq!(rated(RatingCache::open(folder.path()).unwrap(), &turns()).1, 0);
        std::fs::write(&file, "my notes, which are longer than a head").unwrap();
        let said = RatingCache::open(folder.path()).unwrap_err().to_string();
        assert!(said.contains(&file.display().to_string()), "{said}");
    }
}
