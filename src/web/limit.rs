//! How often somebody may try a token ([`Limit`]).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many wrong tokens an address may try within [`WITHIN`].
const TRIES: u32 = 10;
const WITHIN: Duration = Duration::from_secs(60);
/// So many addresses are remembered.
const ADDRESSES: usize = 10_000;

/// Counts wrong tokens by address.
#[derive(Debug, Default)]
pub(super) struct Limit(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Limit {
    /// Counts a wrong one. Whether an address has tried too many.
    pub(super) fn wrong(&self, address: IpAddr, now: Instant) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= ADDRESSES {
            seen.retain(|_, (_, since)| now.duration_since(*since) < WITHIN);
        }
        let (tries, since) = seen.entry(address).or_insert((0, now));
        if now.duration_since(*since) >= WITHIN {
            (*tries, *since) = (0, now);
        }
        *tries = tries.saturating_add(1);
        if *tries == TRIES + 1 {
            tracing::warn!(%address, "more than {TRIES} wrong tokens came from one address within a minute");
        }
        *tries > TRIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_try_so_often_in_a_while() {
        let (limit, now) = (Limit::default(), Instant::now());
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..TRIES {
            assert!(!limit.wrong(one, now));
        }
        assert!(limit.wrong(one, now) && !limit.wrong(other, now));
        assert!(!limit.wrong(one, now + WITHIN), "a while later it may again");
    }
}
