//! `/firmware_image/`: files that devices fetch (rest-api.md §4). All organizations share them: admins bring them.

mod form;
mod upload;

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest as _, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::ApiState;
use super::access::{Admin, Caller};
use super::audit::Done;
use super::body::{JsonObject, sentence};
use super::catalogue::{InUse, Write, number, page_of};
use super::error::{ApiError, FieldErrors};
use super::fetch::{self, UPLOAD_OFFSET};
use super::openapi::{Detail, PageParameters, Reading, Writing};
use super::paging::{Envelope, PageRule};
use super::query::Query;
use crate::devices::inventory::Dependents;
use crate::files::Target;
use crate::files::multipart::Form;
use crate::model::audit::AuditResource;
use crate::model::file::{Content, FIRMWARE_FILE_TYPE, FirmwareImage, ImageId};
use crate::store::catalogue::AddError;
use crate::types::time::Timestamp;

use self::form::Wish;
use self::upload::{Filled, Part, Uploaded};

/// A firmware image, or another file that devices fetch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImageView {
    id: u32,
    #[schema(example = "R6400 1.0.1.52")]
    name: String,
    /// What a device reports once it runs it.
    #[schema(example = "V1.0.1.52")]
    version: String,
    /// For which type of devices; null: any.
    r#type: Option<u32>,
    /// `FileType` of the `Download`.
    #[schema(example = "1 Firmware Upgrade Image")]
    file_type: String,
    /// Bytes, as announced before the file is here, then as they are.
    size: Option<u64>,
    /// Hexadecimal, as announced before the file is here, then as it is.
    sha256: Option<String>,
    /// Whether the file is here, and checked.
    is_complete: bool,
    created: String,
}

impl ImageView {
    fn of(image: &FirmwareImage) -> Self {
        Self {
            id: image.id.0,
            name: image.name.clone(),
            version: image.version.clone(),
            r#type: image.device_type.map(|id| id.0),
            file_type: image.file_type.clone(),
            size: image.size,
            sha256: image.sha256.map(hex::encode),
            is_complete: image.content != Content::Missing,
            created: image.created.to_string(),
        }
    }
}

/// What the fields of an image may hold.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only; a test holds it against the reader")]
#[schema(as = FirmwareImageFields, example = json!({"name": "R6400 1.0.1.52", "version": "V1.0.1.52", "type": 1}))]
pub(super) struct ImageSchema {
    /// For people; devices see it, made harmless, at the end of a link.
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    name: Option<String>,
    /// What a device reports once it runs it; empty: not known.
    #[schema(nullable = false, max_length = 64)]
    version: Option<String>,
    /// For which type of devices; null: any.
    r#type: Option<u32>,
    /// `FileType` of the `Download`; `1 Firmware Upgrade Image` unless told.
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    file_type: Option<String>,
    /// Bytes; a file that has another size is refused.
    size: Option<u64>,
    /// 64 hexadecimal digits; a file that has another sum is refused.
    #[schema(pattern = "^[0-9A-Fa-f]{64}$")]
    sha256: Option<String>,
}

/// An image to be created.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = FirmwareImageCreate, example = json!({"name": "R6400 1.0.1.52", "version": "V1.0.1.52", "type": 1}))]
pub(super) struct ImageCreateSchema {
    /// A wished-for id.
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    id: Option<u32>,
    #[schema(inline)]
    #[serde(flatten)]
    fields: ImageSchema,
}

/// An image to be created, with its file.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = FirmwareImageForm, example = json!({"name": "R6400 1.0.1.52", "version": "V1.0.1.52", "file": "(bytes)"}))]
pub(super) struct ImageFormSchema {
    /// A wished-for id.
    #[schema(minimum = 1, maximum = 2_147_483_647, nullable = false)]
    id: Option<u32>,
    #[schema(inline)]
    #[serde(flatten)]
    fields: ImageSchema,
    /// The bytes.
    #[schema(nullable = false, value_type = Option<String>, format = Binary)]
    file: Option<Vec<u8>>,
}

