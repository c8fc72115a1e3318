//! Secrets for a command: from the environment, wrong ones refused before anything is begun.

use super::exit::{Exit, Failure};
use crate::config::env::Env;
use crate::config::secret::{Secret, SecretError, SecretName, Secrets, load_secrets};
use crate::room::livekit::token::{ApiKey, GivenToken, Key};

/// Reads the secrets that the command uses from the process's environment.
///
/// # Errors
/// [`Exit::BadSettings`] when one is wrong; none is shown.
pub(super) fn load(used: &[SecretName]) -> Result<Secrets, Failure> {
    load_secrets(&Env::of_process(), used).map_err(|errors| Failure::new(Exit::BadSettings, errors))
}

/// Names who calls.
const CALLER: &str = "SIDECAR_CALLER";

/// Who calls, where the room cannot say: a number is no secret to keep from those who are told of alerts, but nobody else's
/// business either, so it is no flag, which all users of a machine may read.
///
/// # Errors
/// [`Exit::BadSettings`] when it is no text on one line.
pub(super) fn caller() -> Result<Option<Secret>, Failure> {
    let wrong = |problem: &str| {
        Failure::new(Exit::BadSettings, format!("{CALLER}: {problem}; allowed: characters on one line"))
    };
    let env = Env::of_process();
    let caller = env.get(CALLER).map_err(|error| wrong(&error.to_string()))?.map(str::trim);
    match caller.filter(|caller| !caller.is_empty()) {
        Some(caller) if caller.chars().any(char::is_control) => Err(wrong("it holds a control character")),
        caller => Ok(caller.map(Secret::new)),
    }
}

/// What lets us into LiveKit rooms: the API key, which opens everything, or else the room token.
///
/// # Errors
/// [`Exit::BadSettings`] when neither is set, or the key without its secret.
pub(super) fn livekit_key(secrets: &Secrets) -> Result<Key, Failure> {
    match (key_of_server(secrets)?, &secrets.room_token) {
        (Some(key), _) => Ok(Key::Api(key)),
        (None, Some(token)) => Ok(Key::Token(GivenToken::new(token.clone()))),
        (None, None) => Err(missing(SecretName::LivekitApiKey, "--dialect livekit")
            .help("or set SIDECAR_ROOM_TOKEN to a token that somebody made for the room")),
    }
}

/// The API key that calls at OpenAI want.
///
/// # Errors
/// [`Exit::BadSettings`] when it is not set.
pub(super) fn openai_key(secrets: &Secrets) -> Result<Secret, Failure> {
    let key = secrets.room_token.clone();
    key.ok_or_else(|| missing(SecretName::RoomToken, "--dialect openai").help("it is the API key of the project"))
}

/// The API key of a LiveKit server, which no token can stand for.
///
/// # Errors
/// [`Exit::BadSettings`] when key or secret is not set.
pub(super) fn livekit_api_key(secrets: &Secrets) -> Result<ApiKey, Failure> {
    key_of_server(secrets)?.ok_or_else(|| missing(SecretName::LivekitApiKey, "a worker"))
}

/// The API key, where there is one; never half of it.
fn key_of_server(secrets: &Secrets) -> Result<Option<ApiKey>, Failure> {
    match (&secrets.livekit_api_key, &secrets.livekit_api_secret) {
        (Some(key), Some(secret)) => Ok(Some(ApiKey { key: key.clone(), secret: secret.clone() })),
        (Some(_), None) => Err(missing(SecretName::LivekitApiSecret, "SIDECAR_LIVEKIT_API_KEY")),
        (None, Some(_)) => Err(missing(SecretName::LivekitApiKey, "SIDECAR_LIVEKIT_API_SECRET")),
        (None, None) => Ok(None),
    }
}

fn missing(name: SecretName, needed_by: &str) -> Failure {
    let error = SecretError::Missing { name: name.variable().to_owned(), needed_by: needed_by.to_owned() };
    Failure::new(Exit::BadSettings, error)
}
