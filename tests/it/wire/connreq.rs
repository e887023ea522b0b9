//! Connection requests against scripted CPEs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use acsd::connreq::http::{CallLimits, Target, call};
use acsd::connreq::policy::{AddressPolicy, BasicPolicy};
use acsd::connreq::verdict::CallVerdict;
use acsd::types::secret::Secret;
use digest_auth::{AuthContext, AuthorizationHeader};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const CHALLENGE: &str = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"cpe\", nonce=\"n0nce\", qop=\"auth\", opaque=\"op\", algorithm=MD5\r\nContent-Length: 0\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// What the CPE does with a request it has read.
#[derive(Clone, Copy)]
enum Do {
    /// Sends this and reads the next request.
    Say(&'static str),
    /// Sends this and closes without reading on.
    SayAndClose(&'static str),
    /// Sends an answer that is so many bytes long.
    SayLong(usize),
    /// Never answers.
    Hang,
}

/// What a CPE does on each connection, request by request.
type Script = &'static [&'static [Do]];

/// A CPE that acts out one list per connection.
struct ScriptedCpe {
    address: SocketAddr,
    /// Connection and text of each request.
    requests: mpsc::UnboundedReceiver<(usize, String)>,
}

impl ScriptedCpe {
    async fn start(script: Script) -> Self {
        Self::start_on(LOCAL, script).await
    }

    async fn start_on(ip: IpAddr, script: Script) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for (connection, steps) in script.iter().enumerate() {
                let (mut stream, _) = listener.accept().await.unwrap();
                for step in *steps {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => request.push(byte),
                            Err(_) => break,
                        }
                    }
                    if request.is_empty() {
                        break;
                    }
                    sender.send((connection, String::from_utf8(request).unwrap())).unwrap();
                    match step {
                        Do::Say(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                        Do::SayAndClose(text) => {
                            stream.write_all(text.as_bytes()).await.unwrap();
                            break;
                        }
                        Do::SayLong(len) => {
                            let text = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(len - 24));
                            stream.write_all(text.as_bytes()).await.unwrap();
                        }
                        Do::Hang => std::future::pending().await,
                    }
                }
            }
        });
        Self { address, requests }
    }

    fn url(&self) -> String {
        format!("http://{}/cr/abc?id=1", self.address)
    }

    async fn called(&self, credentials: Option<(&str, &Secret)>, limits: &CallLimits) -> CallVerdict {
        called(&self.url(), credentials, self.address.ip(), limits).await
    }

    /// All requests so far.
    fn seen(&mut self) -> Vec<(usize, String)> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }
}

async fn called(
    url: &str,
    credentials: Option<(&str, &Secret)>,
    cpe_address: IpAddr,
    limits: &CallLimits,
) -> CallVerdict {
    let policy = AddressPolicy::default();
    let target = Target { url, credentials, cpe_address, policy: &policy };
    timeout(PATIENCE, call(&target, limits)).await.expect("calls end in time")
}

fn quick() -> CallLimits {
    CallLimits { connect_timeout_secs: 1, response_timeout_secs: 1, total_timeout_secs: 5, ..CallLimits::default() }
}

fn password() -> Secret {
    Secret::new("acs-pass")
}

/// Checks the answer to a challenge as the CPE would.
fn proves(request: &str) -> bool {
    let header = request.lines().find_map(|line| line.strip_prefix("Authorization: ")).expect("an Authorization");
    let mut given = AuthorizationHeader::parse(header).unwrap();
    let response = given.response.clone();
    let mut context = AuthContext::new("acs-user", "acs-pass", "/cr/abc?id=1");
    if let Some(cnonce) = given.cnonce.clone() {
        context.set_custom_cnonce(cnonce);
    }
    given.digest(&context);
    given.username == "acs-user" && given.uri == "/cr/abc?id=1" && given.response == response
}