/// Images, in the order of their numbers.
#[utoipa::path(get, path = "/api/v1/firmware_image/", tag = "firmware",
    params(PageParameters),
    responses((status = 200, description = "A page", body = Envelope<ImageView>), Reading))]
pub(super) async fn list(
    _caller: Caller,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Envelope<ImageView>>, ApiError> {
    let page = query.page(PageRule::LIST);
    let links = query.finish()?;
    let all = state.store.firmware_images().all();
    let (count, records) = page_of(all.values().collect(), page);
    let views = records.into_iter().map(|image| ImageView::of(image)).collect();
    Ok(Json(links.envelope(page, count, views)))
}

/// Creates an image: as JSON, with the file to come, or as a form with the file in its part `file`.
#[utoipa::path(post, path = "/api/v1/firmware_image/", tag = "firmware",
    request_body(content((ImageCreateSchema = "application/json"), (ImageFormSchema = "multipart/form-data"))),
    responses(
        (status = 201, description = "Created", body = ImageView),
        (status = 409, description = "The id is taken", body = Detail),
        (status = 507, description = "There is no room for the file", body = Detail),
        Reading, Writing))]
pub(super) async fn create(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    request: Request,
) -> Result<(StatusCode, Json<ImageView>), ApiError> {
    caller.require_unbound()?;
    let content_type = content_type(request.headers()).to_owned();
    let Filled { fields, file } = if Form::is(&content_type) {
        let _permit = state.transfer()?;
        upload::read_form(&state, &content_type, request.into_body()).await?
    } else {
        let JsonObject(fields) = JsonObject::from_request(request, &state).await?;
        Filled { fields, file: None }
    };
    let wish = form::read(fields, Write::Create, None, &state)?;
    let complete = match file {
        Some(draft) => Some(draft.complete().await.map_err(|error| upload::refused(error.into()))?),
        None => None,
    };
    let image = add(&state, wish).await?;
    let image = match complete {
        Some(complete) => upload::complete(&state, &image, complete).await?,
        None => image,
    };
    let view = ImageView::of(&image);
    state.audit(&caller, Done::created(AuditResource::FirmwareImage, &image.id.0, &view)).await?;
    tracing::info!("{} created firmware image {}", caller.name(), image.id.0);
    Ok((StatusCode::CREATED, Json(view)))
}

async fn add(state: &ApiState, wish: Wish) -> Result<Arc<FirmwareImage>, ApiError> {
    let (id, now) = (wish.id, state.clock.now());
    let make = move |id| {
        let mut image = blank(ImageId(id), now);
        wish.apply(&mut image);
        image
    };
    match state.store.firmware_images().add(id, Box::new(make)).await {
        Ok(image) => {
            // Of one that had this number before.
            state.files.forget_image(&image).await;
            Ok(image)
        }
        Err(AddError::Store(source)) => Err(source.into()),
        Err(refused) => Err(ApiError::conflict(sentence(&refused))),
    }
}

fn blank(id: ImageId, created: Timestamp) -> FirmwareImage {
    FirmwareImage {
        id,
        name: String::new(),
        version: String::new(),
        device_type: None,
        file_type: FIRMWARE_FILE_TYPE.to_owned(),
        size: None,
        sha256: None,
        content: Content::Missing,
        created,
    }
}

/// One image.
#[utoipa::path(get, path = "/api/v1/firmware_image/{id}/", tag = "firmware",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 200, description = "The image", body = ImageView),
        (status = 404, description = "There is no such image", body = Detail),
        Reading))]
pub(super) async fn show(
    _caller: Caller,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<ImageView>, ApiError> {
    find(&state, &id).map(|image| Json(ImageView::of(&image)))
}

/// Replaces an image's fields. Its file stays.
#[utoipa::path(put, path = "/api/v1/firmware_image/{id}/", tag = "firmware",
    params(("id" = u32, Path, description = "Its number")),
    request_body(content = ImageSchema, description = "What is left out returns to its default."),
    responses(
        (status = 200, description = "The image as it now is", body = ImageView),
        (status = 404, description = "There is no such image", body = Detail),
        Reading, Writing))]
