//! Answers as HTTP responses, to the letter of cwmp.md §1.1.
//!
//! Every body is known in full, so that hyper writes `Content-Length` and never chunks (quirk 60).

use std::time::Duration;

use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use tracing::error;

use super::refusal::Refusal;
use crate::acs::cookie;
use crate::acs::exchange::{Answer, Connection, Transport};

const XML: HeaderValue = HeaderValue::from_static("text/xml; charset=\"utf-8\"");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const POST: HeaderValue = HeaderValue::from_static("POST");
/// When the memory for bodies is used up: bodies are short-lived.
const BODIES_RETRY: Duration = Duration::from_secs(30);

type HttpResponse = Response<Full<Bytes>>;

/// What the exchange answered.
pub(super) fn answered(answer: Answer, transport: Transport) -> HttpResponse {
    match answer {
        Answer::Envelope { body, cookie } => {
            let mut response = with_body(StatusCode::OK, XML, body);
            if let Some(value) = cookie.and_then(|token| cookie::set_cookie(token, transport)) {
                response.headers_mut().insert(SET_COOKIE, value);
            }
            response
        }
        Answer::Empty { connection } => connected(empty(StatusCode::NO_CONTENT), connection),
        Answer::Challenge { www_authenticate, connection } => {
            let mut response = empty(StatusCode::UNAUTHORIZED);
            match HeaderValue::try_from(www_authenticate) {
                Ok(value) => {
                    response.headers_mut().insert(WWW_AUTHENTICATE, value);
                }
                Err(trouble) => error!(error = %trouble, "a challenge is no valid header value"),
            }
            connected(response, connection)
        }
        Answer::Malformed { reason } => and_close(text(StatusCode::BAD_REQUEST, &reason)),
        Answer::Forbidden { reason } => and_close(text(StatusCode::FORBIDDEN, reason)),
        Answer::Busy { retry_after } => busy(retry_after),
    }
}

/// What the edge itself refuses.
pub(super) fn refused(refusal: Refusal) -> HttpResponse {
    let status = match refusal {
        Refusal::Method => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, &refusal.to_string());
            response.headers_mut().insert(ALLOW, POST);
            return response;
        }
        Refusal::BodyTooLarge | Refusal::InflatedTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Refusal::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Refusal::Protocol | Refusal::Inflate | Refusal::BodyIncomplete => StatusCode::BAD_REQUEST,
        Refusal::Accept
        | Refusal::Connections
        | Refusal::ConnectionsPerAddress
        | Refusal::Handshake
        | Refusal::HandshakeTimeout
        | Refusal::BodyMemory
        | Refusal::Panic => return busy(BODIES_RETRY),
    };
    and_close(text(status, &refusal.to_string()))
}

/// The same, and the connection ends with it.
pub(super) fn and_close(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(CONNECTION, CLOSE);
    response
}

fn connected(response: HttpResponse, connection: Connection) -> HttpResponse {
    match connection {
        Connection::Keep => response,
        Connection::Close => and_close(response),
    }
}

/// Closed as well: a fleet that is told to come back later should not keep its sockets.
fn busy(retry_after: Duration) -> HttpResponse {
    let mut response = empty(StatusCode::SERVICE_UNAVAILABLE);
    let secs = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs.max(1)));
    and_close(response)
}

/// One line for the person who debugs the CPE.
fn text(status: StatusCode, line: &str) -> HttpResponse {
    with_body(status, TEXT, Bytes::from(format!("{line}\n")))
}

fn with_body(status: StatusCode, content_type: HeaderValue, body: Bytes) -> HttpResponse {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn empty(status: StatusCode) -> HttpResponse {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
