//! `doctor`: says whether a call would go well, without starting one.

mod checks;
mod finding;
mod livekit;
mod llm;
mod sip;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use url::Url;

use super::exit::{Exit, Failure};
use super::secrets::openai_key;
use super::settings_args::SettingsArgs;
use crate::config::secret::SecretName;
use crate::config::target_secrets::TargetSecrets;
use crate::config::{Env, load_secrets};
use crate::room::{DialectName, Target};
use crate::store::StoreUrl;
use crate::tls::Authorities;
use finding::{Check, Finding, exit_of};

/// Check settings, secrets, store, webhook, SIP peer, room and LLM, each on its own, and say how to mend what fails.
///
/// No alert is sent, unless --send-test asks for one, and nobody is called. The room is joined for a moment when --room-url and --room name one. The LLM at
/// llmUrl is asked to rate one neutral sentence.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sentiment-sidecar doctor --agent agent.json \\
      --room-url wss://rooms.example.com/v1 --room room_abc123
  sentiment-sidecar doctor --agent agent.json --dialect livekit \\
      --room-url wss://my.livekit.cloud --room call-7
  sentiment-sidecar doctor --agent agent.json --sip
  sentiment-sidecar doctor --agent agent.json --send-test

Exit codes: 0 all is well or worth a warning, 1 webhook, SIP peer or LLM,
2 usage, 6 settings or secrets, 7 room, 9 store. Of several, the first in the
order 6, 9, 7, 1 counts.")]
pub struct DoctorArgs {
    /// Try the room at this WebSocket address (ws:// or wss://).
    #[arg(long, value_name = "URL", env = "SIDECAR_ROOM_URL", hide_env_values = true, requires = "room")]
    room_url: Option<Url>,
    /// Try the room of this name.
    #[arg(long, value_name = "NAME", env = "SIDECAR_ROOM", requires = "room_url")]
    room: Option<String>,
    /// Speak the room's wire protocol. With livekit nobody is put out of the room, unless the token has the name of who
    /// works there.
    #[arg(long, value_enum, default_value_t = DialectName::Native)]
    dialect: DialectName,
    /// Try this store: sqlite:///path/to/file.db or a path [default: an SQLite file in the user's state folder].
    #[arg(long, value_name = "URL", env = "SIDECAR_STORE", hide_env_values = true)]
    store: Option<StoreUrl>,
    /// Trust these certificate authorities (PEM) for the room and the LLM, besides the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Check only what a transfer over SIP needs, step by step, with this peer: host[:port] or a SIP URI [default:
    /// sentimentSipProxy].
    #[arg(long, value_name = "PEER", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    sip: Option<String>,
    /// Send an alert that is marked as a test to sentimentNotifyWebhook and to each of sentimentNotifyTargets, and nothing
    /// else but settings and secrets is checked.
    #[arg(long, conflicts_with = "sip")]
    send_test: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Runs `doctor`.
///
/// # Errors
/// When the findings cannot be written.
pub async fn run(args: DoctorArgs) -> Result<Exit, Failure> {
    let findings = examine(args, &Env::of_process()).await;
    let mut out = anstream::stdout().lock();
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    Ok(exit_of(&findings))
}

/// All findings, in the order of the checks. Those that wait for others run at once.
async fn examine(args: DoctorArgs, env: &Env) -> Vec<Finding> {
    let loaded = args.settings.load_from(env);
    let secrets = load_secrets(env, &SecretName::ALL);
    let mut findings = checks::settings(&loaded);
    let settings = loaded.ok().map(|loaded| loaded.settings);
    let targets = TargetSecrets::of(env.clone());
    findings.extend(checks::secrets(&secrets, settings.as_ref(), &targets));
    let secrets = secrets.ok();
    if let Some(peer) = &args.sip {
        let peer = Some(peer.as_str()).filter(|peer| !peer.is_empty());
        findings.extend(sip::examine(settings.as_ref(), secrets.as_ref(), peer).await);
        return findings;
    }
    let authorities = Authorities::new(args.ca_file.as_deref());
    if args.send_test {
        let test = checks::send_test(settings.as_ref(), secrets.as_ref(), &targets, &authorities);
        findings.extend(test.await);
        return findings;
    }
    let room = args.room_url.zip(args.room);
    let joined = async {
        match (args.dialect, room) {
            (DialectName::Livekit, Some(room)) => {
                livekit::examine(room, settings.as_ref(), secrets.as_ref(), &authorities).await
            }
            (dialect, room) => {
                let token = secrets.as_ref().and_then(|secrets| secrets.room_token.clone());
                let is_openai = dialect == DialectName::Openai;
                if let (true, Some(_), Some(Err(failure))) = (is_openai, &room, secrets.as_ref().map(openai_key)) {
                    return vec![
                        Check::Secrets.fail(failure, "set it to the API key of the project that has the calls"),
                    ];
                }
                let target = room.map(|(url, name)| match dialect {
                    DialectName::Openai => Target::openai(url, name, token, None),
                    DialectName::Native | DialectName::Livekit => Target::native(url, name, token),
                });
                vec![checks::room(target, secrets.as_ref(), &authorities, checks::MEND_ROOM).await]
            }
        }
    };
    let (store, webhooks, sip, room, llm) = tokio::join!(
        checks::store(args.store),
        checks::webhooks(settings.as_ref(), &targets),
        checks::sip(settings.as_ref(), secrets.as_ref()),
        joined,
        llm::llm(settings.as_ref(), secrets.as_ref(), &authorities),
    );
    findings.push(store);
    findings.extend(webhooks);
    findings.push(sip);
    findings.extend(room);
    findings.push(llm);
    findings
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: DoctorArgs,
    }

