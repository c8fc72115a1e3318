//! Sending what is in the outbox: claim, attempt, note the result.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use super::schedule::{Answer, Jitter, Schedule, Verdict};
use super::send::Sender;
use super::sign::Signer;
use crate::alert::notice::{NoticeEvent, Told};
use crate::alert::outgoing::Outgoing;
use crate::alert::record::DeliveryResult;
use crate::alert::{Alert, AlertId, payload};
use crate::clock::Clock;
use crate::config::target_secrets::TargetSecrets;
use crate::store::{Attempted, Claim, OutboxRow, OutboxState, Parcel, Reach, Store, StoreError};
use crate::tls::Authorities;

/// How many attempts one process makes at a time, so that a slow receiver does not hold up the others.
const AT_ONCE: usize = 16;

/// How long one who waits for turns leaves what becomes due meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long until a store that failed is asked again, in ms.
const STORE_RETRY_MS: u64 = 5_000;
/// So long the first attempt of an alert that the store would not take may wait for its turn.
const FIRST_UNSTORED: Duration = Duration::from_secs(3);

/// Sends what is in the outbox, or, when the store failed, from memory. What it has no secret for it leaves to others.
pub struct Deliverer {
    store: Store,
    sender: Sender,
    clock: Clock,
    schedule: Schedule,
    /// For what goes past the store, which knows whose turn it is otherwise.
    pace: Pace,
}

