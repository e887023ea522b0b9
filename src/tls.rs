//! TLS server configuration from PEM files, reloadable.
//!
//! TLS 1.2 and 1.3 by rustls; older CPEs (TLS 1.0, RSA key exchange) need a terminating proxy in front (cwmp.md §1.3).
//! HTTP/2 is never offered. No client certificate is asked for.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::ProducesTickets;
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The one protocol that TLS clients may negotiate.
const HTTP_1_1: &[u8] = b"http/1.1";

/// Why a certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file is damaged PEM.
    #[error("{} is no valid PEM", .path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// Where it goes wrong.
        #[source]
        source: pem::Error,
    },
    /// A file has no `BEGIN CERTIFICATE`.
    #[error("{} holds no certificate", .path.display())]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// A file has no `BEGIN PRIVATE KEY` of any kind.
    #[error("{} holds no private key", .path.display())]
    NoKey {
        /// Which file.
        path: PathBuf,
    },
    /// The two do not belong together, or are of a kind that rustls refuses.
    #[error("certificate {} cannot be used with key {}", .certificate.display(), .key.display())]
    Unusable {
        /// The chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// No key for session tickets could be drawn.
    #[error("cannot make session ticket keys")]
    Tickets(#[source] rustls::Error),
}

/// A server configuration that can be replaced while listeners use it: each new handshake takes the current one.
#[derive(Clone)]
pub struct ReloadableTls {
    shared: Arc<Shared>,
}

struct Shared {
    certificate: PathBuf,
    key: PathBuf,
    /// Survives reloads, so that CPEs resume their sessions across a change of certificate.
    tickets: Arc<dyn ProducesTickets>,
    current: RwLock<Arc<ServerConfig>>,
}

impl fmt::Debug for ReloadableTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloadableTls")
            .field("certificate", &self.shared.certificate)
            .field("key", &self.shared.key)
            .finish_non_exhaustive()
    }
}

impl ReloadableTls {
    /// Reads a PEM certificate chain (leaf first) and its key (PKCS#8, PKCS#1 or SEC1). Blocks on the disk.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let tickets = ring::Ticketer::new().map_err(TlsError::Tickets)?;
        let config = build(certificate, key, Arc::clone(&tickets))?;
        let shared = Shared {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            tickets,
            current: RwLock::new(Arc::new(config)),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Reads the same files again. Blocks on the disk.
    ///
    /// # Errors
    /// The configuration in use stays when the new one cannot be used.
    pub fn reload(&self) -> Result<(), TlsError> {
        let Shared { certificate, key, tickets, current } = &*self.shared;
        let config = Arc::new(build(certificate, key, Arc::clone(tickets))?);
        *current.write() = config;
        Ok(())
    }

    /// What a handshake that starts now uses.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.shared.current.read())
    }
}

fn build(certificate: &Path, key: &Path, tickets: Arc<dyn ProducesTickets>) -> Result<ServerConfig, TlsError> {
    let (chain, private) = (read_chain(certificate)?, read_key(key)?);
    let unusable = |source| TlsError::Unusable { certificate: certificate.to_owned(), key: key.to_owned(), source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(unusable)?;
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    config.ticketer = tickets;
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::Pem { path: path.to_owned(), source })?;
    if chain.is_empty() { Err(TlsError::NoCertificate { path: path.to_owned() }) } else { Ok(chain) }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::NoKey { path: path.to_owned() },
        source => TlsError::Pem { path: path.to_owned(), source },
    })
}
