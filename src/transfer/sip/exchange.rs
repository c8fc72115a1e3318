//! One request to its final answer: authenticated where asked, sent elsewhere where a target fails (RFC 3263 section
//! 4.3), by a stream where it is too large for a datagram, never longer than the stack's timer F per try.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rsipstack::sip::{HasHeaders as _, Header, Request, Response, SipMessage};
use rsipstack::transaction::Transaction;
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::random_text;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use super::digest::{Asker, AuthError, Credentials, Login};
use super::inbox::{InFlight, Inbox};
use super::message::Message;
use super::sipfrag::printable;
use super::wire::{Path, Wire};
use crate::config::settings::SipTransport;

/// Most sendings of one request: a proxy and a server that challenge, each with a stale nonce, make five.
pub(super) const MAX_SENDINGS: u32 = 6;
/// RFC 3261 section 18.1.1: larger requests go over a transport with congestion control.
const MAX_DATAGRAM: usize = 1300;
/// How long opening a stream for a large request may take before it goes as a datagram after all.
const STREAM_TIME: Duration = Duration::from_secs(2);

/// How long an answer that came before its stream ended may take to be seen.
const STRAGGLER_TIME: Duration = Duration::from_millis(500);

/// What an exchange is about to do or has seen on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// The request goes to this peer, which has proved who it is if `secure`.
    To { peer: SocketAddr, secure: bool },
    /// The request goes out with this CSeq.
    Sending(u32),
    /// It has gone out.
    Sent,
    /// The target failed; another one is tried.
    Elsewhere,
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
    let mut path = path.clone();
    let (mut cseq, mut challenges_met) = (message.cseq, 0);
    loop {
        sign(Sign::To { peer: path.peer, secure: path.is_secure() });
        let mut is_at_work = false;
        let mut sign_of_this = |seen| {
            is_at_work |= matches!(seen, Sign::Provisional(_));
            sign(seen);
        };
        let answer = sending(wire, inbox, &mut path, message, cseq, &mut credentials, login, &mut sign_of_this).await;
        let unavailable = matches!(&answer, Answer::Final(response) if response.status_code.code() == 503);
        // Who said that it is at work may do what was asked although its final response got lost.
        if unavailable || (!is_at_work && matches!(answer, Answer::Unanswered(_) | Answer::NotSent(_))) {
            let Ok(other) = wire.elsewhere(&path).await else { return answer };
            debug!(peer = %path.peer, "a SIP target failed; the next one is tried");
            sign(Sign::Elsewhere);
            path = other;
            // Its challenge is its own: what the last one got would look like credentials that it refuses.
            credentials = Credentials::default();
            // Who answered 503 has seen this CSeq. After silence it is kept: should the first target have passed the
            // request on, then whoever gets it twice can tell.
            cseq += u32::from(unavailable);
            continue;
        }
        let Answer::Final(response) = answer else { return answer };
        let status = response.status_code.code();
        let asker = match status {
            401 => Asker::Server,
            407 => Asker::Proxy,
            _ => return Answer::Final(response),
        };
        sign(Sign::Challenged(status));
        if let Err(error) = credentials.challenged(asker, &challenges(&response, asker), login) {
            return Answer::Unauthorized { status, error };
        }
        (cseq, challenges_met) = (cseq + 1, challenges_met + 1);
        if challenges_met == MAX_SENDINGS {
            return Answer::Unanswered("the peer challenges without end".to_owned());
        }
    }
}

/// Sends the request once.
#[expect(clippy::too_many_arguments, reason = "the state of an exchange, used here only")]
async fn sending(
    wire: &Wire,
    inbox: &Arc<Inbox>,
    path: &mut Path,
    message: &Message,
    cseq: u32,
    credentials: &mut Credentials,
    login: Option<&Login>,
    sign: &mut (impl FnMut(Sign) + Send),
) -> Answer {
    let branch = new_branch();
    let headers = credentials.headers(login, &message.method.to_string(), &message.request_uri);
    let request = addressed(wire, path, message, &branch, cseq, headers).await;
    let path = &*path;
    let in_flight = inbox.expect(&branch, message.method, path.peer);
    let mut transaction = match transaction(wire, path, request) {
        Ok(transaction) => transaction,
        Err(problem) => return Answer::NotSent(problem),
    };
    sign(Sign::Sending(cseq));
    if let Err(error) = transaction.send().await {
        return Answer::NotSent(error.to_string());
    }
    sign(Sign::Sent);
    // A datagram that nobody answers is not waited for until timer F while there are others to ask.
    let patience = (path.leg.transport == SipTransport::Udp && path.has_spare()).then(|| wire.patience());
    let response = tokio::select! {
        biased;
        response = answer_to(&mut transaction, &in_flight, patience, sign) => response,
        () = broken(path, &in_flight) => return Answer::NotSent(format!("the connection to {} broke", path.peer)),
    };
    match response {
        Some(response) if in_flight.has_sent(&response) => Answer::Final(Box::new(response)),
        // The stack makes up a 408 after timer F, also when the peer is at work, and a 503 after a broken stream.
        Some(response) if response.status_code.code() != 408 && !in_flight.heard() => {
            Answer::NotSent(format!("the connection to {} broke", path.peer))
        }
        Some(_) | None => Answer::Unanswered(format!("no answer from {}", path.peer)),
    }
}

/// The final response; none when `patience` ended without any, or the stack did.
async fn answer_to(
    transaction: &mut Transaction,
    in_flight: &InFlight,
    patience: Option<Duration>,
    sign: &mut (impl FnMut(Sign) + Send),
) -> Option<Response> {
    let until = patience.map(|patience| Instant::now() + patience);
    loop {
        let received = match until {
            Some(until) if !in_flight.heard() => timeout_at(until, transaction.receive()).await.ok()?,
            _ => transaction.receive().await,
        };
        match received? {
            SipMessage::Response(response) if response.status_code.code() >= 200 => return Some(response),
            SipMessage::Response(response) => sign(Sign::Provisional(response.status_code.code())),
            SipMessage::Request(_) => {}
        }
    }
}

/// The request as it goes out once. One that is too large for a datagram as it is, credentials included, switches `path` to
/// a stream, where the peer takes one.
pub(super) async fn addressed(
    wire: &Wire,
    path: &mut Path,
    message: &Message,
    branch: &str,
    cseq: u32,
    credentials: Vec<Header>,
) -> Request {
    let request = message.request(path.leg, branch, cseq, credentials.clone());
    if path.leg.transport != SipTransport::Udp || path.takes_no_stream || size(&request) <= MAX_DATAGRAM {
        return request;
    }
    match timeout(STREAM_TIME, wire.by_stream(path)).await {
        Ok(Ok(stream)) => {
            *path = stream;
            message.request(path.leg, branch, cseq, credentials)
        }
        Ok(Err(_)) | Err(_) => {
            debug!(size = size(&request), "a large request goes as a datagram: the peer takes no stream");
            path.takes_no_stream = true;
            request
        }
    }
}

/// How large a request is with the Content-Length that the stack adds.
fn size(request: &Request) -> usize {
    request.to_bytes().len() + format!("Content-Length: {}\r\n", request.body.len()).len()
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
