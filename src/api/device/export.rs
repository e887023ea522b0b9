//! `/inventory_device_serial/export/`: the inventory as CSV or JSON lines, streamed.
//!
//! The devices are chosen when the request comes, 4 bytes each, and read page by page while the answer is sent: nobody is
//! missed and nobody comes twice, whatever changes meanwhile.
//!
//! A device whose serial number is `export` is shown under `/inventory_device_serial/%65xport/`; everything but `GET` works
//! under its plain path too.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use serde::Serializer as _;
use serde_json::Value;

use super::filter::{self, FilterParameters};
use super::table;
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::error::ApiError;
use crate::api::openapi::Reading;
use crate::api::paging::TOTAL_COUNT;
use crate::api::query::Query;
use crate::api::stream::{self, Broken, Pipe};
use crate::model::device::Device;
use crate::types::ident::DeviceKey;

/// The path of this resource.
pub(in crate::api) const PATH: &str = "/api/v1/inventory_device_serial/export/";
/// Devices read at a time.
const PAGE: usize = 256;
/// Bytes that wait for a client.
const ROOM_BYTES: u32 = 1024 * 1024;

/// How devices are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// A header and a row per device (RFC 4180).
    Csv,
    /// An object per line.
    JsonLines,
}

impl Format {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "csv" => Some(Self::Csv),
            "jsonl" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

/// Gives all devices that match, as a file.
///
/// Columns are what an import takes, logins aside, then what is only read. In CSV, tags are joined by semicolons; cells are kept as
/// they are, whatever they begin with, except that a text which a device reported (manufacturer, versions, product class,
/// identifier) gets an apostrophe in front of `=`, `+`, `-` or `@`, so that no spreadsheet runs it.
#[utoipa::path(get, path = "/api/v1/inventory_device_serial/export/", tag = "devices",
    params(FilterParameters, ("format" = Option<String>, Query, description = "`csv` (unless told) or `jsonl`")),
    responses(
        (status = 200, description = "The devices; `X-Total-Count` says how many were chosen",
            content((String = "text/csv"), (String = "application/x-ndjson"))),
        Reading))]
pub(in crate::api) async fn export(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Response, ApiError> {
    let format = query.parsed("format", Format::parse, "Must be csv or jsonl.").unwrap_or(Format::Csv);
    let filter = filter::read(&mut query, &caller, &state)?;
    query.finish()?;
    let permit = state.transfer()?;
    let keys = state.store.select(&filter).await?;
    let count = keys.len();
    let patience = Duration::from_secs(state.config.body_time_secs.into());
    let body = stream::body(ROOM_BYTES, patience, |pipe| async move {
        let _permit = permit;
        write(&state, &caller, &keys, format, &pipe).await
    });
    Ok(answer(format, count, body))
}

fn answer(format: Format, count: usize, body: Body) -> Response {
    let (kind, disposition) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"devices.csv\""),
        Format::JsonLines => ("application/x-ndjson", "attachment; filename=\"devices.jsonl\""),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
    headers.insert(TOTAL_COUNT, HeaderValue::from(count));
    response
}

async fn write(
    state: &ApiState,
    caller: &Caller,
    keys: &[DeviceKey],
    format: Format,
    pipe: &Pipe,
) -> Result<(), Broken> {
    if format == Format::Csv {
        pipe.send(record(table::exported())).await?;
    }
    for page in keys.chunks(PAGE) {
        let mut bytes = Vec::with_capacity(PAGE * 512);
        for device in state.store.devices(page).await? {
            // It may have gone to another organization since it was chosen.
            if caller.sees(device.profile.organization) {
                put(&device, format, &mut bytes)?;
            }
        }
        if !bytes.is_empty() {
            pipe.send(bytes.into()).await?;
        }
    }
    Ok(())
}

fn put(device: &Device, format: Format, out: &mut Vec<u8>) -> Result<(), Broken> {
    let row = table::row_of(device);
    match format {
        Format::Csv => {
            let cells = row.into_iter().map(|(name, value): (_, Value)| table::cell_of(name, value));
            out.extend_from_slice(&record(cells));
        }
        Format::JsonLines => {
            serde_json::Serializer::new(&mut *out).collect_map(row)?;
            out.push(b'\n');
        }
    }
    Ok(())
}

/// A record of CSV.
fn record(cells: impl IntoIterator<Item = impl AsRef<str>>) -> Bytes {
    let mut line = String::new();
    for (at, cell) in cells.into_iter().enumerate() {
        if at > 0 {
            line.push(',');
        }
        let cell = cell.as_ref();
        if cell.contains(['"', ',', '\r', '\n']) || cell.trim() != cell {
            line.push('"');
            line.push_str(&cell.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(cell);
        }
    }
    line.push_str("\r\n");
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let written = record(["plain", "a,b", "say \"x\"", "two\nlines", " blank", "=1+1", ""]);
        assert_eq!(written, "plain,\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",\" blank\",=1+1,\r\n");
    }
}