pub(super) async fn replace(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<ImageView>, ApiError> {
    write(&state, &caller, &id, body, Write::Replace).await
}

/// Changes the fields that are named. Its file stays.
#[utoipa::path(patch, path = "/api/v1/firmware_image/{id}/", tag = "firmware",
    params(("id" = u32, Path, description = "Its number")),
    request_body = ImageSchema,
    responses(
        (status = 200, description = "The image as it now is", body = ImageView),
        (status = 404, description = "There is no such image", body = Detail),
        Reading, Writing))]
pub(super) async fn change(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<ImageView>, ApiError> {
    write(&state, &caller, &id, body, Write::Change).await
}

async fn write(
    state: &ApiState,
    caller: &Admin,
    id: &str,
    body: Map<String, Value>,
    write: Write,
) -> Result<Json<ImageView>, ApiError> {
    caller.require_unbound()?;
    let before = find(state, id)?;
    let wish = form::read(body, write, Some(&before), state)?;
    if let Some(Some(meant)) = wish.device_type
        && before.device_type != Some(meant)
        && state.inventory().devices_of_other_types(before.id, meant).await? > 0
    {
        return Err(FieldErrors::one("type", "Devices of other types are to run this image.").into());
    }
    let edit = move |image: &mut FirmwareImage| wish.apply(image);
    let edited = state.store.firmware_images().edit(before.id.0, Box::new(edit)).await?;
    let image = edited.ok_or_else(no_such_image)?;
    let (was, is) = (ImageView::of(&before), ImageView::of(&image));
    state.audit(caller, Done::updated(AuditResource::FirmwareImage, &image.id.0, &was, &is)).await?;
    tracing::info!("{} changed firmware image {}", caller.name(), image.id.0);
    Ok(Json(is))
}

/// Removes an image, with its file, to which nothing refers.
#[utoipa::path(delete, path = "/api/v1/firmware_image/{id}/", tag = "firmware",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such image", body = Detail),
        (status = 409, description = "Devices are to run it, or work brings it to some", body = InUse),
        Reading))]
pub(super) async fn remove(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    caller.require_unbound()?;
    let image = find(&state, &id)?;
    state.inventory().remove_image(&state.files, &image).await?;
    let done = Done::deleted(AuditResource::FirmwareImage, &image.id.0, &ImageView::of(&image));
    state.audit(&caller, done).await?;
    tracing::info!("{} removed firmware image {}", caller.name(), image.id.0);
    Ok(StatusCode::NO_CONTENT)
}

/// The file of an image. Parts of it by `Range`; `ETag` is its SHA-256. Of a file that is not here whole, `Upload-Offset`
/// says how much is.
#[utoipa::path(get, path = "/api/v1/firmware_image/{id}/file/", tag = "firmware",
    params(("id" = u32, Path, description = "Its number")),
    responses(
        (status = 200, description = "The bytes", content((String = "application/octet-stream"))),
        (status = 206, description = "The bytes that `Range` asks for", content((String = "application/octet-stream"))),
        (status = 404, description = "There is no such image, or its file is not here whole", body = Detail),
        (status = 416, description = "`Range` asks for what there is not", body = Detail),
        Reading))]
pub(super) async fn download(
    _caller: Caller,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let image = find(&state, &id)?;
    if let Some(response) = fetch::answer(&state, &method, &headers, Target::Image(image.id)).await? {
        return Ok(response);
    }
    let here = state.files.partial(image.id).await.map_err(|error| upload::refused(error.into()))?;
    let detail = format!("The file of this image is not here whole: {here} bytes of it are.");
    Ok(with_offset(ApiError::not_found(detail).into_response(), here))
}

fn with_offset(mut response: Response, here: u64) -> Response {
    response.headers_mut().insert(UPLOAD_OFFSET, HeaderValue::from(here));
    response
}

