//! Reading request bodies: one small layer for every write. It collects all that is wrong, names what it does not
//! know, and is strict about types: `"5"` is no number and `5` is no text.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::ApiState;
use super::error::{ApiError, FieldErrors};

/// The object of a JSON body.
#[derive(Debug)]
pub struct JsonObject(pub Map<String, Value>);

impl FromRequest<Arc<ApiState>> for JsonObject {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &Arc<ApiState>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        check_content_type(&parts.headers)?;
        let reading = read(body, state.config.body_limit_bytes);
        let patience = Duration::from_secs(state.config.body_time_secs.into());
        let bytes = tokio::time::timeout(patience, reading).await.map_err(|_elapsed| ApiError::Detail {
            status: StatusCode::REQUEST_TIMEOUT,
            detail: "The body took too long to arrive.".into(),
        })??;
        parse(&bytes)
    }
}

async fn read(body: Body, limit_bytes: usize) -> Result<Vec<u8>, ApiError> {
    let too_large = || ApiError::Detail {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        detail: format!("The body is larger than {limit_bytes} bytes.").into(),
    };
    // A client that announces its body and waits is spared sending it.
    if usize::try_from(body.size_hint().lower()).is_ok_and(|announced| announced > limit_bytes) {
        return Err(too_large());
    }
    match Limited::new(body, limit_bytes).collect().await {
        Ok(collected) => Ok(collected.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_broken_off) => Err(ApiError::bad_request("The body broke off.")),
    }
}

/// `application/json`, with `charset=utf-8` or without.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let raw = headers.get(header::CONTENT_TYPE).map_or(Ok(""), |value| value.to_str()).unwrap_or("?");
    let mut parts = raw.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .all(|(_, charset)| {
            let charset = charset.trim().trim_matches('"');
            charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
        });
    if is_json && is_utf8 {
        return Ok(());
    }
    Err(ApiError::Detail {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        detail: format!("Unsupported media type \"{raw}\" in request: send application/json.").into(),
    })
}

/// Reads the object of a JSON text.
///
/// # Errors
/// 400: what is wrong with it.
pub(super) fn parse(bytes: &[u8]) -> Result<JsonObject, ApiError> {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(object)) => Ok(JsonObject(object)),
        Ok(other) => {
            Err(ApiError::bad_request(format!("Invalid data. Expected an object, but got {}.", kind_of(&other))))
        }
        Err(error) => Err(ApiError::bad_request(format!("JSON parse error - {error}"))),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// What is said of a field that has to be there.
pub const REQUIRED: &str = "This field is required.";
/// What is said of a field that nothing knows.
pub const UNKNOWN: &str = "Unknown field.";

/// Longest free text of one line, in characters.
pub const LINE_MAX_CHARS: usize = 256;
/// Longest free text of several lines, in characters.
pub const TEXT_MAX_CHARS: usize = 8192;

/// Decimal degrees as clients may give them; for the description, read by [`Fields::degrees`].
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "a schema only")]
#[schema(example = "47.6062")]
pub(super) enum Degrees {
    /// As text; kept as it is.
    Text(String),
    /// As a number.
    Number(f64),
}

/// A line of text; for the description, read by [`Fields::lines`].
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(min_length = 1, max_length = 256)]
pub(super) struct Line(String);

/// An element of a list of objects.
pub type Element = Result<Map<String, Value>, FieldErrors>;

/// Takes the fields of an object one by one. What is absent gives `None`; what is wrong gives `None` and an error; what
/// is left at [`finish`](Self::finish) is unknown.
#[derive(Debug)]
pub struct Fields {
    given: Map<String, Value>,
    errors: FieldErrors,
}

impl Fields {
    /// Over a body.
    #[must_use]
    pub fn new(object: Map<String, Value>) -> Self {
        Self { given: object, errors: FieldErrors::default() }
    }

    /// Adds an error of a rule that lives elsewhere.
    pub fn error(&mut self, field: &str, reason: impl Into<String>) {
        self.errors.add(field, reason);
    }

    /// Adds the errors of an object's fields.
    pub fn nested_errors(&mut self, field: &str, nested: FieldErrors) {
        self.errors.add_nested(field, nested);
    }

    /// Adds the errors of a list's elements.
    pub fn element_errors(&mut self, field: &str, elements: Vec<FieldErrors>) {
        self.errors.add_elements(field, elements);
    }

    /// Notes that a field which must be there is not, unless it was there and wrong.
    pub fn require<T>(&mut self, field: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.errors.has(field) {
            self.errors.add(field, REQUIRED);
        }
        value
    }

    /// Takes a field that may be null: `Some(None)`.
    pub fn nullable<T>(&mut self, field: &str, read: impl FnOnce(&mut Self, &str) -> Option<T>) -> Option<Option<T>> {
        if self.given.get(field) == Some(&Value::Null) {
            self.given.remove(field);
            return Some(None);
        }
        read(self, field).map(Some)
    }

