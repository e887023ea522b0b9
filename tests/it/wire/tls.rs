//! TLS on the CWMP listener, and changing its certificate.

use std::io;
use std::path::Path;
use std::sync::Arc;

use acsd::acs::exchange::Transport;
use acsd::acs::listen::ListenConfig;
use acsd::tls::{ReloadableTls, TlsError};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;

use super::harness::{Client, ENVELOPE, Server, Told, secs, within};

/// Writes a fresh self-signed certificate and returns it.
fn certify(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

async fn tls_client(
    server: &Server,
    trusted: &CertificateDer<'static>,
    version: &'static rustls::SupportedProtocolVersion,
) -> io::Result<Client<tokio_rustls::client::TlsStream<TcpStream>>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = within(TcpStream::connect(server.address)).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = within(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream)).await?;
    Ok(Client { stream, read: Vec::new() })
}

#[tokio::test]
async fn tls_is_served_and_certificates_change_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let first = certify(folder.path());
    let tls = ReloadableTls::load(&certificate, &key).unwrap();
    let mut server = Server::start_on("127.0.0.1:0", ListenConfig::default(), Some(tls.clone()));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut client = tls_client(&server, &first, version).await.unwrap();
        assert_eq!(client.stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let reply = client.exchange("", ENVELOPE).await;
        assert_eq!(reply.header("Set-Cookie"), ["acsd=00000000000000000000000000000abc; Path=/; Secure"]);
        assert_eq!(server.post().await.transport, Transport::Tls);
        assert_eq!(client.exchange("", "challenge").await.header("WWW-Authenticate").len(), 1);
        server.post().await;
        drop(client);
        assert!(matches!(server.next().await, Told::Gone(_)));
    }

    std::fs::write(&certificate, "nonsense").unwrap();
    let error = tls.reload().unwrap_err();
    assert!(matches!(error, TlsError::NoCertificate { .. }) && error.to_string().contains("cert.pem"), "{error}");
    assert!(tls_client(&server, &first, &rustls::version::TLS13).await.is_ok(), "the old one stays");

    let second = certify(folder.path());
    tls.reload().unwrap();
    assert!(tls_client(&server, &second, &rustls::version::TLS13).await.is_ok());
    assert!(tls_client(&server, &first, &rustls::version::TLS13).await.is_err());
}

#[test]
fn certificate_troubles_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let load = || ReloadableTls::load(&certificate, &key).unwrap_err();
    assert!(matches!(load(), TlsError::Read { path, .. } if path == certificate));
    certify(folder.path());
    std::fs::copy(&certificate, &key).unwrap();
    assert!(matches!(load(), TlsError::NoKey { path } if path == key));
    std::fs::write(&key, "-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n").unwrap();
    assert!(matches!(load(), TlsError::Pem { path, .. } if path == key));
    certify(folder.path());
    let other = rcgen::KeyPair::generate().unwrap();
    std::fs::write(&key, other.serialize_pem()).unwrap();
    assert!(matches!(load(), TlsError::Unusable { .. }));
}

#[tokio::test]
async fn a_tls_handshake_may_not_dawdle_or_be_something_else() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let tls = ReloadableTls::load(&folder.path().join("cert.pem"), &folder.path().join("key.pem")).unwrap();
    let config = secs(1, |config, secs| config.handshake_timeout_secs = secs);
    let server = Server::start_on("127.0.0.1:0", config, Some(tls));
    server.connect().await.closed().await;
    let mut plain = server.connect().await;
    plain.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    plain.closed().await;
}
