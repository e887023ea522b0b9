//! A scripted ACS: it says what the test wrote down, in the order it was written, and keeps what it heard.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What to answer an Inform with, in place of an InformResponse.
#[derive(Clone, Debug)]
pub(super) enum OnInform {
    Accept,
    Status(u16),
    Fault(u16),
    /// 307 to this URL.
    Redirect(String),
    /// InformResponse with these headers besides the ID.
    Headers(&'static str),
    /// These bytes, whatever they are.
    Raw(String),
}

/// One POST as it came in.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    /// Which TCP connection, from 0.
    pub(super) connection: usize,
}

#[derive(Default)]
struct Script {
    credentials: Option<(String, String)>,
    basic: bool,
    informs: VecDeque<OnInform>,
    steps: VecDeque<String>,
    heard: Vec<Heard>,
    namespace: &'static str,
    no_cookie: bool,
    files: Vec<(String, Vec<u8>)>,
}

#[derive(Clone)]
pub(super) struct ScriptedAcs {
    pub(super) address: SocketAddr,
    scheme: &'static str,
    script: Arc<Mutex<Script>>,
    _tasks: Arc<JoinSet<()>>,
}

impl ScriptedAcs {
    pub(super) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(super) async fn start_tls(tls: Arc<rustls::ServerConfig>) -> Self {
        Self::start_with(Some(tls)).await
    }

    async fn start_with(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let script = Arc::new(Mutex::new(Script { namespace: "urn:dslforum-org:cwmp-1-2", ..Script::default() }));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&script);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let Ok((stream, _)) = socket.accept().await else { return };
                let (script, tls) = (Arc::clone(&shared), tls.clone());
                connections.spawn(async move {
                    match tls {
                        Some(tls) => {
                            let acceptor = tokio_rustls::TlsAcceptor::from(tls);
                            if let Ok(stream) = acceptor.accept(stream).await {
                                converse(stream, script, number).await;
                            }
                        }
                        None => converse(stream, script, number).await,
                    }
                });
            }
        });
        Self { address, scheme, script, _tasks: Arc::new(tasks) }
    }

    pub(super) fn url(&self) -> String {
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{}/acs", self.scheme, self.address.port())
    }

    fn with<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.script.lock().unwrap())
    }

    /// Answers the next Informs so.
    pub(super) fn on_inform(&self, informs: impl IntoIterator<Item = OnInform>) {
        self.with(|script| script.informs.extend(informs));
    }

    /// Sends these method elements, one per empty or answering POST.
    pub(super) fn ask(&self, bodies: impl IntoIterator<Item = impl Into<String>>) {
        self.with(|script| {
            for body in bodies {
                let number = script.steps.len() + 1;
                let envelope = envelope(script.namespace, &format!("q{number}"), "", &body.into());
                script.steps.push_back(envelope);
            }
        });
    }

    /// Sends these bytes as they are.
    pub(super) fn ask_raw(&self, envelope: impl Into<String>) {
        self.with(|script| script.steps.push_back(envelope.into()));
    }

    pub(super) fn require(&self, username: &str, password: &str) {
        self.with(|script| script.credentials = Some((username.into(), password.into())));
    }

    pub(super) fn require_basic(&self, username: &str, password: &str) {
        self.require(username, password);
        self.with(|script| script.basic = true);
    }

    pub(super) fn speak(&self, namespace: &'static str) {
        self.with(|script| script.namespace = namespace);
    }

    pub(super) fn set_no_cookie(&self) {
        self.with(|script| script.no_cookie = true);
    }

    /// Serves `/files/<name>`, and takes it on PUT.
    pub(super) fn file(&self, name: &str, contents: &[u8]) -> String {
        self.with(|script| script.files.push((name.into(), contents.to_vec())));
        format!("http://{}/files/{name}", self.address)
    }

    pub(super) fn file_contents(&self, name: &str) -> Option<String> {
        self.with(|script| {
            let file = script.files.iter().rev().find(|(have, _)| have == name)?;
            Some(String::from_utf8_lossy(&file.1).into_owned())
        })
    }

    /// Everything heard since the last time.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.with(|script| std::mem::take(&mut script.heard))
    }

    /// The bodies heard since the last time, without the empty ones.
    pub(super) fn bodies(&self) -> Vec<String> {
        self.heard().into_iter().map(|heard| heard.body).filter(|body| !body.is_empty()).collect()
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    script: Arc<Mutex<Script>>,
    connection: usize,
) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let script = Arc::clone(&script);
        async move {
            let (head, body) = request.into_parts();
            let Ok(body) = body.collect().await else { return Ok::<_, Infallible>(reply(400, "")) };
            let body = inflate(&head.headers, &body.to_bytes());
            let mut script = script.lock().unwrap();
            Ok(script.answer(&head, body, connection))
        }
    });
    let _ended = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn inflate(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    if headers.get("content-encoding").is_none() {
        return body.to_vec();
    }
    let mut out = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(body), &mut out).unwrap();
    out
}

