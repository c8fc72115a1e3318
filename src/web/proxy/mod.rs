//! Between a platform that dials and its app ([`serve`]): who dials is checked, the app is dialled for it, and what passes is heard
//! on the way. Whatever becomes of the hearing, the call goes on.
//!
//! `head` reads HTTP's heads, `door` says who may pass, `app` dials, `calls` knows which calls there are, `tcp` tunes sockets.

mod app;
mod calls;
mod door;
mod head;
mod tcp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::form_urlencoded::parse;

pub use self::app::{App, BadApp};
pub use self::calls::{Begin, Calls, Means};
pub use self::door::Door;
use self::head::{BadHead, Head};
use self::tcp::tuned;
use crate::room::error::close_code::NORMAL;
use crate::room::twilio::relay::relay;
use crate::room::twilio::tap::Tapped;

/// Where the platform says how its call to the human went.
pub const OUTCOME: &str = "/sentiment-sidecar/outcome";
/// How long a head may take.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// The largest form.
const MAX_FORM: usize = 64 * 1024;
/// How long the outcome of a transfer is waited for, and, where it did not come off, the call with another connection.
const OUTCOME_LIMIT: Duration = Duration::from_secs(300);
/// How long what passed may take to be heard, once all calls are over.
const HEARD_LIMIT: Duration = Duration::from_secs(10);
/// How long to wait before the next connection is accepted when there was no place for one.
const NO_PLACE: Duration = Duration::from_millis(100);
const SCHEMES: [&str; 2] = ["wss", "ws"];
const FORM_SCHEMES: [&str; 2] = ["https", "http"];

/// What stands between platform and app.
pub struct Proxy {
    /// Who may pass.
    pub door: Door,
    /// Where to.
    pub app: App,
    /// The calls, and how they begin.
    pub calls: Calls,
}