#[tokio::test]
async fn a_challenge_is_answered_on_the_same_connection() {
    let mut cpe = ScriptedCpe::start(&[&[Do::Say(CHALLENGE), Do::Say(OK)]]).await;
    assert_eq!(cpe.called(Some(("acs-user", &password())), &quick()).await, CallVerdict::Accepted);
    let seen = cpe.seen();
    let [(0, first), (0, second)] = &seen[..] else { panic!("{seen:?}") };
    assert!(first.starts_with(&format!("GET /cr/abc?id=1 HTTP/1.1\r\nHost: {}\r\n", cpe.address)), "{first}");
    assert!(!first.contains("Authorization"));
    assert!(proves(second) && second.contains("opaque=\"op\"") && second.contains("algorithm=MD5"), "{second}");
}

#[tokio::test]
async fn every_way_to_be_let_in_is_found() {
    const BODY: &str =
        "HTTP/1.1 401 X\r\nWWW-Authenticate: Digest realm=\"cpe\", nonce=\"n\"\r\nContent-Length: 5\r\n\r\nhello";
    const FOLDED: &str = "HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Digest realm=\"cpe\",\n  nonce=\"n0nce\",\n\tqop=\"auth\"\nContent-Length: 0\n\n";
    const CLOSING: &str = "HTTP/1.0 401 X\r\nWWW-Authenticate: Digest realm=\"cpe\", nonce=\"n\", algorithm=MD5-sess, qop=auth\r\n\r\n<html>go away</html>";
    const BACK_TO_BACK: &str =
        "HTTP/1.1 401 X\nWWW-Authenticate: Digest realm=\"cpe\", nonce=\"n\"\n\nHTTP/1.1 200 OK\n\n";
    const CHUNKED: &str = "HTTP/1.1 401 X\r\nWWW-Authenticate: Digest realm=\"cpe\", nonce=\"n\"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    const STALE: &str = "HTTP/1.1 401 X\r\nWWW-Authenticate: Digest realm=\"cpe\", nonce=\"n2\", stale=TRUE, qop=\"auth\"\r\nContent-Length: 0\r\n\r\n";
    const SHA: &str = "HTTP/1.1 401 X\r\nWWW-Authenticate: Bearer\r\nWWW-Authenticate: Digest realm=\"cpe\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"\r\nContent-Length: 0\r\n\r\n";
    let table: [(&str, Script, &[usize]); 11] = [
        ("a body to skip", &[&[Do::Say(BODY), Do::Say(OK)]], &[0, 0]),
        ("bare LF and a fold", &[&[Do::Say(FOLDED), Do::Say("HTTP/1.1 204 No Content\n\n")]], &[0, 0]),
        ("closed after the 401", &[&[Do::SayAndClose(CLOSING)], &[Do::Say(OK)]], &[0, 1]),
        ("closed without saying so", &[&[Do::SayAndClose(CHALLENGE)], &[Do::Say(OK)]], &[0, 1]),
        ("second request dropped", &[&[Do::Say(CHALLENGE), Do::SayAndClose("")], &[Do::Say(OK)]], &[0, 0, 1]),
        ("401 and 200 back to back, then closed", &[&[Do::SayAndClose(BACK_TO_BACK)]], &[0]),
        ("401 and 200 back to back", &[&[Do::Say(BACK_TO_BACK)]], &[0]),
        ("chunked 401", &[&[Do::Say(CHUNKED)], &[Do::Say(OK)]], &[0, 1]),
        ("stale once", &[&[Do::Say(CHALLENGE), Do::Say(STALE), Do::Say(OK)]], &[0, 0, 0]),
        (
            "1xx first, and no blank line",
            &[&[Do::Say(CHALLENGE), Do::SayAndClose("HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK\r\n")]],
            &[0, 0],
        ),
        ("SHA-256 behind another scheme", &[&[Do::Say(SHA), Do::Say(OK)]], &[0, 0]),
    ];
    for (case, script, connections) in table {
        let mut cpe = ScriptedCpe::start(script).await;
        assert_eq!(cpe.called(Some(("acs-user", &password())), &quick()).await, CallVerdict::Accepted, "{case}");
        let seen = cpe.seen();
        assert_eq!(seen.iter().map(|(connection, _)| *connection).collect::<Vec<_>>(), connections, "{case}");
        assert!(seen.iter().skip(1).all(|(_, request)| proves(request)), "{case}: {seen:?}");
    }
}

