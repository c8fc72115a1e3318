//! What holds whatever comes: the escalations of a clean call, one at a time, and the same journal again.

use proptest::prelude::*;
use serde_json::json;

use super::{Sim, flag, rate, transfer};
use crate::call::event::Input;
use crate::call::report::Report;

/// One caller turn of the clean sequence, with what may be done to it.
#[derive(Debug, Clone)]
struct Messy {
    tenths: u8,
    filler: bool,
    cuts: usize,
    interims: usize,
    duplicate: bool,
    swap: bool,
    agent_between: bool,
}

fn messy() -> impl Strategy<Value = Messy> {
    (10u8..=60, prop::bool::weighted(0.2), 1usize..4, 0usize..3, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(tenths, filler, cuts, interims, duplicate, swap, agent_between)| Messy {
            tenths,
            filler,
            cuts,
            interims,
            duplicate,
            swap,
            agent_between,
        },
    )
}

impl Messy {
    fn text(&self) -> String {
        if self.filler {
            "f yeah".to_owned()
        } else {
            format!("{:.1} words of the turn", f64::from(self.tenths) / 10.0)
        }
    }

    /// The turn's segments as a recogniser emits them: interims, finals, duplicates, finals swapped.
    fn segments(&self, turn: usize) -> Vec<serde_json::Value> {
        let text = self.text();
        let words: Vec<&str> = text.split(' ').collect();
        let size = words.len().div_ceil(self.cuts);
        let mut finals = Vec::new();
        let mut out = Vec::new();
        for (n, chunk) in words.chunks(size).enumerate() {
            let start = turn as u64 * 10_000 + n as u64 * 1000;
            let piece = |text: String, rev: usize, is_final: bool| {
                json!({"type": "transcript", "segment_id": format!("s{turn}-{n}"), "rev": rev, "participant_id": "c",
                    "text": text, "final": is_final, "start_ms": start, "end_ms": start + 900})
            };
            for rev in 0..self.interims {
                out.push(piece(format!("9 guess {rev}"), rev, false));
            }
            finals.push(piece(chunk.join(" "), self.interims, true));
        }
        if self.swap {
            finals.reverse();
        }
        out.extend(finals);
        if self.duplicate {
            out.extend(out.clone());
        }
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_mess_leaves_the_streak_as_the_clean_sequence_has_it(
        turns in prop::collection::vec(messy(), 1..12),
        turn_events in any::<bool>(),
    ) {
        let mut clean = Sim::new(flag());
        let mut mess = Sim::new(flag());
        for (n, turn) in turns.iter().enumerate() {
            clean.say(&format!("u{n}"), &turn.text());
            for segment in turn.segments(n) {
                mess.now += 10;
                mess.room(segment);
            }
            if turn_events {
                let ids: Vec<String> = (0..turn.cuts).map(|c| format!("s{n}-{c}")).collect();
                let ended = json!({"type": "turn.ended", "turn_id": format!("u{n}"), "participant_id": "c",
                    "text": turn.text(), "segment_ids": ids, "start_ms": n * 10_000});
                mess.room(ended.clone());
                mess.room(ended);
            } else if turn.agent_between {
                mess.room(json!({"type": "agent.state", "state": "speaking"}));
            } else {
                mess.pass(1200);
            }
            if turn.agent_between {
                mess.room(json!({"type": "transcript", "segment_id": format!("g{n}"), "participant_id": "a",
                    "text": "one moment", "final": true, "start_ms": n * 10_000 + 6000, "end_ms": n * 10_000 + 7000}));
            }
            for segment in turn.segments(n).into_iter().filter(|_| turn.duplicate) {
                mess.room(segment);
            }
        }
        prop_assert_eq!(mess.escalations(), clean.escalations());
        prop_assert_eq!(mess.call.standing().counts.streak, clean.call.standing().counts.streak);
        prop_assert_eq!(mess.call.standing().ordinal, clean.call.standing().ordinal);
    }

    #[test]
    fn ratings_in_any_order_escalate_where_the_clean_sequence_does(
        tenths in prop::collection::vec(10u8..=50, 1..10),
        shuffle in any::<prop::sample::Index>(),
    ) {
        let mut clean = Sim::new(flag());
        let mut late = Sim::new(flag());
        late.hold_ratings = true;
        let mut waiting = Vec::new();
        for (n, tenth) in tenths.iter().enumerate() {
            let text = format!("{:.1}", f64::from(*tenth) / 10.0);
            clean.say(&format!("u{n}"), &text);
            late.say(&format!("u{n}"), &text);
            late.now -= 1000;
            waiting.push((format!("u{n}"), text));
        }
        let by = shuffle.index(waiting.len());
        waiting.rotate_left(by);
        if by % 2 == 0 {
            waiting.reverse();
        }
        for (turn_id, text) in waiting {
            late.input(Input::Rated { turn_id, rev: 1, result: rate(&text) });
        }
        prop_assert_eq!(late.escalations(), clean.escalations());
    }

    #[test]
    fn at_most_one_escalation_is_latched_and_the_journal_repeats(
        steps in prop::collection::vec((0u8..10, 0usize..6), 1..60),
    ) {
        let run = || {
            let mut sim = Sim::new(transfer());
            for (step, n) in &steps {
                let last = format!("u{n}");
                match step {
                    0..=3 => sim.say(&last, "1 furious"),
                    4 => sim.say(&last, "7 fine"),
                    5 => sim.result(&format!("say-{last}"), "done", None),
                    6 => sim.result(&format!("transfer-{last}"), "failed", Some("busy")),
                    7 => sim.room(json!({"type": "tool.call", "call_id": format!("k{n}"), "name": "escalate_sentiment",
                        "arguments": {"sentiment_score": 1, "description": "upset"}})),
                    8 => sim.pass(*n as u64 * 4_000),
                    _ => sim.room(json!({"type": "participant.left", "participant": {"id": "c", "role": "caller"}})),
                }
            }
            sim
        };
        let sim = run();
        let mut open = 0;
        for report in sim.reports() {
            match report {
                Report::Escalation { .. } => open += 1,
                Report::Outcome { .. } => open -= 1,
                _ => {}
            }
            prop_assert!((0..=1).contains(&open), "two escalations at once");
        }
        prop_assert_eq!(sim.journal, run().journal);
    }
}
