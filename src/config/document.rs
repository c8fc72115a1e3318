//! Finds our keys anywhere in an agent document, with the place of each.

use serde_json::Value;

/// Whether a member of an object is wanted.
pub(super) type Wanted = fn(&str) -> bool;

/// A member of some object in the document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) key: String,
    /// RFC 6901.
    pub(super) pointer: String,
    /// Of the key, from 1.
    pub(super) line: usize,
    /// Of the key in characters, from 1.
    pub(super) column: usize,
    pub(super) value: Value,
}

/// Why a text is no agent document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotADocument {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) problem: String,
}

impl From<serde_json::Error> for NotADocument {
    fn from(error: serde_json::Error) -> Self {
        let message = error.to_string();
        // The place is told apart from the message.
        let problem = message.split(" at line ").next().unwrap_or_default().to_owned();
        Self { line: error.line().max(1), column: error.column().max(1), problem }
    }
}

/// The wanted members of every object in the document, in its order. A key that stands twice in one object is found
/// twice. What is inside a wanted member is not searched.
pub(super) fn members(text: &str, wanted: Wanted) -> Result<Vec<Member>, NotADocument> {
    let document: Value = serde_json::from_str(text)?;
    if !document.is_object() {
        return Err(NotADocument { line: 1, column: 1, problem: "it is JSON, but no object".into() });
    }
    let mut scan = Scan { text, at: 0, pointer: String::new(), wanted, found: Vec::new() };
    scan.value()?;
    Ok(scan.found)
}

/// Walks over text that is known to be JSON, nested at most as deep as `serde_json` reads (128).
struct Scan<'a> {
    text: &'a str,
    at: usize,
    pointer: String,
    wanted: Wanted,
    found: Vec<Member>,
}

impl Scan<'_> {
    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let blanks = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        self.at += blanks;
        rest.get(blanks).copied()
    }

    fn value(&mut self) -> Result<(), serde_json::Error> {
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => {
                self.skip_string();
                Ok(())
            }
            _ => {
                self.skip_word();
                Ok(())
            }
        }
    }

    fn object(&mut self) -> Result<(), serde_json::Error> {
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.member()?,
                b'}' => {
                    self.at += 1;
                    break;
                }
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    fn member(&mut self) -> Result<(), serde_json::Error> {
        let key_at = self.at;
        self.skip_string();
        let key: String = serde_json::from_str(self.slice(key_at))?;
        if self.peek() == Some(b':') {
            self.at += 1;
        }
        self.peek();
        let value_at = self.at;
        let parent = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
        if (self.wanted)(&key) {
            let found = self.found.len();
            self.value()?;
            self.found.truncate(found);
            let value = serde_json::from_str(self.slice(value_at))?;
            let (line, column) = place(self.text, key_at);
            self.found.push(Member { key, pointer: self.pointer.clone(), line, column, value });
        } else {
            self.value()?;
        }
        self.pointer.truncate(parent);
        Ok(())
    }

    fn array(&mut self) -> Result<(), serde_json::Error> {
        self.at += 1;
        let parent = self.pointer.len();
        let mut index = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b']' => {
                    self.at += 1;
                    break;
                }
                b',' => self.at += 1,
                _ => {
                    self.pointer.push_str(&format!("/{index}"));
                    self.value()?;
                    self.pointer.truncate(parent);
                    index += 1;
                }
            }
        }
        Ok(())
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'"' => {
                    self.at += 1;
                    return;
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    fn skip_word(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let ends = |b: &u8| matches!(b, b',' | b'}' | b']') || b.is_ascii_whitespace();
        // At least one byte, so that the walk always ends.
        self.at += rest.iter().position(ends).unwrap_or(rest.len()).max(1);
    }

    fn slice(&self, from: usize) -> &str {
        self.text.get(from..self.at).unwrap_or_default()
    }
}

/// Line and column of a byte, both from 1.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn found(text: &str) -> Vec<(String, Value)> {
        members(text, |key| key.starts_with('k')).unwrap().into_iter().map(|m| (m.pointer, m.value)).collect()
    }

    #[test]
    fn members_are_found_anywhere_with_their_place() {
        let text = "{\n  \"a/~\": [{}, [{\"k1\": 1}]],\n  \"é\\\"\": \"k0\", \"k2\" :\t[\"}\", {\"k3\": 3}]}";
        assert_eq!(found(text), [("/a~1~0/1/0/k1".into(), json!(1)), ("/k2".into(), json!(["}", {"k3": 3}]))]);
        let places: Vec<_> =
            members(text, |key| key.starts_with('k')).unwrap().iter().map(|m| (m.line, m.column)).collect();
        assert_eq!(places, [(2, 17), (3, 16)]);
    }

    #[test]
    fn a_key_that_stands_twice_is_found_twice() {
        assert_eq!(found(r#"{"k": 1, "\u006b": 2}"#), [("/k".into(), json!(1)), ("/k".into(), json!(2))]);
    }

    #[test]
    fn what_is_no_json_object_is_told_with_its_place() {
        for (text, line, column) in [("", 1, 1), ("{\n  \"a\": ,}", 2, 8), ("[1]", 1, 1), ("{} x", 1, 4)] {
            let error = members(text, |_| true).unwrap_err();
            assert_eq!((error.line, error.column), (line, column), "{text:?}: {error:?}");
        }
        assert!(members(&"[".repeat(100_000), |_| true).is_err());
    }

    /// Any JSON value, a little nested.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_member_of_the_root_is_found_as_serde_reads_it(
            root in prop::collection::btree_map(any::<String>(), any_json(), 0..6),
            pretty in any::<bool>(),
        ) {
            let root = Value::Object(root.into_iter().collect());
            let text = if pretty { serde_json::to_string_pretty(&root).unwrap() } else { root.to_string() };
            let found = members(&text, |_| true).unwrap();
            prop_assert_eq!(found.len(), root.as_object().unwrap().len());
            for member in found {
                prop_assert_eq!(root.pointer(&member.pointer), Some(&member.value));
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>(), jsonish in r#"[\[\]{}",:\\ka0-9 \n.e+-]{0,40}"#) {
            let _ = members(&text, |_| true);
            let _ = members(&jsonish, |_| true);
            let _ = members(&format!("{{\"a\": {jsonish}}}"), |key| key == "k");
        }
    }
}
