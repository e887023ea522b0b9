//! The ceiling: hyper as bare as it comes, which reads each body and answers the next bytes of a script.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use acsd::auth::digest::{DigestServer, Stale};
use acsd::clock::SystemClock;
use acsd::types::time::Clock as _;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::protocol::{Figures, FromServer, ToServer, Workload};
use crate::{allocator, envelopes, protocol};

/// One answer, ready but for being cloned.
struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

/// The answers of one session, over and over.
type Script = Arc<[Answer]>;

pub fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let addresses = runtime.block_on(async {
        let mut addresses = Vec::new();
        for workload in Workload::ALL {
            let listener = acsd::acs::listen::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
            addresses.push(listener.local_addr().expect("bound"));
            tokio::spawn(serve(listener, script(workload)));
        }
        addresses
    });
    protocol::say(&FromServer::Ready { addresses });
    protocol::serve(|command: ToServer| match command {
        ToServer::StartCounting => {
            allocator::start_counting();
            FromServer::Done
        }
        ToServer::StopCounting => {
            allocator::stop_counting();
            FromServer::Done
        }
        ToServer::Figures => {
            let (allocations, allocated_bytes) = allocator::counted();
            FromServer::Figures(Figures { allocations, allocated_bytes, ..Figures::default() })
        }
        ToServer::Schedule | ToServer::Stop => FromServer::Done,
    });
}

/// The address for a workload among those of [`FromServer::Ready`].
pub fn address(addresses: &[SocketAddr], workload: Workload) -> SocketAddr {
    let at = Workload::ALL.iter().position(|other| *other == workload).expect("all are listed");
    addresses[at]
}

fn script(workload: Workload) -> Script {
    let (inform_response, call) = envelopes::of_the_acs();
    let xml = (CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=\"utf-8\""));
    let cookie = (SET_COOKIE, HeaderValue::from_static("acsd=00112233445566778899aabbccddeeff; Path=/"));
    let challenge = DigestServer::new([0; 32], "acsd", Duration::from_secs(1)).challenge(SystemClock.now(), Stale::No);
    let challenge = HeaderValue::try_from(challenge).expect("plain text");
    let answer = |status, headers, body| Answer { status, headers, body };
    let mut script = Vec::new();
    if workload == Workload::PeriodicDigest {
        script.push(answer(StatusCode::UNAUTHORIZED, vec![(WWW_AUTHENTICATE, challenge)], Bytes::new()));
    }
    script.push(answer(StatusCode::OK, vec![xml.clone(), cookie], inform_response.into()));
    if workload == Workload::Get {
        script.push(answer(StatusCode::OK, vec![xml], call.into()));
    }
    script.push(answer(StatusCode::NO_CONTENT, Vec::new(), Bytes::new()));
    script.into()
}

async fn serve(listener: TcpListener, script: Script) {
    loop {
        let (stream, _) = listener.accept().await.expect("accepts");
        stream.set_nodelay(true).ok();
        let script = Arc::clone(&script);
        tokio::spawn(async move {
            let next = AtomicUsize::new(0);
            let service = service_fn(|request: Request<Incoming>| {
                let answer = &script[next.fetch_add(1, Ordering::Relaxed) % script.len()];
                async move {
                    request.into_body().collect().await.ok();
                    let mut response = Response::new(Full::new(answer.body.clone()));
                    *response.status_mut() = answer.status;
                    for (name, value) in &answer.headers {
                        response.headers_mut().insert(name, value.clone());
                    }
                    Ok::<_, Infallible>(response)
                }
            });
            // A CPE that hangs up is none of our business.
            http1::Builder::new().title_case_headers(true).serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}
