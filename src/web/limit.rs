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
    /// Whether an address may try another one.
    pub(super) fn allows(&self, address: IpAddr, now: Instant) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&address).is_none_or(|(tries, since)| *tries < TRIES || now.duration_since(*since) >= WITHIN)
    }

    /// Counts a wrong one.
    pub(super) fn wrong(&self, address: IpAddr, now: Instant) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= ADDRESSES {
            seen.retain(|_, (_, since)| now.duration_since(*since) < WITHIN);
        }
        let entry = seen.entry(address).or_insert((0, now));
        if now.duration_since(entry.1) >= WITHIN {
            *entry = (0, now);
        }
        entry.0 += 1;
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
            assert!(limit.allows(one, now));
            limit.wrong(one, now);
        }
        assert!(!limit.allows(one, now) && limit.allows(other, now));
        assert!(limit.allows(one, now + WITHIN));
        limit.wrong(one, now + WITHIN);
        assert!(limit.allows(one, now + WITHIN));
    }
}
