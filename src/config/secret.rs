//! Secrets: from the environment or files only, and never shown.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::env::{Env, NotUtf8};
use super::error::list_errors;
use super::shown::plain;
use super::webhook_secret::{NotASecret, WebhookSecret};

/// Text that `Debug` and logs never show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// The secrets that a command uses, as far as they are set. Read by [`load_secrets`].
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// `SIDECAR_ROOM_TOKEN`: bearer token of the room.
    pub room_token: Option<Secret>,
    /// `SIDECAR_WEBHOOK_SECRET`: signing secrets, the newest first; every one signs.
    pub webhook: Vec<WebhookSecret>,
    /// `SIDECAR_SIP_PASSWORD`: digest password.
    pub sip_password: Option<Secret>,
    /// `SIDECAR_LLM_API_KEY`: bearer token of the LLM endpoint.
    pub llm_api_key: Option<Secret>,
    /// `SIDECAR_REVIEW_TOKEN`: bearer token of the review pages.
    pub review_token: Option<Secret>,
    /// `SIDECAR_LIVEKIT_API_KEY`: names the secret of a LiveKit server.
    pub livekit_api_key: Option<Secret>,
    /// `SIDECAR_LIVEKIT_API_SECRET`: signs our tokens for it.
    pub livekit_api_secret: Option<Secret>,
    /// `SIDECAR_TWILIO_AUTH_TOKEN`: with which Twilio signs what it dials; several while rotating.
    pub twilio_auth_tokens: Vec<Secret>,
}

/// Largest secret file, in bytes.
const FILE_BYTES: u64 = 16 * 1024;

/// A secret by what it is for. Each has a variable, and that variable with `_FILE` behind it names a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretName {
    /// `SIDECAR_ROOM_TOKEN`.
    RoomToken,
    /// `SIDECAR_WEBHOOK_SECRET`.
    Webhook,
    /// `SIDECAR_SIP_PASSWORD`.
    SipPassword,
    /// `SIDECAR_LLM_API_KEY`.
    LlmApiKey,
    /// `SIDECAR_REVIEW_TOKEN`.
    ReviewToken,
    /// `SIDECAR_LIVEKIT_API_KEY`.
    LivekitApiKey,
    /// `SIDECAR_LIVEKIT_API_SECRET`.
    LivekitApiSecret,
    /// `SIDECAR_TWILIO_AUTH_TOKEN`.
    TwilioAuthToken,
}

impl SecretName {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::RoomToken,
        Self::Webhook,
        Self::SipPassword,
        Self::LlmApiKey,
        Self::ReviewToken,
        Self::LivekitApiKey,
        Self::LivekitApiSecret,
        Self::TwilioAuthToken,
    ];

    /// The variable.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::RoomToken => "SIDECAR_ROOM_TOKEN",
            Self::Webhook => "SIDECAR_WEBHOOK_SECRET",
            Self::SipPassword => "SIDECAR_SIP_PASSWORD",
            Self::LlmApiKey => "SIDECAR_LLM_API_KEY",
            Self::ReviewToken => "SIDECAR_REVIEW_TOKEN",
            Self::LivekitApiKey => "SIDECAR_LIVEKIT_API_KEY",
            Self::LivekitApiSecret => "SIDECAR_LIVEKIT_API_SECRET",
            Self::TwilioAuthToken => "SIDECAR_TWILIO_AUTH_TOKEN",
        }
    }
}

/// Why a secret cannot be used; never shows it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Its value is not usable.
    #[error("{origin}: {problem}; allowed: {allowed}")]
    Wrong {
        /// The variable, or the variable and its file.
        origin: String,
        /// What is wrong with it.
        problem: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// It is set twice.
    #[error("{name} and {name}_FILE are both set; allowed: one of them")]
    Twice {
        /// The variable.
        name: String,
    },
    /// It is needed and not set.
    #[error("{name} is not set, and {needed_by} needs it; set it, or {name}_FILE to a file that holds it")]
    Missing {
        /// The variable.
        name: String,
        /// What needs it.
        needed_by: String,
    },
    /// The file cannot be read.
    #[error("{name}_FILE: {} cannot be read: {problem}", path.display())]
    Unreadable {
        /// The variable without `_FILE`.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A variable that is nearly one of ours.
    #[error("{name}: unknown secret; did you mean {nearest}?")]
    Unknown {
        /// The variable.
        name: String,
        /// The right name.
        nearest: String,
    },
}

/// Every secret that is wrong; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretErrors(pub(super) Vec<SecretError>);

impl SecretErrors {
    /// Each error.
    pub fn iter(&self) -> impl Iterator<Item = &SecretError> {
        self.0.iter()
    }
}

impl fmt::Display for SecretErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list_errors(f, "secret", &self.0)
    }
}

impl std::error::Error for SecretErrors {}

