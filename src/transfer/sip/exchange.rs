//! One request to its final answer: sent, authenticated where asked, never longer than the stack's timer F per try.

use std::sync::Arc;
use std::time::Duration;

use rsipstack::sip::{HasHeaders as _, Request, Response, SipMessage};
use rsipstack::transaction::Transaction;
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::random_text;

use super::digest::{Asker, AuthError, Credentials, Login};
use super::inbox::{InFlight, Inbox};
use super::refer::Message;
use super::sipfrag::printable;
use super::wire::{Path, Wire};

/// Most sendings of one request: a proxy and a server that challenge, each with a stale nonce, make five.
pub(super) const MAX_SENDINGS: u32 = 6;

/// How long an answer that came before its stream ended may take to be seen.
const STRAGGLER_TIME: Duration = Duration::from_millis(500);

/// What an exchange is about to do or has seen on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// The request goes out with this CSeq.
    Sending(u32),
    /// It has gone out.
    Sent,
    /// 401 or 407.
    Challenged(u16),
    /// 1xx.
    Provisional(u16),
}

/// How an exchange ended.
#[derive(Debug)]
pub(super) enum Answer {
    /// A final response.
    Final(Box<Response>),
    /// A challenge that cannot be met.
    Unauthorized { status: u16, error: AuthError },
    /// It was sent, and nothing final came.
    Unanswered(String),
    /// It could not be sent.
    NotSent(String),
}

/// Sends `message` over `path` and sees it through.
pub(super) async fn exchange(
    wire: &Wire,
    inbox: &Arc<Inbox>,
    path: &Path,
    message: &Message,
    login: Option<&Login>,
    mut sign: impl FnMut(Sign) + Send,
) -> Answer {
    let mut credentials = Credentials::default();
    for cseq in message.cseq..message.cseq + MAX_SENDINGS {
        let branch = new_branch();
        let headers = credentials.headers(login, &message.method.to_string(), &message.request_uri);
        let request = message.request(path.leg, &branch, cseq, headers);
        let in_flight = inbox.expect(&branch, path.peer.ip());
        let mut transaction = match transaction(wire, path, request) {
            Ok(transaction) => transaction,
            Err(problem) => return Answer::NotSent(problem),
        };
        sign(Sign::Sending(cseq));
        if let Err(error) = transaction.send().await {
            return Answer::NotSent(error.to_string());
        }
        sign(Sign::Sent);
        let broken = broken(path, &in_flight);
        tokio::pin!(broken);
        let response = loop {
            let received = tokio::select! {
                biased;
                received = transaction.receive() => received,
                () = &mut broken => return Answer::NotSent(format!("the connection to {} broke", path.peer)),
            };
            match received {
                Some(SipMessage::Response(response)) if response.status_code.code() >= 200 => break response,
                Some(SipMessage::Response(response)) => sign(Sign::Provisional(response.status_code.code())),
                Some(SipMessage::Request(_)) => {}
                None => return Answer::Unanswered("the SIP stack ended".to_owned()),
            }
        };
        let status = response.status_code.code();
        if !in_flight.heard() {
            // The stack makes up a 408 after timer F and a 503 after a broken stream.
            return match status {
                408 => Answer::Unanswered(format!("no answer from {}", path.peer)),
                _ => Answer::NotSent(format!("the connection to {} broke", path.peer)),
            };
        }
        let asker = match status {
            401 => Asker::Server,
            407 => Asker::Proxy,
            _ => return Answer::Final(Box::new(response)),
        };
        sign(Sign::Challenged(status));
        if let Err(error) = credentials.challenged(asker, &challenges(&response, asker), login) {
            return Answer::Unauthorized { status, error };
        }
    }
    Answer::Unanswered("the peer challenges without end".to_owned())
}

/// Waits until the stream below has ended and no answer can come over it any more. A datagram has none.
pub(super) async fn broken(path: &Path, in_flight: &InFlight) {
    if let Some(closed) = path.connection.cancel_token().filter(|_| path.connection.is_reliable()) {
        closed.cancelled().await;
        // What was read before is still on its way through the stack.
        tokio::time::sleep(STRAGGLER_TIME).await;
        if !in_flight.heard() {
            return;
        }
    }
    std::future::pending().await
}

/// A request's transaction, which has yet to be sent.
pub(super) fn transaction(wire: &Wire, path: &Path, request: Request) -> Result<Transaction, String> {
    let key = TransactionKey::from_request(&request, TransactionRole::Client).map_err(|e| e.to_string())?;
    let mut transaction = Transaction::new_client(key, request, wire.stack.clone(), Some(path.connection.clone()));
    transaction.destination = Some(path.destination.clone());
    Ok(transaction)
}

/// The branch of a request's Via.
pub(super) fn new_branch() -> String {
    format!("z9hG4bK{}", random_text(24))
}

/// What a 401 or 407 asks for, one string per header.
pub(super) fn challenges(response: &Response, asker: Asker) -> Vec<String> {
    let name = match asker {
        Asker::Server => "WWW-Authenticate",
        Asker::Proxy => "Proxy-Authenticate",
    };
    values(response, name).map(str::to_owned).collect()
}

/// The values of a response's headers of one name.
pub(super) fn values<'a>(response: &'a Response, name: &'a str) -> impl Iterator<Item = &'a str> {
    response.headers().iter().filter(move |h| h.name().eq_ignore_ascii_case(name)).map(|h| h.value())
}

/// The reason phrase as the peer wrote it, made printable.
pub(super) fn reason(response: &Response) -> String {
    printable(response.wire_reason.as_deref().unwrap_or_else(|| response.status_code.text()))
}
