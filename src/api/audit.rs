//! `/audit/`: who changed what through the API; and how handlers say so.

use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::ApiState;
use super::access::{Admin, Caller};
use super::error::ApiError;
use super::openapi::{PageParameters, Reading};
use super::paging::{Envelope, PageRule};
use super::query::Query;
use super::words::{ResourceWord, not_a_choice};
use crate::model::audit::{AuditAction, AuditEntry, AuditHead, AuditRecord, AuditResource};
use crate::model::device::{Device, OrganizationId};
use crate::model::event::BLANKED;
use crate::model::token::TokenId;
use crate::store::audit::AuditFilter;
use crate::types::ident::SerialNumber;
use crate::types::path::hides_its_value;

/// Longest JSON text of one side of a change, in bytes.
const TEXT_MAX_BYTES: usize = 64 << 10;
/// Fields of devices and tokens that change without anybody's doing.
const VOLATILE: [&str; 6] =
    ["status", "status_change", "last_connection", "last_change", "last_used_at", "pending_settings_detail"];

/// Something that was done, for the audit trail.
#[derive(Debug)]
pub(super) struct Done {
    action: AuditAction,
    resource: AuditResource,
    id: String,
    organization: Option<OrganizationId>,
    serial_number: Option<SerialNumber>,
    before: Option<Value>,
    after: Option<Value>,
}

impl Done {
    fn new(action: AuditAction, resource: AuditResource, id: &impl ToString) -> Self {
        Self {
            action,
            resource,
            id: id.to_string(),
            organization: None,
            serial_number: None,
            before: None,
            after: None,
        }
    }

    /// Something was made: as it is now.
    pub(super) fn created(resource: AuditResource, id: &impl ToString, after: &impl Serialize) -> Self {
        Self { after: Some(shown(after)), ..Self::new(AuditAction::Create, resource, id) }
    }

    /// Something was changed: as it was and as it is; what is the same in both is left out.
    pub(super) fn updated(
        resource: AuditResource,
        id: &impl ToString,
        before: &impl Serialize,
        after: &impl Serialize,
    ) -> Self {
        // Blanked afterwards: that a secret is another one than before is said, too.
        let (mut before, mut after) = difference(json_of(before), json_of(after));
        blank(&mut before);
        blank(&mut after);
        Self { before: Some(before), after: Some(after), ..Self::new(AuditAction::Update, resource, id) }
    }

    /// Something was removed: as it was.
    pub(super) fn deleted(resource: AuditResource, id: &impl ToString, before: &impl Serialize) -> Self {
        Self { before: Some(shown(before)), ..Self::new(AuditAction::Delete, resource, id) }
    }

    /// Work was ordered of a device: the transaction's number, and what it is to do.
    pub(super) fn ordered(resource: AuditResource, id: &impl ToString, what: &impl Serialize) -> Self {
        Self { after: Some(shown(what)), ..Self::new(AuditAction::Order, resource, id) }
    }

    /// Work was withdrawn: the transaction's number, and what it was to do.
    pub(super) fn canceled(id: &impl ToString, what: &impl Serialize) -> Self {
        Self { before: Some(shown(what)), ..Self::new(AuditAction::Cancel, AuditResource::Transaction, id) }
    }

    /// It concerns this device, and so its organization.
    pub(super) fn of_device(self, device: &Device) -> Self {
        let profile = &device.profile;
        Self { organization: Some(profile.organization), serial_number: Some(profile.serial_number.clone()), ..self }
    }

    /// It concerns this organization.
    pub(super) fn of_organization(self, organization: Option<OrganizationId>) -> Self {
        Self { organization, ..self }
    }

    /// Says of a field something that the two sides do not show; what is secret is blanked all the same.
    pub(super) fn with(mut self, field: &str, value: Value) -> Self {
        let after = self.after.get_or_insert_with(|| json!({}));
        if let Value::Object(after) = after {
            after.insert(field.to_owned(), value);
            blank_fields(after);
        }
        self
    }
}

impl ApiState {
    /// Leaves an entry in the audit trail; durable when it returns. To be called by every handler that has changed
    /// something, before it answers.
    pub(super) async fn audit(&self, caller: &Caller, done: Done) -> Result<(), ApiError> {
        let head = AuditHead {
            time: self.clock.now(),
            token: caller.token().id,
            resource: done.resource,
            organization: done.organization,
            serial_number: done.serial_number,
        };
        let entry = AuditEntry {
            head,
            token_name: caller.name().to_owned(),
            action: done.action,
            resource_id: done.id,
            before: done.before.as_ref().map(text),
            after: done.after.as_ref().map(text),
            request_id: caller.request_id().to_owned(),
        };
        self.store.add_audit(entry).await?;
        Ok(())
    }
}

