//! Reading the order of a test from a body.

use std::ops::RangeInclusive;

use axum::http::Uri;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::body::Fields;
use crate::api::error::FieldErrors;
use crate::api::words::{DiagnosticWord, not_a_choice};
use crate::diagnostics::inputs::echo_target;
use crate::model::diagnostic::{DiagnosticKind, DiagnosticOrder, UploadSize};

/// What answers have and writes ignore.
const READ_ONLY: [&str; 7] = ["id", "status", "created_at", "started_at", "completed_at", "results", "fault"];
/// Longest target: the parameters it goes to take no more.
const TARGET_MAX_CHARS: usize = 256;
/// Most packets or look-ups.
const COUNT_MAX: u32 = 10_000;
/// Longest wait for one answer, in seconds.
const TIMEOUT_MAX_SECS: u32 = 3_600;
/// Largest upload, in MB.
const UPLOAD_MAX_MEGABYTES: u32 = 1_048_576;

/// A test to be scheduled. A field that the operation does not take has to be absent or null.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = DiagnosticOrder, example = json!({
    "serial_number": "SN123456789", "operation": "ipping", "target": "8.8.8.8", "count": 10, "size": 64, "timeout": 2
}))]
pub(in crate::api) struct DiagnosticSchema {
    #[schema(min_length = 1, max_length = 256)]
    serial_number: String,
    #[schema(value_type = DiagnosticWord)]
    operation: String,
    /// A URL (`download`, `upload`), a host (`ipping`, `traceroute`), `host[:port]` (`udpecho`), a name (`dnslookup`), or
    /// `2.4GHz`, `5GHz`, `6GHz`, `all` or a radio (`wifi.neighbor`).
    #[schema(min_length = 1, max_length = 256)]
    target: String,
    /// `upload`: MB of 1,048,576 bytes, as a text or a number; 10 unless told.
    upload_size: Option<super::view::UploadSizeView>,
    /// `ipping`, `udpecho`: packets, 5 unless told; `dnslookup`: repetitions, 1 unless told.
    #[schema(minimum = 1, maximum = 10_000)]
    count: Option<u32>,
    /// `ipping`, `udpecho`: bytes of a packet, 64 unless told; `traceroute`: 38 unless told.
    #[schema(minimum = 1, maximum = 65_535)]
    size: Option<u32>,
    /// `ipping`, `udpecho`, `dnslookup`: seconds for each answer, 1 unless told; `traceroute`: 2 unless told.
    #[schema(minimum = 1, maximum = 3_600)]
    timeout: Option<u32>,
    /// `traceroute`: 30 unless told.
    #[schema(minimum = 1, maximum = 64)]
    max_hops: Option<u32>,
    /// `wan`, `lan`, an alias, a name or a path; the device chooses unless told. Not of `wifi.neighbor`.
    #[schema(min_length = 1, max_length = 256)]
    interface: Option<String>,
}

/// The order of a test as it was read.
#[derive(Debug)]
pub(super) struct Ordered {
    pub(super) serial: String,
    pub(super) order: DiagnosticOrder,
}

/// Reads an order; everything that is wrong at once.
pub(super) fn read(body: Map<String, Value>) -> Result<Ordered, FieldErrors> {
    let mut fields = Fields::new(body);
    let serial = fields.filled_line("serial_number");
    let serial = fields.require("serial_number", serial);
    let order = read_order(&mut fields);
    fields.finish(&READ_ONLY)?;
    match (serial, order) {
        (Some(serial), Some(order)) => Ok(Ordered { serial, order }),
        // Unreachable: what is missing has been an error above.
        _ => Err(FieldErrors::one("operation", "This field is required.")),
    }
}

