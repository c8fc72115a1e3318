//! The floors of the crate: what lies below knows nothing of what lies above, and files go round in no circle.

mod circles;
mod imports;

use std::path::Path;

use imports::{Import, Source};

/// The modules from the ground up: each uses only those before it. The same list, with what each holds, is the table in
/// `src/lib.rs`. Of a module that stands here more than once, the innermost counts.
const FLOORS: [&str; 21] = [
    "telemetry",
    "manual",
    "number",
    "clock",
    "tls",
    "http",
    "config",
    "sentiment",
    "alert",
    "room::message",
    "room",
    "recording",
    "call",
    "transfer",
    "store",
    "notify",
    "replay",
    "runtime",
    "web",
    "cli",
    "",
];

/// Circles of files that are left, each with why it stands. A new one is to be broken, not to be added.
const CIRCLES: [(&[&str], &str); 9] = [
    (&["manual/mod.rs", "manual/render.rs"], "a page is rendered, and a link that is rendered names a page"),
    (
        &["recording/import/formats.rs", "recording/import/vcon.rs", "recording/import/within.rs"],
        "the table of formats names its readers, and a reader of documents within documents looks them up in it",
    ),
    (
        &["room/link/client.rs", "room/link/connections.rs", "room/link/mod.rs"],
        "what a connection is to be like stands beside the one function that opens it",
    ),
    (
        &["room/server/link.rs", "room/server/mod.rs", "room/server/stage.rs"],
        "a connection, the room behind it and what both tell make one server",
    ),
    (
        &["runtime/attachment.rs", "runtime/edges.rs", "runtime/host.rs"],
        "a host begins attachments, which work with what it owns",
    ),
    (
        &["sentiment/model/encoder/attention.rs", "sentiment/model/encoder/forward.rs"],
        "attention is the part of the forward pass that has a file of its own, and sums as it does",
    ),
    (
        &["sentiment/model/encoder/tokens.rs", "sentiment/model/encoder/weights.rs"],
        "pieces are kept with the weights, and positions are as many as there are tokens",
    ),
    (
        &["transfer/sip/exchange.rs", "transfer/sip/mod.rs", "transfer/sip/referral.rs", "transfer/sip/wire.rs"],
        "the REFER is a method of the agent, whose errors and timers the wire has as well",
    ),
    (
        &["transfer/sip/inbox.rs", "transfer/sip/notify.rs"],
        "the inbox asks what answers a NOTIFY, which is a reply of its",
    ),
];

fn imports() -> Vec<Import> {
    let source = Source::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    source.imports().into_iter().collect()
}

/// On which floor a module lies.
fn floor(module: &[String]) -> usize {
    let shown = module.join("::");
    let holds = |floor: &&str| floor.is_empty() || shown == **floor || shown.starts_with(&format!("{floor}::"));
    let innermost = FLOORS.iter().enumerate().filter(|(_, floor)| holds(floor)).max_by_key(|(_, floor)| floor.len());
    match innermost {
        Some((_, &"")) if !module.is_empty() => {
            panic!("{shown} stands on no floor: add it to FLOORS and to src/lib.rs")
        }
        Some((at, _)) => at,
        None => unreachable!("the crate's root holds everything"),
    }
}

#[test]
fn no_import_runs_up_a_floor() {
    let up = imports().into_iter().filter(|import| floor(&import.to) > floor(&import.from));
    let up: Vec<String> = up.map(|import| shown(&import)).collect();
    assert!(up.is_empty(), "{} imports run up:\n{}", up.len(), up.join("\n"));
}

fn shown(import: &Import) -> String {
    let Import { file, to, item, test, .. } = import;
    let what = to.iter().chain(item).cloned().collect::<Vec<_>>().join("::");
    format!("src/{file} uses crate::{what}{}", if *test { " in its tests" } else { "" })
}

#[test]
fn the_table_of_the_crate_has_every_floor_in_order() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    // A private module has no link.
    let row = |line: &'_ str| Some(line.strip_prefix("//! | ")?.trim_start_matches('[').strip_prefix('`')?.to_owned());
    let rows = text.lines().filter_map(row).map(|row| row.split('`').next().unwrap_or_default().to_owned());
    let floors: Vec<&str> = FLOORS.into_iter().filter(|floor| !floor.is_empty()).collect();
    assert_eq!(rows.collect::<Vec<_>>(), floors);
}

#[test]
fn no_new_circle_of_files_has_come_about() {
    let uses = imports().into_iter().filter(|import| !import.test && import.item.is_some());
    let uses: Vec<Import> = uses.collect();
    let found = circles::of(uses.iter().map(|import| (import.file.as_str(), import.to_file.as_str())));
    let known: Vec<Vec<&str>> = CIRCLES.iter().map(|(files, _)| files.to_vec()).collect();
    let inside = |circle: &[&str]| {
        let holds = |file: &str| circle.contains(&file);
        uses.iter().filter(|import| holds(&import.file) && holds(&import.to_file)).map(shown).collect::<Vec<_>>()
    };
    let new: Vec<String> = found
        .iter()
        .filter(|circle| !known.contains(circle))
        .map(|circle| format!("{}:\n  {}", circle.join(", "), inside(circle).join("\n  ")))
        .collect();
    assert!(new.is_empty(), "{} new circles of files:\n{}", new.len(), new.join("\n"));
    let gone: Vec<_> = known.iter().filter(|circle| !found.contains(circle)).collect();
    assert!(gone.is_empty(), "these circles are broken: take them from CIRCLES: {gone:?}");
}
