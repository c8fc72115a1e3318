//! Many calls at once, a rater and a listener that panic, and a side that does not read.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sentiment_sidecar::call::report::Report;
use sentiment_sidecar::config::secret::Secret;
use sentiment_sidecar::config::settings::Settings;
use sentiment_sidecar::room::twilio::Platform;
use sentiment_sidecar::runtime::{Call, Host, Means};
use sentiment_sidecar::sentiment::{RateFuture, Rater, TurnInContext};
use sentiment_sidecar::store::Store;
use sentiment_sidecar::tls::Authorities;
use sentiment_sidecar::web::proxy::{self, App, Calls, Door, Proxy};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::{Behind, between, dial, dial_signed, next, prompt, setup, taken};
use crate::support::{Program, SEED_TURNS, soon};

/// Panics at every turn, and says so.
struct Broken(mpsc::UnboundedSender<()>);

impl Rater for Broken {
    fn rate<'a>(&'a self, _: &'a TurnInContext) -> RateFuture<'a> {
        let _ = self.0.send(());
        panic!("this rater panics, as its test wants it to");
    }
}

const CALLS: usize = 300;
/// So many at once: the handshakes of all of them at once may take longer, on busy cores, than the proxy waits for one.
const AT_ONCE: usize = 50;

/// Three hundred calls, of which half have a rater that panics, and the others a listener that does: no frame is lost or changed.
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
    let (rated, mut ratings) = mpsc::unbounded_channel();
    let begin = move |_: &_| {
        let rater = Arc::new(Broken(rated.clone()));
        (Some(proxy::Means { settings: Arc::clone(&settings), rater, shadow: false }), None)
    };
    let tell = |call: &Call, report: &Report| {
        let panics = matches!(report, Report::Attached { .. }) && call.room.ends_with(['1', '3', '5', '7', '9']);
        assert!(!panics, "this listener panics, as its test wants it to");
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
    let places = Arc::new(Semaphore::new(AT_ONCE));
    for call in 0..CALLS {
        let (done, place) = (done.clone(), Arc::clone(&places).acquire_owned().await.unwrap());
        tokio::spawn(async move {
            let _place = place;
            let mut platform = soon("the proxy", dial(address, "/t/relay", None)).await.unwrap();
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
    let mut frames = 0;
    while soon("a frame", passed.recv()).await.is_some() {
        frames += 1;
    }
    assert_eq!(frames, CALLS * 14);
    assert!(soon("a rating", ratings.recv()).await.is_some());
    soon("the app", echo).await.unwrap();
    stop.cancel();
    soon("the proxy to drain", serving).await.unwrap();
    now.cancel();
    soon("the host to close", host.close()).await;
}

/// A side that does not read slows the other down, and nothing is lost.
#[tokio::test]
async fn a_slow_side_slows_the_other_down() {
    let (mut program, app) = (Program::new(), Behind::start().await);
    let (_running, proxy) = between(&mut program, &app, json!({}), &[]).await;
    let (mut platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), app.accept());
    let large = "x".repeat(1024 * 1024);
    let mut sent = 0;
    // Until nothing more goes.
    while sent < 200 {
        let sending = platform.send(Message::text(large.clone()));
        if tokio::time::timeout(Duration::from_millis(500), sending).await.is_err() {
            break;
        }
        sent += 1;
    }
    assert!(sent < 200, "200 MB were taken from a side whose other does not read");
    for _ in 0..sent {
        assert_eq!(next(&mut app).await.len(), large.len());
    }
}
