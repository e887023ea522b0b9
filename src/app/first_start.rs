//! What a fresh store needs before anyone can come in: an admin token, and the onboarding credential.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::acs::gate::{AuthMode, SharedLogin};
use crate::auth::random::{self, RandomError};
use crate::auth::seal::{SealError, Sealer};
use crate::auth::token;
use crate::clock::SystemClock;
use crate::config::{Config, StoreChoice};
use crate::model::token::{Role, TokenId, TokenRecord};
use crate::store::{Store, StoreError};
use crate::types::secret::{Sealed, Secret};
use crate::types::time::Clock as _;

/// The sealed onboarding password in the data folder.
const ONBOARDING_FILE: &str = "onboarding";
/// Its user name, unless configured.
const ONBOARDING_USERNAME: &str = "onboarding";
const PASSWORD_CHARS: usize = 24;

/// Why the first start was not completed.
#[derive(Debug, thiserror::Error)]
pub enum FirstStartError {
    /// The token was not stored.
    #[error("the admin token was not stored")]
    Store(#[source] StoreError),
    /// No randomness.
    #[error("no randomness")]
    Random(#[source] RandomError),
    /// The onboarding file.
    #[error("the onboarding credential in {path} cannot be used")]
    File {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The onboarding password.
    #[error("the onboarding password cannot be sealed or opened")]
    Seal(#[source] SealError),
}

/// What the first start has brought.
#[derive(Debug, Default)]
pub(super) struct FirstStart {
    /// Made now; to be shown once.
    pub(super) new_admin_token: Option<Secret>,
    /// In force; `None` when nobody is challenged.
    pub(super) onboarding: Option<SharedLogin>,
    /// Made now; to be shown once.
    pub(super) new_onboarding: Option<SharedLogin>,
}

/// Makes what is missing.
pub(super) async fn complete(
    config: &Config,
    store: &dyn Store,
    sealer: &Sealer,
) -> Result<FirstStart, FirstStartError> {
    let mut first = FirstStart::default();
    if store.tokens().is_empty() {
        let (token, shown) = match &config.api.admin_token {
            Some(token) => (token.clone(), None),
            None => {
                let token = token::generate().map_err(FirstStartError::Random)?;
                (token.clone(), Some(token))
            }
        };
        let record = TokenRecord {
            id: TokenId(0),
            name: "first admin".to_owned(),
            role: Role::Admin,
            organizations: None,
            hash: token::TokenHash::of(token.expose()).0,
            prefix: token::prefix(&token).to_owned(),
            created_at: SystemClock.now(),
            expires_at: None,
            last_used_at: None,
        };
        store.add_token(record).await.map_err(FirstStartError::Store)?;
        first.new_admin_token = shown;
    }
    if config.cwmp.auth != AuthMode::None {
        let (login, made) = onboarding(config, sealer)?;
        first.new_onboarding = made.then(|| login.clone());
        first.onboarding = Some(login);
    }
    Ok(first)
}

/// The configured credential, else the one that an earlier start made, else a new one.
fn onboarding(config: &Config, sealer: &Sealer) -> Result<(SharedLogin, bool), FirstStartError> {
    if let (Some(username), Some(password)) = (&config.cwmp.onboarding_username, &config.cwmp.onboarding_password) {
        return Ok((SharedLogin { username: username.clone(), password: password.clone() }, false));
    }
    let make = || {
        let password = Secret::new(random::alphanumeric(PASSWORD_CHARS).map_err(FirstStartError::Random)?);
        Ok(SharedLogin { username: ONBOARDING_USERNAME.to_owned(), password })
    };
    if config.store == StoreChoice::Memory {
        return Ok((make()?, true));
    }
    let path = config.data_dir.join(ONBOARDING_FILE);
    let failed = |source| FirstStartError::File { path: path.display().to_string(), source };
    match std::fs::File::open(&path) {
        Ok(mut file) => {
            let mut sealed = Vec::new();
            file.read_to_end(&mut sealed).map_err(failed)?;
            let password = sealer.open(&Sealed(sealed.into())).map_err(FirstStartError::Seal)?;
            Ok((SharedLogin { username: ONBOARDING_USERNAME.to_owned(), password }, false))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let login = make()?;
            let sealed = sealer.seal(&login.password).map_err(FirstStartError::Seal)?;
            write_private(&path, &sealed.0).map_err(failed)?;
            Ok((login, true))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Whole or not at all: written beside, synced, renamed.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
