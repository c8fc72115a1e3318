//! The JSON API: the same as the pages show. `openapi.json` describes it.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::query::{BadField, BadQuery, OF_LIST, OF_RATES, PAGE, Search, asked};
use super::state::{NOTE_CHARS, Review};
use super::visitor::{Visitor, problem};
use crate::alert::AlertId;
use crate::alert::payload::FullPayload;
use crate::alert::verdict::Verdict;
use crate::clock::{rfc3339_of, unix_ms};
use crate::store::StoreError;
use crate::store::review::{Concern, ListedAlert, SaidVerdict};
use crate::store::whole::Whole;

const OPENAPI: &str = include_str!("openapi.json");

/// Why there is no answer.
pub(super) enum Refusal {
    Field(BadField),
    Nothing,
    Role,
    Body(String),
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<BadField> for Refusal {
    fn from(error: BadField) -> Self {
        Self::Field(error)
    }
}

impl From<BadQuery> for Refusal {
    fn from(error: BadQuery) -> Self {
        Self::Body(error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Field(error) => problem(StatusCode::BAD_REQUEST, &error.to_string()),
            Self::Nothing => problem(StatusCode::NOT_FOUND, "there is no such alert"),
            Self::Role => problem(StatusCode::FORBIDDEN, "this needs the role supervisor, and a token"),
            Self::Body(detail) => problem(StatusCode::BAD_REQUEST, &detail),
            Self::Store(error) => {
                tracing::error!(%error, "a page could not be made");
                problem(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be used at this moment")
            }
        }
    }
}

fn line(one: &ListedAlert) -> Value {
    json!({"created_at": rfc3339_of(one.created_ms), "delivery": one.delivery, "verdict": one.verdict,
        "shadow": one.alert.shadow, "alert": FullPayload::of(&one.alert, None)})
}

pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

pub(super) async fn alerts(State(review): State<Arc<Review>>, visitor: Visitor, uri: Uri) -> Result<Response, Refusal> {
    let filter = asked::<Search>(&uri, OF_LIST)?.filter()?;
    let listed = review.store.alerts(&filter, PAGE).await?;
    review.store.audit(&visitor.user.name, "list", Concern::Many, unix_ms()).await?;
    let next = listed.last().filter(|_| listed.len() == PAGE as usize);
    let next = next.map(|last| format!("{},{}", last.created_ms, last.alert.id));
    Ok(Json(json!({"alerts": listed.iter().map(line).collect::<Vec<_>>(), "next": next})).into_response())
}

pub(super) async fn alert(
    State(review): State<Arc<Review>>,
    visitor: Visitor,
    uri: Uri,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    asked::<Nothing>(&uri, &[])?;
    let id = AlertId::from(id);
    let whole = Whole::read(&review.store, &id).await?.ok_or(Refusal::Nothing)?;
    review.store.audit(&visitor.user.name, "read", Concern::Alert(&id), unix_ms()).await?;
    Ok(Json(whole.document()).into_response())
}

pub(super) async fn rates(State(review): State<Arc<Review>>, _visitor: Visitor, uri: Uri) -> Result<Response, Refusal> {
    let (since_ms, until_ms) = asked::<Search>(&uri, OF_RATES)?.period()?;
    let rates = review.store.rates(since_ms, until_ms).await?;
    Ok(Json(json!({"since": rfc3339_of(since_ms), "rates": rates})).into_response())
}

/// No parameters.
#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    verdict: Verdict,
    #[serde(default)]
    note: String,
}

pub(super) async fn verdict(
    State(review): State<Arc<Review>>,
    visitor: Visitor,
    uri: Uri,
    Path(id): Path<String>,
    said: Result<Json<Said>, JsonRejection>,
) -> Result<Response, Refusal> {
    // A browser sends cookies by itself, also for another site; a token it does not.
    if !visitor.may_change() || !visitor.by_token {
        return Err(Refusal::Role);
    }
    asked::<Nothing>(&uri, &[])?;
    let Json(said) = said.map_err(|error| Refusal::Body(error.body_text()))?;
    if said.note.chars().count() > NOTE_CHARS {
        return Err(Refusal::Body(format!("note is longer than {NOTE_CHARS} characters")));
    }
    let (id, now_ms) = (AlertId::from(id), unix_ms());
    let said_by = visitor.user.name.clone();
    let said = SaidVerdict { verdict: said.verdict, note: said.note, said_by, said_ms: now_ms };
    if !review.store.say(&id, &said, &visitor.user.name).await? {
        return Err(Refusal::Nothing);
    }
    Ok(Json(json!({"verdict": said.verdict, "note": said.note, "by": said.said_by})).into_response())
}