/// Takes the fields of a test, whichever device it is for; `None`: something is wrong.
pub(in crate::api) fn read_order(fields: &mut Fields) -> Option<DiagnosticOrder> {
    let kind = fields.parsed("operation", |word| {
        let words = DiagnosticKind::ALL.map(DiagnosticKind::as_str);
        DiagnosticKind::parse(word).ok_or_else(|| not_a_choice(word, &words))
    });
    let kind = fields.require("operation", kind);
    let target = fields.filled_line("target").map(|target| target.trim().to_owned());
    if let (Some(kind), Some(target)) = (kind, &target)
        && let Err(reason) = check_target(kind, target)
    {
        fields.error("target", reason);
    }
    let target = fields.require("target", target);
    let upload_size = optional(fields, kind, "upload_size", read_upload_size);
    let mut number =
        |field, range: RangeInclusive<u32>| optional(fields, kind, field, |fields, field| fields.integer(field, range));
    let count = number("count", 1..=COUNT_MAX);
    let size = number("size", 1..=65_535);
    let timeout_secs = number("timeout", 1..=TIMEOUT_MAX_SECS);
    let max_hops = number("max_hops", 1..=64);
    let interface = optional(fields, kind, "interface", Fields::filled_line);
    Some(DiagnosticOrder { kind: kind?, target: target?, upload_size, count, size, timeout_secs, max_hops, interface })
}

/// A field that may be absent or null, and that not every operation takes.
fn optional<T>(
    fields: &mut Fields,
    kind: Option<DiagnosticKind>,
    field: &str,
    read: impl FnOnce(&mut Fields, &str) -> Option<T>,
) -> Option<T> {
    let value = fields.nullable(field, read)??;
    match kind {
        Some(kind) if !takes(kind).contains(&field) => {
            fields.error(field, format!("The operation {} does not take it.", kind.as_str()));
            None
        }
        Some(_) | None => Some(value),
    }
}

/// The fields of an operation besides its target.
const fn takes(kind: DiagnosticKind) -> &'static [&'static str] {
    match kind {
        DiagnosticKind::Download => &["interface"],
        DiagnosticKind::Upload => &["upload_size", "interface"],
        DiagnosticKind::IpPing | DiagnosticKind::UdpEcho => &["count", "size", "timeout", "interface"],
        DiagnosticKind::Traceroute => &["max_hops", "timeout", "size", "interface"],
        DiagnosticKind::DnsLookup => &["count", "timeout", "interface"],
        DiagnosticKind::WifiNeighbor => &[],
    }
}

fn read_upload_size(fields: &mut Fields, field: &str) -> Option<UploadSize> {
    let size = match fields.any(field)? {
        Value::String(text) => Some(UploadSize::Text(text)),
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()).map(UploadSize::Number),
        _ => None,
    };
    let size = size.filter(|size| size.megabytes().is_some_and(|megabytes| megabytes <= UPLOAD_MAX_MEGABYTES));
    if size.is_none() {
        fields.error(field, format!("Whole MB are required, from 1 to {UPLOAD_MAX_MEGABYTES}."));
    }
    size
}

/// Whether a test can be made with this target; the reason if not.
fn check_target(kind: DiagnosticKind, target: &str) -> Result<(), &'static str> {
    match kind {
        DiagnosticKind::Download | DiagnosticKind::Upload => check_url(target),
        DiagnosticKind::UdpEcho => {
            let (host, port) = echo_target(target);
            let names_port = match target.strip_prefix('[') {
                Some(rest) => !rest.ends_with(']'),
                None => target.matches(':').count() == 1,
            };
            match port {
                None if names_port => Err("Enter a port from 1 to 65535 after the host."),
                Some(0) => Err("Enter a port from 1 to 65535 after the host."),
                Some(_) | None => check_host(host),
            }
        }
        DiagnosticKind::IpPing | DiagnosticKind::Traceroute | DiagnosticKind::DnsLookup => check_host(target),
        DiagnosticKind::WifiNeighbor => Ok(()),
    }
}

fn check_url(target: &str) -> Result<(), &'static str> {
    const WRONG: &str = "Enter a valid URL: http://, https:// or ftp://, a host and a path.";
    // Read by the generic rules, as URLs of all three schemes are formed.
    let url: Uri = target.parse().map_err(|_invalid| WRONG)?;
    let scheme = url.scheme_str().unwrap_or_default();
    if !["http", "https", "ftp"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(WRONG);
    }
    let authority = url.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err("A login in the URL is not supported: devices would show it to whoever reads their parameters.");
    }
    if url.host().is_none_or(str::is_empty) {
        return Err(WRONG);
    }
    if target.chars().count() > TARGET_MAX_CHARS {
        Err("Ensure this field has no more than 256 characters.")
    } else {
        Ok(())
    }
}

