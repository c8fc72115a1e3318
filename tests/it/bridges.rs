//! The bridges of `deploy/bridges/`: their own tests in `tests/bridges/`, with the real frameworks and this program, and
//! their types.
//!
//! `tests/setup.sh` installs what they need (`tests/bridges/requirements.txt`). With `SIDECAR_TEST_NO_BRIDGES=1` it does not,
//! and this file only says so.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// Turns it off for developers; not in CI.
const OFF: &str = "SIDECAR_TEST_NO_BRIDGES";
/// All tests of a framework on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) fn home() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("bridges")
}

async fn python(args: &[&str]) {
    python_unless(&[OFF], args, &[]).await;
}

/// Runs a module of the bridges' Python at the root of the sources; it must end well. Does nothing where one of the
/// variables `off` is 1, but in CI.
#[expect(clippy::print_stderr, reason = "what is not tested has to be said")]
pub(crate) async fn python_unless(off: &[&str], args: &[&str], env: &[(&str, &OsStr)]) {
    let is_on = |name: &&&str| std::env::var_os(name).is_some_and(|value| value == "1");
    if let Some(off) = off.iter().find(is_on).filter(|_| std::env::var_os("CI").is_none()) {
        eprintln!("NOT TESTED: {}, as {off}=1 says", args.join(" "));
        return;
    }
    let home = home();
    let python = home.join("bin/python");
    assert!(python.exists(), "no bridges in {}: run bash tests/setup.sh, or set {OFF}=1 to go without", home.display());
    let mut command = Command::new(python);
    command.arg("-m").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).kill_on_drop(true);
    command.envs(env.iter().copied());
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("SENTIMENT_SIDECAR", env!("CARGO_BIN_EXE_sentiment-sidecar"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = timeout(PATIENCE, command.output()).await.expect("it ends in time").unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[tokio::test]
async fn the_room_does_what_its_dialect_says() {
    python(&["pytest", "tests/bridges/test_room.py", "tests/bridges/test_manual.py"]).await;
}

#[tokio::test]
async fn livekit_agents_is_wired_to_it() {
    python(&["pytest", "tests/bridges/test_frameworks.py", "tests/bridges/test_livekit.py", "-k", "livekit"]).await;
}

#[tokio::test]
async fn pipecat_is_wired_to_it() {
    python(&["pytest", "tests/bridges/test_frameworks.py", "tests/bridges/test_pipecat.py", "-k", "pipecat"]).await;
}

#[tokio::test]
async fn calls_of_openai_are_joined_by_their_id() {
    python(&["pytest", "tests/bridges/test_openai.py"]).await;
}

#[tokio::test]
async fn an_app_of_twilios_framework_is_called_through_the_proxy() {
    python(&["pytest", "tests/bridges/test_twilio.py"]).await;
}

#[tokio::test]
async fn the_types_hold() {
    let cache = home().join("mypy").display().to_string();
    python(&["mypy", "--config-file", "tests/bridges/mypy.ini", "--cache-dir", &cache]).await;
}
