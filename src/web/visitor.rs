//! Who asks: [`Visitor`], from a cookie, a bearer token, or a proxy's header.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::session::COOKIE;
use super::state::Review;
use super::users::{Role, User};
use crate::clock::unix_ms;

/// Somebody who may see the pages.
pub(super) struct Visitor {
    pub(super) user: User,
    /// Who it is to whom their forms are bound: their cookie, or their name.
    subject: String,
    /// Whether they came with a token of their own, which no browser sends by itself.
    pub(super) by_token: bool,
}

/// Why somebody may not.
pub(super) enum Stranger {
    /// A browser is shown where to log in, and comes back here.
    Page { to: String },
    /// A program is told.
    Program,
    /// Too many wrong tokens.
    TooMany,
    /// The proxy's header says several times who it is: one of them the browser may have sent.
    Several { header: HeaderName },
}

impl IntoResponse for Stranger {
    fn into_response(self) -> Response {
        match self {
            Self::Page { to } => {
                Redirect::to(&format!("/login?to={}", utf8_percent_encode(&to, NON_ALPHANUMERIC))).into_response()
            }
            Self::Program => problem(StatusCode::UNAUTHORIZED, "log in, or send a token as Authorization: Bearer"),
            Self::TooMany => problem(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens; try again in a minute"),
            Self::Several { header } => {
                let detail = format!("{header} came more than once: the proxy must replace it, and not add to it");
                tracing::warn!("a request was refused: {detail}");
                problem(StatusCode::BAD_REQUEST, &detail)
            }
        }
    }
}

/// An error as programs get it.
pub(super) fn problem(status: StatusCode, detail: &str) -> Response {
    (status, axum::Json(serde_json::json!({"error": detail}))).into_response()
}

impl Visitor {
    /// What tells their forms from those of other sites.
    pub(super) fn seal(&self, review: &Review) -> String {
        review.keys.form_token(&self.subject)
    }

    /// Whether a form is from a page of theirs.
    pub(super) fn has_sealed(&self, review: &Review, seal: &str) -> bool {
        !self.by_token && review.keys.is_own_form(&self.subject, seal)
    }

    /// Whether they may change something.
    pub(super) fn may_change(&self) -> bool {
        self.user.role == Role::Supervisor
    }
}

/// Why nobody comes in with a token.
pub(super) enum Wrong {
    /// Nobody has it.
    Token,
    /// The same, and too many wrong ones came from there.
    TooMany,
}

/// Who has a token. A right one lets in whatever else came from its address, as behind a proxy all come from one; it is random, so
/// that nobody finds one by trying.
pub(super) fn with_token(review: &Review, token: &str, peer: IpAddr, headers: &HeaderMap) -> Result<User, Wrong> {
    if let Some(user) = review.users.with_token(token) {
        return Ok(user);
    }
    // Only a proxy that is trusted with who somebody is is believed where they are: it writes its peer behind what they sent.
    let hop = review.options.user_header.as_ref().and_then(|_| last_hop(headers));
    match review.limit.wrong(hop.unwrap_or(peer), Instant::now()) {
        true => Err(Wrong::TooMany),
        false => Err(Wrong::Token),
    }
}

/// The token of an `Authorization` header; its scheme may be written either way (RFC 9110, section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim_start().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The address that the nearest proxy writes down.
fn last_hop(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next()?.trim().parse().ok()
}

/// The page that is asked for, or whose form was sent.
fn page_of(parts: &Parts) -> &str {
    if parts.method == Method::GET {
        return parts.uri.path_and_query().map_or("/", |path| path.as_str());
    }
    let page = parts.uri.path().rsplit_once('/').map_or("/", |(page, _)| page);
    if page.starts_with("/alerts/") { page } else { "/" }
}

/// The cookie's values. Browsers send several, in no order that tells anything, where other hosts of a domain set one too.
fn cookies(parts: &Parts) -> impl Iterator<Item = &str> {
    let all = parts.headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';')).filter_map(|one| one.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

impl FromRequestParts<Arc<Review>> for Visitor {
    type Rejection = Stranger;

    async fn from_request_parts(parts: &mut Parts, review: &Arc<Review>) -> Result<Self, Stranger> {
        let is_api = parts.uri.path().starts_with("/api/");
        if let Some(name) = &review.options.user_header {
            let mut values = parts.headers.get_all(name).into_iter();
            let first = values.next();
            if values.next().is_some() {
                return Err(Stranger::Several { header: name.clone() });
            }
            if let Some(user) = first.and_then(|value| review.users.named(value.to_str().ok()?)) {
                let subject = format!("name {}", user.name);
                return Ok(Self { user, subject, by_token: false });
            }
        }
        let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.to_str().ok()?));
        if let Some(token) = bearer.filter(|_| is_api) {
            let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
            let peer = peer.unwrap_or_else(|| [0, 0, 0, 0].into());
            let user = with_token(review, token, peer, &parts.headers).map_err(|wrong| match wrong {
                Wrong::Token => Stranger::Program,
                Wrong::TooMany => Stranger::TooMany,
            })?;
            return Ok(Self { user, subject: String::new(), by_token: true });
        }
        let now_s = unix_ms() / 1000;
        let known = cookies(parts).find_map(|cookie| Some((review.keys.user(cookie, now_s)?, cookie)));
        if let Some((user, cookie)) = known {
            return Ok(Self { user, subject: cookie.to_owned(), by_token: false });
        }
        Err(if is_api { Stranger::Program } else { Stranger::Page { to: page_of(parts).to_owned() } })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn a_bearer_token_is_one_however_its_scheme_is_written() {
        for value in ["Bearer t0ken", "bearer t0ken", "BEARER  t0ken "] {
            assert_eq!(bearer(value), Some("t0ken"), "{value}");
        }
        for none in ["", "Bearer", "Basic dG9rOg==", "Bearert0ken"] {
            assert_eq!(bearer(none), None, "{none}");
        }
    }

    #[test]
    fn whoever_was_logged_out_comes_back_to_the_page_that_they_were_at() {
        let at = |method: Method, address: &str| {
            let request = axum::http::Request::builder().method(method).uri(address).body(());
            let (parts, ()) = request.unwrap().into_parts();
            page_of(&parts).to_owned()
        };
        assert_eq!(at(Method::GET, "/alerts?days=3"), "/alerts?days=3");
        assert_eq!(at(Method::POST, "/alerts/alert_1/verdict"), "/alerts/alert_1");
        assert_eq!(at(Method::POST, "/logout"), "/");
    }

    #[test]
    fn the_last_hop_is_what_the_nearest_proxy_wrote() {
        let mut headers = HeaderMap::new();
        assert_eq!(last_hop(&headers), None);
        headers.append("x-forwarded-for", axum::http::HeaderValue::from_static("10.0.0.9"));
        headers.append("x-forwarded-for", axum::http::HeaderValue::from_static("10.0.0.1, 2001:db8::7"));
        assert_eq!(last_hop(&headers), "2001:db8::7".parse().ok());
        headers.append("x-forwarded-for", axum::http::HeaderValue::from_static("unknown"));
        assert_eq!(last_hop(&headers), None);
    }
}
