//! A LiveKit room: URL, key, grants, the data channel, and whether callers may be transferred.

use url::Url;

use super::checks::{self, PATIENCE};
use super::finding::{Check, Finding};
use crate::cli::secrets::livekit_key;
use crate::clock;
use crate::config::secret::Secrets;
use crate::config::settings::{ActionKind, Settings};
use crate::room::Target;
use crate::room::livekit::given::Lack;
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
        Ok(key) => key,
        Err(failure) => return vec![Check::Secrets.fail(failure, MEND)],
    };
    let mut findings = token(&key, &name, clock::unix_ms() / 1000);
    let key = key.visitor(&name);
    let caller = settings.and_then(|settings| settings.caller_identity.clone());
    let target = Target::livekit(url.clone(), name.clone(), key.clone(), caller);
    findings.push(checks::room(Some(target), secrets, authorities, MEND).await);
    if let Ok(authorities) = authorities
        && settings.is_some_and(|settings| settings.action.kind() == ActionKind::Transfer)
        && findings.iter().all(Finding::is_well)
    {
        findings.push(transfer(&url, key, &name, authorities).await);
    }
    findings
}

/// What a token lacks that somebody made for us. A server may let us in all the same.
fn token(key: &Key, room: &str, now_unix_s: u64) -> Vec<Finding> {
    let finding = |lack: Lack| {
        if lack.is_bearable() {
            Check::Room.warn(format!("{lack}; {}", lack.mend()))
        } else {
            Check::Room.fail(&lack, lack.mend())
        }
    };
    key.lacks(room, now_unix_s).into_iter().map(finding).collect()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::secret::Secret;
    use crate::room::livekit::token::{ApiKey, GivenToken, Grants};

    #[test]
    fn each_thing_that_a_token_lacks_is_named_with_what_mends_it_and_nothing_of_the_token() {
        let key = ApiKey { key: Secret::new("APIkey"), secret: Secret::new("0123456789abcdef0123456789abcdef") };
        let given = |grants: &Grants| key.token(grants, 1_000_000, Duration::from_secs(60));
        let findings = |token: &Secret| {
            let found = token_of(token.clone());
            let text: Vec<String> =
                found.iter().map(|one| anstream::adapter::strip_str(&one.to_string()).to_string()).collect();
            let text = text.join("\n");
            assert!(!token.expose().split('.').any(|part| text.contains(part)), "{text}");
            (found.iter().filter(|one| !one.is_well()).count(), text)
        };
        let (failed, text) = findings(&given(&Grants::join("call-7")));
        assert!(failed == 0 && text.contains("lacks roomAdmin"), "{text}");
        let (failed, text) = findings(&given(&Grants::join("call-8")));
        assert!(failed == 1 && text.contains("for another room"), "{text}");
        let (failed, text) = findings(&given(&Grants::api("call-7")));
        assert!(failed == 2 && text.contains("lacks roomJoin") && text.contains("kind to agent"), "{text}");
        let old = key.token(&Grants::join("call-7"), 999_000, Duration::from_secs(60));
        let (failed, text) = findings(&old);
        assert!(failed == 1 && text.contains("ran out 940 s ago") && text.contains("make a new token"), "{text}");
        assert!(token(&Key::Api(key), "call-7", 1_000_000).is_empty());
    }

    fn token_of(given: Secret) -> Vec<Finding> {
        token(&Key::Token(GivenToken::new(given)), "call-7", 1_000_000)
    }
}
