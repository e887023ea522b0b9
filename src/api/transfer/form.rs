//! Reading what is to be transferred from a body.

use std::num::NonZeroU32;

use http::Uri;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::body::Fields;
use crate::api::device::form::no_such;
use crate::api::error::{ApiError, FieldErrors};
use crate::model::device::Device;
use crate::model::file::{StoredFile, StoredFileId};
use crate::model::transaction::Work;
use crate::model::transfer::{DownloadOrder, FileRef, RemoteFile, TimeWindow, UploadOrder};
use crate::types::secret::MaybeSealed;

/// Longest `FileType` (TR-069 A.3.2.8).
const FILE_TYPE_MAX_CHARS: usize = 64;
/// Longest URL, login and name on the device (TR-069 A.3.2.8).
const TEXT_MAX_CHARS: usize = 256;
/// Longest `WindowMode` (TR-069 A.4.1.8).
const MODE_MAX_CHARS: usize = 64;
/// Most time windows (TR-069 A.4.1.8).
const WINDOWS_MAX: usize = 2;
/// Longest that a device is told to wait, in seconds: 30 days.
const DELAY_MAX_SECS: u32 = 30 * 24 * 3600;

/// A file that a device is to send (`upload`) or to fetch (`download` or `download_url`): one of the three.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = TransferOrder, example = json!({"upload": "3 Vendor Configuration File 1"}))]
pub(super) struct TransferSchema {
    /// `config`, `log`, or a `FileType` in full, such as `1 Vendor Configuration File` for old devices.
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    upload: Option<String>,
    /// Which one of the device's files, with `config` and `log`; 1 unless told.
    #[schema(nullable = false, minimum = 1)]
    index: Option<u32>,
    /// The id of a file that a device has sent earlier.
    #[schema(nullable = false)]
    download: Option<u32>,
    /// A file on another server: `http` or `https`, without a login in it.
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    download_url: Option<String>,
    /// What it is to the device. Needed with `download_url`; with `download`, a configuration file is one unless told.
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    file_type: Option<String>,
    /// Name on the device; usually none.
    #[schema(nullable = false, max_length = 256)]
    target_file_name: Option<String>,
    /// Seconds the device is to wait first.
    #[schema(nullable = false, maximum = 2_592_000)]
    delay: Option<u32>,
    /// When the device may do it; at most two. With any, it is a `ScheduleDownload`.
    #[schema(nullable = false, max_items = 2)]
    windows: Option<Vec<WindowSchema>>,
    /// Of the other server.
    #[schema(nullable = false, max_length = 256)]
    username: Option<String>,
    /// Of the other server.
    #[schema(nullable = false, write_only, max_length = 256)]
    password: Option<String>,
    /// Bytes of the file on the other server; 0: unknown.
    #[schema(nullable = false)]
    size: Option<u32>,
}

/// A time window of a `ScheduleDownload`, in seconds from the call.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = TransferWindow)]
pub(super) struct WindowSchema {
    start: u32,
    end: u32,
    /// `1 At Any Time` unless told; `2 Immediately`, `3 When Idle`, `4 Confirmation Needed`, `X ...`.
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    mode: Option<String>,
    /// Shown to the subscriber who is to confirm.
    #[schema(nullable = false, max_length = 256)]
    user_message: Option<String>,
    /// Absent: the device decides.
    #[schema(nullable = false, maximum = 1000)]
    max_retries: Option<u32>,
}

/// What is ordered, and how the audit trail tells of it.
pub(super) struct Order {
    pub(super) work: Work,
    pub(super) what: Value,
}

/// Reads an order.
pub(super) async fn read(
    body: Map<String, Value>,
    device: &Device,
    caller: &Caller,
    state: &ApiState,
) -> Result<Order, ApiError> {
    let named: Vec<&str> =
        ["upload", "download", "download_url"].into_iter().filter(|name| body.contains_key(*name)).collect();
    let mut fields = Fields::new(body);
    match named.as_slice() {
        ["upload"] => read_upload(fields),
        ["download"] => {
            let id = fields.integer("download", 0..=u32::MAX);
            let file = match id {
                Some(id) => visible(StoredFileId(id), device, caller, state).await?,
                None => None,
            };
            if let (Some(id), None) = (id, &file) {
                fields.error("download", no_such(id));
            }
            read_download(fields, file.as_deref())
        }
        ["download_url"] => read_remote(fields),
        [] => Err(FieldErrors::one("upload", "One of upload, download and download_url is required.").into()),
        [first, ..] => {
            Err(FieldErrors::one(first, "Only one of upload, download and download_url can be given.").into())
        }
    }
}

/// A stored file, if it is this device's or of another device that the caller sees.
async fn visible(
    id: StoredFileId,
    device: &Device,
    caller: &Caller,
    state: &ApiState,
) -> Result<Option<std::sync::Arc<StoredFile>>, ApiError> {
    let Some(file) = state.store.stored_files().of(id) else { return Ok(None) };
    if file.device == device.key {
        return Ok(Some(file));
    }
    let owner = state.store.device(file.device).await?;
    let organization = owner.map_or(file.organization, |owner| owner.profile.organization);
    Ok(caller.sees(organization).then_some(file))
}

