//! The role of one process with many calls.

use std::io::Read as _;
use std::sync::Arc;

use sentiment_sidecar::call::report::Report;
use sentiment_sidecar::config::settings::Settings;
use sentiment_sidecar::room::Target;
use sentiment_sidecar::runtime::{Attachment, Call, Host, Means, RatingPool};
use sentiment_sidecar::sentiment;
use sentiment_sidecar::store::Store;
use sentiment_sidecar::tls::Authorities;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::rooms::HUNG_UP;

/// How many calls join at a time: a listener's queue is not endless.
const JOINING: usize = 64;

/// Attaches to so many rooms, to another one for each caller who hangs up, and serves them until stdin closes; tells the board of them or not.
pub(crate) fn run(url: &str, calls: usize, store: &str, on_board: bool) {
    let stop = CancellationToken::new();
    let closed = stop.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        closed.cancel();
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(serve(url.parse().unwrap(), calls, store, on_board, stop));
}

async fn serve(url: Url, calls: usize, store: &str, on_board: bool, stop: CancellationToken) {
    let store = Store::open(&store.parse().unwrap()).await.unwrap();
    let (authorities, meter) = (Authorities::default(), Arc::default());
    let means = Means { store, deliverer: None, sip_password: None, authorities, meter };
    let host = if on_board { Host::start(means, stop.clone()) } else { Host::start_off_board(means, stop.clone()) };
    let settings = Arc::new(Settings { enabled: true, ..Settings::default() });
    let rater = RatingPool::of_machine().rater(Arc::new(sentiment::embedded()));
    let joining = Arc::new(Semaphore::new(JOINING));
    let (hang_up, mut hung_up) = mpsc::unbounded_channel();
    for number in 0.. {
        // Whoever hangs up is followed by somebody else.
        let may_attach = async { number < calls || hung_up.recv().await.is_some() };
        tokio::select! {
            true = may_attach => {}
            () = stop.cancelled() => break,
        }
        let mut place = Some(Arc::clone(&joining).acquire_owned().await.unwrap());
        let hang_up = hang_up.clone();
        let attachment = Attachment {
            settings: Arc::clone(&settings),
            room: Target::native(url.clone(), format!("bench-{number}"), None),
            rater: Arc::clone(&rater),
            shadow: false,
            recorder: None,
            journal: None,
        };
        host.attach(attachment, move |_: &Call, report: &Report| {
            match report {
                Report::Attached { .. } => drop(place.take()),
                // A host that closes takes nobody.
                Report::Ended { reason, .. } if reason == HUNG_UP => drop(hang_up.send(())),
                _ => {}
            }
        });
    }
    host.close().await;
}
