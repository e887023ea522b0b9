//! What surrounds every request: its id, its canonical path, its time limit, its panic, its log line, its counter.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::ApiState;
use super::error::{ApiError, Cause};
use super::remainder::Remainder;
use super::serve::Early;
use crate::files::multipart::Form;
use crate::telemetry::{self, names};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest inbound request id that is kept.
const REQUEST_ID_MAX_BYTES: usize = 128;

/// Rides in the request: what the log and the audit trail call it.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

/// The outermost layer: whatever happens inside, the answer is well-formed and carries the request's id.
pub(super) async fn surround(State(state): State<Arc<ApiState>>, request: Request, next: Next) -> Response {
    surround_within(Duration::from_secs(state.config.request_time_secs.into()), request, next).await
}

/// A read that takes longer is given up. A write is not: that may be between what it does and its entry in the audit trail.
async fn surround_within(longest: Duration, mut request: Request, next: Next) -> Response {
    let id = request_id(&request);
    let method = request.method().clone();
    canonicalise(&mut request);
    request.extensions_mut().insert(RequestId(id.clone()));
    let (mut request, remainder) = Remainder::of(request);
    let patience = if brings_file(&request) {
        // It takes as long as it takes; that something arrives all the time is seen to where it is read.
        Duration::MAX
    } else {
        longest
    };
    let early = request.extensions_mut().remove::<Early>();
    let response = {
        let mut answering = pin!(answer(next, request, &id));
        match tokio::time::timeout(patience, answering.as_mut()).await {
            Ok(response) => response,
            Err(_elapsed) if method.is_safe() => too_long("The request took too long and was given up."),
            Err(_elapsed) => {
                if let Some(early) = &early {
                    let response = too_long("This takes too long to wait for and goes on: see what came of it.");
                    count(&method, &response);
                    early.answer(identified(response, &id));
                }
                let late = answering.await;
                let status = late.status();
                tracing::warn!(request.id = %id, "a {method} request took too long; it ended with {status}");
                // Told already; of a failure the cause is logged. Without a listener that could tell, the caller has waited.
                if early.is_some() {
                    return complete(late, &id);
                }
                late
            }
        }
    };
    remainder.discard().await;
    count(&method, &response);
    let mut response = complete(response, &id);
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().entry(header::RETRY_AFTER).or_insert(HeaderValue::from_static("5"));
    }
    identified(response, &id)
}

/// What the router answers; a panic is an answer as well.
async fn answer(next: Next, request: Request, id: &str) -> Response {
    catch_panic(next.run(request)).await.unwrap_or_else(|panic| {
        tracing::error!(request.id = %id, "a handler panicked: {}", panic_text(&*panic));
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    })
}

fn too_long(detail: &'static str) -> Response {
    ApiError::Detail { status: StatusCode::SERVICE_UNAVAILABLE, detail: detail.into() }.into_response()
}

