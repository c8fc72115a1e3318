//! The page of a call in progress, which moves by itself.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::card::{Line, action, caller, need};
use super::moves::{News, Teller, moves};
use super::snapshot::Snapshot;
use crate::clock::unix_ms;
use crate::store::StoreError;
use crate::store::live::{BoardRow, LiveTurn};
use crate::store::review::Concern;
use crate::web::call::Turn;
use crate::web::pages::{Frame, Trouble, javascript, page};
use crate::web::state::Review;
use crate::web::view::second;
use crate::web::visitor::Visitor;

const SCRIPT: &str = include_str!("../pages/call.js");

#[derive(Template)]
#[template(path = "call.html", config = "src/web/pages/askama.toml")]
struct CallPage<'a> {
    frame: Frame,
    key: &'a str,
    class: &'static str,
    need: &'static str,
    caller: String,
    standing: CallStanding<'a>,
}

/// What moves of it.
#[derive(Template)]
#[template(path = "call_standing.html", config = "src/web/pages/askama.toml")]
struct CallStanding<'a> {
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

impl<'a> CallStanding<'a> {
    fn of(row: &'a BoardRow, turns: &[LiveTurn], at_ms: u64) -> Self {
        Self {
            caller: caller(row),
            alert: row.call.alert.as_ref().map(|alert| alert.id.as_str()),
            facts: facts(row),
            line: Line::of(row),
            low: row.call.ratings.last().is_some_and(|rating| rating.is_below(row.call.threshold)),
            turns: turns.iter().map(shown).collect(),
            silence: if row.call.turns == 0 { "Nothing yet." } else { "None of its words are kept." },
            at: second(at_ms),
        }
    }
}

/// The call, and that somebody looks at it.
async fn looked_at(review: &Review, visitor: &Visitor, wanted: &str) -> Result<(BoardRow, u64), Trouble> {
    let snapshot = review.board.now(&review.store).await?;
    let row = row(review, &snapshot, wanted).await?.ok_or(Trouble::Nothing)?;
    let concern = Concern::Call { room_name: &row.call.room_name, session_id: &row.call.session_id };
    review.store.audit(&visitor.user.name, "call", concern, unix_ms()).await?;
    Ok((row, snapshot.at_ms))
}

/// The call of this key; none where it is over.
async fn row(review: &Review, snapshot: &Snapshot, key: &str) -> Result<Option<BoardRow>, StoreError> {
    let Some(standing) = snapshot.of_key(key) else { return Ok(None) };
    Ok(review.store.in_progress(&[standing]).await?.pop())
}

pub(in crate::web) async fn call(
    State(review): State<Arc<Review>>,
    visitor: Visitor,
    Path(wanted): Path<String>,
) -> Result<Response, Trouble> {
    let (row, at_ms) = looked_at(&review, &visitor, &wanted).await?;
    let turns = review.store.last_turns(&row.call.room_name, &row.call.session_id).await?;
    let (class, need) = need(&row);
    let frame = Frame::of(&visitor, &review);
    let standing = CallStanding::of(&row, &turns, at_ms);
    let template = CallPage { frame, key: &wanted, class, need, caller: caller(&row), standing };
    Ok(page(StatusCode::OK, &template))
}

/// Somebody who looks at one call.
struct Looks {
    key: String,
    told: Option<BoardRow>,
    /// Whether it was told that the call is over. It may come back, with another process.
    over: bool,
}

impl Teller for Looks {
    async fn news(&mut self, review: &Review) -> Result<News, StoreError> {
        let snapshot = review.board.now(&review.store).await?;
        let Some(row) = row(review, &snapshot, &self.key).await? else {
            if std::mem::replace(&mut self.over, true) {
                return Ok(News::Nothing);
            }
            self.told = None;
            let over = "The call is over: this is how it stood last.";
            return Ok(News::Some(Event::default().event("over").data(over)));
        };
        self.over = false;
        if self.told.as_ref() == Some(&row) {
            return Ok(News::Nothing);
        }
        let turns = review.store.last_turns(&row.call.room_name, &row.call.session_id).await?;
        let (class, need) = need(&row);
        let html = CallStanding::of(&row, &turns, snapshot.at_ms).render().unwrap_or_else(|error| {
            tracing::error!(%error, "a call could not be shown");
            String::new()
        });
        self.told = Some(row);
        let news = json!({"class": class, "says": need, "html": html});
        Ok(News::Some(Event::default().event("call").data(news.to_string())))
    }

    fn forget(&mut self) {
        (self.told, self.over) = (None, false);
    }
}

pub(in crate::web) async fn events(
    State(review): State<Arc<Review>>,
    visitor: Visitor,
    Path(key): Path<String>,
) -> Result<Response, Trouble> {
    looked_at(&review, &visitor, &key).await?;
    let sse = Sse::new(moves(review, Looks { key, told: None, over: false }));
    Ok(sse.into_response())
}

pub(in crate::web) async fn script() -> Response {
    javascript(SCRIPT)
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
    if call.alert.is_some() {
        facts.insert(0, ("action", action(row)));
    }
    if let Some(mean) = call.mean {
        facts.insert(1, ("mean", format!("{mean:.1}")));
    }
    if let Some(rating) = call.ratings.last() {
        facts.insert(0, ("rating", format!("{rating}, low below {}", call.threshold)));
    }
    facts
}
