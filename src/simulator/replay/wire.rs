//! The HTTP side of a played session: POSTs, logins, redirects, cookies.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use crate::simulator::auth::{Authenticator, Challenged};
use crate::simulator::http::{Connection, Framing, HttpError, Response, Target};
use crate::simulator::tls::TlsTrust;

use super::{ReplayConfig, ReplayFailure};

/// Redirects in a row before the CPE gives up (TR-069 §3.4.3).
const REDIRECTS_MAX: u32 = 5;

/// What an answer carried.
pub(super) enum Received {
    Empty,
    Envelope(String),
}

/// The CPE's end of a session.
pub(super) struct Wire {
    target: Target,
    tls: TlsTrust,
    limit: Duration,
    connection: Option<Connection>,
    authenticator: Authenticator,
    cookies: Vec<(String, String)>,
    /// POSTs with an answer, logins and redirects among them.
    pub(super) posts: u32,
}

impl Wire {
    pub(super) fn new(config: &ReplayConfig) -> Result<Self, ReplayFailure> {
        Ok(Self {
            target: Target::parse(&config.acs_url).map_err(|error| failure(&error))?,
            tls: config.tls.clone(),
            limit: config.response_timeout,
            connection: None,
            authenticator: Authenticator::new(config.credentials.clone()),
            cookies: Vec::new(),
            posts: 0,
        })
    }

    /// One POST, with whatever login, redirect or broken connection lies between it and its answer.
    pub(super) async fn post(&mut self, envelope: Option<&str>) -> Result<Received, ReplayFailure> {
        let (mut redirects, mut has_logged_in, mut was_lost) = (0, false, false);
        loop {
            let attempt = tokio::time::timeout(self.limit, self.exchange(envelope)).await;
            let response = match attempt.map_err(|_| HttpError::Timeout).and_then(|result| result) {
                Ok(response) => response,
                // A kept connection may be closed at any time.
                Err(HttpError::Broken(_)) if !was_lost && self.connection.as_ref().is_some_and(|c| c.answered > 0) => {
                    was_lost = true;
                    self.connection = None;
                    continue;
                }
                Err(error) => return Err(failure(&error)),
            };
            self.posts += 1;
            self.take_cookies(&response.headers);
            match response.status {
                StatusCode::OK | StatusCode::NO_CONTENT if response.body.is_empty() => return Ok(Received::Empty),
                StatusCode::OK => {
                    let text = String::from_utf8(response.body.into()).map_err(|_| ReplayFailure::NotAnEnvelope)?;
                    return Ok(Received::Envelope(text));
                }
                StatusCode::UNAUTHORIZED => {
                    let asked = text_of(&response.headers, &header::WWW_AUTHENTICATE);
                    let is_stale = asked.is_some_and(|text| text.to_ascii_lowercase().contains("stale=true"));
                    let challenged = self.authenticator.challenged(&response.headers, |_| {});
                    if challenged == Challenged::Hopeless || (has_logged_in && !is_stale) {
                        return Err(ReplayFailure::Unauthorized);
                    }
                    has_logged_in = true;
                }
                status @ (StatusCode::FOUND | StatusCode::TEMPORARY_REDIRECT) => {
                    redirects += 1;
                    let place = text_of(&response.headers, &header::LOCATION).filter(|_| redirects <= REDIRECTS_MAX);
                    let target = place.and_then(|url| Target::parse(url).ok());
                    let target = target.ok_or(ReplayFailure::Status(status.as_u16()))?;
                    if !target.same_server(&self.target) {
                        self.connection = None;
                    }
                    self.authenticator.forget();
                    self.target = target;
                }
                status => return Err(ReplayFailure::Status(status.as_u16())),
            }
        }
    }

    async fn exchange(&mut self, envelope: Option<&str>) -> Result<Response, HttpError> {
        let mut kept = self.connection.take();
        if let Some(connection) = &mut kept
            && !connection.is_usable().await
        {
            kept = None;
        }
        let connection = match kept {
            Some(connection) => connection,
            None => Connection::open(&self.target, &self.tls).await?,
        };
        let connection = self.connection.insert(connection);
        let mut request = http::Request::builder()
            .method(Method::POST)
            .uri(&self.target.path)
            .header(header::HOST, self.target.authority())
            .header(header::USER_AGENT, "acsd-simulator");
        if let Some(authorization) = self.authenticator.authorization("POST", &self.target.path) {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, pairs.join("; "));
        }
        if envelope.is_some() {
            request = request.header(header::CONTENT_TYPE, "text/xml; charset=\"utf-8\"").header("SOAPAction", "");
        }
        let body = Bytes::copy_from_slice(envelope.unwrap_or_default().as_bytes());
        connection.send(request, body, Framing::Length).await
    }

    fn take_cookies(&mut self, headers: &HeaderMap) {
        let set = headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = set.filter_map(|text| text.split(';').next()?.trim().split_once('='));
        for (name, value) in pairs {
            self.cookies.retain(|(have, _)| have != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }
}

fn text_of<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// In words, with the cause.
fn failure(error: &HttpError) -> ReplayFailure {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    ReplayFailure::Connection(format!("{error}{cause}"))
}