/// Takes calls until `stop` is cancelled, and returns once all are over that there were by then, or once `now` is cancelled. What
/// came of their transfers is taken until then.
pub async fn serve(listener: TcpListener, proxy: Arc<Proxy>, stop: CancellationToken, now: CancellationToken) {
    // Those before `stop` are waited for; those after it carry no calls.
    let (before, after) = (TaskTracker::new(), TaskTracker::new());
    before.close();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = async { stop.cancelled().await; before.wait().await } => break,
        };
        let connections = if stop.is_cancelled() { &after } else { &before };
        match accepted {
            Ok((stream, from)) => {
                let (proxy, stop, now) = (Arc::clone(&proxy), stop.clone(), now.clone());
                connections.spawn(async move {
                    tokio::select! {
                        () = proxy.connection(stream, from, &stop) => {}
                        () = now.cancelled() => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(NO_PLACE).await;
            }
        }
    }
    drop(listener);
    after.close();
    after.wait().await;
    tokio::select! {
        () = proxy.calls.all_heard(HEARD_LIMIT) => {}
        () = now.cancelled() => {}
    }
}

impl Proxy {
    async fn connection(&self, mut platform: TcpStream, from: SocketAddr, stop: &CancellationToken) {
        let _ = tuned(&platform);
        let read = timeout(HEAD_LIMIT, Head::read(&mut platform)).await;
        let answer = match read.unwrap_or(Err(BadHead::Short)) {
            Err(error) => {
                tracing::debug!(%error, %from, "a request cannot be read");
                "400 Bad Request"
            }
            Ok((head, early)) if is_outcome(&head) => match self.outcome(&head, early, &mut platform).await {
                Ok(()) => return,
                Err(status) => status,
            },
            Ok((head, _)) if head.is_upgrade() && stop.is_cancelled() => "503 Service Unavailable",
            Ok((head, early)) if head.is_upgrade() => match self.call(&head, early, &mut platform, stop).await {
                Ok(()) => return,
                Err(status) => status,
            },
            Ok(_) => "404 Not Found",
        };
        let _ = say(&mut platform, answer).await;
    }

    /// Carries a call, once it may pass and the app has taken it.
    async fn call(
        &self,
        head: &Head,
        early: Vec<u8>,
        platform: &mut TcpStream,
        stop: &CancellationToken,
    ) -> Result<(), &'static str> {
        let path = self.door.opens(head, &[], SCHEMES).map_err(|why| {
            tracing::warn!(%why, "somebody who dialled was not let in");
            "403 Forbidden"
        })?;
        let failed = |problem: String| {
            self.calls.warn(format!("the app was not reached, and the call has no agent: {problem}"));
            "502 Bad Gateway"
        };
        let mut app = self.app.dial().await.map_err(|error| failed(error.to_string()))?;
        app.write_all(&head.again(&path)).await.map_err(|error| failed(error.to_string()))?;
        app.flush().await.map_err(|error| failed(error.to_string()))?;
        let answered = timeout(HEAD_LIMIT, Head::read(&mut app)).await.unwrap_or(Err(BadHead::Short));
        let (answer, said) = answered.map_err(|error| failed(error.to_string()))?;
        if answer.line[1] != "101" {
            // What stands in the body is for the app's own log. Nothing more may come this way: it was not signed.
            let [_, status, reason] = &answer.line;
            self.calls.warn(format!("the app refused a call with HTTP {status}, and it has no agent"));
            let _ = say(platform, &format!("{status} {reason}")).await;
            return Ok(());
        }
        if platform.write_all(&answer.raw).await.is_err() {
            return Ok(());
        }
        let (mut heard, replaced) = (None, CancellationToken::new());
        let begun = |first: &str, tap, spout| heard = self.calls.begin(first, tap, spout, replaced.clone());
        let (relayed, spout) = relay(&mut *platform, app, (early, said), &replaced, begun).await;
        let Some(connection) = heard else {
            spout.close(relayed.code).await;
            return Ok(());
        };
        let mut code = relayed.code;
        if relayed.by_us {
            // The platform need not wait for its own call to the human.
            let _ = platform.shutdown().await;
            connection.for_outcome(OUTCOME_LIMIT, stop).await;
            code = NORMAL;
        }
        spout.close(self.calls.leave(&connection, code)).await;
        Ok(())
    }

    /// The platform says how its call to the human went.
    async fn outcome(&self, head: &Head, mut body: Vec<u8>, platform: &mut TcpStream) -> Result<(), &'static str> {
        let len: usize = head.header("content-length").and_then(|len| len.parse().ok()).ok_or("411 Length Required")?;
        if len > MAX_FORM {
            return Err("413 Content Too Large");
        }
        if head.header("expect").is_some() {
            let _ = platform.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
        }
        let all = async {
            while body.len() < len {
                if platform.read_buf(&mut body).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            io::Result::Ok(())
        };
        timeout(HEAD_LIMIT, all).await.ok().and_then(Result::ok).ok_or("400 Bad Request")?;
        body.truncate(len);
        let form: Vec<(String, String)> = parse(&body).into_owned().collect();
        self.door.opens(head, &form, FORM_SCHEMES).map_err(|why| {
            tracing::warn!(%why, "an outcome that somebody told was not taken");
            "403 Forbidden"
        })?;
        let field = |name: &str| form.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
        // That of <Dial>, once it is over, or that of <Number>, whose call is another one, as soon as somebody answers.
        let of_dial = field("DialCallStatus").and_then(|status| Some((field("CallSid")?, status)));
        let of_number = || Some((field("ParentCallSid")?, field("CallStatus")?));
        let (call, status) = of_dial.or_else(of_number).ok_or("422 Unprocessable Content")?;
        if !self.calls.tell(call, Tapped::Dialled(status.to_owned())) {
            tracing::info!("an outcome came for a call that nobody waits for");
        }
        let document = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>";
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{document}",
            document.len()
        );
        let _ = platform.write_all(answer.as_bytes()).await;
        let _ = platform.shutdown().await;
        Ok(())
    }
}

fn is_outcome(head: &Head) -> bool {
    let [method, path, _] = &head.line;
    method == "POST" && path.split('?').next().is_some_and(|path| path.ends_with(OUTCOME))
}

/// An answer without a body, and the end of the connection.
async fn say(platform: &mut TcpStream, status: &str) -> io::Result<()> {
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    platform.write_all(answer.as_bytes()).await?;
    platform.shutdown().await
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use socket2::SockRef;

    use super::app::Line;
    use super::tcp::ASK_AFTER;
    use super::*;
    use crate::tls::Authorities;

    #[tokio::test]
    async fn both_sides_are_asked_whether_they_are_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app =
            App::at(&format!("ws://{}", listener.local_addr().unwrap()).parse().unwrap(), &Authorities::default());
        let (dialled, accepted) = tokio::join!(app.as_ref().unwrap().dial(), listener.accept());
        let (Line::Plain(to_app), (from_platform, _)) = (dialled.unwrap(), accepted.unwrap()) else { panic!("no TLS") };
        tuned(&from_platform).unwrap();
        for stream in [&to_app, &from_platform] {
            let socket = SockRef::from(stream);
            assert!(stream.nodelay().unwrap() && socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), ASK_AFTER);
        }
    }
}
