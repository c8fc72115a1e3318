//! Cross-validation: what a recommendation is worth on calls that it was not made from.
//!
//! All calls are dealt into five parts, each with its share of those that should escalate, of those that should not, and
//! of those that nobody has judged. For each part the whole search is done again on the other four, combinations included,
//! and what it recommends is tried on the part that it has not seen. All five together are the honest figures; those of
//! the calls that a recommendation was made from flatter it.

use sha2::{Digest, Sha256};

use super::outcomes::Outcomes;
use super::recommend::Recommendation;
use super::search::{Aim, Tried};
use super::weigh::{Validated, Weighed, judged};
use crate::replay::figures::Share;

/// How many parts.
pub const PARTS: usize = 5;

/// Cross-validates; none where labels do not decide.
pub fn validated(
    outcomes: &mut Outcomes,
    aim: &Aim,
    fitted: &Weighed,
    tell: &mut dyn FnMut(usize, usize),
) -> Option<Validated> {
    if !aim.labelled {
        return None;
    }
    let parts = parts(outcomes, aim);
    let mut turns = vec![None; outcomes.calls.len()];
    for part in 0..PARTS {
        let (held_out, rest): (Vec<usize>, Vec<usize>) = aim.over.iter().partition(|call| parts[**call] == part);
        let aim = Aim { over: rest, ..aim.clone() };
        let tried = Tried::all(outcomes, &aim, tell);
        let cell = Recommendation::of(&tried, outcomes, &aim).weighed.cell;
        let under: Vec<Option<u32>> = outcomes.of(&cell).collect();
        held_out.into_iter().for_each(|call| turns[call] = under[call]);
    }
    let escalated = aim.over.iter().filter(|call| turns[**call].is_some()).count();
    let judgements: Vec<_> = aim.over.iter().filter_map(|call| judged(outcomes, *call, turns[*call])).collect();
    let weighed = Weighed::new(fitted.cell, Share::new(escalated, aim.over.len()), &judgements, &aim.band);
    Some(Validated { weighed, turns })
}

/// The part of every call, by its place: in an order that hangs on its name alone, so that the same calls are dealt the
/// same way each time.
fn parts(outcomes: &Outcomes, aim: &Aim) -> Vec<usize> {
    let mut parts = vec![0; outcomes.calls.len()];
    for wanted in [Some(true), Some(false), None] {
        let mut calls: Vec<usize> =
            aim.over.iter().copied().filter(|call| outcomes.calls[*call].escalate == wanted).collect();
        calls.sort_by_cached_key(|call| {
            // The call itself, wherever its file lies.
            let name = &outcomes.calls[*call].name;
            let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
            (Sha256::digest(name.as_bytes()).to_vec(), *call)
        });
        for (at, call) in calls.into_iter().enumerate() {
            parts[call] = at % PARTS;
        }
    }
    parts
}
