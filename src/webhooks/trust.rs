//! Whom to trust as a receiver over HTTPS.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject as _};
use tokio::sync::OnceCell;

/// The one protocol that receivers may negotiate.
const HTTP_1_1: &[u8] = b"http/1.1";

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, or is no PEM.
    #[error("cannot read certificates from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// No certificate in the file.
    #[error("{} holds no certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A certificate that cannot be an anchor, or settings that rustls refuses.
    #[error("the certificates cannot be used")]
    Rustls(#[from] rustls::Error),
    /// The task that reads them was cut off.
    #[error("reading the certificates was cut off")]
    Cut,
}

/// The certificates of a PEM file. Blocks on the disk.
///
/// # Errors
/// [`TrustError`].
pub fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let read = |source| TrustError::Read { path: path.to_owned(), source };
    let found: Vec<_> = CertificateDer::pem_file_iter(path).map_err(read)?.collect::<Result<_, _>>().map_err(read)?;
    if found.is_empty() { Err(TrustError::Empty { path: path.to_owned() }) } else { Ok(found) }
}

/// The anchors: the operating system's and those of a file. Read when they are first needed.
#[derive(Debug)]
pub(super) struct Trust {
    ca_file: Option<PathBuf>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Trust {
    pub(super) fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, config: OnceCell::new() }
    }

    /// How TLS is spoken with receivers.
    pub(super) async fn config(&self) -> Result<Arc<ClientConfig>, TrustError> {
        let make = || async {
            let ca_file = self.ca_file.clone();
            let made = tokio::task::spawn_blocking(move || build(ca_file.as_deref())).await;
            made.unwrap_or(Err(TrustError::Cut))
        };
        self.config.get_or_try_init(make).await.cloned()
    }
}

fn build(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!("some of the operating system's certificates cannot be read: {error}");
    }
    let (_, refused) = roots.add_parsable_certificates(native.certs);
    if refused > 0 {
        tracing::debug!(refused, "some of the operating system's certificates are no anchors");
    }
    for certificate in ca_file.map(read_authorities).transpose()?.into_iter().flatten() {
        roots.add(certificate)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(Arc::new(config))
}
