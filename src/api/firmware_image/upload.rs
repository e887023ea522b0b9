//! The bytes of an image as they arrive: alone, in parts, or in a form beside the fields.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};

use super::form;
use crate::api::ApiState;
use crate::api::error::{ApiError, FieldErrors};
use crate::files::fetch::ContentRange;
use crate::files::multipart::{Event, Form, FormError};
use crate::files::{Draft, ImageError, ReceiveError, Start};
use crate::model::file::{Content, FirmwareImage, ImageId};

/// Longest text of a part of a form, in bytes.
const TEXT_MAX_BYTES: usize = 8 << 10;
/// Most fields of a form.
const FIELDS_MAX: usize = 32;
/// The part that has the file.
pub(super) const FILE: &str = "file";

/// Why no more arrived.
enum Cut {
    Slow,
    BrokenOff,
}

impl From<Cut> for ApiError {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Slow => {
                Self::Detail { status: StatusCode::REQUEST_TIMEOUT, detail: "The file took too long to arrive.".into() }
            }
            Cut::BrokenOff => Self::bad_request("The body broke off."),
        }
    }
}

/// The body, piece by piece, each within its time.
struct Arrival {
    body: Body,
    patience: Duration,
}

impl Arrival {
    fn of(body: Body, state: &ApiState) -> Self {
        Self { body, patience: state.files.config().stall() }
    }

    /// The next piece; `None`: that was all.
    async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        loop {
            match tokio::time::timeout(self.patience, self.body.frame()).await {
                Err(_elapsed) => return Err(Cut::Slow),
                Ok(None) => return Ok(None),
                Ok(Some(Err(_broken))) => return Err(Cut::BrokenOff),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) if !piece.is_empty() => return Ok(Some(piece)),
                    Ok(_) | Err(_) => {}
                },
            }
        }
    }
}

/// What an upload came to.
pub(super) enum Uploaded {
    /// The image is whole.
    Whole(Arc<FirmwareImage>),
    /// A part of it is here.
    Part(Part),
    /// What came of it before it broke off is here.
    Cut(Part, ApiError),
    /// Nothing was taken: it has to go on at this byte.
    Elsewhere(u64),
}

/// How far an upload has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Bytes that are here.
    pub(super) here: u64,
    /// Whether it has begun with this request.
    pub(super) begins: bool,
}

/// Which bytes of an image a request brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    start: Start,
    /// Of this piece.
    length: Option<u64>,
    /// Of the image.
    total: Option<u64>,
    /// Whether more pieces will follow.
    is_last: bool,
}

impl Piece {
    fn of(headers: &HeaderMap, announced: Option<u64>) -> Result<Self, ApiError> {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let Some(range) = headers.get(header::CONTENT_RANGE) else {
            return Ok(Self { start: Start::Anew, length, total: length, is_last: true });
        };
        let no_range = || ApiError::bad_request("Content-Range must be like \"bytes 0-99/1000\".");
        let range = range.to_str().ok().and_then(ContentRange::parse).ok_or_else(no_range)?;
        let in_range = range.last - range.first + 1;
        if length.is_some_and(|length| length != in_range) {
            return Err(ApiError::bad_request("Content-Range and Content-Length contradict each other."));
        }
        let total = range.total.or(announced);
        let start = if range.first == 0 { Start::Anew } else { Start::At(range.first) };
        let is_last = total.is_some_and(|total| range.last + 1 >= total);
        Ok(Self { start, length: Some(in_range), total, is_last })
    }
}

/// Takes the body of a `PUT` as the file of an image, or as a part of it.
pub(super) async fn receive(
    state: &ApiState,
    image: &FirmwareImage,
    headers: &HeaderMap,
    body: Body,
) -> Result<Uploaded, ApiError> {
    check_content_type(headers)?;
    let announced = if image.content == Content::Missing { image.size } else { None };
    let piece = Piece::of(headers, announced)?;
    if let (Some(announced), Some(total)) = (announced, piece.total)
        && announced != total
    {
        return Err(FieldErrors::one("size", format!("The image has {announced} bytes, not {total}.")).into());
    }
    let mut draft = match state.files.receive_image(image.id, piece.start, piece.total).await {
        Ok(draft) => draft,
        Err(ImageError::Offset { expected }) => return Ok(Uploaded::Elsewhere(expected)),
        Err(error) => return Err(refused(error)),
    };
    let (begun, begins) = (draft.length(), piece.start == Start::Anew);
    let mut arrival = Arrival::of(body, state);
    loop {
        match arrival.next().await {
            Ok(Some(bytes)) => draft.write(bytes).await.map_err(|error| refused(error.into()))?,
            Ok(None) => break,
            Err(cut) => {
                let here = draft.suspend().await.map_err(|error| refused(error.into()))?;
                return Ok(Uploaded::Cut(Part { here, begins }, cut.into()));
            }
        }
        if piece.length.is_some_and(|length| draft.length() - begun > length) {
            draft.give_up().await;
            return Err(ApiError::bad_request("The body is longer than its Content-Range."));
        }
    }
    let is_short = piece.length.is_some_and(|length| draft.length() - begun < length);
    if is_short || !piece.is_last {
        let here = draft.suspend().await.map_err(|error| refused(error.into()))?;
        let part = Part { here, begins };
        return Ok(if is_short { Uploaded::Cut(part, Cut::BrokenOff.into()) } else { Uploaded::Part(part) });
    }
    let complete = draft.complete().await.map_err(|error| refused(error.into()))?;
    // To arrive took its time: meanwhile devices may have been told to run what is here.
    super::require_replaceable(state, image.id).await?;
    state.files.complete_image(image.id, complete).await.map(Uploaded::Whole).map_err(refused)
}

