//! The pages, as browsers get them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use futures_util::future::join_all;
use serde::Deserialize;

use super::call::{Chart, Turn, last_turns, whole_call};
use super::query::{BadField, BadQuery, OF_LIST, PAGE, Search, asked};
use super::session::{COOKIE, LASTS_S};
use super::state::{NOTE_CHARS, Review};
use super::view::{Period, Row, class, second};
use super::visitor::{Visitor, Wrong, problem, with_token};
use crate::alert::AlertId;
use crate::alert::notice::NoticeEvent;
use crate::alert::verdict::Verdict;
use crate::clock::unix_ms;
use crate::store::review::{AlertFilter, Concern, Said, SaidVerdict, outcome_names};
use crate::store::whole::{Happened, Whole};
use crate::store::{OutboxState, StoreError};

const STYLE: &str = include_str!("pages/style.css");

/// What every page knows of who reads it.
pub(super) struct Frame {
    pub(super) name: String,
    pub(super) seal: String,
    pub(super) may_change: bool,
}

impl Frame {
    pub(super) fn of(visitor: &Visitor, review: &Review) -> Self {
        Self { name: visitor.user.name.clone(), seal: visitor.seal(review), may_change: visitor.may_change() }
    }
}

#[derive(Template)]
#[template(path = "login.html", config = "src/web/pages/askama.toml")]
struct LoginPage<'a> {
    to: &'a str,
    problem: &'a str,
}

#[derive(Template)]
#[template(path = "alerts.html", config = "src/web/pages/askama.toml")]
struct AlertsPage<'a> {
    frame: Frame,
    search: &'a Search,
    days: u64,
    period_words: String,
    period: Period,
    /// Where what is undelivered in it is listed.
    undelivered: String,
    rows: Vec<Row>,
    next: Option<String>,
    outcomes: [&'static str; 9],
}

#[derive(Template)]
#[template(path = "alert.html", config = "src/web/pages/askama.toml")]
struct AlertPage {
    frame: Frame,
    id: String,
    class: &'static str,
    severity: &'static str,
    said: String,
    facts: Vec<(&'static str, String)>,
    chart: Option<Chart>,
    turns: Vec<Turn>,
    transcript: Vec<Turn>,
    timeline: Vec<(String, String)>,
    claimed: Option<(String, bool)>,
    verdict: &'static str,
    note: String,
    /// When that was said; 0 where nobody has said anything.
    said_ms: u64,
    undelivered: bool,
}

#[derive(Template)]
#[template(path = "problem.html", config = "src/web/pages/askama.toml")]
struct ProblemPage<'a> {
    title: &'a str,
    detail: &'a str,
}

/// A page, or the words that there is none.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made\n").into_response()
        }
    }
}