    async fn doctor(flags: &[&str], env: &[(&str, &str)]) -> (String, Exit) {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store.db");
        let store = ["doctor", "--store", store.to_str().unwrap()];
        let line = Line::try_parse_from(store.iter().chain(flags)).map_err(|e| e.to_string()).unwrap();
        let findings = examine(line.args, &env.iter().copied().collect()).await;
        let text = findings.iter().map(|finding| anstream::adapter::strip_str(&finding.to_string()).to_string());
        let text = text.collect::<Vec<_>>().join("\n").replace(folder.path().to_str().unwrap(), "FOLDER");
        (text, exit_of(&findings))
    }

    const ENABLED: [&str; 2] = ["--set", "sentimentEscalationEnabled=true"];
    const SECRET: (&str, &str) = ("SIDECAR_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");

    #[tokio::test]
    async fn all_is_well_with_flags_only() {
        let (text, exit) = doctor(&ENABLED, &[]).await;
        assert_eq!(exit, Exit::Ok);
        insta::assert_snapshot!(text);
    }

    #[tokio::test]
    async fn wrong_settings_and_secrets_are_told_together() {
        let env = [("SIDECAR_ROOM_TOKEN", "hunter2\n"), ("SIDECAR_SENTIMENT_THRESHOLD", "11")];
        let (text, exit) = doctor(&["--window", "0"], &env).await;
        assert_eq!(exit, Exit::BadSettings);
        assert!(!text.contains("hunter2"));
        insta::assert_snapshot!(text);
    }

    #[tokio::test]
    async fn what_is_probably_not_meant_is_a_warning() {
        let (text, exit) = doctor(&["--threshold", "1"], &[]).await;
        assert_eq!(exit, Exit::Ok);
        insta::assert_snapshot!(text);
    }

    #[tokio::test]
    async fn a_webhook_without_a_signing_secret_fails() {
        let (text, exit) =
            doctor(&["--action", "notify", "--set", "sentimentNotifyWebhook=https://127.0.0.1/x"], &[]).await;
        assert_eq!(exit, Exit::BadSettings);
        assert!(text.contains("fail  secrets   SIDECAR_WEBHOOK_SECRET is not set"), "{text}");
        assert!(text.contains("fail  webhook   127.0.0.1 is refused: loopback"), "{text}");
    }

