//! `/event/`: what happened (rest-api.md §4), page by page and as it happens.

mod stream;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::ApiState;
use super::access::Caller;
use super::error::{ApiError, FieldErrors};
use super::openapi::{PageParameters, Reading};
use super::paging::{Envelope, PageRule};
use super::query::Query;
use super::words::not_a_choice;
use crate::events::view::EventView;
use crate::model::event::{EventId, EventKind, EventKinds};
use crate::store::events::EventFilter;

/// Where a client that was cut off wants to go on.
const LAST_EVENT_ID: &str = "last-event-id";

/// Events, newest first.
#[utoipa::path(get, path = "/api/v1/event/", tag = "events",
    params(
        ("kind" = Option<String>, Query, description = "Only these kinds, separated by commas: `first_contact`, \
            `bootstrap`, `boot`, `status`, `value_change`, `transaction_ended`, `fault`, `transfer`, \
            `identity_conflict`, `bootstrap_loop`, `firmware_changed`, `authentication_refused`"),
        ("serial_number" = Option<String>, Query, description = "Only of this device, also when it has been removed"),
        ("since" = Option<String>, Query, description = "Only at or after this date, or date and time"),
        ("after" = Option<u64>, Query, description = "Only with a higher id"),
        PageParameters
    ),
    responses((status = 200, description = "A page", body = Envelope<EventView>), Reading))]
pub(super) async fn list(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Envelope<EventView>>, ApiError> {
    let page = query.page(PageRule::LIST);
    let filter = read_filter(&mut query, &caller);
    let links = query.finish()?;
    let listing = state.store.events(&filter, page).await?;
    let views = listing.items.into_iter().map(EventView::from).collect();
    Ok(Json(links.envelope(page, listing.count, views)))
}

/// Events as they happen, as server-sent events: `id`, `event` (the kind) and `data` (the event as in the list). It begins
/// now, or behind `Last-Event-ID`, `after` or `since`, and ends when acsd stops or the token does.
#[utoipa::path(get, path = "/api/v1/event/stream/", tag = "events",
    params(
        ("Last-Event-ID" = Option<u64>, Header, description = "Goes on behind this one, also after a restart of acsd"),
        ("kind" = Option<String>, Query, description = "Only these kinds, separated by commas"),
        ("serial_number" = Option<String>, Query, description = "Only of this device"),
        ("since" = Option<String>, Query, description = "Begins at this date, or date and time"),
        ("after" = Option<u64>, Query, description = "Begins behind this one")
    ),
    responses((status = 200, description = "The stream", body = String, content_type = "text/event-stream"), Reading))]
pub(super) async fn stream(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Response, ApiError> {
    let mut filter = read_filter(&mut query, &caller);
    let is_told = query.text("after").is_some() || query.text("since").is_some();
    query.finish()?;
    let start = match headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) {
        Some(value) => {
            let id = value.to_str().ok().and_then(|text| text.trim().parse().ok()).map(EventId);
            // What came before, the client has seen, whenever it was.
            filter.since = None;
            id.ok_or_else(|| FieldErrors::one("Last-Event-ID", "A valid integer is required."))?
        }
        None if is_told => filter.after,
        None => *state.store.watch_events().borrow(),
    };
    stream::open(state, caller, filter, start)
}

fn read_filter(query: &mut Query, caller: &Caller) -> EventFilter {
    let words = EventKind::ALL.map(EventKind::as_str);
    let read = |word: &str| EventKind::parse(word.trim()).ok_or_else(|| not_a_choice(word, &words));
    let kinds = query.choice("kind", |text| text.split(',').map(read).collect::<Result<EventKinds, _>>());
    EventFilter {
        visible: caller.visible().map(<[_]>::to_vec),
        kinds: kinds.unwrap_or(EventKinds::ALL),
        serial_number: query.text("serial_number").map(str::to_owned),
        since: query.time("since"),
        after: EventId(query.parsed("after", |text| text.parse().ok(), "A valid integer is required.").unwrap_or(0)),
    }
}
