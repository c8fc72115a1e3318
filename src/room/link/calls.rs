//! Calls of a room's HTTP API beside its WebSocket ([`Calls`]): the same server, the same key.

use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::sync::mpsc;
use tokio::time::timeout;
use url::Url;

use super::dialect::{Answer, Call};
use crate::http::{self, innermost};
use crate::tls::Authorities;

/// What came of a call.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) id: String,
    pub(super) answer: Answer,
}

/// The calls under way. What they were asked for may be done although the WebSocket breaks, so they outlive it.
pub(super) struct Calls {
    url: Url,
    key: Option<(HeaderName, HeaderValue)>,
    authorities: Authorities,
    /// Made for the first call: most rooms never see one.
    http: Option<reqwest::Client>,
    answers: mpsc::UnboundedSender<Answered>,
    answered: mpsc::UnboundedReceiver<Answered>,
}

impl Calls {
    /// Of the server whose room is at `url` (`ws://` or `wss://`).
    pub(super) fn new(url: &Url, key: Option<(HeaderName, HeaderValue)>, authorities: &Authorities) -> Self {
        let (answers, answered) = mpsc::unbounded_channel();
        Self { url: url.clone(), key, authorities: authorities.clone(), http: None, answers, answered }
    }

    /// Begins one, in a task of its own: it goes on while there is no connection.
    pub(super) fn begin(&mut self, call: Call) {
        let id = call.id.clone();
        let exchange = self.exchange(&call);
        let answers = self.answers.clone();
        tokio::spawn(async move {
            let answer = match exchange {
                Ok(exchange) => timeout(call.timeout, exchange).await.unwrap_or_else(|_| late(call.timeout)),
                Err(problem) => Answer::None { problem },
            };
            // Where nobody waits any more, the call is over.
            drop(answers.send(Answered { id, answer }));
        });
    }

    fn exchange(&mut self, call: &Call) -> Result<impl Future<Output = Answer> + Send + use<>, String> {
        let url = address(&self.url, &call.path).ok_or("the room's address has no place for an API")?;
        let http = match &self.http {
            Some(http) => http.clone(),
            None => {
                let secure = url.scheme() == "https";
                let builder = http::client(secure.then_some(&self.authorities))?;
                self.http.insert(builder.build().map_err(|error| innermost(&error))?).clone()
            }
        };
        let mut request = http.post(url).header(CONTENT_TYPE, "application/json").body(call.body.to_string());
        if let Some((name, value)) = &self.key {
            request = request.header(name, value);
        }
        Ok(async move {
            match request.send().await {
                // Bodies of refusals can repeat the key; the status says enough.
                Ok(response) => Answer::Status(response.status().as_u16()),
                Err(error) => Answer::None { problem: innermost(&error) },
            }
        })
    }

    /// The next answer. Pending where no call is under way.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Answered> {
        match self.answered.poll_recv(cx) {
            Poll::Ready(Some(answered)) => Poll::Ready(answered),
            // There is always a sender: ours.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

fn late(after: Duration) -> Answer {
    Answer::None { problem: format!("no answer within {} ms", after.as_millis()) }
}

/// Where a path of the API is: beside the room, on the same server.
fn address(room: &Url, path: &[String]) -> Option<Url> {
    let mut url = room.clone();
    let scheme = if room.scheme() == "wss" { "https" } else { "http" };
    // Between schemes that the standard knows, this always works.
    url.set_scheme(scheme).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    // Segment by segment, so that what stands in an id leads nowhere else.
    url.path_segments_mut().ok()?.pop_if_empty().extend(path);
    Some(url)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn calls_go_to_the_rooms_server_and_ids_lead_nowhere_else() {
        let at = |room: &str, id: &str| {
            let path = ["calls", id, "refer"].map(str::to_owned);
            address(&room.parse().unwrap(), &path).unwrap().to_string()
        };
        let room = "wss://api.example.com/v1/realtime?call_id=rtc_1";
        assert_eq!(at(room, "rtc_1"), "https://api.example.com/v1/realtime/calls/rtc_1/refer");
        assert_eq!(at(room, "../../x?y#z"), "https://api.example.com/v1/realtime/calls/..%2F..%2Fx%3Fy%23z/refer");
        assert_eq!(
            at("ws://127.0.0.1:1/openai/v1/realtime", "a"),
            "http://127.0.0.1:1/openai/v1/realtime/calls/a/refer"
        );
    }
}