/// Reads the secrets that are `used`, from variables or the files that they name. What is not used is not looked at, so
/// that it can neither stop a command that has no need of it nor lie in its memory; a name that is nearly one of ours is an
/// error all the same.
///
/// # Errors
/// Everything that is wrong, at once, without showing any secret.
pub fn load_secrets(env: &Env, used: &[SecretName]) -> Result<Secrets, SecretErrors> {
    let errors = env.names().filter_map(misspelt).collect();
    let mut reader = Reader { env, used, errors };
    let secrets = Secrets {
        room_token: reader.take(SecretName::RoomToken, TOKEN),
        sip_password: reader.take(SecretName::SipPassword, PASSWORD),
        llm_api_key: reader.take(SecretName::LlmApiKey, TOKEN),
        review_token: reader.take(SecretName::ReviewToken, TOKEN),
        livekit_api_key: reader.take(SecretName::LivekitApiKey, TOKEN),
        livekit_api_secret: reader.take(SecretName::LivekitApiSecret, PASSWORD),
        twilio_auth_tokens: reader.take(SecretName::TwilioAuthToken, TOKENS).unwrap_or_default(),
        webhook: reader.take(SecretName::Webhook, SIGNING).unwrap_or_default(),
    };
    if reader.errors.is_empty() { Ok(secrets) } else { Err(SecretErrors(reader.errors)) }
}

struct Reader<'a> {
    env: &'a Env,
    used: &'a [SecretName],
    errors: Vec<SecretError>,
}

impl Reader<'_> {
    /// Reads one secret if it is used, or keeps what is wrong with it.
    fn take<T>(&mut self, name: SecretName, form: Form<T>) -> Option<T> {
        if !self.used.contains(&name) {
            return None;
        }
        read_one(self.env, name.variable(), form).unwrap_or_else(|error| {
            self.errors.push(error);
            None
        })
    }
}

/// What a secret has to look like: how it is read from text that is not empty, and what is allowed, for people.
pub(super) struct Form<T> {
    pub(super) read: fn(&str) -> Result<T, String>,
    pub(super) allowed: &'static str,
}

/// Goes into an HTTP header.
pub(super) const TOKEN: Form<Secret> = Form { read: token, allowed: "visible ASCII characters without spaces" };

/// Is hashed, or signs; never sent.
const PASSWORD: Form<Secret> = Form { read: password, allowed: "characters on one line" };

/// One or more secrets that others sign with.
const TOKENS: Form<Vec<Secret>> =
    Form { read: tokens, allowed: "visible ASCII characters; several separated by spaces" };

/// One or more signing secrets.
const SIGNING: Form<Vec<WebhookSecret>> = Form {
    read: signing,
    allowed: "whsec_ and base64 of 24 to 64 bytes; several separated by spaces, the newest first",
};

fn token(text: &str) -> Result<Secret, String> {
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(Secret::new(text))
    } else {
        Err("it holds a space, a control character or something other than ASCII".into())
    }
}

fn tokens(text: &str) -> Result<Vec<Secret>, String> {
    text.split_ascii_whitespace().map(token).collect()
}

fn password(text: &str) -> Result<Secret, String> {
    if text.chars().any(char::is_control) { Err("it holds a control character".into()) } else { Ok(Secret::new(text)) }
}

fn signing(text: &str) -> Result<Vec<WebhookSecret>, String> {
    let one = |(at, secret): (usize, &str)| {
        secret.parse().map_err(|error: NotASecret| format!("secret {}: {}", at + 1, error.problem()))
    };
    text.split_ascii_whitespace().enumerate().map(one).collect()
}

/// Reads one secret; `None` when it is not set.
pub(super) fn read_one<T>(env: &Env, name: &str, form: Form<T>) -> Result<Option<T>, SecretError> {
    let file_name = format!("{name}_FILE");
    let wrong = |origin: String, problem: String| SecretError::Wrong { origin, problem, allowed: form.allowed };
    let not_text = |origin: &str| wrong(origin.to_owned(), NotUtf8.to_string());
    let here = env.get(name).map_err(|_| not_text(name))?;
    let file = env.get(&file_name).map_err(|_| not_text(&file_name))?;
    let (text, origin) = match (here, file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(SecretError::Twice { name: name.to_owned() }),
        (Some(text), None) => (text.to_owned(), name.to_owned()),
        (None, Some(path)) => {
            let path = PathBuf::from(path);
            let unreadable = |problem| SecretError::Unreadable { name: name.to_owned(), path: path.clone(), problem };
            let text = read_file(&path).map_err(unreadable)?;
            (text, format!("{file_name} ({})", path.display()))
        }
    };
    if text.trim().is_empty() {
        return Err(wrong(origin, "it is empty".to_owned()));
    }
    (form.read)(&text).map(Some).map_err(|problem| wrong(origin, problem))
}

