//! When a user name and a password make a new login.
//!
//! A password alone keeps the user name, a user name alone keeps the password; where there is nothing to keep, the
//! other one is required. What equals the present login is no change, so that a record can be sent back as it was read.

use super::EditError;
use super::draft::{DeviceDraft, DevicePatch};
use crate::auth::seal::Sealer;
use crate::model::device::{Device, Login};
use crate::types::secret::Secret;

/// Why user name and password do not make a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// A password, and no user name to go with it.
    #[error("a username is required with the password: the device has none yet")]
    UsernameMissing,
    /// A user name, and no password to go with it.
    #[error("a password is required with the username: the device has none yet")]
    PasswordMissing,
    /// The user name of a device cannot be taken away.
    #[error("may not be blank: the device has a username")]
    UsernameBlank,
}

/// A login in clear.
#[derive(Debug, Clone)]
pub struct NewLogin {
    /// In clear.
    pub username: String,
    /// In clear.
    pub password: Secret,
}

/// The login of a device to be created, if it is given one.
///
/// # Errors
/// [`CredentialError`] when half of it is missing.
pub fn of_new_device(draft: &DeviceDraft) -> Result<Option<(String, Secret)>, CredentialError> {
    match (named(draft.fields.username.as_deref()), &draft.fields.password) {
        (Some(username), Some(password)) => Ok(Some((username.to_owned(), password.clone()))),
        (Some(_), None) => Err(CredentialError::PasswordMissing),
        (None, Some(_)) => Err(CredentialError::UsernameMissing),
        (None, None) => Ok(None),
    }
}

/// The login that a change asks for, when it differs from the one the device has or is about to get.
///
/// # Errors
/// [`EditError::Credentials`] when half of it is missing, [`EditError::Seal`] when the present one cannot be opened.
pub fn of_known_device(device: &Device, patch: &DevicePatch, sealer: &Sealer) -> Result<Option<NewLogin>, EditError> {
    let present = wanted_login(device);
    if patch.username.as_deref().is_some_and(str::is_empty) && present.is_some() {
        return Err(CredentialError::UsernameBlank.into());
    }
    let username = named(patch.username.as_deref());
    let Some(present) = present else {
        return match (username, &patch.password) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(CredentialError::PasswordMissing.into()),
            (None, Some(_)) => Err(CredentialError::UsernameMissing.into()),
            (Some(username), Some(password)) => {
                Ok(Some(NewLogin { username: username.to_owned(), password: password.clone() }))
            }
        };
    };
    let same_name = username.is_none_or(|username| username == present.username);
    if same_name && patch.password.is_none() {
        return Ok(None);
    }
    let kept = sealer.open(&present.password)?;
    if same_name && patch.password.as_ref().is_some_and(|password| password.expose() == kept.expose()) {
        return Ok(None);
    }
    let username = username.unwrap_or(&present.username).to_owned();
    Ok(Some(NewLogin { username, password: patch.password.clone().unwrap_or(kept) }))
}

/// The login the device is to have: the one on its way to it, else the one it has.
#[must_use]
pub fn wanted_login(device: &Device) -> Option<&Login> {
    device.profile.credentials.wanted()
}

fn named(username: Option<&str>) -> Option<&str> {
    username.filter(|username| !username.is_empty())
}