/// Why there is no page.
pub(super) enum Trouble {
    Store(StoreError),
    Field(BadField),
    Query(BadQuery),
    Nothing,
    Role,
    Seal,
    Form(&'static str),
    Meanwhile { note: String },
    Held,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<BadField> for Trouble {
    fn from(error: BadField) -> Self {
        Self::Field(error)
    }
}

impl From<BadQuery> for Trouble {
    fn from(error: BadQuery) -> Self {
        Self::Query(error)
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let (status, title, detail) = match self {
            Self::Store(error) => {
                tracing::error!(%error, "a page could not be made");
                let detail = "The store cannot be used at this moment. Try again; operations can read why in the log.";
                (StatusCode::SERVICE_UNAVAILABLE, "Not now", detail.to_owned())
            }
            Self::Field(error) => (StatusCode::BAD_REQUEST, "That cannot be searched for", error.to_string()),
            Self::Query(error) => {
                let detail = format!("In the address of the page, {error}. Mend it there, or begin anew below.");
                (StatusCode::BAD_REQUEST, "That cannot be searched for", detail)
            }
            Self::Nothing => {
                (StatusCode::NOT_FOUND, "There is no such page", "The alert may have been forgotten by now.".to_owned())
            }
            Self::Role => (StatusCode::FORBIDDEN, "You may look only", "This needs the role supervisor.".to_owned()),
            Self::Seal => {
                let detail =
                    "The form is not from a page of yours, or you have logged in since. Go back and try again.";
                (StatusCode::FORBIDDEN, "Not from here", detail.to_owned())
            }
            Self::Meanwhile { note } => {
                let mut detail =
                    "Yours is not kept, and theirs is: go back, load the page again, and read it.".to_owned();
                if !note.is_empty() {
                    detail.push_str(" You wrote: ");
                    detail.push_str(&note);
                }
                (StatusCode::CONFLICT, "Somebody said something else meanwhile", detail)
            }
            Self::Held => {
                let detail = "It waits for the outcome of the transfer, and goes out with it.";
                (StatusCode::CONFLICT, "Not yet", detail.to_owned())
            }
            Self::Form(detail) => (StatusCode::BAD_REQUEST, "That does not fit", detail.to_owned()),
        };
        page(status, &ProblemPage { title, detail: &detail })
    }
}

pub(super) async fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")];
    (headers, STYLE).into_response()
}

/// A script, as browsers get it.
pub(super) fn javascript(text: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")];
    (headers, text).into_response()
}

pub(super) async fn nowhere(uri: Uri) -> Response {
    if uri.path().starts_with("/api/") {
        return problem(StatusCode::NOT_FOUND, "there is no such address; /api/openapi.json has those that there are");
    }
    Trouble::Nothing.into_response()
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct LoginForm {
    token: String,
    to: String,
}

/// Where to go after logging in: a page of ours, whatever the address said.
fn own_page(to: &str) -> &str {
    let inside = to.starts_with('/') && !to.starts_with("//") && !to.contains('\\') && !to.contains(char::is_control);
    if inside { to } else { "/" }
}

pub(super) async fn login(Query(form): Query<LoginForm>) -> Response {
    page(StatusCode::OK, &LoginPage { to: own_page(&form.to), problem: "" })
}

pub(super) async fn log_in(
    State(review): State<Arc<Review>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> Response {
    let to = own_page(&form.to);
    if is_from_elsewhere(&headers) {
        return Trouble::Seal.into_response();
    }
    let user = match with_token(&review, form.token.trim(), address.ip(), &headers) {
        Ok(user) => user,
        Err(Wrong::TooMany) => {
            let problem = "Too many wrong tokens from here, and this one is wrong as well. Check that it is whole.";
            return page(StatusCode::TOO_MANY_REQUESTS, &LoginPage { to, problem });
        }
        Err(Wrong::Token) => {
            let problem = "Nobody has this token. Check that it is whole, without spaces.";
            return page(StatusCode::UNAUTHORIZED, &LoginPage { to, problem });
        }
    };
    let now_ms = unix_ms();
    if let Err(error) = review.store.audit(&user.name, "log in", Concern::Many, now_ms).await {
        return Trouble::Store(error).into_response();
    }
    let value = review.keys.cookie(&user, now_ms / 1000);
    let secure = if review.options.behind_tls { "; Secure" } else { "" };
    // Lax, so that a link in a message leads in: what changes something is sealed besides.
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={LASTS_S}{secure}");
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SealedForm {
    seal: String,
    verdict: String,
    note: String,
    /// When what the page shows was said; 0 where nobody had said anything.
    said_ms: String,
    /// From whom somebody takes over.
    from: String,
}

/// Whether a browser says that another site sent this.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

/// That a change is asked for by somebody who may, from a page of theirs.
fn sealed(review: &Review, visitor: &Visitor, headers: &HeaderMap, form: &SealedForm) -> Result<(), Trouble> {
    let own = !is_from_elsewhere(headers) && visitor.has_sealed(review, &form.seal);
    if own { Ok(()) } else { Err(Trouble::Seal) }
}

fn may(review: &Review, visitor: &Visitor, headers: &HeaderMap, form: &SealedForm) -> Result<(), Trouble> {
    sealed(review, visitor, headers, form)?;
    if visitor.may_change() { Ok(()) } else { Err(Trouble::Role) }
}

pub(super) async fn log_out(
    State(review): State<Arc<Review>>,
    visitor: Visitor,
    headers: HeaderMap,
    Form(form): Form<SealedForm>,
) -> Result<Response, Trouble> {
    sealed(&review, &visitor, &headers, &form)?;
    let gone = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    Ok(([(header::SET_COOKIE, gone)], Redirect::to("/login")).into_response())
}

pub(super) async fn alerts(State(review): State<Arc<Review>>, visitor: Visitor, uri: Uri) -> Result<Response, Trouble> {
    let search: Search = asked(&uri, OF_LIST)?;
    let filter: AlertFilter = search.filter()?;
    let (since_ms, until_ms) = search.period()?;
    let rates = review.store.rates(since_ms, until_ms).await?;
    let listed = review.store.alerts(&filter, PAGE).await?;
    review.store.audit(&visitor.user.name, "list", Concern::Many, unix_ms()).await?;
    let next = listed.last().filter(|_| listed.len() == PAGE as usize);
    let template = AlertsPage {
        frame: Frame::of(&visitor, &review),
        days: search.days()?,
        period_words: search.period_words()?,
        undelivered: search.undelivered_too(),
        period: Period::of(&rates),
        rows: listed.iter().map(Row::of).collect(),
        next: next.map(|last| search.after(last.created_ms, &last.alert.id)),
        search: &search,
        outcomes: outcome_names(),
    };
    Ok(page(StatusCode::OK, &template))
}

pub(super) async fn alert(
    State(review): State<Arc<Review>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let id = AlertId::from(id);
    let whole = Whole::read(&review.store, &id).await?.ok_or(Trouble::Nothing)?;
    let alert = &whole.stored.alert;
    review.store.audit(&visitor.user.name, "read", Concern::Alert(&id), unix_ms()).await?;
    let timeline = whole.timeline();
    let course = whole.course();
    let when = |one: &Happened| (one.at_ms.map_or_else(String::new, second), one.words.clone());
    let undelivered = |row: &crate::store::OutboxRow| {
        row.state == OutboxState::GaveUp || (row.event == NoticeEvent::Alert && row.state == OutboxState::Pending)
    };
    let transcript = whole.kept.as_ref().map(|kept| whole_call(&kept.recording, course, alert)).unwrap_or_default();
    let template = AlertPage {
        frame: Frame::of(&visitor, &review),
        id: id.to_string(),
        class: class(alert.severity),
        severity: alert.severity.name(),
        said: crate::alert::payload::description(alert),
        // What stands above already is left out.
        facts: whole.facts().into_iter().filter(|(name, _)| !matches!(*name, "what" | "verdict" | "ratings")).collect(),
        chart: Chart::of(alert, course, &timeline, &transcript),
        turns: last_turns(alert),
        transcript,
        timeline: timeline.iter().map(when).collect(),
        claimed: whole.claimed.as_ref().map(|claimed| (claimed.by.clone(), claimed.by == visitor.user.name)),
        verdict: whole.verdict.as_ref().map_or("", |said| said.verdict.name()),
        note: whole.verdict.as_ref().map(|said| said.note.clone()).unwrap_or_default(),
        said_ms: whole.verdict.as_ref().map_or(0, |said| said.said_ms),
        undelivered: whole.notices.iter().any(undelivered),
    };
    Ok(page(StatusCode::OK, &template))
}

/// The page of an alert that there is.
fn back_to(id: &AlertId) -> Response {
    // The id is one of the store's, and those are letters and digits.
    Redirect::to(&format!("/alerts/{id}")).into_response()
}

pub(super) async fn verdict(
    State(review): State<Arc<Review>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(form): Form<SealedForm>,
) -> Result<Response, Trouble> {
    may(&review, &visitor, &headers, &form)?;
    let verdict = Verdict::of(&form.verdict).ok_or(Trouble::Form("Choose right, wrong or late."))?;
    if form.note.chars().count() > NOTE_CHARS {
        return Err(Trouble::Form("The note is longer than 2000 characters."));
    }
    let (id, now_ms) = (AlertId::from(id), unix_ms());
    let said = SaidVerdict { verdict, note: form.note, said_by: visitor.user.name.clone(), said_ms: now_ms };
    match review.store.say_knowing(&id, &said, form.said_ms.parse().ok(), &visitor.user.name).await? {
        Said::Kept => {}
        Said::Meanwhile => return Err(Trouble::Meanwhile { note: said.note }),
        Said::NoAlert => return Err(Trouble::Nothing),
    }
    Ok(back_to(&id))
}

pub(super) async fn claim(
    State(review): State<Arc<Review>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(form): Form<SealedForm>,
) -> Result<Response, Trouble> {
    may(&review, &visitor, &headers, &form)?;
    let (id, now_ms) = (AlertId::from(id), unix_ms());
    let (me, from) = (&visitor.user.name, &form.from);
    // Somebody else may have it, as the page says then.
    let claimed = if from.is_empty() {
        review.store.take(&id, me, now_ms).await?
    } else {
        review.store.take_over(&id, from, me, now_ms).await?
    };
    claimed.ok_or(Trouble::Nothing)?;
    Ok(back_to(&id))
}

pub(super) async fn release(
    State(review): State<Arc<Review>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(form): Form<SealedForm>,
) -> Result<Response, Trouble> {
    may(&review, &visitor, &headers, &form)?;
    let id = AlertId::from(id);
    if !review.store.let_go(&id, &visitor.user.name, unix_ms()).await? {
        // Somebody may have taken over meanwhile, as the page says then.
        review.store.alert(&id).await?.ok_or(Trouble::Nothing)?;
    }
    Ok(back_to(&id))
}

pub(super) async fn resend(
    State(review): State<Arc<Review>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(form): Form<SealedForm>,
) -> Result<Response, Trouble> {
    may(&review, &visitor, &headers, &form)?;
    let (id, now_ms) = (AlertId::from(id), unix_ms());
    review.store.alert(&id).await?.ok_or(Trouble::Nothing)?;
    let resent = review.store.resend(&id, &review.outgoing, false, &visitor.user.name, now_ms).await?;
    if resent.due == 0 && resent.held > 0 {
        return Err(Trouble::Held);
    }
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for row in review.store.notices(&id).await?.into_iter().filter(|row| row.state == OutboxState::Pending) {
        *places.entry(row.target).or_default() += 1;
    }
    // No place waits for another one that hangs. What does not go through now stays in the outbox, and the page says so.
    let (deliverer, of) = (&review.deliverer, &id);
    let sends = places.into_iter().map(|(place, notices)| async move {
        // That it is over is told behind it, and only then.
        for _ in 0..notices {
            deliverer.deliver_to(of, &place).await;
        }
    });
    join_all(sends).await;
    Ok(back_to(&id))
}