/// Brings the file of an image. A part of it with `Content-Range: bytes a-b/total`: it has to begin where what is here
/// ends, as `Upload-Offset` of a `HEAD` says; an upload that broke off is gone on with in the same way. A file that is here
/// whole is replaced only while nothing refers to the image.
#[utoipa::path(put, path = "/api/v1/firmware_image/{id}/file/", tag = "firmware",
    params(
        ("id" = u32, Path, description = "Its number"),
        ("Content-Range" = Option<String>, Header, description = "Which part this is, of how many bytes")
    ),
    request_body(content((String = "application/octet-stream", example = "(bytes)")), description = "The bytes"),
    responses(
        (status = 200, description = "The file is here whole, and is what was announced", body = ImageView),
        (status = 202, description = "This part is here; more has to follow", body = ImageView,
            headers(("Upload-Offset" = u64, description = "How much is here"))),
        (status = 404, description = "There is no such image", body = Detail),
        (status = 409, description = "The part begins at another byte than it should, which `Upload-Offset` says; or the file \
            is being uploaded already; or the image is in use", body = Detail),
        (status = 507, description = "There is no room for the file", body = Detail),
        Reading, Writing))]
pub(super) async fn bring(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    caller.require_unbound()?;
    let before = find(&state, &id)?;
    require_replaceable(&state, before.id).await?;
    let _permit = state.transfer()?;
    let (head, body) = request.into_parts();
    match upload::receive(&state, &before, &head.headers, body).await? {
        Uploaded::Part(part) => {
            tell_begun(&state, &caller, &before, part).await?;
            let response = (StatusCode::ACCEPTED, Json(ImageView::of(&before))).into_response();
            Ok(with_offset(response, part.here))
        }
        Uploaded::Cut(part, refused) => {
            tell_begun(&state, &caller, &before, part).await?;
            Err(refused)
        }
        Uploaded::Elsewhere(here) => {
            let refused = ApiError::conflict(format!("The upload has to go on at byte {here}."));
            Ok(with_offset(refused.into_response(), here))
        }
        Uploaded::Whole(image) => {
            let (was, is) = (ImageView::of(&before), ImageView::of(&image));
            let done = Done::updated(AuditResource::FirmwareImage, &image.id.0, &was, &is);
            state.audit(&caller, done.with("file", json!("uploaded"))).await?;
            tracing::info!("{} brought the file of firmware image {}", caller.name(), image.id.0);
            Ok(Json(is).into_response())
        }
    }
}

/// The first part of a file leaves an entry in the audit trail, and the last one; those in between do not.
async fn tell_begun(state: &ApiState, caller: &Caller, image: &FirmwareImage, part: Part) -> Result<(), ApiError> {
    if !part.begins || part.here == 0 {
        return Ok(());
    }
    let view = ImageView::of(image);
    let done = Done::updated(AuditResource::FirmwareImage, &image.id.0, &view, &view);
    state.audit(caller, done.with("file", json!("upload begun"))).await?;
    tracing::info!("{} has begun to bring the file of firmware image {}", caller.name(), image.id.0);
    Ok(())
}

/// A file that is here is replaced only while nothing refers to the image.
async fn require_replaceable(state: &ApiState, id: ImageId) -> Result<(), ApiError> {
    let image = state.store.firmware_images().of(id).ok_or_else(no_such_image)?;
    if image.content == Content::Missing {
        return Ok(());
    }
    let dependents = state.inventory().image_dependents(id).await?;
    if dependents == Dependents::default() {
        return Ok(());
    }
    Err(ApiError::InUse { detail: "It is in use, and its file cannot be replaced.", dependents })
}

fn find(state: &ApiState, id: &str) -> Result<Arc<FirmwareImage>, ApiError> {
    number(id).and_then(|id| state.store.firmware_images().of(ImageId(id))).ok_or_else(no_such_image)
}

fn no_such_image() -> ApiError {
    ApiError::not_found("There is no firmware image with this id.")
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
