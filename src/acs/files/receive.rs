//! What CPEs send: PUT or POST, sized or chunked, as it is or as the file of a form.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, EXPECT, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::body::FileBody;
use super::meters::{Direction, Meter, Outcome};
use super::{Inner, Refused, busy, content_type, unknown};
use crate::files::fetch::ContentRange;
use crate::files::multipart::{Event, Form, FormError};
use crate::files::{Claim, Draft, FilesConfig, Kept, ReceiveError, Upload, UploadError};
use crate::telemetry::chain;

/// How much of a refused body is listened to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Discard {
    longest: Duration,
    most_bytes: u64,
}

impl Discard {
    /// From who has no link of ours.
    pub(super) const STRANGER: Self = Self { longest: Duration::from_secs(3), most_bytes: 64 << 10 };

    /// From who has one.
    pub(super) const fn device(config: &FilesConfig) -> Self {
        Self { longest: Duration::from_mins(1), most_bytes: config.max_upload_bytes }
    }
}

const DIRECTION: Direction = Direction::Upload;

/// Why the body was not taken.
enum Lost {
    /// Nothing came for too long.
    Stalled,
    /// The connection ended, or the framing is wrong.
    BrokenOff,
    Form(FormError),
    /// The form has no file in it.
    NoFile,
    Receive(ReceiveError),
}

impl From<ReceiveError> for Lost {
    fn from(error: ReceiveError) -> Self {
        Self::Receive(error)
    }
}

impl From<FormError> for Lost {
    fn from(error: FormError) -> Self {
        Self::Form(error)
    }
}

impl Inner {
    pub(super) async fn receive<T: Send, B: Future<Output = T> + Send>(
        &self,
        head: &Parts,
        incoming: &mut Incoming,
        claim: &Claim,
        begin: impl FnOnce() -> B + Send,
    ) -> Result<Response<FileBody>, Refused> {
        if !has_length(&head.headers) {
            // By HTTP's rules there is no body then: a file that a client ends by closing would be taken for an empty one.
            let words = "say how long the file is: Content-Length, or Transfer-Encoding: chunked";
            return Err(Refused::new(DIRECTION, Outcome::Malformed, StatusCode::LENGTH_REQUIRED, words));
        }
        if is_part(&head.headers) {
            // RFC 9110 §14.5: who takes no parts says so. The last one would be taken for the file.
            let words = "a file is sent in one go, without Content-Range";
            return Err(Refused::new(DIRECTION, Outcome::Malformed, StatusCode::BAD_REQUEST, words));
        }
        let upload =
            self.files.upload(claim).await.map_err(|error| failed(&error))?.ok_or_else(|| unknown(DIRECTION))?;
        let slot = self.slots.take(claim.device).ok_or_else(|| busy(DIRECTION))?;
        let mut meter = self.meters.begin(DIRECTION, slot);
        let _begun = begin().await;
        let received = self.take(&upload, &head.headers, incoming, &meter).await;
        let kept = match received {
            Ok(draft) => match draft.complete().await {
                Ok(complete) => self.files.keep(&upload, complete).await,
                Err(error) => Err(error.into()),
            },
            Err(broken) => {
                let refused = refuse(broken);
                return Err(ended(meter, refused));
            }
        };
        match kept {
            Ok(kept) => {
                meter.end(Outcome::Complete);
                let (id, new) = match kept {
                    Kept::New(id) => (id, true),
                    Kept::Replaced(id) => (id, false),
                };
                tracing::info!(
                    device.id = %claim.device, transaction.id = %claim.transaction, file.id = id.0,
                    "device {} sent file {} for transaction {}", claim.device, id.0, claim.transaction
                );
                let mut response = Response::new(FileBody::empty());
                if new && head.method == Method::PUT {
                    *response.status_mut() = StatusCode::CREATED;
                }
                response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
                Ok(response)
            }
            Err(UploadError::Unknown) => Err(ended(meter, unknown(DIRECTION))),
            Err(UploadError::Receive(error)) => Err(ended(meter, refuse(Lost::Receive(error)))),
            Err(error @ (UploadError::Store(_) | UploadError::Exhausted)) => Err(ended(meter, failed(&error))),
        }
    }