#[tokio::test]
async fn each_refusal_has_its_verdict() {
    const BASIC: &str = "HTTP/1.1 401 X\r\nWWW-Authenticate: Basic realm=\"cpe\"\r\nContent-Length: 0\r\n\r\n";
    const STALE: &str = "HTTP/1.1 401 X\r\nWWW-Authenticate: Digest realm=\"cpe\", nonce=\"n\", stale=true\r\nContent-Length: 0\r\n\r\n";
    let table: [(&str, Script, CallVerdict); 15] = [
        ("no challenge", &[&[Do::Say("HTTP/1.1 204 No Content\r\n\r\n")]], CallVerdict::Accepted),
        ("wrong password", &[&[Do::Say(CHALLENGE), Do::Say(CHALLENGE)]], CallVerdict::BadCredentials),
        ("always stale", &[&[Do::Say(CHALLENGE), Do::Say(STALE), Do::Say(STALE)]], CallVerdict::BadCredentials),
        (
            "403 with credentials",
            &[&[Do::Say(CHALLENGE), Do::Say("HTTP/1.1 403 X\r\n\r\n")]],
            CallVerdict::BadCredentials,
        ),
        ("Basic alone", &[&[Do::Say(BASIC)]], CallVerdict::BasicForbidden),
        ("busy", &[&[Do::Say("HTTP/1.1 503 Busy\r\n\r\n")]], CallVerdict::Busy),
        ("busy after the challenge", &[&[Do::Say(CHALLENGE), Do::Say("HTTP/1.1 503 Busy\r\n\r\n")]], CallVerdict::Busy),
        ("not found", &[&[Do::Say("HTTP/1.1 404 X\r\n\r\n")]], CallVerdict::StaleUrl),
        ("bad request", &[&[Do::Say("HTTP/1.1 400 X\r\n\r\n")]], CallVerdict::StaleUrl),
        ("redirect", &[&[Do::Say("HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\n\r\n")]], CallVerdict::Redirected),
        ("server error", &[&[Do::Say("HTTP/1.1 500 X\r\n\r\n")]], CallVerdict::Protocol),
        ("another protocol", &[&[Do::Say("SSH-2.0-dropbear\r\n")]], CallVerdict::Protocol),
        ("closed at once", &[&[Do::SayAndClose("")]], CallVerdict::Protocol),
        (
            "closed twice on the answer",
            &[&[Do::Say(CHALLENGE), Do::SayAndClose("")], &[Do::SayAndClose("")]],
            CallVerdict::Protocol,
        ),
        ("no answer", &[&[Do::Hang]], CallVerdict::TimedOut),
    ];
    let limits = CallLimits { basic: BasicPolicy::Forbid, ..quick() };
    for (case, script, verdict) in table {
        let cpe = ScriptedCpe::start(script).await;
        assert_eq!(cpe.called(Some(("acs-user", &password())), &limits).await, verdict, "{case}");
    }
    let cpe = ScriptedCpe::start(&[&[Do::Say(CHALLENGE)]]).await;
    assert_eq!(cpe.called(None, &quick()).await, CallVerdict::NeedsCredentials);
}

#[tokio::test]
async fn basic_is_answered_when_policy_allows() {
    let mut cpe = ScriptedCpe::start(&[&[
        Do::Say("HTTP/1.1 401 X\r\nWWW-Authenticate: Basic realm=\"cpe\"\r\nContent-Length: 0\r\n\r\n"),
        Do::Say(OK),
    ]])
    .await;
    let limits = CallLimits { basic: BasicPolicy::Allow, ..quick() };
    assert_eq!(cpe.called(Some(("acs-user", &password())), &limits).await, CallVerdict::Accepted);
    assert!(cpe.seen()[1].1.contains("Authorization: Basic YWNzLXVzZXI6YWNzLXBhc3M=\r\n"));
}