/// The file's text without the line break that editors put at its end.
fn read_file(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let size = File::open(path)
        .and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if size as u64 > FILE_BYTES {
        return Err(format!("it is larger than {} KiB", FILE_BYTES >> 10));
    }
    let text = String::from_utf8(bytes).map_err(|_| NotUtf8.to_string())?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// A variable that is one or two typing errors away from a secret would leave that secret unset, silently.
fn misspelt(name: &str) -> Option<SecretError> {
    let known = || {
        let variables = SecretName::ALL.into_iter().map(SecretName::variable);
        variables.flat_map(|name| [name.to_owned(), format!("{name}_FILE")])
    };
    if known().any(|known| known == name) {
        return None;
    }
    let nearest = known().min_by_key(|known| strsim::damerau_levenshtein(known, name))?;
    (strsim::damerau_levenshtein(&nearest, name) <= 2).then(|| SecretError::Unknown { name: plain(name), nearest })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const GOOD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn secrets(variables: &[(&str, &str)]) -> Result<Secrets, SecretErrors> {
        load_secrets(&variables.iter().copied().collect(), &SecretName::ALL)
    }

    #[test]
    fn secrets_come_from_variables_or_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "t0ken\r\n").unwrap();
        let both = format!(" {GOOD}  whsec_{} ", STANDARD.encode([7; 64]));
        let read = secrets(&[
            ("SIDECAR_ROOM_TOKEN_FILE", file.to_str().unwrap()),
            ("SIDECAR_WEBHOOK_SECRET", &both),
            ("SIDECAR_SIP_PASSWORD", "pass word é"),
        ])
        .unwrap();
        assert_eq!(read.room_token.map(|s| s.expose().to_owned()).as_deref(), Some("t0ken"));
        assert_eq!(
            read.webhook.iter().map(WebhookSecret::expose).collect::<Vec<_>>(),
            both.split_whitespace().collect::<Vec<_>>()
        );
        assert_eq!(read.sip_password.map(|s| s.expose().to_owned()).as_deref(), Some("pass word é"));
        assert!(read.llm_api_key.is_none() && read.review_token.is_none());
    }

    #[test]
    fn nothing_set_is_no_secrets() {
        let read = secrets(&[("SIDECAR_SENTIMENT_THRESHOLD", "3"), ("SIDECAR_STORE", "x")]).unwrap();
        assert!(read.room_token.is_none() && read.webhook.is_empty());
    }

    #[test]
    fn bad_secrets_are_refused_together_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none");
        let short = format!("{GOOD} whsec_{}", STANDARD.encode(b"hunter2hunter2"));
        let errors = secrets(&[
            ("SIDECAR_ROOM_TOKEN", "hunter2\r\nX-Evil: 1"),
            ("SIDECAR_WEBHOOK_SECRET", &short),
            ("SIDECAR_SIP_PASSWORD", "hunter2"),
            ("SIDECAR_SIP_PASSWORD_FILE", "/hunter2"),
            ("SIDECAR_LLM_API_KEY", ""),
            ("SIDECAR_REVIEW_TOKEN_FILE", missing.to_str().unwrap()),
            ("SIDECAR_WEBHOOK_SECRETS", "hunter2"),
        ])
        .unwrap_err();
        let shown = errors.to_string().replace(folder.path().to_str().unwrap(), "FOLDER");
        assert!(!shown.contains("hunter2") && !format!("{errors:?}").contains("hunter2"), "{shown}");
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn what_a_command_does_not_use_cannot_stop_it_but_a_wrong_name_can() {
        let wrong =
            [("SIDECAR_ROOM_TOKEN", "t0ken"), ("SIDECAR_WEBHOOK_SECRET", ""), ("SIDECAR_SIP_PASSWORD_FILE", "/")];
        let load = |variables: &[(&str, &str)], used| load_secrets(&variables.iter().copied().collect(), used);
        let read = load(&wrong, &[SecretName::LlmApiKey]).unwrap();
        assert!(read.room_token.is_none() && read.webhook.is_empty());
        assert!(load(&wrong, &[SecretName::RoomToken]).unwrap().room_token.is_some());
        assert!(load(&wrong, &[SecretName::RoomToken, SecretName::Webhook]).is_err());
        assert!(load(&[("SIDECAR_ROOM_TOKENS", "t0ken")], &[]).is_err());
    }

    #[test]
    fn every_form_of_a_bad_signing_secret_is_told_apart() {
        for (bad, problem) in [
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "it does not begin with whsec_"),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "what follows whsec_ is not Base64"),
            ("whsec_!!!", "what follows whsec_ is not Base64"),
            ("whsec_AAAA", "its key is shorter than 24 bytes"),
            (&format!("whsec_{}", STANDARD.encode([1; 65])), "its key is longer than 64 bytes"),
        ] {
            let error = secrets(&[("SIDECAR_WEBHOOK_SECRET", bad)]).unwrap_err().to_string();
            assert!(error.contains(problem) && !error.contains(bad), "{error}");
        }
    }
}