    /// A text of at most `max_chars` characters, without NUL.
    pub fn text(&mut self, field: &str, max_chars: usize) -> Option<String> {
        match self.take(field)? {
            Value::String(text) if text.contains('\0') => self.wrong(field, "Null characters are not allowed."),
            Value::String(text) if text.chars().count() > max_chars => {
                self.wrong(field, format!("Ensure this field has no more than {max_chars} characters."))
            }
            Value::String(text) => Some(text),
            _ => self.wrong(field, "Not a valid string."),
        }
    }

    /// A text of one line that says something; without control characters.
    pub fn filled_line(&mut self, field: &str) -> Option<String> {
        let text = self.text(field, LINE_MAX_CHARS)?;
        if text.trim().is_empty() {
            self.wrong(field, "This field may not be blank.")
        } else if text.contains(char::is_control) {
            // Names turn up in log lines and tables.
            self.wrong(field, "Control characters are not allowed.")
        } else {
            Some(text)
        }
    }

    /// A text of which `read` makes a value.
    pub fn parsed<T, E: Display>(&mut self, field: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let text = self.text(field, TEXT_MAX_CHARS)?;
        match read(&text) {
            Ok(value) => Some(value),
            Err(reason) => self.wrong(field, sentence(&reason)),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, field: &str) -> Option<bool> {
        match self.take(field)? {
            Value::Bool(value) => Some(value),
            _ => self.wrong(field, "Must be a valid boolean."),
        }
    }

    /// An integer within a range.
    pub fn integer(&mut self, field: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let Value::Number(number) = self.take(field)? else {
            return self.wrong(field, "A valid integer is required.");
        };
        if number.is_f64() {
            return self.wrong(field, "A valid integer is required.");
        }
        match number.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => self.wrong(field, format!("Must be from {} to {}.", range.start(), range.end())),
        }
    }

    /// Decimal degrees, as a string or a number; kept as given.
    pub fn degrees(&mut self, field: &str, limit: f64) -> Option<String> {
        let text = match self.take(field)? {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return self.wrong(field, "A valid number is required."),
        };
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'));
        match text.parse::<f64>() {
            Ok(degrees) if plain && text.len() <= 32 => {
                if degrees.abs() <= limit {
                    Some(text)
                } else {
                    self.wrong(field, format!("Must be from -{limit} to {limit}."))
                }
            }
            _ => self.wrong(field, "A valid number is required."),
        }
    }

    /// A list of at most `max` texts of one line each.
    pub fn lines(&mut self, field: &str, max: usize) -> Option<Vec<String>> {
        let Value::Array(items) = self.take(field)? else {
            return self.wrong(field, "Expected a list of strings.");
        };
        if items.len() > max {
            return self.wrong(field, format!("Ensure this field has no more than {max} elements."));
        }
        let mut lines = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Value::String(line)
                    if !line.trim().is_empty() && line.chars().count() <= LINE_MAX_CHARS && !line.contains('\0') =>
                {
                    lines.push(line);
                }
                _ => return self.wrong(field, "Every element must be a string of 1 to 256 characters."),
            }
        }
        Some(lines)
    }

    /// A list of positive integers.
    pub fn ids(&mut self, field: &str) -> Option<Vec<u32>> {
        let Value::Array(items) = self.take(field)? else {
            return self.wrong(field, "Expected a list of integers.");
        };
        let ids: Option<Vec<u32>> =
            items.iter().map(|item| item.as_u64().and_then(|id| u32::try_from(id).ok())).collect();
        if ids.is_none() { self.wrong(field, "Expected a list of integers.") } else { ids }
    }

    /// A finite number.
    pub fn number(&mut self, field: &str) -> Option<f64> {
        match self.take(field)? {
            Value::Number(number) => number.as_f64(),
            _ => self.wrong(field, "A valid number is required."),
        }
    }

    /// An object.
    pub fn object(&mut self, field: &str) -> Option<Map<String, Value>> {
        match self.take(field)? {
            Value::Object(object) => Some(object),
            other => self.wrong(field, format!("Invalid data. Expected an object, but got {}.", kind_of(&other))),
        }
    }

    /// Whatever is there, null aside.
    pub fn any(&mut self, field: &str) -> Option<Value> {
        self.take(field)
    }

    /// A list of objects; in the place of an element that is none, what is to be said of it.
    pub fn objects(&mut self, field: &str) -> Option<Vec<Element>> {
        let Value::Array(items) = self.take(field)? else {
            return self.wrong(field, "Expected a list of objects.");
        };
        let element = |item| match item {
            Value::Object(object) => Ok(object),
            other => Err(FieldErrors::one(
                "non_field_errors",
                format!("Invalid data. Expected an object, but got {}.", kind_of(&other)),
            )),
        };
        Some(items.into_iter().map(element).collect())
    }

    /// A list of objects, each made into something by `read`; `None` when any is wrong.
    pub fn list_of<T>(&mut self, field: &str, mut read: impl FnMut(Self) -> Result<T, FieldErrors>) -> Option<Vec<T>> {
        let elements = self.objects(field)?;
        let mut items = Vec::with_capacity(elements.len());
        let mut errors = Vec::with_capacity(elements.len());
        for element in elements {
            match element.and_then(|object| read(Self::new(object))) {
                Ok(item) => {
                    items.push(item);
                    errors.push(FieldErrors::default());
                }
                Err(wrong) => errors.push(wrong),
            }
        }
        let complete = items.len() == errors.len();
        self.element_errors(field, errors);
        complete.then_some(items)
    }

    /// The names that are left, for bodies whose keys are data.
    #[must_use]
    pub fn remaining(&self) -> Vec<String> {
        self.given.keys().cloned().collect()
    }

    /// Ends the reading: what is neither taken nor `read_only` is unknown.
    ///
    /// # Errors
    /// All that was wrong.
    pub fn finish(mut self, read_only: &[&str]) -> Result<(), FieldErrors> {
        for name in self.given.keys().filter(|name| !read_only.contains(&name.as_str())) {
            self.errors.add(name, UNKNOWN);
        }
        self.errors.into_result()
    }

    /// Whether anything was wrong so far.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    fn take(&mut self, field: &str) -> Option<Value> {
        match self.given.remove(field)? {
            Value::Null => self.wrong(field, "This field may not be null."),
            value => Some(value),
        }
    }

    fn wrong<T>(&mut self, field: &str, reason: impl Into<String>) -> Option<T> {
        self.errors.add(field, reason);
        None
    }
}

