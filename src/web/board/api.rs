//! The board for programs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::search::Search;
use crate::clock::{rfc3339_of, unix_ms};
use crate::store::live::BoardRow;
use crate::store::review::Concern;
use crate::web::api::Refusal;
use crate::web::query::{OF_BOARD, asked};
use crate::web::state::Review;
use crate::web::visitor::Visitor;

fn line(row: &BoardRow) -> Value {
    let call = &row.call;
    json!({
        "room_name": call.room_name, "session_id": call.session_id, "started_at": rfc3339_of(call.started_ms),
        "caller": call.caller, "need": row.need, "watched": row.watched, "turns": call.turns, "ratings": call.ratings,
        "threshold": call.threshold, "window": call.window, "streak": call.streak, "mean": call.mean, "low": call.low,
        "with_human": call.with_human, "last_words": call.last_words, "alert": call.alert,
        "claimed_by": row.claimed.as_ref().map(|claimed| &claimed.by),
    })
}

pub(in crate::web) async fn board(
    State(review): State<Arc<Review>>,
    visitor: Visitor,
    uri: Uri,
) -> Result<Response, Refusal> {
    let search: Search = asked(&uri, OF_BOARD)?;
    let wanted = search.page()?;
    let snapshot = review.board.now(&review.store).await?;
    let part = snapshot.part(&search, wanted);
    let rows = review.store.in_progress(&part.calls).await?;
    review.store.audit(&visitor.user.name, "board", Concern::Many, unix_ms()).await?;
    let calls: Vec<Value> = rows.iter().map(line).collect();
    let told = json!({"at": rfc3339_of(snapshot.at_ms), "urgent": snapshot.urgent(), "in_progress": snapshot.calls.len(),
        "found": part.found, "page": part.page, "pages": part.pages, "calls": calls});
    Ok(Json(told).into_response())
}
