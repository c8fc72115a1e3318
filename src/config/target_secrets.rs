//! The secrets that `sentimentNotifyTargets` name: read where one is needed, and at no other time.

use super::env::Env;
use super::secret::{Form, Secret, SecretError, SecretErrors, TOKEN, read_one};
use super::targets::{NotifyTarget, Place};
use super::webhook::WebhookUrl;

/// Reads such secrets out of an environment, or out of the files that it names. A file is read anew each time, so that a
/// secret that was changed there is used from then on.
#[derive(Debug, Clone, Default)]
pub struct TargetSecrets(Env);

/// A URL that is a secret.
const URL: Form<Secret> = Form { read: url, allowed: "https://host/path" };

fn url(text: &str) -> Result<Secret, String> {
    let text = text.trim();
    // What is wrong is said without the URL.
    match text.parse::<WebhookUrl>() {
        Ok(_) => Ok(Secret::new(text)),
        Err(error) => Err(error.problem().to_owned()),
    }
}

impl TargetSecrets {
    /// Those of this environment.
    #[must_use]
    pub fn of(env: Env) -> Self {
        Self(env)
    }

    /// Whether a variable, or the one that names its file, is set.
    #[must_use]
    pub fn has(&self, variable: &str) -> bool {
        let set = |name: &str| !matches!(self.0.get(name), Ok(None));
        set(variable) || set(&format!("{variable}_FILE"))
    }

    /// The URL that a variable holds.
    ///
    /// # Errors
    /// [`SecretError`] when it is not set, cannot be read, or is no URL; it never shows it.
    pub fn url(&self, variable: &str) -> Result<WebhookUrl, SecretError> {
        let secret = self.needed(variable, URL)?;
        let wrong = |_| SecretError::Wrong {
            origin: variable.to_owned(),
            problem: "it is no URL".to_owned(),
            allowed: URL.allowed,
        };
        secret.expose().parse().map_err(wrong)
    }

    /// The key that a variable holds.
    ///
    /// # Errors
    /// [`SecretError`] when it is not set, cannot be read, or is no key; it never shows it.
    pub fn key(&self, variable: &str) -> Result<Secret, SecretError> {
        self.needed(variable, TOKEN)
    }

    fn needed(&self, variable: &str, form: Form<Secret>) -> Result<Secret, SecretError> {
        let missing =
            || SecretError::Missing { name: variable.to_owned(), needed_by: "sentimentNotifyTargets".to_owned() };
        read_one(&self.0, variable, form)?.ok_or_else(missing)
    }

    /// That all secrets of these targets can be used.
    ///
    /// # Errors
    /// Everything that is wrong, at once, without showing any secret.
    pub fn check(&self, targets: &[NotifyTarget]) -> Result<(), SecretErrors> {
        let wrong = |target: &NotifyTarget| match &target.place {
            Place::Url(_) => None,
            Place::UrlEnv(variable) => self.url(variable.as_str()).err(),
            Place::KeyEnv { key, .. } => self.key(key.as_str()).err(),
        };
        let errors: Vec<SecretError> = targets.iter().filter_map(wrong).collect();
        if errors.is_empty() { Ok(()) } else { Err(SecretErrors(errors)) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_come_from_variables_or_files_and_are_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, "https://hooks.example.com/T0/hunter2\n").unwrap();
        let env = [
            ("SIDECAR_SLACK_URL_FILE", file.to_str().unwrap()),
            ("SIDECAR_TEAMS_URL", "hunter2://"),
            ("SIDECAR_PD_KEY", "hunter2 hunter2"),
        ];
        let secrets = TargetSecrets::of(env.into_iter().collect());
        assert_eq!(secrets.url("SIDECAR_SLACK_URL").unwrap().url().path(), "/T0/hunter2");
        std::fs::write(&file, "https://hooks.example.com/T0/rotated").unwrap();
        assert_eq!(secrets.url("SIDECAR_SLACK_URL").unwrap().url().path(), "/T0/rotated");
        let target = |value| NotifyTarget::read(&value).unwrap();
        let targets = [
            target(json!({"format": "slack", "urlEnv": "SIDECAR_SLACK_URL"})),
            target(json!({"format": "teams", "urlEnv": "SIDECAR_TEAMS_URL"})),
            target(json!({"format": "pagerduty", "keyEnv": "SIDECAR_PD_KEY"})),
            target(json!({"format": "standard", "urlEnv": "SIDECAR_CRM_URL"})),
        ];
        let errors = secrets.check(&targets).unwrap_err().to_string();
        assert!(!errors.contains("hunter2") && !format!("{secrets:?}").contains("hunter2"), "{errors}");
        for part in [
            "3 secrets are wrong",
            "SIDECAR_TEAMS_URL: ",
            "SIDECAR_PD_KEY: it holds a space",
            "SIDECAR_CRM_URL is not set",
        ] {
            assert!(errors.contains(part), "{part} is missing in {errors}");
        }
        assert!(secrets.has("SIDECAR_SLACK_URL") && !secrets.has("SIDECAR_CRM_URL"));
    }
}