#[tokio::test]
async fn answers_are_bounded_in_size_and_time() {
    const LIMIT: usize = 8 << 10;
    let cpe = ScriptedCpe::start(&[&[Do::SayLong(LIMIT)], &[Do::SayLong(LIMIT + 1)]]).await;
    assert_eq!(cpe.called(None, &quick()).await, CallVerdict::Accepted);
    assert_eq!(cpe.called(None, &quick()).await, CallVerdict::Protocol);
    let cpe = ScriptedCpe::start(&[&[Do::Hang]]).await;
    let limits = CallLimits { response_timeout_secs: 3600, total_timeout_secs: 1, ..CallLimits::default() };
    assert_eq!(cpe.called(None, &limits).await, CallVerdict::TimedOut);
}

#[tokio::test]
async fn only_permitted_addresses_are_called() {
    let mut cpe = ScriptedCpe::start(&[&[Do::Say(OK)]]).await;
    let elsewhere: IpAddr = "192.0.2.7".parse().unwrap();
    assert_eq!(called(&cpe.url(), None, elsewhere, &quick()).await, CallVerdict::ForbiddenAddress);
    let by_name = format!("http://localhost:{}/", cpe.address.port());
    assert_eq!(called(&by_name, None, elsewhere, &quick()).await, CallVerdict::ForbiddenAddress);
    let mapped = format!("http://[::ffff:127.0.0.1]:{}/", cpe.address.port());
    assert_eq!(called(&mapped, None, elsewhere, &quick()).await, CallVerdict::ForbiddenAddress);
    assert!(cpe.seen().is_empty(), "nobody was called");

    let policy = AddressPolicy { allowed_networks: vec!["127.0.0.0/8".parse().unwrap()] };
    let target = Target { url: &cpe.url(), credentials: None, cpe_address: elsewhere, policy: &policy };
    assert_eq!(call(&target, &quick()).await, CallVerdict::Accepted);
}

#[tokio::test]
async fn names_and_both_families_are_called() {
    let cpe = ScriptedCpe::start(&[&[Do::Say(OK)], &[Do::Say(OK)]]).await;
    let by_name = format!("http://localhost:{}/", cpe.address.port());
    assert_eq!(called(&by_name, None, LOCAL, &quick()).await, CallVerdict::Accepted);
    let mapped = "::ffff:127.0.0.1".parse().unwrap();
    assert_eq!(called(&by_name, None, mapped, &quick()).await, CallVerdict::Accepted);

    let v6: IpAddr = "::1".parse().unwrap();
    if std::net::TcpListener::bind((v6, 0)).is_ok() {
        let cpe = ScriptedCpe::start_on(v6, &[&[Do::Say(OK)]]).await;
        assert_eq!(called(&cpe.url(), None, v6, &quick()).await, CallVerdict::Accepted);
    }
}

#[tokio::test]
async fn urls_that_lead_nowhere_say_so() {
    let closed = std::net::TcpListener::bind((LOCAL, 0)).unwrap().local_addr().unwrap();
    let table = [
        (format!("http://{closed}/"), CallVerdict::Refused),
        ("http://:7547/".to_owned(), CallVerdict::BadUrl),
        ("http://127.0.0.1/\r\nX: y".to_owned(), CallVerdict::BadUrl),
        ("https://127.0.0.1/".to_owned(), CallVerdict::HttpsUnsupported),
        ("http://0.0.0.0:7547/".to_owned(), CallVerdict::ForbiddenAddress),
    ];
    for (url, verdict) in table {
        assert_eq!(called(&url, None, LOCAL, &quick()).await, verdict, "{url:?}");
    }
}
