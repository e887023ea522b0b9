//! Files as answers: the bytes as they are, whole or in part, sent as fast as they are taken.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use bytes::BytesMut;

use super::ApiState;
use super::error::ApiError;
use super::stream;
use crate::files::fetch::Fetch;
use crate::files::{CHUNK_BYTES, Target};

/// How much of a file is here: in answers to uploads, and about files that are not here whole.
pub(super) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// Answers with a file; `None`: there is none.
pub(super) async fn answer(
    state: &Arc<ApiState>,
    method: &Method,
    headers: &HeaderMap,
    target: Target,
) -> Result<Option<Response>, ApiError> {
    let Some(offer) = state.files.offer(target).await.map_err(ApiError::internal)? else { return Ok(None) };
    let Fetch { status, headers, part } = Fetch::of(method, headers, &offer);
    let body = if part.is_empty() {
        Body::empty()
    } else {
        let permit = state.transfer()?;
        let room = u32::try_from(4 * CHUNK_BYTES).unwrap_or(u32::MAX);
        let content = offer.content;
        stream::body(room, state.files.config().stall(), |pipe| async move {
            let _permit = permit;
            let (mut at, mut buffer) = (part.start, BytesMut::new());
            while at < part.end {
                let (piece, reusable) = content.clone().read(at, part.end - at, buffer).await?;
                at += u64::try_from(piece.len())?;
                buffer = reusable;
                pipe.send(piece).await?;
            }
            Ok(())
        })
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    // A harmless name: nothing in it needs quoting.
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{}\"", offer.name)) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(Some(response))
}
