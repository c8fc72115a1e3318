//! A LiveKit room: URL, key, grants, the data channel, and whether callers may be transferred.

use url::Url;

use super::checks::{self, PATIENCE};
use super::finding::{Check, Finding};
use crate::cli::secrets::livekit_key;
use crate::config::secret::Secrets;
use crate::config::settings::{ActionKind, Settings};
use crate::room::Target;
use crate::room::livekit::probe::may_transfer;
use crate::room::livekit::token::Key;
use crate::tls::{Authorities, TlsError};

const MEND: &str = "check --room-url, --room, --ca-file, and SIDECAR_LIVEKIT_API_KEY and SIDECAR_LIVEKIT_API_SECRET or \
                    SIDECAR_ROOM_TOKEN, which needs roomJoin for this room, canPublishData, hidden, and kind agent";

/// Joins the room for a moment and, where callers are to be transferred, asks whether they may be.
pub(super) async fn examine(
    (url, name): (Url, String),
    settings: Option<&Settings>,
    secrets: Option<&Secrets>,
    authorities: &Result<Authorities, TlsError>,
) -> Vec<Finding> {
    let Some(found) = secrets else { return vec![Check::Room.skip("waits for right secrets")] };
    let key = match livekit_key(found) {
        Ok(key) => key.visitor(&name),
        Err(failure) => return vec![Check::Secrets.fail(failure, MEND)],
    };
    let caller = settings.and_then(|settings| settings.caller_identity.clone());
    let target = Target::livekit(url.clone(), name.clone(), key.clone(), caller);
    let mut findings = vec![checks::room(Some(target), secrets, authorities, MEND).await];
    if let Ok(authorities) = authorities
        && settings.is_some_and(|settings| settings.action.kind() == ActionKind::Transfer)
        && findings.iter().all(Finding::is_well)
    {
        findings.push(transfer(&url, key, &name, authorities).await);
    }
    findings
}

async fn transfer(url: &Url, key: Key, name: &str, authorities: &Authorities) -> Finding {
    const MEND: &str = "give the token roomAdmin and sip.call, and run LiveKit's SIP service, or choose another action";
    let opens = key.opens();
    if !(opens.room && opens.sip) {
        return Check::Room.fail("the token does not allow transfers: it lacks roomAdmin or sip.call", MEND);
    }
    match may_transfer(url, key, name, authorities, PATIENCE).await {
        Ok(()) => Check::Room.ok("callers may be transferred"),
        Err(error) => Check::Room.fail(format!("callers cannot be transferred: {error}"), MEND),
    }
}
