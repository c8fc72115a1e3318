//! How servers end ([`until_stopped`]).

use std::io;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Serves until `stop` is cancelled, and what is being answered then for a while more: a client that has sent half a request
/// may never send the rest.
///
/// # Errors
/// When the listener fails.
pub(super) async fn until_stopped(
    serving: impl Future<Output = io::Result<()>>,
    stop: &CancellationToken,
    farewell: Duration,
) -> io::Result<()> {
    let late = async {
        stop.cancelled().await;
        sleep(farewell).await;
    };
    tokio::select! {
        served = serving => served,
        () = late => Ok(()),
    }
}
