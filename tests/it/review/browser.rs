//! The pages in a real browser: headless Chromium, driven by its own `WebDriver`.
//!
//! What is said to that is plain JSON over HTTP (<https://www.w3.org/TR/webdriver2/>), and little of it is needed here. Crates that
//! say it would have all our tests run with another `serde_json` than the program has, or come under a licence that is none
//! of ours.
//!
//! `tests/setup.sh` installs both, and axe-core, which looks for what keeps people out. With `SIDECAR_TEST_NO_BROWSER=1` it does
//! not, and these tests only say so.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::client;
use crate::support::{PATIENCE, soon};

/// Turns it off for developers; not in CI.
const OFF: &str = "SIDECAR_TEST_NO_BROWSER";

/// What stands before an element's id (section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The key, as it is typed (section 15.4.2).
pub(super) const ENTER: &str = "\u{e007}";

/// A browser of its own, which goes with its test.
pub(super) struct Browser {
    /// Where its session is.
    session: String,
    _process: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one; none where that is turned off.
    #[expect(clippy::print_stderr, reason = "what is not tested has to be said")]
    pub(super) async fn start() -> Option<Self> {
        if std::env::var_os(OFF).is_some_and(|value| value == "1") && std::env::var_os("CI").is_none() {
            eprintln!("NOT TESTED: the pages in a browser, as {OFF}=1 says");
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver: {error}; run bash tests/setup.sh, or set {OFF}=1"));
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = soon("chromedriver", async {
            loop {
                let line = lines.next_line().await.unwrap().expect("chromedriver says where it is");
                if let Some((_, port)) = line.split_once("started successfully on port ") {
                    return port.trim_end_matches('.').to_owned();
                }
            }
        })
        .await;
        let own_files = format!("--user-data-dir={}", profile.path().display());
        let arguments = [
            "--headless=new",
            // It runs as root in containers, and sees nothing but these pages.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            // It ends with its driver, however that ends.
            "--remote-debugging-pipe",
            // Nothing is asked of anybody else.
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--window-size=1280,800",
            &own_files,
        ];
        let server = format!("http://127.0.0.1:{port}/session");
        let wanted = json!({"browserName": "chrome", "goog:chromeOptions": {"args": arguments}});
        let session = post(&server, &json!({"capabilities": {"alwaysMatch": wanted}})).await;
        let session = format!("{server}/{}", session["sessionId"].as_str().unwrap());
        Some(Self { session, _process: process, _profile: profile })
    }

    /// Asks for something of the session.
    async fn ask(&self, what: &str, with: Value) -> Value {
        post(&format!("{}/{what}", self.session), &with).await
    }

    pub(super) async fn go(&self, url: &str) {
        self.ask("url", json!({"url": url})).await;
    }

    /// What a script returns.
    pub(super) async fn run(&self, script: &str) -> Value {
        self.ask("execute/sync", json!({"script": script, "args": []})).await
    }

    /// Waits until a script's value is true.
    pub(super) async fn until(&self, what: &str, script: &str) {
        let began = Instant::now();
        while self.run(&format!("return Boolean({script})")).await != json!(true) {
            let text = self.run("return document.body.innerText").await;
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}; the page says:\n{text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the page says something.
    pub(super) async fn says(&self, text: &str) {
        self.until(text, &format!("document.body.innerText.includes({})", json!(text))).await;
    }

    /// Where all elements are that fit.
    async fn all(&self, selector: &str) -> Vec<String> {
        let found = self.ask("elements", json!({"using": "css selector", "value": selector})).await;
        let id = |one: &Value| format!("element/{}", one[ELEMENT].as_str().unwrap());
        found.as_array().unwrap().iter().map(id).collect()
    }

    /// Clicks what has this text, once it is there. A page may put another element in its place meanwhile.
    pub(super) async fn click(&self, selector: &str, text: &str) {
        let (find, what) = (format!("document.querySelectorAll({})", json!(selector)), json!(text));
        let find = format!("[...{find}].find(one => one.innerText.includes({what}))");
        let began = Instant::now();
        loop {
            let script = json!({"script": format!("return {find}"), "args": []});
            let found = post(&format!("{}/execute/sync", self.session), &script).await;
            let clicked = match found[ELEMENT].as_str() {
                Some(one) => tried(&format!("{}/element/{one}/click", self.session), &json!({})).await,
                None => Err("there is none".to_owned()),
            };
            match clicked {
                Ok(_) => return,
                Err(error) => {
                    assert!(began.elapsed() < PATIENCE, "no {selector} that says {text} was clicked: {error}")
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Clicks a part of a drawing, which has no text.
    pub(super) async fn click_drawn(&self, selector: &str) {
        let all = self.all(selector).await;
        let one = all.first().unwrap_or_else(|| panic!("no {selector}"));
        self.ask(&format!("{one}/click"), json!({})).await;
    }

    /// Types into an element, as by keyboard.
    pub(super) async fn type_into(&self, selector: &str, text: &str) {
        let all = self.all(selector).await;
        let one = all.first().unwrap_or_else(|| panic!("no {selector}"));
        self.ask(&format!("{one}/value"), json!({"text": text})).await;
    }

    pub(super) async fn has(&self, selector: &str) -> bool {
        !self.all(selector).await.is_empty()
    }

    /// Takes a cookie in place of all others.
    pub(super) async fn only_cookie(&self, name: &str, value: &str) {
        let all = format!("{}/cookie", self.session);
        answer(soon("no cookies", client().delete(&all).send()).await.unwrap()).await;
        self.ask("cookie", json!({"cookie": {"name": name, "value": value}})).await;
    }

    /// Fills in the form of the login page.
    pub(super) async fn log_in(&self, token: &str) {
        self.type_into("#token", token).await;
        self.click("button", "Log in").await;
    }

    /// Looks at the page as on a screen of this width, in light or dark.
    pub(super) async fn looks_as(&self, width: u32, height: u32, dark: bool) {
        let phone = width < 600;
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone});
        self.tell_chromium("Emulation.setDeviceMetricsOverride", screen).await;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.tell_chromium("Emulation.setEmulatedMedia", media).await;
    }

    /// What is Chromium's own.
    async fn tell_chromium(&self, command: &str, params: Value) {
        self.ask("goog/cdp/execute", json!({"cmd": command, "params": params})).await;
    }

    /// Keeps a picture of what is seen for whoever builds the pages.
    pub(super) async fn picture(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("review-pictures");
        std::fs::create_dir_all(&folder).unwrap();
        let picture = client().get(format!("{}/screenshot", self.session));
        let picture = answer(soon("a picture", picture.send()).await.unwrap()).await;
        let picture = base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }

    /// What axe-core finds that keeps people out, as far as it is serious.
    pub(super) async fn barriers(&self) -> Value {
        let axe = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("vendors/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(&axe)
            .unwrap_or_else(|error| panic!("{}: {error}; run bash tests/setup.sh", axe.display()));
        self.run(&axe).await;
        let look = "const done = arguments[arguments.length - 1]; \
                    axe.run(document).then(found => done(found.violations \
                    .filter(one => one.impact === 'serious' || one.impact === 'critical') \
                    .map(one => [one.id, one.help, one.nodes.map(node => node.html)])), error => done(String(error)));";
        self.ask("execute/async", json!({"script": look, "args": []})).await
    }
}

/// The value of an answer; whatever is wrong ends the test.
async fn read(response: reqwest::Response) -> Result<Value, String> {
    let text = soon("an answer of the browser", response.text()).await.unwrap();
    let value = serde_json::from_str::<Value>(&text).unwrap()["value"].take();
    match value.get("error") {
        Some(error) => Err(format!("{error}: {}", value["message"])),
        None => Ok(value),
    }
}

async fn answer(response: reqwest::Response) -> Value {
    read(response).await.unwrap_or_else(|error| panic!("{error}"))
}

/// What may fail, as the page changes under our hands.
async fn tried(url: &str, body: &Value) -> Result<Value, String> {
    let request = client().post(url).header("content-type", "application/json").body(body.to_string());
    read(soon(url, request.send()).await.unwrap()).await
}

async fn post(url: &str, body: &Value) -> Value {
    tried(url, body).await.unwrap_or_else(|error| panic!("{error}"))
}
