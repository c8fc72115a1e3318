//! Order, duplicates and acks of a session's numbered messages: [`Sequencer`] and [`Ledger`]. Both pure.
//!
//! A room numbers its messages from 1 without gaps. WebSocket keeps order, but rooms that send from several workers,
//! or again after a cut, do not always: small reorderings are put right, repeats dropped, and a number that does not
//! come holds nothing up for longer than [`Sequencer::PATIENCE`].

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// The numbers that have arrived, as ranges from first to last.
#[derive(Debug, Default)]
struct Arrived(BTreeMap<u64, u64>);

impl Arrived {
    /// With more separate ranges than this the room does not number as agreed, and further ones are not remembered: what
    /// comes twice there is passed on twice, but no gap is ever taken for closed.
    const MAX_RANGES: usize = 4096;

    /// Adds a number; false when it was there.
    fn insert(&mut self, seq: u64) -> bool {
        let before = self.0.range(..=seq).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| last >= seq) {
            return false;
        }
        let mut first = seq;
        let mut last = seq;
        if let Some((start, _)) = before.filter(|(_, end)| end.checked_add(1) == Some(seq)) {
            first = start;
        }
        if let Some(end) = seq.checked_add(1).and_then(|next| self.0.remove(&next)) {
            last = end;
        }
        self.0.insert(first, last);
        if self.0.len() > Self::MAX_RANGES {
            self.0.pop_last();
        }
        true
    }

    /// The last number that follows `base` without a gap.
    fn reach(&self, base: u64) -> u64 {
        let from = base.saturating_add(1);
        self.0.range(..=from).next_back().map_or(base, |(_, last)| (*last).max(base))
    }
}

/// Puts numbered messages into order and drops repeats.
#[derive(Debug)]
pub struct Sequencer<T> {
    arrived: Arrived,
    /// Acks count from here: 0, or what lay before the first message that the room still held.
    base: u64,
    /// The first number that the room still held, until somebody was told.
    missing_before: Option<u64>,
    /// The number that is passed on next without delay.
    next: u64,
    held: BTreeMap<u64, (Instant, T)>,
}

impl<T> Default for Sequencer<T> {
    fn default() -> Self {
        Self { arrived: Arrived::default(), base: 0, missing_before: None, next: 1, held: BTreeMap::new() }
    }
}

impl<T> Sequencer<T> {
    /// How many messages may wait for an earlier one.
    pub const MAX_HELD: usize = 64;
    /// How long they wait.
    pub const PATIENCE: Duration = Duration::from_millis(500);

    /// Takes a message; what may be passed on now is appended to `out`, with its number.
    ///
    /// A number that comes after its gap was given up is passed on at once: late, but not lost.
    pub fn accept(&mut self, now: Instant, seq: u64, item: T, out: &mut Vec<(u64, T)>) {
        if !self.arrived.insert(seq) {
            return;
        }
        if seq < self.next {
            out.push((seq, item));
            return;
        }
        self.held.insert(seq, (now, item));
        self.release(out);
        while self.held.len() > Self::MAX_HELD {
            self.give_up_gap(out);
        }
    }

    /// When [`Sequencer::expire`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.held.values().map(|(since, _)| *since).min().map(|since| since + Self::PATIENCE)
    }

    /// Passes on what has waited long enough.
    pub fn expire(&mut self, now: Instant, out: &mut Vec<(u64, T)>) {
        while self.deadline().is_some_and(|due| due <= now) {
            self.give_up_gap(out);
        }
    }

    /// Passes on everything that waits: the session is over.
    pub fn flush(&mut self, out: &mut Vec<(u64, T)>) {
        while !self.held.is_empty() {
            self.give_up_gap(out);
        }
    }

    /// The last number up to which everything has arrived: what `resume` names.
    #[must_use]
    pub fn contiguous(&self) -> u64 {
        self.arrived.reach(0)
    }

    /// The same, from the first message that the room held on: what acks never exceed. A room that begins its session at 57 would
    /// otherwise wait for an ack for ever.
    #[must_use]
    pub fn ackable(&self) -> u64 {
        self.arrived.reach(self.base)
    }

    /// The first number of a session whose earlier messages are missing; said once.
    pub fn take_missing(&mut self) -> Option<u64> {
        self.missing_before.take()
    }

    /// What waits for an earlier message waits anew: while there was no connection, none could come.
    pub fn wait_anew(&mut self, now: Instant) {
        for (since, _) in self.held.values_mut() {
            *since = now;
        }
    }

    fn give_up_gap(&mut self, out: &mut Vec<(u64, T)>) {
        let Some(first) = self.held.keys().next().copied() else { return };
        if self.next == 1 && self.ackable() == 0 {
            // A room should hold its session from the start, and this one does not: what it holds begins here.
            self.base = first.saturating_sub(1);
            self.missing_before = Some(first);
        }
        self.next = first;
        self.release(out);
    }

    fn release(&mut self, out: &mut Vec<(u64, T)>) {
        while let Some((_, item)) = self.held.remove(&self.next) {
            out.push((self.next, item));
            self.next = self.next.saturating_add(1);
        }
    }
}

