//! What a format makes of an alert: [`Rendered`].

/// A request that tells somebody of an alert. Its body may hold a key: there is no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::notify) struct Rendered {
    /// `content-type`.
    pub(in crate::notify) content_type: &'static str,
    /// Further headers.
    pub(in crate::notify) headers: Vec<(&'static str, String)>,
    /// The body.
    pub(in crate::notify) body: String,
}

impl Rendered {
    pub(super) fn json(body: String) -> Self {
        Self { content_type: "application/json", headers: Vec::new(), body }
    }
}
