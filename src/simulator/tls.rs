//! Whom a CPE trusts when the ACS URL is `https://`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Why there is nobody to trust.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The CA file cannot be read, or is no PEM.
    #[error("cannot read certificates from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// A certificate that cannot be an anchor, or settings that rustls refuses.
    #[error("the certificates cannot be used")]
    Rustls(#[from] rustls::Error),
    /// No certificate in the file.
    #[error("{} holds no certificate", .0.display())]
    Empty(PathBuf),
}

/// Whom a CPE trusts; cheap to clone, shared by a fleet.
#[derive(Debug, Clone, Default)]
pub struct TlsTrust(Option<Arc<ClientConfig>>);

impl TlsTrust {
    /// The certificates in this PEM file, and those they issued.
    ///
    /// # Errors
    /// [`TlsError`] when the file cannot be read or holds nothing usable.
    pub fn authority(path: &Path) -> Result<Self, TlsError> {
        let read = |source| TlsError::Read { path: path.to_owned(), source };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(read)? {
            roots.add(certificate.map_err(read)?)?;
        }
        if roots.is_empty() {
            return Err(TlsError::Empty(path.to_owned()));
        }
        Self::roots(roots)
    }

    /// Exactly these anchors.
    ///
    /// # Errors
    /// [`TlsError::Rustls`] when rustls has no protocol version in common with its provider.
    pub fn roots(roots: RootCertStore) -> Result<Self, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        Ok(Self(Some(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))))
    }

    /// Anybody: no check of the certificate at all, as many CPEs do.
    ///
    /// # Errors
    /// [`TlsError::Rustls`] when rustls has no protocol version in common with its provider.
    pub fn anybody() -> Result<Self, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let verifier = Arc::new(NoVerification(provider()));
        let config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Ok(Self(Some(Arc::new(config))))
    }

    pub(super) fn config(&self) -> Option<Arc<ClientConfig>> {
        self.0.clone()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Takes any certificate; the handshake's own signatures are still checked.
#[derive(Debug)]
struct NoVerification(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