fn text(value: &Value) -> String {
    let text = value.to_string();
    if text.len() > TEXT_MAX_BYTES { json!({ "left_out_bytes": text.len() }).to_string() } else { text }
}

fn json_of(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| json!({ "unreadable": error.to_string() }))
}

fn shown(value: &impl Serialize) -> Value {
    let mut value = json_of(value);
    blank(&mut value);
    value
}

/// Blanks what is secret, by the name of its field, or by the name of the parameter that it is the value of.
fn blank(value: &mut Value) {
    match value {
        Value::Object(fields) => blank_fields(fields),
        Value::Array(items) => items.iter_mut().for_each(blank),
        Value::String(text) => {
            if let Some(secret) = login_password(text) {
                text.replace_range(secret, BLANKED);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Where in a text the password of a URL stands, if it is one and has one (RFC 3986 §3.2.1).
fn login_password(text: &str) -> Option<Range<usize>> {
    let start = text.find("://")? + "://".len();
    let authority = text.get(start..)?.split(['/', '?', '#']).next()?;
    let login = authority.get(..authority.rfind('@')?)?;
    let password = start + login.find(':')? + 1..start + login.len();
    (!password.is_empty()).then_some(password)
}

/// A URL whose query is blanked: it may be what grants the access, as in signed links.
fn without_query(url: &str) -> Option<String> {
    let (place, query) = url.split_once('?')?;
    (!query.is_empty()).then(|| format!("{place}?{BLANKED}"))
}

fn blank_fields(fields: &mut Map<String, Value>) {
    // A name may be relative to a row: `PIN`.
    let hides = |name: &str| hides_its_value(&format!(".{name}"));
    let names_secret = |name: &str| fields.get(name).and_then(Value::as_str).is_some_and(hides);
    let value_is_secret = ["variable_name", "path"].into_iter().any(names_secret);
    for (name, value) in fields {
        let is_secret = is_secret_field(name) || (value_is_secret && name == "value");
        match value {
            Value::Null => {}
            secret if is_secret => *secret = BLANKED.into(),
            other => {
                blank(other);
                if let Value::String(url) = other
                    && is_url_field(name)
                    && let Some(shown) = without_query(url)
                {
                    *url = shown;
                }
            }
        }
    }
}

fn is_secret_field(name: &str) -> bool {
    name == "token" || hides_its_value(name)
}

fn is_url_field(name: &str) -> bool {
    name == "url" || name.ends_with("_url")
}

/// The fields of two objects that are not the same in both.
fn difference(before: Value, after: Value) -> (Value, Value) {
    match (before, after) {
        (Value::Object(mut before), Value::Object(mut after)) => {
            let same: Vec<String> = before
                .iter()
                .filter(|(name, value)| after.get(*name) == Some(*value) || VOLATILE.contains(&name.as_str()))
                .map(|(name, _)| name.clone())
                .collect();
            for name in same {
                before.remove(&name);
                after.remove(&name);
            }
            (Value::Object(before), Value::Object(after))
        }
        others => others,
    }
}

/// An entry of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditView {
    id: u64,
    time: String,
    /// Number of the token.
    token_id: u32,
    /// Its name as it was.
    token_name: String,
    /// `create`, `update`, `delete`, `order` or `cancel`.
    #[schema(example = "update", pattern = "^(create|update|delete|order|cancel)$")]
    action: &'static str,
    /// What kind of thing it was done to.
    #[schema(example = "device", value_type = ResourceWord)]
    resource: &'static str,
    /// Its number; of a device the serial number.
    resource_id: String,
    /// Of the device that it concerns; empty where it concerns none.
    serial_number: String,
    organization_id: Option<u32>,
    /// The changed fields as they were; null where there was nothing. Secrets are stars.
    #[schema(value_type = Option<Object>)]
    before: Value,
    /// The changed fields as they then were; null where nothing was left. Secrets are stars.
    #[schema(value_type = Option<Object>)]
    after: Value,
    /// As in the log.
    request_id: String,
}

impl From<AuditRecord> for AuditView {
    fn from(AuditRecord { id, entry }: AuditRecord) -> Self {
        let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Self {
            id: id.0,
            time: entry.head.time.to_string(),
            token_id: entry.head.token.0,
            token_name: entry.token_name,
            action: entry.action.as_str(),
            resource: entry.head.resource.as_str(),
            resource_id: entry.resource_id,
            serial_number: entry.head.serial_number.map(|serial| serial.to_string()).unwrap_or_default(),
            organization_id: entry.head.organization.map(|organization| organization.0),
            before: json(entry.before),
            after: json(entry.after),
            request_id: entry.request_id,
        }
    }
}

/// The audit trail, newest first. A bound admin sees what concerns its organizations, and what it did itself.
#[utoipa::path(get, path = "/api/v1/audit/", tag = "audit",
    params(
        ("token" = Option<u32>, Query, description = "Only what this token did"),
        ("resource" = Option<ResourceWord>, Query, description = "Only what was done to this kind of thing: `device`, \
            `operation`, `headless`, `transaction`, `api_token`, `device_type`, `organization`, `location` or `webhook`"),
        ("serial_number" = Option<String>, Query, description = "Only what concerns this device"),
        ("since" = Option<String>, Query, description = "Only at or after this date, or date and time"),
        PageParameters
    ),
    responses((status = 200, description = "A page", body = Envelope<AuditView>), Reading))]
pub(super) async fn list(
    caller: Admin,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Envelope<AuditView>>, ApiError> {
    let page = query.page(PageRule::LIST);
    let choices = AuditResource::ALL.map(AuditResource::as_str);
    let filter = AuditFilter {
        visible: caller.visible().map(|organizations| (organizations.to_vec(), caller.token().id)),
        token: query.number("token").map(TokenId),
        resource: query
            .choice("resource", |word| AuditResource::parse(word).ok_or_else(|| not_a_choice(word, &choices))),
        serial_number: query.text("serial_number").map(str::to_owned),
        since: query.time("since"),
    };
    let links = query.finish()?;
    let listing = state.store.audit(&filter, page).await?;
    let views = listing.items.into_iter().map(AuditView::from).collect();
    Ok(Json(links.envelope(page, listing.count, views)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_kept_and_secrets_are_blanked() {
        let before = json!({"name": "a", "same": 1, "status": "Up", "nested": {"password": "x"}, "gone": null});
        let after = json!({"name": "b", "same": 1, "status": "Down", "nested": {"password": "y"}, "new": [1]});
        let done = Done::updated(AuditResource::Device, &"S", &before, &after).with("password", json!("z"));
        assert_eq!(done.before, Some(json!({"name": "a", "nested": {"password": BLANKED}, "gone": null})));
        assert_eq!(
            done.after,
            Some(json!({"name": "b", "nested": {"password": BLANKED}, "new": [1], "password": BLANKED}))
        );
        let order = json!({"variables": [
            {"variable_name": "Device.WiFi.AccessPoint.1.Security.KeyPassphrase", "value": "x"},
            {"variable_name": "Device.A", "value": "y"},
        ], "Device.ManagementServer.Password": "z"});
        let done = Done::ordered(AuditResource::Headless, &1, &order);
        let after = done.after.expect("said");
        assert_eq!(after["variables"][0]["value"], BLANKED);
        assert_eq!(after["variables"][1]["value"], "y");
        assert_eq!(after["Device.ManagementServer.Password"], BLANKED);
    }

    #[test]
    fn what_urls_let_in_with_is_blanked() {
        let table = [
            ("url", "http://h/f", "http://h/f"),
            ("url", "https://h/f?signature=x#y", "https://h/f?***"),
            ("download_url", "http://u:p@h/f?x", "http://u:***@h/f?***"),
            ("url", "http://h/f?", "http://h/f?"),
            ("value", "ftp://u:p:q@[::1]:21/?x=1", "ftp://u:***@[::1]:21/?x=1"),
            ("value", "http://u:@h/", "http://u:@h/"),
            ("note", "mail to a:b@c", "mail to a:b@c"),
            ("value", "http://h/u:p@x", "http://h/u:p@x"),
        ];
        for (field, sent, want) in table {
            let done = Done::ordered(AuditResource::Rpc, &1, &json!({ "operations": [{ field: sent }] }));
            assert_eq!(done.after, Some(json!({ "operations": [{ field: want }] })), "{field} {sent}");
        }
    }
}
