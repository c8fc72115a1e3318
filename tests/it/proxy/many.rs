//! Many calls at once, and what breaks in them: a rater, a listener, what begins them.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use sentiment_sidecar::call::report::Report;
use sentiment_sidecar::config::secret::Secret;
use sentiment_sidecar::config::settings::Settings;
use sentiment_sidecar::room::twilio::Platform;
use sentiment_sidecar::room::twilio::frames::Setup;
use sentiment_sidecar::runtime::{Call, Host, Means};
use sentiment_sidecar::sentiment::{RateFuture, Rater, Rating, Sentiment, TurnInContext, lexical};
use sentiment_sidecar::store::Store;
use sentiment_sidecar::tls::Authorities;
use sentiment_sidecar::web::proxy::{self, App, Calls, Door, Proxy};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Barrier, Semaphore, mpsc};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::{Behind, dial, next, prompt, setup, taken};
use crate::support::{SEED_TURNS, soon};

/// What breaks in a call: something else in each of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaks {
    Nothing,
    Rater,
    Listener,
    Beginning,
}

impl Breaks {
    fn in_call(room: &str) -> Self {
        let number: usize = room.trim_start_matches("CA").parse().unwrap();
        [Self::Nothing, Self::Rater, Self::Listener, Self::Beginning][number % 4]
    }
}

/// Rates every turn as low; or panics.
struct Low(Breaks);

impl Rater for Low {
    fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
        assert!(self.0 != Breaks::Rater, "this rater panics, as its test wants it to");
        let rating = Rating { sentiment: Sentiment::clamped(1.0), filler: false, ..lexical::rate(turn) };
        Box::pin(std::future::ready(Ok(rating)))
    }
}

const CALLS: usize = 300;
/// So many handshakes at once: those of all calls at once may take longer, on busy cores, than the proxy waits for one.
const HANDSHAKES: usize = 50;

/// What each call has told that is of interest here.
fn count(told: &[(String, Report)], room: &str, is_it: impl Fn(&Report) -> bool) -> usize {
    told.iter().filter(|(of, report)| of == room && is_it(report)).count()
}

/// Three hundred calls at once: in a quarter of them a rater panics, in another a listener, in a third what begins them. No frame is
/// lost or changed, and each of the others is alerted of once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_calls_pass_whatever_breaks_on_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store.db").display().to_string().parse().unwrap()).await.unwrap();
    let means = Means {
        store,
        deliverer: None,
        sip_password: None,
        authorities: Authorities::default(),
        meter: Arc::default(),
    };
    let (stop, now) = (CancellationToken::new(), CancellationToken::new());
    let host = Host::start(means, now.clone());
    let settings = Arc::new(Settings { enabled: true, ..Settings::default() });
    let begin = move |setup: &Setup| {
        let breaks = Breaks::in_call(setup.call_id().unwrap());
        assert!(breaks != Breaks::Beginning, "this beginning panics, as its test wants it to");
        let rater = Arc::new(Low(breaks));
        (Some(proxy::Means { settings: Arc::clone(&settings), rater, shadow: false }), None)
    };
    let (telling, mut told) = mpsc::unbounded_channel();
    let tell = move |call: &Call, report: &Report| {
        let panics = matches!(report, Report::Attached { .. }) && Breaks::in_call(&call.room) == Breaks::Listener;
        assert!(!panics, "this listener panics, as its test wants it to");
        telling.send((call.room.clone(), report.clone())).unwrap();
    };
    let app = Behind::start().await;
    let door = Door::Token(Secret::new("t"));
    let behind = App::at(&format!("ws://{}", app.address).parse().unwrap(), &Authorities::default()).unwrap();
    let calls = Calls::new(Arc::clone(&host), Platform::Telnyx, begin, tell);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = Arc::new(Proxy { door, app: behind, calls });
    let serving = tokio::spawn(proxy::serve(listener, proxy, stop.clone(), now.clone()));
    // The app says everything back.
    let echo = tokio::spawn(async move {
        for _ in 0..CALLS {
            let (stream, _) = soon("the app to be dialled", app.listener.accept()).await.unwrap();
            tokio::spawn(async move {
                let (mut socket, _) = taken(stream).await;
                while let Some(Ok(message)) = socket.next().await {
                    if !message.is_close() && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let (done, mut passed) = mpsc::unbounded_channel();
    let (places, all_there) = (Arc::new(Semaphore::new(HANDSHAKES)), Arc::new(Barrier::new(CALLS + 1)));
    for call in 0..CALLS {
        let (done, places, all_there) = (done.clone(), Arc::clone(&places), Arc::clone(&all_there));
        tokio::spawn(async move {
            let place = places.acquire_owned().await.unwrap();
            let mut platform = soon("the proxy", dial(address, "/t/relay", None)).await.unwrap();
            drop(place);
            all_there.wait().await;
            let said = [setup(&format!("CA{call}"), &json!({}))].into_iter().chain(SEED_TURNS.map(prompt));
            for text in said.chain((0..10).map(|n| format!("{call} {n} {}", "x".repeat(n * 1000)))) {
                platform.send(Message::text(text.clone())).await.unwrap();
                assert_eq!(next(&mut platform).await, Message::text(text));
                done.send(()).unwrap();
            }
            platform.close(None).await.unwrap();
            soon("the platform to be through", async { while let Some(Ok(_)) = platform.next().await {} }).await;
        });
    }
    drop(done);
    soon("all calls to be there", all_there.wait()).await;
    let mut frames = 0;
    while soon("a frame", passed.recv()).await.is_some() {
        frames += 1;
    }
    assert_eq!(frames, CALLS * 14);
    soon("the app", echo).await.unwrap();
    stop.cancel();
    soon("the proxy to drain", serving).await.unwrap();
    now.cancel();
    soon("the host to close", host.close()).await;
    let told: Vec<(String, Report)> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    for room in (0..CALLS).map(|call| format!("CA{call}")) {
        let breaks = Breaks::in_call(&room);
        let alerts = count(&told, &room, |report| matches!(report, Report::Escalation { .. }));
        assert_eq!(alerts, usize::from(breaks == Breaks::Nothing), "{room} {breaks:?}");
        let broke =
            |report: &Report| matches!(report, Report::Warning { detail } if detail.contains("this program broke"));
        assert!(breaks != Breaks::Beginning || count(&told, &room, broke) == 1, "{room} {told:?}");
    }
}
