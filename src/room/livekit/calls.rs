//! Calls of the server's API, that outlive a stay in the room ([`Calls`]).

use tokio::sync::{OwnedMutexGuard, mpsc};

use super::api::ApiClient;
use super::seen::{ApiCall, ApiError, Seen};

/// The server's API, with what its calls came to: calls outlive a stay.
pub(super) struct Calls {
    pub(super) api: ApiClient,
    pub(super) done: mpsc::UnboundedSender<Seen>,
    pub(super) answers: OwnedMutexGuard<mpsc::UnboundedReceiver<Seen>>,
}

impl Calls {
    /// Begins a call; its answer comes with the others.
    pub(super) fn begin(&self, call: ApiCall) {
        let (api, done) = (self.api.clone(), self.done.clone());
        tokio::spawn(async move {
            let id = call.id.clone();
            let result = api.call(call).await;
            // Nobody is left to hear it when the call is over.
            let _ = done.send(Seen::Answered { id, result });
        });
    }

    /// Answers a call that is not made.
    pub(super) fn decline(&self, id: String, error: ApiError) {
        let _ = self.done.send(Seen::Answered { id, result: Err(error) });
    }
}
