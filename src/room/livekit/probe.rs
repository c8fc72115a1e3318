//! Whether callers may be transferred with our key: asked without transferring anybody ([`may_transfer`]).

use std::time::Duration;

use prost::Message as _;
use url::Url;

use super::api::ApiClient;
use super::proto::api::TransferSipParticipantRequest;
use super::seen::{ApiCall, ApiError, ApiMethod};
use super::token::Key;
use crate::room::error::RoomError;
use crate::tls::Authorities;

/// Nobody in a room is called so, and nobody has come by phone under this name.
const NOBODY: &str = "sentiment-sidecar-doctor-asks";

/// Why nothing can be said of transfers, or why there will be none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTransfer {
    /// The server was not asked.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The server does not allow it, or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Asks the server to transfer a participant who is not there, which it looks for only when it would transfer one who is.
///
/// # Errors
/// [`NoTransfer`].
pub async fn may_transfer(
    room_url: &Url,
    key: Key,
    room_name: &str,
    authorities: &Authorities,
    patience: Duration,
) -> Result<(), NoTransfer> {
    let client = ApiClient::new(room_url, key, room_name, authorities)?;
    let request = TransferSipParticipantRequest {
        participant_identity: NOBODY.to_owned(),
        room_name: room_name.to_owned(),
        ..TransferSipParticipantRequest::default()
    };
    let method = ApiMethod::TransferSipParticipant;
    let call = ApiCall { id: String::new(), method, body: request.encode_to_vec(), timeout: patience };
    match client.call(call).await {
        Ok(_) => Ok(()),
        // It looked for whom to transfer, or found that it was told of nowhere to.
        Err(ApiError::Refused { code, .. }) if matches!(code.as_str(), "not_found" | "invalid_argument") => Ok(()),
        Err(error) => Err(error.into()),
    }
}