impl Script {
    fn answer(&mut self, head: &http::request::Parts, body: Vec<u8>, connection: usize) -> Response<Full<Bytes>> {
        if let Some(name) = head.uri.path().strip_prefix("/files/") {
            if head.method == "PUT" {
                self.files.push((name.into(), body));
                return reply(201, "");
            }
            let found = self.files.iter().rev().find(|(have, _)| have == name);
            return match found {
                Some((_, contents)) => Response::new(Full::new(Bytes::from(contents.clone()))),
                None => reply(404, ""),
            };
        }
        let body = String::from_utf8(body).unwrap();
        if !self.is_authorized(head) {
            let mut response = reply(401, "");
            let offer = if self.basic {
                "Basic realm=\"acs\"".to_owned()
            } else {
                "Digest realm=\"acs\", nonce=\"n0nce\", qop=\"auth\", algorithm=MD5".to_owned()
            };
            response.headers_mut().insert("www-authenticate", offer.parse().unwrap());
            self.heard.push(Heard { headers: head.headers.clone(), body, connection });
            return response;
        }
        self.heard.push(Heard { headers: head.headers.clone(), body: body.clone(), connection });
        if body.contains(":Inform>") {
            let action = self.informs.pop_front().unwrap_or(OnInform::Accept);
            return self.answer_inform(&action, &id_of(&body));
        }
        let called = ["TransferComplete", "DUStateChangeComplete", "GetRPCMethods", "RequestDownload", "Kicked"];
        let called =
            called.into_iter().chain(["AutonomousTransferComplete"]).find(|m| body.contains(&format!(":{m}>")));
        if let Some(method) = called {
            let inner = match method {
                "GetRPCMethods" => {
                    "<MethodList SOAP-ENC:arrayType=\"xsd:string[1]\"><string>Inform</string></MethodList>"
                }
                "Kicked" => "<NextURL></NextURL>",
                _ => "",
            };
            let message = format!("<cwmp:{method}Response>{inner}</cwmp:{method}Response>");
            return reply(200, &envelope(self.namespace, &id_of(&body), "", &message));
        }
        match self.steps.pop_front() {
            Some(step) => reply(200, &step),
            None => reply(204, ""),
        }
    }

    fn answer_inform(&self, action: &OnInform, id: &str) -> Response<Full<Bytes>> {
        let message = "<cwmp:InformResponse><MaxEnvelopes>1</MaxEnvelopes></cwmp:InformResponse>";
        let mut response = match action {
            OnInform::Accept => reply(200, &envelope(self.namespace, id, "", message)),
            OnInform::Headers(headers) => reply(200, &envelope(self.namespace, id, headers, message)),
            OnInform::Status(code) => reply(*code, ""),
            OnInform::Raw(text) => reply(200, text),
            OnInform::Fault(code) => {
                let fault = format!(
                    "<SOAP-ENV:Fault><faultcode>Server</faultcode><faultstring>CWMP fault</faultstring><detail>\
                     <cwmp:Fault><FaultCode>{code}</FaultCode><FaultString>no</FaultString></cwmp:Fault></detail>\
                     </SOAP-ENV:Fault>"
                );
                reply(200, &envelope(self.namespace, id, "", &fault))
            }
            OnInform::Redirect(url) => {
                let mut response = reply(307, "");
                response.headers_mut().insert("location", url.parse().unwrap());
                response
            }
        };
        if !self.no_cookie {
            response.headers_mut().insert("set-cookie", "session=abc; Path=/".parse().unwrap());
        }
        response
    }

    fn is_authorized(&self, head: &http::request::Parts) -> bool {
        let Some((username, password)) = &self.credentials else { return true };
        let Some(given) = head.headers.get("authorization").and_then(|value| value.to_str().ok()) else {
            return false;
        };
        if self.basic {
            use base64::Engine as _;
            let want = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
            return given == format!("Basic {want}");
        }
        let Ok(mut header) = digest_auth::AuthorizationHeader::parse(given) else { return false };
        let response = header.response.clone();
        let uri = header.uri.clone();
        let context = digest_auth::AuthContext::new_post(username, password, uri, None::<&[u8]>);
        header.digest(&context);
        header.response == response
    }
}

fn id_of(body: &str) -> String {
    let after = body.split(":ID").nth(1).and_then(|rest| rest.split_once('>'));
    after.and_then(|(_, rest)| rest.split('<').next()).unwrap_or_default().to_owned()
}

pub(super) fn envelope(namespace: &str, id: &str, headers: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:SOAP-ENC=\"http://schemas.xmlsoap.org/soap/encoding/\" \
         xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xmlns:cwmp=\"{namespace}\"><SOAP-ENV:Header>\
         <cwmp:ID SOAP-ENV:mustUnderstand=\"1\">{id}</cwmp:ID>{headers}</SOAP-ENV:Header>\
         <SOAP-ENV:Body>{body}</SOAP-ENV:Body></SOAP-ENV:Envelope>"
    )
}

fn reply(status: u16, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if !body.is_empty() {
        response.headers_mut().insert("content-type", "text/xml; charset=\"utf-8\"".parse().unwrap());
    }
    response
}