fn identified(mut response: Response, id: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Whether the body is a file, or has one in it.
fn brings_file(request: &Request) -> bool {
    let path = request.uri().path();
    let is_form = || {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        content_type.is_some_and(Form::is)
    };
    path.starts_with("/api/v1/firmware_image/")
        && ((request.method() == Method::PUT && path.ends_with("/file/"))
            || (request.method() == Method::POST && is_form()))
}

/// Sits inside the router: tells the outermost layer which route was taken, a closed set unlike the path itself.
pub(super) async fn note_route(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}

/// For paths that no route has.
pub(super) async fn unknown_path() -> ApiError {
    ApiError::not_found("Not found.")
}

/// For methods that a path does not have; the router adds `Allow`.
pub(super) async fn unknown_method(method: Method) -> ApiError {
    ApiError::Detail {
        status: StatusCode::METHOD_NOT_ALLOWED,
        detail: format!("Method \"{method}\" not allowed.").into(),
    }
}

/// Gives answers without a body the one that clients expect: `{"detail"}`, for failures with the request id.
fn complete(response: Response, id: &str) -> Response {
    let status = response.status();
    let bare = !response.headers().contains_key(header::CONTENT_TYPE);
    if !bare || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    if let Some(Cause(cause)) = response.extensions().get::<Cause>() {
        tracing::error!(request.id = %id, "a request failed: {}", telemetry::chain(&**cause));
    }
    let detail = match status {
        StatusCode::SERVICE_UNAVAILABLE => "The server cannot take this now. Try again later.",
        _ if status.is_server_error() => "The server failed to do this. The request_id leads to the cause in its log.",
        _ => status.canonical_reason().unwrap_or("Refused."),
    };
    let body = if status.is_server_error() {
        json!({ "detail": detail, "request_id": id })
    } else {
        json!({ "detail": detail })
    };
    let mut complete = (status, Json(body)).into_response();
    for (name, value) in response.headers() {
        if *name != header::CONTENT_LENGTH {
            complete.headers_mut().append(name, value.clone());
        }
    }
    complete
}

/// The id that came in when it is sane, else a new one.
fn request_id(request: &Request) -> String {
    let sane = |id: &&str| {
        (1..=REQUEST_ID_MAX_BYTES).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'))
    };
    let inbound = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(sane);
    inbound.map_or_else(|| uuid::Uuid::new_v4().simple().to_string(), str::to_owned)
}

/// Brings the path to the form that the routes have: below the API's base it ends in a slash, except files.
fn canonicalise(request: &mut Request) {
    let uri = request.uri();
    let path = uri.path();
    let wanted = if path.starts_with("/api/v1/")
        && !path.starts_with("/api/v1/docs/")
        && !path.ends_with(['/'])
        && !path.ends_with("/openapi.json")
    {
        format!("{path}/")
    } else if matches!(path, "/healthz/" | "/readyz/" | "/metrics/" | "/api/v1/openapi.json/") {
        path.trim_end_matches('/').to_owned()
    } else {
        return;
    };
    let wanted = match uri.query() {
        Some(query) => format!("{wanted}?{query}"),
        None => wanted,
    };
    let mut parts = uri.clone().into_parts();
    // What was a URI stays one with a slash more or less; if not, it goes on as it came.
    if let Ok(path_and_query) = PathAndQuery::try_from(wanted) {
        parts.path_and_query = Some(path_and_query);
        if let Ok(canonical) = Uri::from_parts(parts) {
            *request.uri_mut() = canonical;
        }
    }
}

fn count(method: &Method, response: &Response) {
    let route = response.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    // Methods come from the client: those that no route has share one label.
    let method = match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let status = response.status().as_u16().to_string();
    metrics::counter!(names::API_REQUESTS, "method" => method, "route" => route, "status" => status).increment(1);
}

/// Runs a future to its end or its panic.
async fn catch_panic<T>(work: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::serve::{ServeLimits, serve};
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::delete;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;
    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn paths_below_the_base_end_in_a_slash() {
        let table = [
            ("/api/v1/transaction", "/api/v1/transaction/"),
            ("/api/v1/transaction?x=1", "/api/v1/transaction/?x=1"),
            ("/api/v1/transaction/?x=1", "/api/v1/transaction/?x=1"),
            ("/api/v1/inventory_device_serial/a%2Fb", "/api/v1/inventory_device_serial/a%2Fb/"),
            ("/api/v1/openapi.json", "/api/v1/openapi.json"),
            ("/api/v1/docs", "/api/v1/docs/"),
            ("/api/v1/docs/index.css", "/api/v1/docs/index.css"),
            ("/readyz/", "/readyz"),
            ("/other", "/other"),
        ];
        for (given, want) in table {
            let mut request = Request::builder().uri(given).body(Body::empty()).expect("a request");
            canonicalise(&mut request);
            assert_eq!(request.uri(), want, "{given}");
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_value() {
        let caught = catch_panic::<()>(async { std::panic::panic_any("boom 1") }).await;
        assert_eq!(caught.err().map(|panic| panic_text(&*panic).to_owned()).as_deref(), Some("boom 1"));
    }

    /// Whatever a write has done by then, what belongs to it is done too.
    #[tokio::test]
    async fn a_write_that_takes_too_long_is_answered_and_goes_on() {
        let (go, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let handler = {
            let (go, done) = (Arc::clone(&go), Arc::clone(&done));
            async move || {
                go.notified().await;
                done.notify_one();
            }
        };
        let shell = async |request, next| surround_within(Duration::from_millis(50), request, next).await;
        let router = Router::new().route("/", delete(handler).get(std::future::pending::<()>)).layer(from_fn(shell));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, router, None, ServeLimits::default(), stop.clone()));
        let ask = async |method: &str| {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            let head = format!("{method} / HTTP/1.1\r\nHost: x\r\nX-Request-Id: r-1\r\n\r\n");
            stream.write_all(head.as_bytes()).await.expect("sent");
            let (mut answer, mut piece) = (String::new(), [0; 1024]);
            while !answer.ends_with('}') {
                let read = timeout(PATIENCE, stream.read(&mut piece)).await.expect("an answer").expect("read");
                assert_ne!(read, 0, "{answer}");
                answer += std::str::from_utf8(&piece[..read]).expect("text");
            }
            (stream, answer)
        };
        let (_reading, given_up) = ask("GET").await;
        assert!(given_up.starts_with("HTTP/1.1 503") && given_up.contains("retry-after: "), "{given_up}");
        let (mut writing, early) = ask("DELETE").await;
        assert!(early.starts_with("HTTP/1.1 503") && early.contains("x-request-id: r-1\r\n"), "{early}");
        assert!(early.contains("goes on") && !early.contains("retry-after"), "to repeat it would do it twice: {early}");
        let rest = timeout(PATIENCE, writing.read_to_string(&mut String::new())).await.expect("an end").expect("read");
        assert_eq!(rest, 0, "one such write for each connection");
        // A stop waits for it as for any other.
        stop.cancel();
        go.notify_one();
        timeout(PATIENCE, done.notified()).await.expect("it was given up");
        timeout(PATIENCE, serving).await.expect("stopped").expect("no panic").expect("no error");
    }

    #[test]
    fn only_sane_request_ids_are_kept() {
        for (inbound, kept) in [("abc-1.2_3:4", true), ("a b", false), ("", false), (&*"x".repeat(129), false)] {
            let request = Request::builder().header(REQUEST_ID, inbound).body(Body::empty()).expect("a request");
            assert_eq!(request_id(&request) == inbound, kept, "{inbound}");
        }
    }
}