    async fn take(
        &self,
        upload: &Upload,
        headers: &HeaderMap,
        incoming: &mut Incoming,
        meter: &Meter,
    ) -> Result<Draft, Lost> {
        let patience = self.files.config().stall();
        let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let content_type = content_type(headers);
        if !Form::is(content_type) {
            let mut draft = self.files.receive(upload, announced).await?;
            while let Some(piece) = next(incoming, patience).await? {
                meter.moved(piece.len());
                draft.write(piece).await?;
            }
            return Ok(draft);
        }
        // The file is a little smaller than the form.
        let mut form = Form::new(content_type)?;
        let mut draft = self.files.receive(upload, None).await?;
        let mut place = Place::Before;
        while let Some(piece) = next(incoming, patience).await? {
            meter.moved(piece.len());
            form.push(&piece);
            loop {
                match (form.poll()?, place) {
                    (Event::Part(part), Place::Before) if part.is_file => place = Place::Within,
                    (Event::Part(_), Place::Within) => place = Place::Behind,
                    (Event::Data(data), Place::Within) => draft.write(data).await?,
                    (Event::More | Event::End, _) => break,
                    (Event::Part(_) | Event::Data(_), _) => {}
                }
            }
        }
        form.finish()?;
        if place == Place::Before { Err(Lost::NoFile) } else { Ok(draft) }
    }
}

/// Whether a request says that it has a body, be it empty (RFC 9112 §6.3).
fn has_length(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING)
}

/// Whether a request brings less than a whole file, as far as it says.
fn is_part(headers: &HeaderMap) -> bool {
    let Some(range) = headers.get(CONTENT_RANGE) else { return false };
    let range = range.to_str().ok().and_then(ContentRange::parse);
    !range.is_some_and(|range| range.first == 0 && range.total == range.last.checked_add(1))
}

/// Where in a form we are: its first file is the one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Within,
    Behind,
}

/// The next piece; `None`: the body is over.
async fn next(incoming: &mut Incoming, patience: Duration) -> Result<Option<Bytes>, Lost> {
    loop {
        match timeout(patience, incoming.frame()).await {
            Err(_elapsed) => return Err(Lost::Stalled),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_broken))) => return Err(Lost::BrokenOff),
            Ok(Some(Ok(frame))) => {
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
        }
    }
}

/// A transfer that began and is not granted is counted once, as what it ended with.
fn ended(mut meter: Meter, refused: Refused) -> Refused {
    meter.end(refused.outcome);
    Refused { counted: super::Counted::Already, ..refused }
}

fn refuse(broken: Lost) -> Refused {
    let refused = |outcome, status, words: &str| Refused::new(DIRECTION, outcome, status, words);
    match broken {
        Lost::Stalled => refused(Outcome::Stalled, StatusCode::REQUEST_TIMEOUT, "nothing came for too long"),
        Lost::BrokenOff => refused(Outcome::BrokenOff, StatusCode::BAD_REQUEST, "the body broke off"),
        Lost::Form(error) => refused(Outcome::Malformed, StatusCode::BAD_REQUEST, &error.to_string()),
        Lost::NoFile => refused(Outcome::Malformed, StatusCode::BAD_REQUEST, "the form has no file in it"),
        Lost::Receive(error @ ReceiveError::TooLarge { .. }) => {
            refused(Outcome::TooLarge, StatusCode::PAYLOAD_TOO_LARGE, &error.to_string())
        }
        Lost::Receive(ReceiveError::NoRoom(reason)) => {
            tracing::warn!("a file of a device was refused: {reason}");
            refused(Outcome::NoRoom, StatusCode::INSUFFICIENT_STORAGE, &reason.to_string())
        }
        Lost::Receive(error @ ReceiveError::Io(_)) => failed(&error),
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Refused {
    tracing::error!("a file of a device was not taken: {}", chain(error));
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    Refused::new(DIRECTION, Outcome::Failed, status, "the file could not be stored")
}

/// Listens to a body that is of no use, within bounds: many clients read no answer before they have sent everything.
pub(super) async fn discard(headers: &HeaderMap, mut incoming: Incoming, bounds: Discard) {
    // Such a client sends nothing before it is asked to, which the first read of its body does.
    if headers.contains_key(EXPECT) {
        return;
    }
    let listening = async {
        let mut left = bounds.most_bytes;
        while let Ok(Some(piece)) = next(&mut incoming, bounds.longest).await {
            match left.checked_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX)) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    if timeout(bounds.longest, listening).await.is_err() {
        tracing::debug!("the rest of a refused upload took too long to arrive");
    }
}
