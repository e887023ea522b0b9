//! Uploads: one PUT, with Basic or Digest when asked.

use bytes::Bytes;
use http::{StatusCode, header};

use super::{Order, Outcome};
use crate::simulator::auth::{Authenticator, Challenged};
use crate::simulator::config::{CpeConfig, Credentials};
use crate::simulator::http::{Connection, Framing, HttpError, Response, Target};

const UPLOAD_FAILED: u16 = 9011;
const AUTHENTICATION_FAILED: u16 = 9012;
const UNSUPPORTED_PROTOCOL: u16 = 9013;
const CANNOT_CONTACT: u16 = 9015;

pub(super) async fn send(config: &CpeConfig, order: &Order, contents: Bytes) -> Outcome {
    let bytes = u64::try_from(contents.len()).unwrap_or(0);
    match tokio::time::timeout(config.response_timeout, put(config, order, contents)).await {
        Ok(Ok(response)) if response.status.is_success() => Outcome::Sent(bytes),
        Ok(Ok(response)) if response.status == StatusCode::UNAUTHORIZED => Outcome::Failed(AUTHENTICATION_FAILED),
        Ok(Err(HttpError::Url)) => Outcome::Failed(UNSUPPORTED_PROTOCOL),
        Ok(Err(HttpError::Connect(_) | HttpError::Tls(_) | HttpError::NoTrust)) => Outcome::Failed(CANNOT_CONTACT),
        Ok(_) | Err(_) => Outcome::Failed(UPLOAD_FAILED),
    }
}

/// What the order says to present, if anything.
pub(super) fn credentials(order: &Order) -> Option<Credentials> {
    (!order.username.is_empty())
        .then(|| Credentials { username: order.username.clone(), password: order.password.clone() })
}

async fn put(config: &CpeConfig, order: &Order, contents: Bytes) -> Result<Response, HttpError> {
    let target = Target::parse(&order.url)?;
    let mut authenticator = Authenticator::new(credentials(order));
    let mut connection = Connection::open(&target, &config.tls).await?;
    loop {
        let mut builder = http::Request::builder()
            .method("PUT")
            .uri(&target.path)
            .header(header::HOST, target.authority())
            .header(header::USER_AGENT, "acsd-simulator")
            .header(header::CONTENT_TYPE, "application/octet-stream");
        let authorization = authenticator.authorization("PUT", &target.path);
        let has_answered = authorization.is_some();
        if let Some(authorization) = authorization {
            builder = builder.header(header::AUTHORIZATION, authorization);
        }
        if !connection.is_usable().await {
            connection = Connection::open(&target, &config.tls).await?;
        }
        let response = connection.send(builder, contents.clone(), Framing::Length).await?;
        let is_challenge = response.status == StatusCode::UNAUTHORIZED && !has_answered;
        if !is_challenge || authenticator.challenged(&response.headers, |_| {}) == Challenged::Hopeless {
            return Ok(response);
        }
    }
}