fn read_upload(mut fields: Fields) -> Result<Order, ApiError> {
    let word = read_type(&mut fields, "upload");
    let index = fields.integer("index", 1..=u32::MAX).and_then(NonZeroU32::new);
    let alternatives = word.as_deref().map_or_else(Vec::new, |word| other_names(word, index));
    let file_type = word.map(|word| {
        let number = index.map_or(1, NonZeroU32::get);
        match word.as_str() {
            "config" => format!("3 Vendor Configuration File {number}"),
            "log" => format!("4 Vendor Log File {number}"),
            _ => {
                if index.is_some() {
                    fields.error("index", "Only goes with \"config\" and \"log\".");
                }
                word
            }
        }
    });
    if let Some(file_type) = &file_type
        && !is_file_type(file_type)
    {
        fields.error("upload", NOT_A_TYPE);
    }
    let delay_secs = read_delay(&mut fields).unwrap_or(0);
    fields.finish(&[])?;
    let order = UploadOrder { file_type: file_type.unwrap_or_default(), alternatives, delay_secs };
    let what = json!({ "operation": "Upload", "file_type": order.file_type, "delay": delay_secs });
    Ok(Order { work: Work::Upload(Box::new(order)), what })
}

/// What the first file that a word means is called by devices without instance numbers, and by old ones (TR-069 A.4.1.5).
fn other_names(word: &str, index: Option<NonZeroU32>) -> Vec<String> {
    let names: &[&str] = match word {
        _ if index.is_some_and(|index| index.get() > 1) => &[],
        "config" => &["3 Vendor Configuration File", "1 Vendor Configuration File"],
        "log" => &["4 Vendor Log File", "2 Vendor Log File"],
        _ => &[],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// `file`: what `download` names, if it is there.
fn read_download(mut fields: Fields, file: Option<&StoredFile>) -> Result<Order, ApiError> {
    let given = read_file_type(&mut fields);
    let common = Common::read(&mut fields);
    let file_type = given.or_else(|| file.and_then(|file| counterpart(&file.file_type)).map(str::to_owned));
    let file_type = if file.is_some() { fields.require("file_type", file_type) } else { file_type };
    fields.finish(&[])?;
    let (Some(file), Some(file_type)) = (file, file_type) else {
        // Unreachable: what is missing has been an error above.
        return Err(FieldErrors::one("download", "This field is required.").into());
    };
    Ok(common.order(FileRef::Stored(file.id), file_type, json!({ "file": file.id.0 })))
}

fn read_remote(mut fields: Fields) -> Result<Order, ApiError> {
    let url = fields.parsed("download_url", |text| check_url(text, TEXT_MAX_CHARS).map(|()| text.to_owned()));
    let file_type = read_file_type(&mut fields);
    let file_type = fields.require("file_type", file_type);
    let username = fields.text("username", TEXT_MAX_CHARS).unwrap_or_default();
    let password = fields.text("password", TEXT_MAX_CHARS).unwrap_or_default();
    let size = fields.integer("size", 0..=u32::MAX).unwrap_or(0);
    let common = Common::read(&mut fields);
    fields.finish(&[])?;
    let (url, file_type) = (url.unwrap_or_default(), file_type.unwrap_or_default());
    let what = json!({ "url": url });
    let file = RemoteFile { url, username, password: MaybeSealed::from(password), size: size.into() };
    Ok(common.order(FileRef::Elsewhere(file), file_type, what))
}

/// What all downloads have.
struct Common {
    target_file_name: String,
    delay_secs: u32,
    windows: Vec<TimeWindow>,
}

impl Common {
    fn read(fields: &mut Fields) -> Self {
        let target_file_name = fields.text("target_file_name", TEXT_MAX_CHARS).unwrap_or_default();
        let delay = read_delay(fields);
        let windows = fields.list_of("windows", read_window);
        match &windows {
            Some(windows) if windows.len() > WINDOWS_MAX => {
                fields.error("windows", format!("Ensure this field has no more than {WINDOWS_MAX} elements."));
            }
            Some(windows) if !windows.is_empty() && delay.is_some() => {
                fields.error("delay", "Does not go with time windows.");
            }
            Some(_) | None => {}
        }
        Self { target_file_name, delay_secs: delay.unwrap_or(0), windows: windows.unwrap_or_default() }
    }

    fn order(self, file: FileRef, file_type: String, mut what: Value) -> Order {
        let Self { target_file_name, delay_secs, windows } = self;
        let order = DownloadOrder { file, file_type, target_file_name, delay_secs, windows };
        let (file_type, windows) = (order.file_type.clone(), order.windows.len());
        let work = Work::Download(Box::new(order));
        if let Value::Object(what) = &mut what {
            what.insert("operation".to_owned(), work.operation().into());
            what.insert("file_type".to_owned(), file_type.into());
            what.insert("delay".to_owned(), delay_secs.into());
            what.insert("windows".to_owned(), windows.into());
        }
        Order { work, what }
    }
}

fn read_window(mut element: Fields) -> Result<TimeWindow, FieldErrors> {
    let start = element.integer("start", 0..=DELAY_MAX_SECS);
    let start = element.require("start", start);
    let end = element.integer("end", 1..=DELAY_MAX_SECS);
    let end = element.require("end", end);
    let mode = element.text("mode", MODE_MAX_CHARS);
    let user_message = element.text("user_message", TEXT_MAX_CHARS).unwrap_or_default();
    let max_retries = element.integer("max_retries", 0..=1_000);
    if let (Some(start), Some(end)) = (start, end)
        && end <= start
    {
        element.error("end", "Must be after the start.");
    }
    if mode.as_deref().is_some_and(|mode| !is_file_type(mode)) {
        element.error("mode", "Expected a mode as the standard has it, such as \"1 At Any Time\".");
    }
    element.finish(&[])?;
    Ok(TimeWindow {
        start_secs: start.unwrap_or_default(),
        end_secs: end.unwrap_or_default(),
        mode: mode.unwrap_or_else(|| "1 At Any Time".to_owned()),
        user_message,
        max_retries: max_retries.and_then(|retries| i32::try_from(retries).ok()).unwrap_or(-1),
    })
}

fn read_delay(fields: &mut Fields) -> Option<u32> {
    fields.integer("delay", 0..=DELAY_MAX_SECS)
}

fn read_type(fields: &mut Fields, field: &str) -> Option<String> {
    let text = fields.filled_line(field)?;
    if text.chars().count() > FILE_TYPE_MAX_CHARS {
        fields.error(field, format!("Ensure this field has no more than {FILE_TYPE_MAX_CHARS} characters."));
        return None;
    }
    Some(text.trim().to_owned())
}

fn read_file_type(fields: &mut Fields) -> Option<String> {
    let file_type = read_type(fields, "file_type")?;
    if is_file_type(&file_type) {
        Some(file_type)
    } else {
        fields.error("file_type", NOT_A_TYPE);
        None
    }
}

const NOT_A_TYPE: &str = "Expected a file type as the standard has it, such as \"3 Vendor Configuration File\".";

/// A number and a text, or `X`, a vendor and a text (TR-069 A.3.2.8, A.4.1.5).
fn is_file_type(text: &str) -> bool {
    match text.split_once(' ') {
        Some(("X", rest)) => !rest.trim().is_empty(),
        Some((number, rest)) => {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && !rest.trim().is_empty()
        }
        None => false,
    }
}

/// The type under which a device takes back what it has sent under another.
fn counterpart(uploaded: &str) -> Option<&'static str> {
    uploaded.contains("Vendor Configuration File").then_some("3 Vendor Configuration File")
}

/// Whether devices can be told to fetch something from there: at most `max_chars` characters, `http` or `https`, and no login
/// in it, which would be kept and shown with it.
pub(in crate::api) fn check_url(text: &str, max_chars: usize) -> Result<(), String> {
    let chars = text.chars().count();
    if chars > max_chars {
        return Err(format!("devices take {max_chars} characters at most, this has {chars}"));
    }
    let url: Uri = text.parse().map_err(|_malformed| "enter a valid URL".to_owned())?;
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return Err("only http and https are possible".to_owned());
    }
    let has_login = url.authority().is_none_or(|authority| authority.as_str().contains('@'));
    if has_login || url.host().is_none_or(str::is_empty) {
        return Err("expected a host, and the login in fields of its own".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_types_are_numbers_or_vendors_with_words() {
        let good = ["1 Vendor Configuration File", "3 Vendor Configuration File 1", "X 00D09E Crash dump", "11 x"];
        for text in good {
            assert!(is_file_type(text), "{text}");
        }
        for text in ["", "config", "1", "1 ", "X", "X ", "a b", " 1 x"] {
            assert!(!is_file_type(text), "{text}");
        }
    }

    #[test]
    fn only_the_first_file_has_other_names() {
        assert_eq!(other_names("config", None), ["3 Vendor Configuration File", "1 Vendor Configuration File"]);
        assert_eq!(other_names("log", NonZeroU32::new(1)), ["4 Vendor Log File", "2 Vendor Log File"]);
        assert!(other_names("log", NonZeroU32::new(2)).is_empty(), "without a number it would be another file");
        assert!(other_names("4 Vendor Log File 1", None).is_empty());
    }

    #[test]
    fn urls_are_http_without_a_login() {
        for text in ["http://h/f", "https://[2001:db8::1]:8/f?x=1"] {
            assert_eq!(check_url(text, TEXT_MAX_CHARS), Ok(()), "{text}");
        }
        let long = format!("http://h/{}", "f".repeat(256));
        for text in ["ftp://h/f", "http://u:p@h/f", "/f", "http:///f", "h f", &long] {
            assert!(check_url(text, TEXT_MAX_CHARS).is_err(), "{text}");
        }
    }
}
