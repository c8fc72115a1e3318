//! Circles in a graph: the sets of nodes that all reach each other.

use std::collections::{BTreeMap, BTreeSet};

/// Every circle of two nodes and more, in order of their names.
pub(super) fn of<'a>(arrows: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Vec<&'a str>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in arrows {
        next.entry(from).or_default().insert(to);
        next.entry(to).or_default();
    }
    let reach: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|node| (*node, reached(&next, node))).collect();
    let circle = |node: &&'a str| -> Vec<&'a str> {
        reach[node].iter().copied().filter(|other| other == node || reach[other].contains(node)).collect()
    };
    let circles: BTreeSet<Vec<&str>> = next.keys().map(circle).filter(|circle| circle.len() > 1).collect();
    circles.into_iter().collect()
}

/// The node, and all that its arrows lead to.
fn reached<'a>(next: &BTreeMap<&'a str, BTreeSet<&'a str>>, node: &'a str) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::from([node]), vec![node]);
    while let Some(node) = open.pop() {
        open.extend(next[node].iter().filter(|other| seen.insert(other)));
    }
    seen
}

#[test]
fn circles_are_found_and_ways_are_not() {
    let arrows = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("f", "e"), ("g", "h"), ("h", "g")];
    assert_eq!(of(arrows.into_iter()), [vec!["a", "b", "c"], vec!["g", "h"]]);
}
