//! Rooms of a real LiveKit server, with real agents and publishers: the tests in `tests/bridges/` that are about them.
//!
//! `tests/setup.sh` builds the server and installs what the tests are written in. With `SIDECAR_TEST_NO_LIVEKIT=1` or
//! `SIDECAR_TEST_NO_BRIDGES=1` it does not, and this file only says so.

use crate::bridges::{home, python_unless};

/// Turn it off for developers; not in CI.
const OFF: [&str; 2] = ["SIDECAR_TEST_NO_LIVEKIT", "SIDECAR_TEST_NO_BRIDGES"];

async fn run(file: &str) {
    let server = home().with_file_name("livekit").join("server");
    assert!(
        server.exists() || OFF.into_iter().any(|off| std::env::var_os(off).is_some()),
        "no LiveKit server at {}: run bash tests/setup.sh, or set {}=1 to go without",
        server.display(),
        OFF[0]
    );
    python_unless(&OFF, &["pytest", file], &[("LIVEKIT_SERVER", server.as_os_str())]).await;
}

#[tokio::test]
async fn a_participant_stays_in_a_room_whatever_is_cut() {
    run("tests/bridges/test_livekit_connection.py").await;
}

#[tokio::test]
async fn a_call_in_a_room_is_heard_and_acted_in() {
    run("tests/bridges/test_livekit_room.py").await;
}

#[tokio::test]
async fn workers_are_given_calls_until_they_are_to_end() {
    run("tests/bridges/test_livekit_worker.py").await;
}

#[tokio::test]
async fn calls_of_workers_that_are_killed_are_taken_over() {
    run("tests/bridges/test_livekit_takeover.py").await;
}
