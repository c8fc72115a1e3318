//! The JSON API, tried by its own description: schemathesis sends what the description allows and what it does not, and holds
//! every answer to it. `tests/setup.sh` installs it (`schemathesis.txt`).

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use super::furniture::furnish;
use super::{Pages, TOKEN, client};

/// All it tries, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn every_answer_of_the_api_is_as_its_description_says() {
    let pages = Pages::start().await;
    let _calls = furnish(&pages).await;
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("schemathesis");
    let program = home.join("bin/schemathesis");
    assert!(program.exists(), "no schemathesis in {}: run bash tests/setup.sh", home.display());
    // As it is served, with an alert that is there for what asks for one.
    let described = client().get(format!("{}/api/openapi.json", pages.url)).send().await.unwrap();
    let mut described: Value = serde_json::from_str(&described.text().await.unwrap()).unwrap();
    described["components"]["parameters"]["Id"]["example"] = json!(pages.id);
    let file = pages.program.folder.path().join("openapi.json");
    std::fs::write(&file, described.to_string()).unwrap();
    let mut command = Command::new(program);
    command.arg("run").arg(&file).args(["--url", &pages.url, "--header", &format!("Authorization: Bearer {TOKEN}")]);
    command.args(["--seed", "1", "--max-examples", "30", "--no-color", "--generation-database", "none"]);
    // Tokens that are wrong are counted, and then none is taken for a minute: that has a test of its own.
    command.args(["--exclude-checks", "ignored_auth"]);
    command.current_dir(pages.program.folder.path()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = timeout(PATIENCE, command.output()).await.expect("it ends in time").unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("5 selected / 5 total") && !said.contains("Missing test data"), "{said}");
}
