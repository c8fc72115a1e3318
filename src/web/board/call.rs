//! The page of a call in progress.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::card::{Line, caller, key, need};
use crate::clock::unix_ms;
use crate::store::live::{BoardRow, LiveTurn};
use crate::store::review::Concern;
use crate::web::call::Turn;
use crate::web::pages::{Frame, Trouble, page};
use crate::web::state::Review;
use crate::web::view::second;
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "call.html", config = "src/web/pages/askama.toml")]
struct CallPage<'a> {
    frame: Frame,
    key: &'a str,
    class: &'static str,
    need: &'static str,
    caller: String,
    alert: Option<&'a str>,
    facts: Vec<(&'static str, String)>,
    line: Option<Line>,
    low: bool,
    turns: Vec<Turn>,
    /// Why there are no turns.
    silence: &'static str,
    at: String,
}

pub(in crate::web) async fn call(
    State(review): State<Arc<Review>>,
    visitor: Visitor,
    Path(wanted): Path<String>,
) -> Result<Response, Trouble> {
    let snapshot = review.board.now(&review.store).await?;
    let row = snapshot.rows.iter().find(|row| key(row) == wanted).ok_or(Trouble::Nothing)?;
    let turns = review.store.last_turns(&row.call.room_name, &row.call.session_id).await?;
    let concern = Concern::Call { room_name: &row.call.room_name, session_id: &row.call.session_id };
    review.store.audit(&visitor.user.name, "call", concern, unix_ms()).await?;
    let (class, need) = need(row);
    let template = CallPage {
        frame: Frame::of(&visitor, &review),
        key: &wanted,
        class,
        need,
        caller: caller(row),
        alert: row.call.alert.as_ref().map(|alert| alert.id.as_str()),
        facts: facts(row),
        line: Line::of(row),
        low: row.call.ratings.last().is_some_and(|rating| rating.is_below(row.call.threshold)),
        turns: turns.iter().map(shown).collect(),
        silence: if row.call.turns == 0 { "Nothing yet." } else { "None of its words are kept." },
        at: second(snapshot.at_ms),
    };
    Ok(page(StatusCode::OK, &template))
}

fn shown(turn: &LiveTurn) -> Turn {
    Turn {
        anchor: String::new(),
        who: "caller",
        rating: turn.sentiment.to_string(),
        low: turn.low,
        asks_human: false,
        decides: false,
        text: vec![(false, turn.words.clone())],
    }
}

/// What is known of it, by name, most important first.
fn facts(row: &BoardRow) -> Vec<(&'static str, String)> {
    let call = &row.call;
    let mut facts = vec![
        ("low turns", format!("{} in a row of the {} that escalate", call.streak, call.window)),
        ("turns", format!("{} of the caller", call.turns)),
        ("since", format!("{} UTC", second(call.started_ms))),
        ("room", format!("{}, session {}", call.room_name, call.session_id)),
    ];
    if let Some(mean) = call.mean {
        facts.insert(1, ("mean", format!("{mean:.1}")));
    }
    if let Some(rating) = call.ratings.last() {
        facts.insert(0, ("rating", format!("{rating}, low below {}", call.threshold)));
    }
    facts
}