fn check_host(target: &str) -> Result<(), &'static str> {
    let is_odd = |c: char| c.is_whitespace() || matches!(c, '/' | '\\' | '?' | '#' | '@' | '"' | '<' | '>' | ',' | ';');
    if target.is_empty() || target.contains(is_odd) {
        return Err("Enter a host name or an IP address.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_json(value: &Value) -> Result<Ordered, FieldErrors> {
        read(value.as_object().cloned().expect("an object"))
    }

    #[test]
    fn targets_are_of_the_kind_that_the_operation_needs() {
        let table = [
            (DiagnosticKind::Download, "http://speedtest.example.com/1GB.bin", true),
            (DiagnosticKind::Download, "HTTPS://[2001:db8::1]:8443/a?b=c", true),
            (DiagnosticKind::Upload, "ftp://192.0.2.1/in", true),
            (DiagnosticKind::Upload, "file:///etc/passwd", false),
            (DiagnosticKind::Upload, "http://", false),
            (DiagnosticKind::Upload, "http:///path", false),
            (DiagnosticKind::Upload, "example.com/x", false),
            (DiagnosticKind::Download, "http://user:secret@h/", false),
            (DiagnosticKind::Download, "http://h/a b", false),
            (DiagnosticKind::IpPing, "8.8.8.8", true),
            (DiagnosticKind::IpPing, "2001:db8::1", true),
            (DiagnosticKind::IpPing, "http://8.8.8.8", false),
            (DiagnosticKind::Traceroute, "a b", false),
            (DiagnosticKind::DnsLookup, "xn--bcher-kva.example", true),
            (DiagnosticKind::UdpEcho, "h", true),
            (DiagnosticKind::UdpEcho, "h:7", true),
            (DiagnosticKind::UdpEcho, "[2001:db8::1]:7", true),
            (DiagnosticKind::UdpEcho, "2001:db8::1", true),
            (DiagnosticKind::UdpEcho, "h:", false),
            (DiagnosticKind::UdpEcho, "h:0", false),
            (DiagnosticKind::UdpEcho, "h:70000", false),
            (DiagnosticKind::UdpEcho, ":7", false),
            (DiagnosticKind::UdpEcho, "[::1]:x", false),
            (DiagnosticKind::WifiNeighbor, "2.4GHz", true),
        ];
        for (kind, target, want) in table {
            assert_eq!(check_target(kind, target).is_ok(), want, "{kind:?} {target}");
        }
    }

    #[test]
    fn what_an_operation_does_not_take_is_refused_unless_null() {
        let all = ["upload_size", "count", "size", "timeout", "max_hops", "interface"];
        for kind in DiagnosticKind::ALL {
            let target = match kind {
                DiagnosticKind::Download | DiagnosticKind::Upload => "http://h/",
                _ => "h",
            };
            for field in all {
                let value = if field == "interface" { json!("wan") } else { json!(1) };
                let mut body =
                    json!({"serial_number": "S", "operation": kind.as_str(), "target": target, field: value});
                let read = read_json(&body);
                assert_eq!(read.is_ok(), takes(kind).contains(&field), "{kind:?} {field}: {read:?}");
                if let Err(errors) = read {
                    assert!(errors.has(field), "{kind:?} {field}");
                }
                body[field] = Value::Null;
                assert!(read_json(&body).is_ok(), "{kind:?} {field} null");
            }
        }
    }

    #[test]
    fn upload_sizes_are_texts_or_numbers() {
        for (size, want) in [
            (json!("10"), Some(10)),
            (json!(100), Some(100)),
            (json!(" 7 "), Some(7)),
            (json!("1.5"), None),
            (json!(0), None),
            (json!(-1), None),
            (json!("10 MB"), None),
            (json!(2_000_000), None),
            (json!(true), None),
        ] {
            let body = json!({"serial_number": "S", "operation": "upload", "target": "http://h/", "upload_size": size});
            let read = read_json(&body).ok().and_then(|read| read.order.upload_size).and_then(|size| size.megabytes());
            assert_eq!(read, want, "{size}");
        }
    }
}
