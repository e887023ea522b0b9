//! Secrets at rest: AES-256-GCM under a key file that is made at first start.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::random::{self, RandomError};
use crate::types::secret::{Sealed, Secret};

/// First byte of what is sealed, and authenticated with it.
const FORMAT: u8 = 1;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
/// Owner alone reads and writes.
const KEY_FILE_MODE: u32 = 0o600;

/// Why the key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It could not be read, or not made.
    #[error("key file {}: cannot {action} it", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It is not 32 bytes long: damaged, or another file.
    #[error("key file {} has {found_bytes} bytes instead of {KEY_BYTES}: restore it from a backup", .path.display())]
    WrongSize {
        /// Which file.
        path: PathBuf,
        /// Its size; what is longer was not read to its end.
        found_bytes: usize,
    },
    /// Others than its owner may read or write it.
    #[error("key file {} has mode {mode:04o}, which lets others than its owner at it: chmod 600 it", .path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// No key could be drawn.
    #[error("key file {}: cannot draw a key", .path.display())]
    Random {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: RandomError,
    },
}

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Not sealed under this key, or altered since.
    #[error("a sealed secret does not open: another key file, or damaged data")]
    Unopenable,
    /// Longer than the cipher takes (64 GiB).
    #[error("a secret is too long to seal")]
    TooLong,
    /// No nonce could be drawn.
    #[error("cannot draw a nonce")]
    Random(#[source] RandomError),
}

/// Seals secrets for the store and opens them again.
#[derive(Clone)]
pub struct Sealer {
    cipher: Aes256Gcm,
    /// What other keys are derived from: it says nothing of the key itself.
    root: [u8; KEY_BYTES],
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(***)")
    }
}

impl Sealer {
    /// Under a key in memory: tests, and stores that live no longer than the process.
    #[must_use]
    pub fn from_key(key: &[u8; KEY_BYTES]) -> Self {
        Self { cipher: Aes256Gcm::new(key.into()), root: hmac_sha256(key, b"acsd: derived keys") }
    }

    /// A key of its own for another purpose: the same as long as the key file is, and of no use for any other purpose.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; KEY_BYTES] {
        hmac_sha256(&self.root, purpose.as_bytes())
    }

    /// Under the key in the file at `path`; makes the file first if it is not there. Blocks: for start-up.
    ///
    /// # Errors
    /// A file of wrong size or one that others may read is refused rather than mended: either means that something
    /// happened to the key that its owner should know.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |source| KeyFileError::Io { path: path.to_owned(), action: "read", source };
        match File::open(path) {
            Ok(file) => Self::from_file(path, &file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(path)?;
                Self::from_file(path, &File::open(path).map_err(failed)?)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn from_file(path: &Path, file: &File) -> Result<Self, KeyFileError> {
        let failed = |source| KeyFileError::Io { path: path.to_owned(), action: "read", source };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
        }
        let mut key = Vec::with_capacity(KEY_BYTES + 1);
        file.take(KEY_BYTES as u64 + 1).read_to_end(&mut key).map_err(failed)?;
        let key: &[u8; KEY_BYTES] = key
            .as_slice()
            .try_into()
            .map_err(|_| KeyFileError::WrongSize { path: path.to_owned(), found_bytes: key.len() })?;
        Ok(Self::from_key(key))
    }

    /// Seals: format byte, random nonce, ciphertext with tag. The same secret never seals to the same bytes twice.
    pub fn seal(&self, secret: &Secret) -> Result<Sealed, SealError> {
        let nonce = random::bytes::<NONCE_BYTES>().map_err(SealError::Random)?;
        let payload = Payload { msg: secret.expose().as_bytes(), aad: &[FORMAT] };
        let ciphertext = self.cipher.encrypt(&nonce.into(), payload).map_err(|_| SealError::TooLong)?;
        let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + ciphertext.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        Ok(Sealed(sealed.into()))
    }

    /// Opens what [`seal`](Self::seal) made.
    pub fn open(&self, sealed: &Sealed) -> Result<Secret, SealError> {
        let Some((&FORMAT, rest)) = sealed.0.split_first() else { return Err(SealError::Unopenable) };
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Unopenable)?;
        let payload = Payload { msg: ciphertext, aad: &[FORMAT] };
        let clear = self.cipher.decrypt(&(*nonce).into(), payload).map_err(|_| SealError::Unopenable)?;
        String::from_utf8(clear).map(Secret::new).map_err(|_| SealError::Unopenable)
    }
}

/// HMAC-SHA256 (RFC 2104) under a key of its whole length, such as [`Sealer::derive`] makes.
pub(crate) fn hmac_sha256(key: &[u8; KEY_BYTES], message: &[u8]) -> [u8; KEY_BYTES] {
    // As HMAC takes it: filled up with zeros to SHA-256's block (RFC 2104 §2).
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    Hmac::<Sha256>::new(&block.into()).chain_update(message).finalize().into_bytes().into()
}

/// Makes the key file such that a crash at any moment leaves either none or a whole one, and that of two starting
/// processes one wins and both use its key.
fn create(path: &Path) -> Result<(), KeyFileError> {
    let failed = |action| move |source| KeyFileError::Io { path: path.to_owned(), action, source };
    let random = |source| KeyFileError::Random { path: path.to_owned(), source };
    let key = random::bytes::<KEY_BYTES>().map_err(random)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.new", random::alphanumeric(8).map_err(random)?));
    let draft = PathBuf::from(draft);
    let made = write_draft(&draft, &key).and_then(|()| publish(&draft, path));
    let tidied = match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    };
    made.map_err(failed("make"))?;
    tidied.map_err(failed("remove the draft of"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("make durable"))
}

fn write_draft(draft: &Path, key: &[u8; KEY_BYTES]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(KEY_FILE_MODE).open(draft)?;
    file.write_all(key)?;
    file.sync_all()
}

/// Gives the draft its name unless another process was faster.
fn publish(draft: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Some file systems have no hard links.
        Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
            fs::rename(draft, path)
        }
        other => other,
    }
}