/// `application/octet-stream`, or nothing. What curl says of data by itself is a form, which it is not.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let raw = headers.get(header::CONTENT_TYPE).map_or(Ok(""), |value| value.to_str()).unwrap_or("?");
    let essence = raw.split(';').next().unwrap_or_default().trim();
    if essence.is_empty() || essence.eq_ignore_ascii_case("application/octet-stream") {
        return Ok(());
    }
    Err(ApiError::Detail {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        detail: format!("Unsupported media type \"{raw}\" in request: send application/octet-stream.").into(),
    })
}

/// Why a file was not taken, as an answer.
pub(super) fn refused(error: ImageError) -> ApiError {
    let words = crate::api::body::sentence(&error);
    match error {
        ImageError::Unknown => super::no_such_image(),
        ImageError::Busy | ImageError::Offset { .. } => ApiError::conflict(words),
        ImageError::Empty => FieldErrors::one(FILE, words).into(),
        ImageError::Size { .. } => FieldErrors::one("size", words).into(),
        ImageError::Sum { .. } => FieldErrors::one("sha256", words).into(),
        ImageError::Receive(ReceiveError::TooLarge { .. }) => {
            ApiError::Detail { status: StatusCode::PAYLOAD_TOO_LARGE, detail: words.into() }
        }
        ImageError::Receive(ReceiveError::NoRoom(_)) => {
            ApiError::Detail { status: StatusCode::INSUFFICIENT_STORAGE, detail: words.into() }
        }
        ImageError::Receive(error @ ReceiveError::Io(_)) => ApiError::internal(error),
        ImageError::Store(source) => source.into(),
    }
}

/// A form: its fields, and the file, if there is one.
pub(super) struct Filled {
    pub(super) fields: Map<String, Value>,
    pub(super) file: Option<Draft>,
}

/// Where the data of a form goes.
enum Sink {
    Nowhere,
    Field(String, Vec<u8>),
    File,
}

/// Reads a form as it arrives.
pub(super) async fn read_form(state: &ApiState, content_type: &str, body: Body) -> Result<Filled, ApiError> {
    let mut form = Form::new(content_type).map_err(malformed)?;
    let mut arrival = Arrival::of(body, state);
    let mut filled = Filled { fields: Map::new(), file: None };
    let mut sink = Sink::Nowhere;
    while let Some(piece) = arrival.next().await? {
        form.push(&piece);
        loop {
            match form.poll().map_err(malformed)? {
                Event::More => break,
                Event::End => {
                    filled.put(std::mem::replace(&mut sink, Sink::Nowhere))?;
                    break;
                }
                Event::Part(part) => {
                    filled.put(std::mem::replace(&mut sink, Sink::Nowhere))?;
                    sink = if part.name == FILE {
                        if filled.file.is_some() {
                            return Err(FieldErrors::one(FILE, "There may be one file only.").into());
                        }
                        let draft = state.files.receive_new_image(None).await;
                        filled.file = Some(draft.map_err(|error| refused(error.into()))?);
                        Sink::File
                    } else {
                        Sink::Field(part.name, Vec::new())
                    };
                }
                Event::Data(data) => match (&mut sink, &mut filled.file) {
                    (Sink::File, Some(draft)) => {
                        draft.write(data).await.map_err(|error| refused(error.into()))?;
                    }
                    (Sink::Field(name, text), _) => {
                        text.extend_from_slice(&data);
                        if text.len() > TEXT_MAX_BYTES {
                            return Err(FieldErrors::one(name, "This is too long.").into());
                        }
                    }
                    (Sink::Nowhere | Sink::File, _) => {}
                },
            }
        }
    }
    form.finish().map_err(malformed)?;
    Ok(filled)
}

impl Filled {
    fn put(&mut self, sink: Sink) -> Result<(), ApiError> {
        let Sink::Field(name, text) = sink else { return Ok(()) };
        if self.fields.len() >= FIELDS_MAX {
            return Err(ApiError::bad_request("The form has too many fields."));
        }
        let Ok(text) = String::from_utf8(text) else {
            return Err(FieldErrors::one(&name, "Not a valid string.").into());
        };
        let value = form::value_of(&name, text);
        self.fields.insert(name, value);
        Ok(())
    }
}

fn malformed(error: FormError) -> ApiError {
    ApiError::bad_request(format!("Form parse error - {error}"))
}

/// Whether the file of an image of which there is no record yet is what the form says.
pub(super) async fn complete(
    state: &ApiState,
    image: &FirmwareImage,
    complete: crate::files::Complete,
) -> Result<Arc<FirmwareImage>, ApiError> {
    match state.files.complete_image(image.id, complete).await {
        Ok(image) => Ok(image),
        Err(error) => {
            remove_record(state, image.id).await?;
            Err(refused(error))
        }
    }
}

async fn remove_record(state: &ApiState, id: ImageId) -> Result<(), ApiError> {
    state.store.firmware_images().remove(id.0).await?;
    Ok(())
}
