//! The board's page.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::search::Search;
use super::snapshot::Shown;
use crate::clock::unix_ms;
use crate::store::review::Concern;
use crate::web::pages::{Frame, Trouble, javascript, page};
use crate::web::query::{OF_BOARD, asked};
use crate::web::state::Review;
use crate::web::visitor::Visitor;

const SCRIPT: &str = include_str!("../pages/board.js");

#[derive(Template)]
#[template(path = "board.html", config = "src/web/pages/askama.toml")]
struct BoardPage<'a> {
    frame: Frame,
    search: &'a Search,
    shown: &'a Shown,
    before: Option<String>,
    after: Option<String>,
}

pub(in crate::web) async fn board(
    State(review): State<Arc<Review>>,
    visitor: Visitor,
    uri: Uri,
) -> Result<Response, Trouble> {
    let search: Search = asked(&uri, OF_BOARD)?;
    let wanted = search.page()?;
    let shown = review.board.now(&review.store).await?.shown(&review.store, &search, wanted).await?;
    review.store.audit(&visitor.user.name, "board", Concern::Many, unix_ms()).await?;
    let template = BoardPage {
        frame: Frame::of(&visitor, &review),
        before: (shown.page > 1).then(|| search.of_page(shown.page - 1)),
        after: (shown.page < shown.pages).then(|| search.of_page(shown.page + 1)),
        search: &search,
        shown: &shown,
    };
    Ok(page(StatusCode::OK, &template))
}

pub(in crate::web) async fn script() -> Response {
    javascript(SCRIPT)
}