impl std::fmt::Debug for Deliverer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliverer").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Deliverer {
    /// Sends what is in `store` by the standard schedule, to receivers that `authorities` vouch for. Without a signer it
    /// sends only what is not signed.
    #[must_use]
    pub fn new(store: Store, signer: Option<Signer>, clock: Clock, authorities: Authorities) -> Self {
        let sender = Sender::new(signer, TargetSecrets::default(), Arc::clone(&clock), authorities);
        Self { store, sender, clock, schedule: Schedule::default(), pace: Pace::default() }
    }

    /// Sends to those places too whose URL or key is among these.
    #[must_use]
    pub fn with_secrets(mut self, secrets: TargetSecrets) -> Self {
        self.sender = self.sender.with_secrets(secrets);
        self
    }

    /// Goes by another schedule.
    #[must_use]
    pub fn with_schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// What this process is able to send of what waits.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn reach(&self) -> Result<Reach, StoreError> {
        let needs = self.store.needs(None).await?;
        let secrets = needs.secrets.into_iter().filter(|variable| self.sender.has(variable)).collect();
        Ok(Reach { signs: self.sender.signs(), secrets })
    }

    /// Makes the next attempt for an alert's webhook, if it is due and no other process is at it, and says where it
    /// stands. After [`DeliveryResult::Retry`], call it again in so many ms.
    ///
    /// A store that fails is a retry as well: the webhook is in it, and stays there for whoever can read it.
    pub async fn deliver_one(&self, alert_id: &AlertId) -> DeliveryResult {
        self.deliver_to(alert_id, "").await
    }

    /// The same for a place of this name; the webhook's is nothing.
    pub async fn deliver_to(&self, alert_id: &AlertId, target: &str) -> DeliveryResult {
        let result = async {
            let reach = self.reach().await?;
            if let Some(claim) = self.store.claim(alert_id, target, &reach, (self.clock)()).await? {
                return Ok(self.attempt(&claim).await);
            }
            // Only what it alerts of is asked for.
            let row = self.store.notices(alert_id).await?;
            Ok(self.standing(row.into_iter().find(|row| row.target == target && row.event == NoticeEvent::Alert)))
        };
        result.await.unwrap_or_else(|error: StoreError| DeliveryResult::Retry {
            detail: error.to_string(),
            in_ms: STORE_RETRY_MS,
            attempts: 0,
        })
    }

    /// Lets what earlier settings sent to the same place go by the allow-list of these: what was refused is sent
    /// once the list has been mended, unless it is older than the schedule is long. Returns how many had another list.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn readmit(&self, outgoing: &Outgoing) -> Result<u64, StoreError> {
        let now_ms = (self.clock)();
        let since_ms = now_ms.saturating_sub(millis(self.schedule.span()));
        self.store.readmit(outgoing, self.schedule.attempts(), since_ms, now_ms).await
    }

    /// Makes one attempt for up to `limit` webhooks that are due now.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed before anything was attempted.
    pub async fn sweep(&self, limit: usize) -> Result<Vec<(AlertId, DeliveryResult)>, StoreError> {
        let mut results = Vec::new();
        let stop = CancellationToken::new();
        self.sweep_until(limit, &stop, |claim, result| results.push((claim.alert_id.clone(), result.clone()))).await?;
        Ok(results)
    }

    /// As [`Deliverer::sweep`], and tells each result as it comes. Once `stop` is cancelled, the attempts in hand are
    /// finished and no more are begun. Returns how many were made.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed; attempts in hand were finished first.
    pub async fn sweep_until(
        &self,
        limit: usize,
        stop: &CancellationToken,
        each: impl FnMut(&Claim, &DeliveryResult) + Send,
    ) -> Result<usize, StoreError> {
        self.sweep_within(Duration::ZERO, limit, stop, each).await
    }

    /// As [`Deliverer::sweep_until`], and waits for turns at places that take one message every so often, as long as the next
    /// one comes within this time. What becomes due meanwhile is attempted too.
    ///
    /// # Errors
    /// [`StoreError`] when the store failed; attempts in hand were finished first.
    pub async fn sweep_within(
        &self,
        patience: Duration,
        limit: usize,
        stop: &CancellationToken,
        mut each: impl FnMut(&Claim, &DeliveryResult) + Send,
    ) -> Result<usize, StoreError> {
        // What is to be tried again in this sweep is not due by then, so each is attempted once.
        let due_by_ms = (self.clock)();
        let until_ms = due_by_ms.saturating_add(millis(patience));
        // Reading takes no lock. Thousands of processes look, and there is seldom anything to claim.
        let reach = self.reach().await?;
        if self.store.next_due(&reach, due_by_ms).await?.is_none_or(|due_ms| due_ms > until_ms) {
            return Ok(0);
        }
        let mut begun = 0;
        loop {
            begun += self.sweep_once(due_by_ms, &reach, limit - begun, stop, &mut each).await?;
            if patience.is_zero() || begun >= limit || stop.is_cancelled() {
                return Ok(begun);
            }
            let now_ms = (self.clock)();
            match self.store.next_turn(&reach, due_by_ms, now_ms).await? {
                Some(turn_ms) if turn_ms <= until_ms => {
                    let wait = Duration::from_millis(turn_ms.saturating_sub(now_ms)).min(LOOK_AGAIN);
                    tokio::select! {
                        () = stop.cancelled() => return Ok(begun),
                        () = tokio::time::sleep(wait) => {}
                    }
                }
                _ => return Ok(begun),
            }
        }
    }

    /// Attempts, once each, what was due by then and whose turn it is or soon will be.
    async fn sweep_once(
        &self,
        due_by_ms: u64,
        reach: &Reach,
        limit: usize,
        stop: &CancellationToken,
        mut each: impl FnMut(&Claim, &DeliveryResult) + Send,
    ) -> Result<usize, StoreError> {
        let mut in_hand = FuturesUnordered::new();
        let mut begun = 0;
        let mut dry = Ok(false);
        loop {
            let room = AT_ONCE.saturating_sub(in_hand.len()).min(limit - begun);
            if room > 0 && dry == Ok(false) && !stop.is_cancelled() {
                let wanted = u32::try_from(room).unwrap_or(u32::MAX);
                let mut claim = pin!(self.store.claim_due(wanted, reach, due_by_ms, (self.clock)()));
                // The attempts in hand share the store's connection with the claim: one that has it and is not polled
                // would keep it for ever.
                let claimed = loop {
                    tokio::select! {
                        claimed = &mut claim => break claimed,
                        Some((claim, result)) = in_hand.next() => each(&claim, &result),
                    }
                };
                match claimed {
                    Ok(claims) => {
                        dry = Ok(claims.len() < room);
                        begun += claims.len();
                        in_hand.extend(claims.into_iter().map(|claim| async move {
                            let result = self.attempt(&claim).await;
                            (claim, result)
                        }));
                    }
                    Err(error) => dry = Err(error),
                }
            }
            match in_hand.next().await {
                Some((claim, result)) => each(&claim, &result),
                None => return dry.map(|_| begun),
            }
        }
    }

    /// Sends an alert that the store would not take, by the same schedule for as long as this process lives, in turn with the
    /// others of this process where a place takes one message every so often; tells each attempt's result. An alert of shadow
    /// mode is never sent.
    pub async fn send_unstored(
        &self,
        alert: &Alert,
        outgoing: &Outgoing,
        mut each: impl FnMut(&DeliveryResult) + Send,
    ) -> DeliveryResult {
        if alert.shadow {
            return DeliveryResult::GaveUp { detail: "shadow mode sends nothing".to_owned(), attempts: 0 };
        }
        let told = Told { alert: alert.clone(), link: outgoing.link_of(alert), test: false };
        let parcel = if outgoing.target.is_empty() {
            Parcel::Body(payload::body(alert, outgoing.detail, told.link))
        } else {
            Parcel::Told(Box::new(told))
        };
        let event = NoticeEvent::Alert;
        let mut attempt = 1;
        loop {
            let timeout = Duration::from_millis(outgoing.timeout_ms);
            // Nothing but this process knows of it: whatever else waits, it is tried before the process may have ended.
            let patience = if attempt == 1 { FIRST_UNSTORED } else { Duration::MAX };
            self.pace.turn(outgoing, patience).await;
            let answer = self.sender.post(&alert.id, &parcel, event, outgoing, timeout).await;
            let verdict = self.schedule.judge(attempt, &answer, Jitter::random());
            let result = result_of(&verdict, attempt);
            log(&alert.id, &outgoing.target, &result);
            each(&result);
            let Verdict::Retry { wait, .. } = verdict else { return result };
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// Makes a claimed attempt, when it is its turn, and notes its result.
    async fn attempt(&self, claim: &Claim) -> DeliveryResult {
        let early_ms = claim.begin_ms.saturating_sub((self.clock)());
        tokio::time::sleep(Duration::from_millis(early_ms)).await;
        let now_ms = (self.clock)();
        let left = claim.until_ms.saturating_sub(now_ms).min(claim.outgoing.timeout_ms);
        if left == 0 {
            // We were stopped for longer than the lease: someone else may be at it already.
            let detail = "the claim ran out before the attempt began".to_owned();
            return DeliveryResult::Retry { detail, in_ms: 0, attempts: claim.attempt };
        }
        let timeout = Duration::from_millis(left);
        let answer = self.sender.post(&claim.alert_id, &claim.parcel, claim.event, &claim.outgoing, timeout).await;
        let verdict = self.schedule.judge(claim.attempt, &answer, Jitter::random());
        let status = match answer {
            Answer::Status { status, .. } => Some(status),
            Answer::Failed { .. } | Answer::Refused { .. } => None,
        };
        let result = result_of(&verdict, claim.attempt);
        let now_ms = (self.clock)();
        let note = match verdict {
            Verdict::Delivered { status } => Attempted::Delivered { status },
            Verdict::Retry { wait, detail } => {
                Attempted::Retry { at_ms: now_ms.saturating_add(millis(wait)), status, detail }
            }
            Verdict::GiveUp { detail } => Attempted::GaveUp { status, detail },
        };
        log(&claim.alert_id, &claim.outgoing.target, &result);
        if let Err(error) = self.store.attempted(claim, &note, now_ms).await {
            // It is attempted again when the claim runs out, under the same id.
            tracing::warn!(alert_id = %claim.alert_id, %error, "the result of a webhook attempt could not be noted");
        }
        result
    }

    /// What a webhook that could not be claimed has come to.
    fn standing(&self, row: Option<OutboxRow>) -> DeliveryResult {
        let Some(row) = row else {
            let detail = "the store holds no webhook for this alert".to_owned();
            return DeliveryResult::GaveUp { detail, attempts: 0 };
        };
        let attempts = row.attempts;
        let in_ms = match row.next_ms().saturating_sub((self.clock)()) {
            // It is due and was not claimed: it is not within our reach, for now.
            0 => STORE_RETRY_MS,
            in_ms => in_ms,
        };
        let error = row.last_error.clone();
        match row.state {
            OutboxState::Delivered => DeliveryResult::Delivered { status: row.last_status.unwrap_or(200), attempts },
            OutboxState::GaveUp => {
                DeliveryResult::GaveUp { detail: error.unwrap_or_else(|| "it was given up".to_owned()), attempts }
            }
            OutboxState::Cancelled => {
                DeliveryResult::GaveUp { detail: "it was cancelled, as it was not needed".to_owned(), attempts }
            }
            OutboxState::Held => {
                DeliveryResult::Retry { detail: "it waits for the outcome of a transfer".to_owned(), in_ms, attempts }
            }
            OutboxState::Pending => {
                let now_ms = (self.clock)();
                let detail = match row.claimed_until_ms {
                    // A claim whose time is over is nobody's; then it is something else that we lack.
                    Some(until_ms) if until_ms > now_ms => "another process is at it".to_owned(),
                    _ if row.waits_for_its_turn(now_ms).is_some() => "it waits for its turn".to_owned(),
                    // It is due, nobody is at it, and it was not claimed.
                    _ if row.next_ms() <= now_ms => "a secret that it needs is not set here".to_owned(),
                    _ => error.unwrap_or_else(|| "it is not due yet".to_owned()),
                };
                DeliveryResult::Retry { detail, in_ms, attempts }
            }
        }
    }
}

fn result_of(verdict: &Verdict, attempts: u32) -> DeliveryResult {
    match verdict {
        Verdict::Delivered { status } => DeliveryResult::Delivered { status: *status, attempts },
        Verdict::Retry { wait, detail } => {
            DeliveryResult::Retry { detail: detail.clone(), in_ms: millis(*wait), attempts }
        }
        Verdict::GiveUp { detail } => DeliveryResult::GaveUp { detail: detail.clone(), attempts },
    }
}

fn log(alert_id: &AlertId, target: &str, result: &DeliveryResult) {
    let target = if target.is_empty() { "webhook" } else { target };
    match result {
        DeliveryResult::Delivered { status, attempts } => {
            tracing::info!(%alert_id, target, status, attempts, "alert delivered");
        }
        DeliveryResult::Retry { detail, in_ms, attempts } => {
            tracing::warn!(%alert_id, target, detail, in_ms, attempts, "alert not delivered, will be retried");
        }
        DeliveryResult::GaveUp { detail, attempts } => {
            tracing::error!(%alert_id, target, detail, attempts, "alert given up");
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