/// Which messages have been dealt with, and therefore what may be acked.
///
/// An ack says that what followed from a message is on disk, so it waits for the runtime's word, not for arrival.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Passed on and not yet dealt with, in the order of passing on, with the session that each belongs to.
    open: VecDeque<(u32, u64)>,
    session: u32,
    contiguous: u64,
    acked: u64,
}

impl Ledger {
    /// Another session begins, with numbers of its own.
    pub fn new_session(&mut self) {
        self.session = self.session.wrapping_add(1);
        self.contiguous = 0;
        self.acked = 0;
    }

    /// A message was passed on to the runtime.
    pub fn passed_on(&mut self, seq: u64) {
        self.open.push_back((self.session, seq));
    }

    /// Everything up to `seq` without a gap has arrived.
    pub fn arrived(&mut self, contiguous: u64) {
        self.contiguous = contiguous;
    }

    /// The runtime has dealt with this message and all that were passed on before it.
    pub fn processed(&mut self, seq: u64) {
        if let Some(at) = self.open.iter().position(|(_, open)| *open == seq) {
            self.open.drain(..=at);
        }
    }

    /// What may be acked now and was not yet.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        let open = self.open.iter().filter(|(session, _)| *session == self.session).map(|(_, seq)| *seq).min();
        let done = open.map_or(self.contiguous, |first| self.contiguous.min(first.saturating_sub(1)));
        (done > self.acked).then_some(done)
    }

    /// The ack was sent.
    pub fn acked(&mut self, seq: u64) {
        self.acked = self.acked.max(seq);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(out: &[(u64, u64)]) -> Vec<u64> {
        out.iter().map(|(seq, _)| *seq).collect()
    }

    /// Feeds numbers, all at one moment, and returns what came out.
    fn feed(sequencer: &mut Sequencer<u64>, now: Instant, seqs: &[u64]) -> Vec<u64> {
        let mut out = Vec::new();
        for seq in seqs {
            sequencer.accept(now, *seq, *seq, &mut out);
        }
        numbers(&out)
    }

    #[test]
    fn a_gap_is_given_up_after_its_patience_and_what_comes_late_is_passed_on_once() {
        let start = Instant::now();
        let mut sequencer = Sequencer::default();
        assert_eq!(feed(&mut sequencer, start, &[1, 2, 4, 5]), [1, 2]);
        assert_eq!(sequencer.deadline(), Some(start + Duration::from_millis(500)));
        let mut out = Vec::new();
        sequencer.expire(start + Duration::from_millis(499), &mut out);
        assert_eq!(numbers(&out), Vec::<u64>::new());
        sequencer.expire(start + Duration::from_millis(500), &mut out);
        assert_eq!(numbers(&out), [4, 5]);
        assert_eq!((sequencer.contiguous(), sequencer.deadline()), (2, None));
        assert_eq!(feed(&mut sequencer, start, &[4, 3, 3, 6]), [3, 6]);
        assert_eq!(sequencer.contiguous(), 6);
    }

    #[test]
    fn a_session_that_the_room_no_longer_holds_from_its_start_counts_from_what_it_holds() {
        let start = Instant::now();
        let mut sequencer = Sequencer::default();
        assert_eq!(feed(&mut sequencer, start, &[57, 58]), Vec::<u64>::new());
        let mut out = Vec::new();
        sequencer.expire(start + Duration::from_secs(1), &mut out);
        assert_eq!(numbers(&out), [57, 58]);
        assert_eq!((sequencer.ackable(), sequencer.contiguous()), (58, 0));
        assert_eq!((sequencer.take_missing(), sequencer.take_missing()), (Some(57), None));
        assert_eq!(feed(&mut sequencer, start, &[56, 56, 59]), [56, 59]);
    }

    #[test]
    fn patience_does_not_run_while_there_is_no_connection() {
        let start = Instant::now();
        let mut sequencer = Sequencer::default();
        assert_eq!(feed(&mut sequencer, start, &[1, 3]), [1]);
        let back = start + Duration::from_secs(9);
        sequencer.wait_anew(back);
        let mut out = Vec::new();
        sequencer.expire(back + Duration::from_millis(499), &mut out);
        assert_eq!((out.len(), sequencer.contiguous()), (0, 1));
        assert_eq!(feed(&mut sequencer, back, &[2]), [2, 3]);
    }

    #[test]
    fn more_than_64_waiting_messages_give_the_gap_up_at_once() {
        let start = Instant::now();
        let mut sequencer = Sequencer::default();
        assert_eq!(feed(&mut sequencer, start, &(2..=65).collect::<Vec<_>>()), Vec::<u64>::new());
        assert_eq!(feed(&mut sequencer, start, &[66]), (2..=66).collect::<Vec<_>>());
    }

    #[test]
    fn hostile_numbers_lose_nothing() {
        let start = Instant::now();
        let mut sequencer = Sequencer::default();
        assert_eq!(feed(&mut sequencer, start, &[0, u64::MAX, u64::MAX, 1]), [0, 1]);
        let mut out = Vec::new();
        sequencer.expire(start + Duration::from_secs(1), &mut out);
        assert_eq!(numbers(&out), [u64::MAX]);
        assert_eq!(feed(&mut sequencer, start, &[2, 3, u64::MAX]), [2, 3]);
        assert_eq!(sequencer.contiguous(), 3);
    }

    #[test]
    fn sparse_numbers_stay_bounded() {
        let mut sequencer = Sequencer::default();
        let mut out = Vec::new();
        for n in 1..20_000_u64 {
            sequencer.accept(Instant::now(), n * 2, n, &mut out);
        }
        sequencer.flush(&mut out);
        assert_eq!(out.len(), 19_999);
        assert!(sequencer.arrived.0.len() <= Arrived::MAX_RANGES);
    }

    #[test]
    fn an_ack_waits_for_the_runtime_and_never_covers_a_gap() {
        let mut ledger = Ledger::default();
        for seq in [1, 2, 4] {
            ledger.passed_on(seq);
        }
        ledger.arrived(2);
        assert_eq!(ledger.due(), None);
        ledger.processed(1);
        assert_eq!(ledger.due(), Some(1));
        ledger.processed(4);
        assert_eq!(ledger.due(), Some(2));
        ledger.acked(2);
        assert_eq!(ledger.due(), None);
        // 3 comes late: 4 is done, but 3 is not.
        ledger.passed_on(3);
        ledger.arrived(4);
        assert_eq!(ledger.due(), None);
        ledger.processed(3);
        assert_eq!(ledger.due(), Some(4));
    }

    #[test]
    fn what_the_runtime_finishes_of_an_old_session_acks_nothing_of_the_new_one() {
        let mut ledger = Ledger::default();
        ledger.passed_on(5);
        ledger.arrived(5);
        ledger.new_session();
        for seq in 1..=6 {
            ledger.passed_on(seq);
        }
        ledger.arrived(6);
        ledger.processed(5);
        assert_eq!(ledger.due(), None);
        ledger.processed(5);
        assert_eq!(ledger.due(), Some(5));
    }

    proptest! {
        /// Any duplication, and any reordering that moves no message further than the buffer reaches, gives each
        /// message exactly once and in order.
        #[test]
        fn each_message_comes_out_exactly_once_and_in_order(
            count in 1_u64..300,
            jitter in proptest::collection::vec(0_u64..60, 300),
            repeats in proptest::collection::vec(0_usize..300, 0..80),
        ) {
            // Sorting by number plus a jitter below 60 moves no message past 64 others.
            let mut wire: Vec<u64> = (1..=count).collect();
            wire.sort_by_key(|seq| seq + jitter[*seq as usize - 1]);
            for at in repeats {
                let at = at % wire.len();
                let repeated = wire[at];
                // A repeat comes after its first copy.
                let to = at + 1 + (at * 7) % (wire.len() - at);
                wire.insert(to, repeated);
            }
            let mut sequencer = Sequencer::default();
            let out = feed(&mut sequencer, Instant::now(), &wire);
            prop_assert_eq!(out, (1..=count).collect::<Vec<_>>());
            prop_assert_eq!(sequencer.contiguous(), count);
        }

        /// Whatever the order, and however long the gaps stay open, nothing is lost or said twice, and the ack number
        /// is exactly the length of the unbroken start.
        #[test]
        fn nothing_is_lost_or_doubled_in_any_order(
            wire in proptest::collection::vec((1_u64..120, 0_u64..400), 1..300),
        ) {
            let mut now = Instant::now();
            let mut sequencer = Sequencer::default();
            let mut out = Vec::new();
            // Holding 1 keeps the session's start where it is.
            sequencer.accept(now, 1, 1, &mut out);
            for (seq, pause_ms) in &wire {
                now += Duration::from_millis(*pause_ms);
                sequencer.expire(now, &mut out);
                sequencer.accept(now, *seq, *seq, &mut out);
            }
            sequencer.flush(&mut out);
            let mut sorted = numbers(&out);
            sorted.sort_unstable();
            let mut expected: Vec<u64> = wire.iter().map(|(seq, _)| *seq).chain([1]).collect();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(&sorted, &expected);
            let unbroken = (1_u64..).take_while(|n| expected.contains(n)).count() as u64;
            prop_assert_eq!(sequencer.contiguous(), unbroken);
        }
    }
}
