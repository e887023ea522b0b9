//! The HTTP side of a session: POSTs, 401s, redirects, cookies (TR-069 §3.4).

use std::io::Write as _;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use super::{Received, Session, Stop};
use crate::simulator::auth::Challenged;
use crate::simulator::config::CpeConfig;
use crate::simulator::http::{Connection, Framing, HttpError, Response, Target};
use crate::simulator::misbehave::Misbehaviour;
use crate::simulator::report::{Rule, SessionFailure, Violation};

/// Redirects in a row before the CPE gives up (TR-069 §3.4.3).
const REDIRECTS_MAX: u32 = 5;

impl Session<'_> {
    /// One POST, with whatever 401, redirect or broken keep-alive connection lies between it and its answer.
    pub(super) async fn post(&mut self, envelope: Option<&str>) -> Result<Received, Stop> {
        let mut redirects = 0;
        let mut answered_challenge = false;
        let mut was_lost = false;
        if self.config.has(&Misbehaviour::ChallengeEveryPost) {
            self.authenticator.forget();
        }
        if self.config.has(&Misbehaviour::ConnectionPerPost) {
            self.connection = None;
        }
        loop {
            let limit = self.config.response_timeout;
            let attempt = tokio::time::timeout(limit, self.exchange(envelope)).await;
            let response = match attempt.map_err(|_| HttpError::Timeout).and_then(|result| result) {
                Ok(response) => response,
                // A keep-alive connection may be closed at any time: the session goes on on a new one.
                Err(HttpError::Broken(_)) if !was_lost && self.connection.as_ref().is_some_and(|c| c.answered > 0) => {
                    was_lost = true;
                    self.connection = None;
                    continue;
                }
                Err(error) => return Err(Stop::Failed(failure(&error))),
            };
            self.take_cookies(&response.headers);
            if response.missed_continue {
                self.violation(Rule::Continue, "no 100 Continue within a second".to_owned());
            }
            match response.status {
                StatusCode::OK | StatusCode::NO_CONTENT => return self.accept(response),
                StatusCode::UNAUTHORIZED => {
                    self.report.challenges += 1;
                    let is_stale = header_text(&response.headers, &header::WWW_AUTHENTICATE)
                        .is_some_and(|text| text.to_ascii_lowercase().contains("stale=true"));
                    let violations = &mut self.report.violations;
                    let challenged = self.authenticator.challenged(&response.headers, |detail| {
                        violations.push(Violation { rule: Rule::Challenge, detail });
                    });
                    if challenged == Challenged::Hopeless || (answered_challenge && !is_stale) {
                        return Err(SessionFailure::Unauthorized.into());
                    }
                    answered_challenge = true;
                }
                StatusCode::FOUND | StatusCode::TEMPORARY_REDIRECT => {
                    redirects += 1;
                    self.follow(&response.headers, redirects)?;
                }
                status => return Err(SessionFailure::Status(status.as_u16()).into()),
            }
        }
    }

    fn follow(&mut self, headers: &HeaderMap, redirects: u32) -> Result<(), Stop> {
        let location = header_text(headers, &header::LOCATION).filter(|_| redirects <= REDIRECTS_MAX);
        let target = location.and_then(|url| Target::parse(url).ok()).ok_or(SessionFailure::Redirect)?;
        if !target.same_server(&self.target) {
            self.connection = None;
        }
        self.authenticator.forget();
        self.target = target;
        Ok(())
    }

    async fn exchange(&mut self, envelope: Option<&str>) -> Result<Response, HttpError> {
        let is_usable = match &mut self.connection {
            Some(connection) => connection.is_usable().await,
            None => false,
        };
        if !is_usable {
            self.connection = None;
            self.report.connections += 1;
        }
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.target, &self.config.tls).await?,
        };
        let connection = self.connection.insert(connection);
        let mut builder = http::Request::builder()
            .method(Method::POST)
            .uri(&self.target.path)
            .header(header::HOST, self.target.authority())
            .header(header::USER_AGENT, "acsd-simulator");
        if let Some(authorization) = self.authenticator.authorization("POST", &self.target.path) {
            builder = builder.header(header::AUTHORIZATION, authorization);
        }
        if let Some(cookie) = cookie_header(self.config, &self.cookies) {
            builder = builder.header(header::COOKIE, cookie);
        }
        let mut body = envelope.map(str::to_owned).unwrap_or_default().into_bytes();
        if envelope.is_some() {
            builder = builder.header(header::CONTENT_TYPE, "text/xml; charset=\"utf-8\"").header("SOAPAction", "");
            if self.config.has(&Misbehaviour::Gzip) {
                body = gzip(&body);
                builder = builder.header(header::CONTENT_ENCODING, "gzip");
            }
            if self.config.has(&Misbehaviour::ExpectContinue) {
                builder = builder.header(header::EXPECT, "100-continue");
            }
        }
        let is_chunked = envelope.is_some() && self.config.has(&Misbehaviour::Chunked);
        let framing = if is_chunked { Framing::Chunked } else { Framing::Length };
        self.report.posts += 1;
        connection.send(builder, Bytes::from(body), framing).await
    }

    /// A 200 or 204: checks the HTTP side of it.
    fn accept(&mut self, response: Response) -> Result<Received, Stop> {
        let Response { status, headers, body, .. } = response;
        if headers.contains_key(header::TRANSFER_ENCODING) {
            self.violation(Rule::ContentLength, "the answer is chunked".to_owned());
        } else if status == StatusCode::OK && !headers.contains_key(header::CONTENT_LENGTH) {
            self.violation(Rule::ContentLength, "the answer has no Content-Length".to_owned());
        }
        if status == StatusCode::NO_CONTENT {
            if headers.contains_key(header::CONTENT_TYPE) {
                self.violation(Rule::ContentType, "a 204 with a Content-Type".to_owned());
            }
            return Ok(Received::Empty);
        }
        if body.is_empty() {
            self.violation(Rule::EmptyResponse, "a 200 without a body".to_owned());
            return Ok(Received::Empty);
        }
        let content_type = header_text(&headers, &header::CONTENT_TYPE).unwrap_or_default();
        if !content_type.starts_with("text/xml") {
            let detail = format!("Content-Type {content_type:?}");
            self.violation(Rule::ContentType, detail);
        }
        match String::from_utf8(body.into()) {
            Ok(text) => Ok(Received::Envelope(text)),
            Err(_) => {
                self.violation(Rule::Xml, "the answer is not UTF-8".to_owned());
                Err(SessionFailure::Malformed.into())
            }
        }
    }

    fn take_cookies(&mut self, headers: &HeaderMap) {
        for value in headers.get_all(header::SET_COOKIE) {
            let Ok(text) = value.to_str() else {
                self.violation(Rule::Cookie, "a cookie that is not ASCII".to_owned());
                continue;
            };
            let mut parts = text.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                self.violation(Rule::Cookie, format!("Set-Cookie {text:?}"));
                continue;
            };
            let unknown = parts.find(|attribute| {
                let name = attribute.split('=').next().unwrap_or_default();
                !name.eq_ignore_ascii_case("path") && !name.eq_ignore_ascii_case("secure")
            });
            if let Some(attribute) = unknown {
                self.violation(Rule::Cookie, format!("the cookie attribute {attribute:?}"));
            }
            if text.len() > 512 {
                self.violation(Rule::Cookie, format!("a cookie of {} bytes", text.len()));
            }
            match self.cookies.iter_mut().find(|(have, _)| have == name) {
                Some((_, have)) => {
                    if self.informed && have != value {
                        self.report.violations.push(Violation {
                            rule: Rule::Cookie,
                            detail: format!("the cookie {name} changed in the middle of the session"),
                        });
                    }
                    value.clone_into(have);
                }
                None => self.cookies.push((name.to_owned(), value.to_owned())),
            }
        }
    }

    pub(super) fn remember_cookies(&self) {
        if self.config.has(&Misbehaviour::StaleCookies) {
            self.shared.stale_cookies.lock().clone_from(&self.cookies);
        }
    }
}

fn cookie_header(config: &CpeConfig, cookies: &[(String, String)]) -> Option<String> {
    if cookies.is_empty() || config.has(&Misbehaviour::NoCookies) {
        return None;
    }
    let attributes = if config.has(&Misbehaviour::StaleCookies) { "; Path=/" } else { "" };
    let pairs: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}{attributes}")).collect();
    Some(pairs.join("; "))
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to memory cannot fail.
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

fn header_text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

const fn failure(error: &HttpError) -> SessionFailure {
    match error {
        HttpError::Url | HttpError::Connect(_) => SessionFailure::Connect,
        HttpError::Tls(_) | HttpError::NoTrust => SessionFailure::Tls,
        HttpError::Broken(_) => SessionFailure::ConnectionLost,
        HttpError::Request(_) | HttpError::TooLarge => SessionFailure::Malformed,
        HttpError::Timeout => SessionFailure::Timeout,
    }
}
