//! Who may use the review pages, and for what: [`Users`].

use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::config::secret::Secret;

/// Whoever comes with `SIDECAR_REVIEW_TOKEN`.
const TOKEN_NAME: &str = "supervisor";
/// Longest name, in characters.
const NAME_CHARS: usize = 64;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// See alerts.
    Viewer,
    /// Also claim them, judge them and send them again.
    Supervisor,
}

/// Somebody who may use the pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// What others see.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// An entry of the users file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    role: Role,
    /// SHA-256 of their token, in hexadecimal digits. Tokens are random, so that nobody guesses one from it.
    token_sha256: String,
}

/// Why a users file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadUsers {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// It is no list of users.
    #[error("{path}: {problem}; write [{{\"name\": \"dana\", \"role\": \"supervisor\", \"token_sha256\": \"…\"}}]")]
    Wrong {
        /// The file.
        path: String,
        /// What is wrong, without any hash.
        problem: String,
    },
}

/// Everybody who may use the pages.
#[derive(Debug, Default)]
pub struct Users {
    token: Option<Secret>,
    named: Vec<Entry>,
}

impl Users {
    /// Those who have this token, and those in a file.
    ///
    /// # Errors
    /// [`BadUsers`] when the file cannot be used.
    pub fn new(token: Option<Secret>, file: Option<&Path>) -> Result<Self, BadUsers> {
        let named = match file {
            Some(file) => read(file)?,
            None => Vec::new(),
        };
        Ok(Self { token, named })
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.token.is_none() && self.named.is_empty()
    }

    /// Who has this token. How long it takes does not tell how much of one was right.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Option<User> {
        let given = Sha256::digest(token.as_bytes());
        let ours = self.token.as_ref().filter(|ours| Sha256::digest(ours.expose().as_bytes()) == given);
        if ours.is_some() {
            return Some(User { name: TOKEN_NAME.to_owned(), role: Role::Supervisor });
        }
        let hex: String = given.iter().map(|byte| format!("{byte:02x}")).collect();
        let named = self.named.iter().find(|entry| entry.token_sha256.eq_ignore_ascii_case(&hex))?;
        Some(User { name: named.name.clone(), role: named.role })
    }

    /// Who is called so, as a proxy says it that has asked them itself. Whom the file does not name may only see.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<User> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARS || name.chars().any(char::is_control) {
            return None;
        }
        let role = self.named.iter().find(|entry| entry.name == name).map_or(Role::Viewer, |entry| entry.role);
        Some(User { name: name.to_owned(), role })
    }
}

fn read(file: &Path) -> Result<Vec<Entry>, BadUsers> {
    let path = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| BadUsers::Unreadable { path: path.clone(), error })?;
    let wrong = |problem: String| BadUsers::Wrong { path: path.clone(), problem };
    let entries: Vec<Entry> = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    for (n, entry) in entries.iter().enumerate() {
        let name = entry.name.trim();
        if name.is_empty() || name != entry.name || name.chars().count() > NAME_CHARS || name == TOKEN_NAME {
            return Err(wrong(format!("entry {}: its name is empty, too long or taken", n + 1)));
        }
        if entry.token_sha256.len() != 64 || !entry.token_sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong(format!("entry {}: token_sha256 is not 64 hexadecimal digits", n + 1)));
        }
        if entries[..n].iter().any(|other| other.name == entry.name) {
            return Err(wrong(format!("entry {}: {} stands there twice", n + 1, entry.name)));
        }
        // What one of them does would stand in the audit log as the other's.
        if let Some(other) =
            entries[..n].iter().find(|other| other.token_sha256.eq_ignore_ascii_case(&entry.token_sha256))
        {
            return Err(wrong(format!("entry {}: {} has the token of {}", n + 1, entry.name, other.name)));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    fn users(text: &str) -> Result<Users, BadUsers> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users.json");
        std::fs::write(&file, text).unwrap();
        Users::new(Some(Secret::new("t0ken")), Some(&file))
    }

    #[test]
    fn a_token_is_somebodys_or_nobodys() {
        // SHA-256 of "abc".
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let users = users(&format!(r#"[{{"name": "dana", "role": "viewer", "token_sha256": "{hash}"}}]"#)).unwrap();
        assert_eq!(users.with_token("t0ken").unwrap().role, Role::Supervisor);
        assert_eq!(users.with_token("abc"), Some(User { name: "dana".to_owned(), role: Role::Viewer }));
        assert!(
            users.with_token("abd").is_none() && users.with_token("").is_none() && users.with_token(hash).is_none()
        );
        assert_eq!(users.named("dana").unwrap().role, Role::Viewer);
        assert_eq!(users.named("somebody else").unwrap().role, Role::Viewer);
        assert!(users.named("").is_none() && users.named("a\nb").is_none());
        assert!(!format!("{users:?}").contains("t0ken"));
    }

    #[test]
    fn a_users_file_that_is_none_is_told_with_its_place() {
        let of = |name: &str, digit: &str| {
            format!(r#"{{"name": "{name}", "role": "viewer", "token_sha256": "{}"}}"#, digit.repeat(64))
        };
        let both = format!("[{},{}]", of("a", "e"), of("b", "E"));
        for (text, why) in [
            ("{}", "invalid type"),
            (r#"[{"name": "a", "role": "boss", "token_sha256": ""}]"#, "unknown variant"),
            (r#"[{"name": "a", "role": "viewer", "token_sha256": "hush"}]"#, "entry 1: token_sha256"),
            (r#"[{"name": "", "role": "viewer", "token_sha256": ""}]"#, "entry 1: its name"),
            (&both, "entry 2: b has the token of a"),
        ] {
            let error = users(text).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("users.json"), "{error}");
        }
    }
}
