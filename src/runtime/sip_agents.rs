//! The SIP agents of a host ([`SipAgents`]): calls with the same SIP settings share one, and with it its listening address.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::config::secret::Secret;
use crate::config::settings::Sip;
use crate::transfer::sip::SipAgent;

type Started = OnceCell<Option<SipAgent>>;

/// SIP agents by their settings, each started when it is first needed. Two sets of settings that name the same fixed
/// address cannot both have it: the second one's transfers are `unreachable`, and the log says why.
#[derive(Default)]
pub(super) struct SipAgents {
    password: Option<Secret>,
    agents: Mutex<Vec<(Sip, Arc<Started>)>>,
}

/// One agent, started or not.
pub(super) struct Shared(Arc<Started>);

impl SipAgents {
    pub(super) fn new(password: Option<Secret>) -> Self {
        Self { password, agents: Mutex::default() }
    }

    /// The agent for these settings; none where it does not start.
    pub(super) async fn of(&self, settings: &Sip) -> Shared {
        let cell = {
            // Nothing panics while it holds the lock, and the list would be whole even then.
            let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
            match agents.iter().find(|(known, _)| known == settings) {
                Some((_, cell)) => Arc::clone(cell),
                None => {
                    let cell = Arc::default();
                    agents.push((settings.clone(), Arc::clone(&cell)));
                    cell
                }
            }
        };
        cell.get_or_init(|| async {
            SipAgent::start(settings, self.password.clone())
                .await
                .inspect_err(|error| tracing::error!(%error, "the SIP agent did not start"))
                .ok()
        })
        .await;
        Shared(cell)
    }

    /// Waits until every human who was called is released: a phone does not ring on when the process ends.
    pub(super) async fn released(&self) {
        let all: Vec<_> = {
            let agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
            agents.iter().map(|(_, cell)| Arc::clone(cell)).collect()
        };
        for cell in all {
            if let Some(Some(agent)) = cell.get() {
                agent.released().await;
            }
        }
    }
}

impl Shared {
    pub(super) fn agent(&self) -> Option<&SipAgent> {
        self.0.get().and_then(Option::as_ref)
    }
}
