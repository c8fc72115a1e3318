//! Agents' words swapped between calls: a rater that judges the caller should hardly notice.

use crate::recording::Recording;
use crate::room::message::RoomMessage;

/// The participant that [`crate::recording::import::from_turns`] makes of the agent.
const AGENT: &str = "agent";

/// Gives the agent of every call the words of another call's agent, turn by turn, over again where they run out.
/// Which call, follows from `seed` alone: all calls whose agent speaks stand in one circle, in an order drawn by it.
///
/// Returns how many calls were changed: none where fewer than two have an agent who speaks.
pub fn swap_agents<'a>(calls: impl IntoIterator<Item = &'a mut Recording>, seed: u64) -> usize {
    let mut calls: Vec<&mut Recording> = calls.into_iter().collect();
    let mut circle: Vec<(usize, Vec<String>)> = (0..calls.len())
        .map(|at| (at, agent_turns(calls[at]).map(|text| text.clone()).collect::<Vec<_>>()))
        .filter(|(_, words)| !words.is_empty())
        .collect();
    if circle.len() < 2 {
        return 0;
    }
    fastrand::Rng::with_seed(seed).shuffle(&mut circle);
    let givers = circle.iter().cycle().skip(1);
    for ((at, _), (_, words)) in circle.iter().zip(givers) {
        for (text, other) in agent_turns(calls[*at]).zip(words.iter().cycle()) {
            text.clone_from(other);
        }
    }
    circle.len()
}

/// The words of the agent's turns.
fn agent_turns(call: &mut Recording) -> impl Iterator<Item = &mut String> {
    call.messages.iter_mut().filter_map(|timed| match &mut timed.message {
        RoomMessage::TurnEnded(turn) if turn.participant_id == AGENT => turn.text.as_mut(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::super::labels::{Labelled, read};
    use super::*;

    fn swap(calls: &mut [Labelled], seed: u64) -> usize {
        swap_agents(calls.iter_mut().map(|call| &mut call.recording), seed)
    }

    /// A call whose turns say who speaks and in which call.
    fn call(name: &str, roles: &[&str]) -> String {
        let turn = |(at, role): (usize, &&str)| format!(r#"{{"role":"{role}","text":"{role} {name} {at}"}}"#);
        let turns: Vec<String> = roles.iter().enumerate().map(turn).collect();
        format!("{{\"turns\":[{}]}}\n", turns.join(","))
    }

    fn texts(call: &mut Labelled) -> Vec<String> {
        let text = |message: &RoomMessage| match message {
            RoomMessage::TurnEnded(turn) => turn.text.clone(),
            _ => None,
        };
        call.recording.messages.iter().filter_map(|timed| text(&timed.message)).collect()
    }

    fn swapped(seed: u64) -> Vec<Vec<String>> {
        let talk = ["agent", "caller", "agent", "caller"];
        let names = ["a", "b", "c", "d", "e"];
        let mut lines: String = names.iter().map(|name| call(name, &talk)).collect();
        lines += &call("silent", &["caller", "caller"]);
        let mut calls = read(lines.as_bytes(), "calls").unwrap();
        assert_eq!(swap(&mut calls, seed), 5);
        calls.iter_mut().map(texts).collect()
    }

    #[test]
    fn every_agent_speaks_another_calls_words_and_every_caller_their_own() {
        for seed in 0..50 {
            let calls = swapped(seed);
            let mut givers: Vec<char> = Vec::new();
            for (name, call) in ["a", "b", "c", "d", "e"].iter().zip(&calls) {
                let giver = call[0].chars().nth(6).unwrap();
                assert_eq!(call[0], format!("agent {giver} 0"));
                assert_eq!(call[2], format!("agent {giver} 2"));
                assert_eq!([&call[1], &call[3]], [&format!("caller {name} 1"), &format!("caller {name} 3")]);
                assert_ne!(giver.to_string(), *name, "seed {seed}");
                givers.push(giver);
            }
            givers.sort_unstable();
            assert_eq!(givers, ['a', 'b', 'c', 'd', 'e'], "each gives once");
            assert_eq!(calls[5], ["caller silent 0", "caller silent 1"]);
        }
        assert_eq!(swapped(7), swapped(7));
        assert!((0..50).any(|seed| swapped(seed) != swapped(7)));
    }

    #[test]
    fn words_that_run_out_begin_anew_and_a_call_alone_stays_as_it_is() {
        let lines = call("long", &["agent", "agent", "agent", "caller"]) + &call("short", &["agent", "caller"]);
        let mut calls = read(lines.as_bytes(), "calls").unwrap();
        assert_eq!(swap(&mut calls, 1), 2);
        assert_eq!(texts(&mut calls[0])[..3], ["agent short 0", "agent short 0", "agent short 0"]);
        assert_eq!(texts(&mut calls[1])[0], "agent long 0");
        let mut alone = read(call("alone", &["agent", "caller"]).as_bytes(), "calls").unwrap();
        assert_eq!(swap(&mut alone, 1), 0);
        assert_eq!(texts(&mut alone[0])[0], "agent alone 0");
    }
}
