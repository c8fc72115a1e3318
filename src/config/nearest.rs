//! The right name nearest to a wrong one.

use strsim::{damerau_levenshtein, jaro_winkler, normalized_damerau_levenshtein};

use super::keys::{ROWS, Row, SEED_KEYS};

/// A seed's key wins over one of ours that is nearly as near: more people mean it.
const SEED_BONUS: f64 = 0.05;

/// Names that begin with `sentiment` in our own contracts (events, the tool's parameter) and are no settings: an agent
/// document that describes a tool may hold them.
pub(super) const NOT_SETTINGS: &[&str] = &["sentiment", "sentiment_score"];

/// A key of fewer letters is misspelt by one typing error, a longer one by two: two errors away from a short key there
/// are keys of others (`mlModel`, `llmModelId`).
const LONG_KEY: usize = 10;

/// Whether a key of an agent document is meant to be one of ours: it begins with `sentiment`, or is one or two typing
/// errors away from a key, in any case and with any separators.
pub(super) fn looks_like_ours(key: &str) -> bool {
    if NOT_SETTINGS.contains(&key) {
        return false;
    }
    let joined = joined(key);
    let misspells = |name: &str| {
        let allowed = if name.len() < LONG_KEY { 1 } else { 2 };
        damerau_levenshtein(&joined, &self::joined(name)) <= allowed
    };
    joined.starts_with("sentiment") || ROWS.iter().any(|row| misspells(row.name))
}

/// What was probably meant by an unknown key.
pub(super) fn advice(key: &str, say: fn(&Row) -> String) -> String {
    let joined = joined(key);
    if let Some((_, secret)) = SECRET_WORDS.iter().find(|(word, _)| joined.contains(word)) {
        return format!("secrets come from the environment only: {secret} or {secret}_FILE");
    }
    // What is like nothing is no typing error.
    match nearest(key).filter(|row| likeness(key, row.name) >= LIKE) {
        Some(row) => format!("did you mean {}?", say(row)),
        None => "there is no such key".to_owned(),
    }
}

/// A name less like than this to the nearest key means none.
const LIKE: f64 = 0.5;

const SECRET_WORDS: &[(&str, &str)] = &[
    ("webhooksecret", "SIDECAR_WEBHOOK_SECRET"),
    ("signingsecret", "SIDECAR_WEBHOOK_SECRET"),
    ("password", "SIDECAR_SIP_PASSWORD"),
    ("livekitapikey", "SIDECAR_LIVEKIT_API_KEY"),
    ("apisecret", "SIDECAR_LIVEKIT_API_SECRET"),
    ("apikey", "SIDECAR_LLM_API_KEY"),
    ("roomtoken", "SIDECAR_ROOM_TOKEN"),
    ("reviewtoken", "SIDECAR_REVIEW_TOKEN"),
];

/// The key nearest to a wrong name, written in any style.
fn nearest(name: &str) -> Option<&'static Row> {
    let score = |n: usize, row: &Row| likeness(name, row.name) + if n < SEED_KEYS { SEED_BONUS } else { 0.0 };
    let scored = ROWS.iter().enumerate().map(|(n, row)| (score(n, row), row));
    scored.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, row)| row)
}

/// How like two names are, 0 to 1: letter by letter, or word by word where words are missing or swapped.
fn likeness(a: &str, b: &str) -> f64 {
    let (words_a, words_b) = (words(a), words(b));
    let by_word = (covered(&words_a, &words_b) + covered(&words_b, &words_a)) / 2.0;
    // A single word may be several without their capitals.
    if words_a.len() > 1 {
        return by_word;
    }
    by_word.max(normalized_damerau_levenshtein(&words_a.concat(), &words_b.concat()))
}

/// Words that are less alike than this have nothing to do with each other.
const SAME_WORD: f64 = 0.8;

/// The mean likeness of each word to its best partner.
fn covered(words: &[String], partners: &[String]) -> f64 {
    if words.is_empty() {
        return 0.0;
    }
    let best =
        |word: &String| partners.iter().map(|p| jaro_winkler(word, p)).filter(|l| *l >= SAME_WORD).fold(0.0, f64::max);
    #[expect(clippy::cast_precision_loss, reason = "a name has few words")]
    let count = words.len() as f64;
    words.iter().map(best).sum::<f64>() / count
}

/// Lower-case letters and digits only.
fn joined(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).take(100).collect()
}

/// The words of a name in camelCase or SNAKE_CASE, without those that most names share.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars().take(100) {
        if !c.is_ascii_alphanumeric() || (was_lower && c.is_ascii_uppercase()) {
            words.push(String::new());
        }
        was_lower = c.is_ascii_lowercase();
        if let (true, Some(word)) = (c.is_ascii_alphanumeric(), words.last_mut()) {
            word.push(c.to_ascii_lowercase());
        }
    }
    let told_apart = |word: String| word.trim_start_matches("sidecar").trim_start_matches("sentiment").to_owned();
    words.into_iter().map(told_apart).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_the_one_that_was_meant() {
        for (wrong, right) in [
            ("sentimentTreshold", "sentimentThreshold"),
            ("sentiment_threshold", "sentimentThreshold"),
            ("sentimentthreshold", "sentimentThreshold"),
            ("sentimentWindow", "sentimentWindowTurns"),
            ("sentimentWindowTurn", "sentimentWindowTurns"),
            ("sentimentAction", "sentimentEscalationAction"),
            ("sentimentTarget", "sentimentEscalationTarget"),
            ("sentimentWebhook", "sentimentNotifyWebhook"),
            ("sentimentWebhookUrl", "sentimentNotifyWebhook"),
            ("sentimentEnabled", "sentimentEscalationEnabled"),
            ("sentimentEscalationEnable", "sentimentEscalationEnabled"),
            ("sentimentSipTransprot", "sentimentSipTransport"),
            ("sentimentRingTimeoutMs", "sentimentRingingTimeoutMs"),
            ("SIDECAR_SENTIMENT_WINDOW", "sentimentWindowTurns"),
            ("SIDECAR_SENTIMENT_SIP_LISTENS", "sentimentSipListen"),
            ("turnSilenceMS", "turnSilenceMs"),
            ("llmURL", "llmUrl"),
            ("llmDeadline", "llmDeadlineMs"),
            ("LLM_MAX_INFLIGHT", "llmMaxInFlight"),
        ] {
            assert_eq!(nearest(wrong).map(|row| row.name), Some(right), "{wrong}");
        }
    }

    #[test]
    fn what_is_like_no_key_is_not_likened_to_one() {
        for wrong in ["foo", "x", "temperature"] {
            assert_eq!(advice(wrong, |row| row.name.to_owned()), "there is no such key", "{wrong}");
        }
        assert_eq!(advice("treshold", |row| row.name.to_owned()), "did you mean sentimentThreshold?");
    }

    #[test]
    fn foreign_keys_are_left_alone() {
        for foreign in [
            "name",
            "voice",
            "turnDetection",
            "silenceTimeoutMs",
            "sentiment",
            "sentiment_score",
            "llm",
            "llmProvider",
            "llmModelId",
            "llmApiKey",
            "mlModel",
            "",
            "é",
        ] {
            assert!(!looks_like_ours(foreign), "{foreign}");
        }
        for ours in
            ["turnSilenceMS", "turn_silence_ms", "turnSilence", "sentmentThreshold", "SENTIMENT_X", "sentiments"]
                .into_iter()
                .chain(["llmURL", "llm_url", "lmUrl", "llmModle", "llmDeadline", "llmMaxInflight"])
        {
            assert!(looks_like_ours(ours), "{ours}");
        }
    }
}