/// Makes a sentence of an error's fragment: "may not be blank" → "May not be blank.".
#[must_use]
pub fn sentence(reason: &impl Display) -> String {
    let text = reason.to_string();
    let mut chars = text.chars();
    let mut sentence: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    sentence.push_str(chars.as_str());
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: &Value) -> Fields {
        Fields::new(value.as_object().cloned().expect("an object"))
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let mut fields = fields(&json!({
            "text": 5, "flag": "true", "number": "5", "low": 0, "float": 1.5, "null": null, "odd": 1, "uuid": "x",
            "degrees": "91", "tags": [1], "long": "xxxx"
        }));
        assert_eq!(fields.text("text", 10), None);
        assert_eq!(fields.boolean("flag"), None);
        assert_eq!(fields.integer("number", 1..=9), None);
        assert_eq!(fields.integer("low", 1..=9), None);
        assert_eq!(fields.integer("float", 1..=9), None);
        assert_eq!(fields.text("null", 10), None);
        assert_eq!(fields.degrees("degrees", 90.0), None);
        assert_eq!(fields.lines("tags", 3), None);
        assert_eq!(fields.text("long", 3), None);
        assert_eq!(fields.require::<()>("absent", None), None);
        let errors = fields.finish(&["uuid"]).expect_err("all wrong");
        for name in ["text", "flag", "number", "low", "float", "null", "odd", "degrees", "tags", "long", "absent"] {
            assert!(errors.has(name), "{name}");
        }
        assert!(!errors.has("uuid"));
    }

    #[test]
    fn null_is_a_value_only_where_it_may_be() {
        let mut fields = fields(&json!({"a": null, "b": 3}));
        assert_eq!(fields.nullable("a", |f, n| f.integer(n, 1..=9)), Some(None));
        assert_eq!(fields.nullable("b", |f, n| f.integer(n, 1..=9)), Some(Some(3)));
        assert_eq!(fields.nullable("c", |f, n| f.integer(n, 1..=9)), None);
        assert_eq!(fields.finish(&[]), Ok(()));
    }

    #[test]
    fn degrees_are_kept_as_given() {
        let mut fields = fields(&json!({"a": "37.7750", "b": -122.25, "c": "1e1", "d": "NaN", "e": "", "f": true}));
        assert_eq!(fields.degrees("a", 90.0).as_deref(), Some("37.7750"));
        assert_eq!(fields.degrees("b", 180.0).as_deref(), Some("-122.25"));
        for name in ["c", "d", "e", "f"] {
            assert_eq!(fields.degrees(name, 180.0), None, "{name}");
        }
    }

    #[test]
    fn only_json_in_utf_8_is_read() {
        let table = [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json; charset=latin1", false),
            ("text/plain", false),
            ("", false),
        ];
        for (raw, want) in table {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, raw.parse().expect("a header"))]);
            assert_eq!(check_content_type(&headers).is_ok(), want, "{raw:?}");
        }
    }
}