    #[tokio::test]
    async fn a_target_without_its_secret_is_sent_nothing_and_the_variable_is_named() {
        let target = r#"sentimentNotifyTargets=[{"format":"slack","urlEnv":"SIDECAR_SLACK_URL"}]"#;
        let flags = ["--action", "notify", "--set", target, "--send-test"];
        let (text, exit) = doctor(&flags, &[]).await;
        assert_eq!(exit, Exit::BadSettings);
        let sent = "fail  test      slack was sent nothing: SIDECAR_SLACK_URL is not set, and sentimentNotifyTargets needs it; \
                    set it, or SIDECAR_SLACK_URL_FILE to a file that holds it";
        assert!(text.contains(sent), "{text}");
        assert!(!text.contains("receiver's own log"), "{text}");
        let (text, _) = doctor(&flags[..4], &[("SIDECAR_SLACK_URL", "https://127.0.0.1/x")]).await;
        assert!(text.contains("ok    secrets   set: SIDECAR_SLACK_URL"), "{text}");
    }

    #[tokio::test]
    async fn a_webhook_is_reached_without_sending_anything() {
        let receiver = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("sentimentNotifyWebhook=http://{}/hook", receiver.local_addr().unwrap());
        let flags = ["--action", "notify", "--set", &url, "--set", "sentimentWebhookAllow=127.0.0.1"];
        let (text, exit) = doctor(&flags, &[SECRET]).await;
        assert!(text.contains("ok    webhook"), "{text}");
        assert_eq!(exit, Exit::Ok);
        let (mut stream, _) = receiver.accept().await.unwrap();
        let mut said = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut said).await.unwrap();
        assert!(said.is_empty());
        drop(receiver);
        let (text, exit) = doctor(&flags, &[SECRET]).await;
        assert!(text.contains("fail  webhook") && text.contains("refused"), "{text}");
        assert_eq!(exit, Exit::Other);
    }

    #[tokio::test]
    async fn a_store_that_cannot_be_opened_fails() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "this is no database, it is only some text that lies in its place").unwrap();
        let args = Line::try_parse_from(["doctor", "--store", file.to_str().unwrap()])
            .map_err(|e| e.to_string())
            .unwrap()
            .args;
        let findings = examine(args, &Env::default()).await;
        assert_eq!(exit_of(&findings), Exit::StoreUnusable);
    }

    #[tokio::test]
    async fn a_board_that_cannot_be_opened_fails_and_says_which_file_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store.db");
        std::fs::write(folder.path().join("store.db-live"), "this is no database, it is only some text in its place")
            .unwrap();
        let args = Line::try_parse_from(["doctor", "--store", store.to_str().unwrap()])
            .map_err(|e| e.to_string())
            .unwrap()
            .args;
        let findings = examine(args, &Env::default()).await;
        assert!(findings.iter().any(|finding| finding.to_string().contains("store.db-live")));
        assert_eq!(exit_of(&findings), Exit::StoreUnusable);
    }

    #[tokio::test]
    async fn a_room_that_is_not_there_fails() {
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let (text, exit) = doctor(&["--room-url", &format!("ws://{port}/"), "--room", "r"], &[]).await;
        assert!(text.contains("fail  room") && text.contains("cannot be reached"), "{text}");
        assert_eq!(exit, Exit::RoomRefused);
    }

    #[tokio::test]
    async fn calls_at_openai_want_their_key_before_anybody_is_dialled() {
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let url = format!("ws://{port}/v1/realtime");
        let flags = ["--dialect", "openai", "--room-url", &url, "--room", "rtc_u1"];
        let (text, exit) = doctor(&flags, &[]).await;
        assert!(
            text.contains("fail  secrets   SIDECAR_ROOM_TOKEN is not set, and --dialect openai needs it"),
            "{text}"
        );
        assert_eq!(exit, Exit::BadSettings);
        let (text, exit) = doctor(&flags, &[("SIDECAR_ROOM_TOKEN", "k3y")]).await;
        assert!(text.contains("fail  room"), "{text}");
        assert_eq!(exit, Exit::RoomRefused);
    }

    #[tokio::test]
    async fn a_sip_peer_that_is_not_there_fails() {
        let peer = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let proxy = format!("sentimentSipProxy={peer}");
        let (text, exit) = doctor(
            &[
                "--action",
                "transfer",
                "--set",
                "sentimentEscalationTarget=+14155551234",
                "--set",
                "sentimentSipListen=127.0.0.1:0",
                "--set",
                "sentimentSipTransport=tcp",
                "--set",
                &proxy,
            ],
            &[],
        )
        .await;
        assert!(text.contains("fail  sip"), "{text}");
        assert_eq!(exit, Exit::Other);
    }
}
