//! Request bodies: read whole, within the limits, inflated.

use std::sync::Arc;

use bytes::BytesMut;
use http::header::{CONTENT_ENCODING, HeaderMap};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use tokio::time::timeout;

use super::config::ListenConfig;
use super::gate::{Gate, Reservation};
use super::inflate;
use super::refusal::Refusal;

/// A body's buffer starts with no more than this, whatever `Content-Length` claims.
const FIRST_BUFFER_BYTES: usize = 64 << 10;

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Where its framing said.
    Proper,
    /// Before that, but with a complete envelope (quirk 7).
    Short,
}

/// A body that may go to the exchange.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Bytes,
    pub(super) ending: Ending,
    /// Held until the exchange is done with the bytes.
    _reservation: Reservation,
}

/// Reads a body to its end. A body that arrives in one piece is not copied.
pub(super) async fn receive(
    incoming: Incoming,
    headers: &HeaderMap,
    config: &ListenConfig,
    gate: &Arc<Gate>,
) -> Result<Received, Refusal> {
    let coding = inflate::coding(headers.get_all(CONTENT_ENCODING))?;
    let mut reservation = gate.reserve();
    let (bytes, ending) = collect(incoming, config, &mut reservation).await?;
    let bytes = match inflate::wrapping(coding, &bytes) {
        None => bytes,
        Some(_) if ending == Ending::Short => return Err(Refusal::BodyIncomplete),
        Some(wrapping) => inflate::inflate(&bytes, wrapping, config.max_inflated_bytes, &mut reservation).await?,
    };
    Ok(Received { bytes, ending, _reservation: reservation })
}

async fn collect(
    mut incoming: Incoming,
    config: &ListenConfig,
    reservation: &mut Reservation,
) -> Result<(Bytes, Ending), Refusal> {
    let limit = config.max_body_bytes;
    let announced = usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX);
    // Refused before `100 Continue` invites it.
    if announced > limit {
        return Err(Refusal::BodyTooLarge);
    }
    let mut pieces = Pieces::Empty;
    // Most bodies end with their last frame: nothing is waited for then.
    while !incoming.is_end_stream() {
        let stopped = match timeout(config.stall(), incoming.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => {
                // Trailers mean nothing here.
                let Ok(data) = frame.into_data() else { continue };
                if pieces.len().saturating_add(data.len()) > limit {
                    return Err(Refusal::BodyTooLarge);
                }
                reservation.grow(data.len())?;
                pieces = pieces.and(data, announced);
                continue;
            }
            Ok(Some(Err(_))) => Refusal::BodyIncomplete,
            Err(_) => Refusal::RequestTimeout,
        };
        let bytes = pieces.into_bytes();
        return if ends_an_envelope(&bytes) { Ok((bytes, Ending::Short)) } else { Err(stopped) };
    }
    Ok((pieces.into_bytes(), Ending::Proper))
}

/// What has arrived so far.
enum Pieces {
    Empty,
    One(Bytes),
    Many(BytesMut),
}

impl Pieces {
    fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    fn and(self, data: Bytes, announced: usize) -> Self {
        match self {
            Self::Empty => Self::One(data),
            Self::One(first) => {
                let expected = announced.min(FIRST_BUFFER_BYTES).max(first.len() + data.len());
                let mut bytes = BytesMut::with_capacity(expected);
                bytes.extend_from_slice(&first);
                bytes.extend_from_slice(&data);
                Self::Many(bytes)
            }
            Self::Many(mut bytes) => {
                bytes.extend_from_slice(&data);
                Self::Many(bytes)
            }
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}

/// Whether the text's last tag is `</...Envelope>`.
fn ends_an_envelope(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_end();
    let Some(text) = text.strip_suffix(b">") else { return false };
    let tag = text.iter().rposition(|byte| *byte == b'<').and_then(|at| text.get(at..)).unwrap_or_default();
    tag.starts_with(b"</") && tag.trim_ascii_end().ends_with(b"Envelope")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complete_envelope_is_told_from_a_torn_one() {
        let table = [
            ("<s:Envelope></s:Envelope>", true),
            ("<Envelope></Envelope >\r\n", true),
            ("<s:Envelope><s:Body></s:Body>", false),
            ("<s:Envelope></s:Envelope", false),
            ("<s:Envelope>", false),
            (">", false),
            ("", false),
        ];
        for (text, want) in table {
            assert_eq!(ends_an_envelope(text.as_bytes()), want, "{text}");
        }
    }
}
