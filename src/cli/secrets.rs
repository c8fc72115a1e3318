//! Secrets for a command: from the environment, wrong ones refused before anything is begun.

use super::exit::{Exit, Failure};
use crate::config::env::Env;
use crate::config::secret::{SecretName, Secrets, load_secrets};

/// Reads the secrets that the command uses from the process's environment.
///
/// # Errors
/// [`Exit::BadSettings`] when one is wrong; none is shown.
pub(super) fn load(used: &[SecretName]) -> Result<Secrets, Failure> {
    load_secrets(&Env::of_process(), used).map_err(|errors| Failure::new(Exit::BadSettings, errors))
}
