//! Checked words of a message: what may stand as a Call-ID or a tag, and what is wrong with what may not.
//!
//! The grammars are those of RFC 3261 section 25, narrowed where a wider one would let a value break out of its
//! place: no control characters anywhere, no `<`, `>`, `"` or spaces in URIs and tags, no headers in URIs.

use rsipstack::transaction::random_text;

/// Longest accepted value in bytes; real ones are far shorter, and a request must fit a datagram.
pub(super) const MAX_LEN: usize = 512;

/// A value of the handed-over dialog that cannot go into a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the dialog's {field} {problem}")]
pub struct BadField {
    /// The field, as in `welcome.call.sip`.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// A checked `Call-ID`: `word [ "@" word ]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallId(String);

/// A checked tag: a `token`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(String);

impl CallId {
    /// Checks a Call-ID.
    ///
    /// # Errors
    /// [`BadField`] under `field`'s name.
    pub fn new(field: &'static str, text: &str) -> Result<Self, BadField> {
        let (left, right) = text.split_once('@').map_or((text, None), |(l, r)| (l, Some(r)));
        let word = |part: &str| !part.is_empty() && part.bytes().all(is_word);
        if text.len() > MAX_LEN || !word(left) || !right.is_none_or(word) {
            return Err(BadField { field, problem: "is not a Call-ID (RFC 3261: word or word@word)" });
        }
        Ok(Self(text.to_owned()))
    }

    /// A new one of our own at `domain`, which is left out where no Call-ID can hold it.
    pub(super) fn random(domain: &str) -> Self {
        let id = random_text(32);
        Self::new("call_id", &format!("{id}@{domain}")).unwrap_or(Self(id))
    }

    /// The Call-ID itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tag {
    /// Checks a tag.
    ///
    /// # Errors
    /// [`BadField`] under `field`'s name.
    pub fn new(field: &'static str, text: &str) -> Result<Self, BadField> {
        if text.is_empty() || text.len() > MAX_LEN || !text.bytes().all(is_token) {
            return Err(BadField { field, problem: "is not a tag (RFC 3261: a token)" });
        }
        Ok(Self(text.to_owned()))
    }

    /// A new one of our own.
    pub(super) fn random() -> Self {
        Self(random_text(16))
    }

    /// The tag itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b)
}

fn is_word(b: u8) -> bool {
    is_token(b) || b"()<>:\\\"/[]?{}".contains(&b)
}
