//! The whole route table.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, put};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use super::openapi::{Description, complete};
use super::{
    ApiState, audit, campaign, configuration, device, device_type, diagnostic, event, firmware_image, headless, health,
    location, operation, organization, parameter, rpc, session, shell, stored_file, token, transaction, transfer,
    webhook,
};

/// What files are answered as.
const FILES: &str = "application/octet-stream";

/// The facade as a service. Paths are served with their final slash and without it.
pub fn router(state: ApiState) -> Router {
    let state = Arc::new(state);
    let (routes, description) = table().split_for_parts();
    let inner = routes
        .merge(SwaggerUi::new("/api/v1/docs").external_url_unchecked("/api/v1/openapi.json", complete(&description)))
        // Files are answered as they are: their length and their parts are those of the bytes themselves.
        .layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(NotForContentType::const_new(FILES))))
        .layer(from_fn(shell::note_route))
        .fallback(shell::unknown_path)
        .method_not_allowed_fallback(shell::unknown_method)
        .with_state(Arc::clone(&state));
    // The path is brought to its canonical form before the inner router looks at it.
    Router::new().fallback_service(inner).layer(from_fn_with_state(state, shell::surround))
}

/// The description of the API, as `/api/v1/openapi.json` serves it.
#[must_use]
pub fn description() -> serde_json::Value {
    complete(&table().into_openapi())
}

fn table() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(device::list, device::create))
        .routes(routes!(device::export::export))
        .routes(routes!(device::import::import))
        // Devices may bear these names: what the paths above do not take is theirs.
        .route(device::export::PATH, put(device::replace).patch(device::change).delete(device::remove))
        .route(
            device::import::PATH,
            get(device::show).put(device::replace).patch(device::change).delete(device::remove),
        )
        .routes(routes!(device::show, device::replace, device::change, device::remove))
        .routes(routes!(configuration::show, configuration::replace, configuration::change))
        .routes(routes!(parameter::list, parameter::refresh, parameter::write))
        .routes(routes!(transfer::order))
        .routes(routes!(rpc::list, rpc::order))
        .routes(routes!(rpc::methods))
        .routes(routes!(rpc::show))
        .routes(routes!(session::list, session::clear))
        .routes(routes!(session::show))
        .routes(routes!(stored_file::list))
        .routes(routes!(stored_file::show, stored_file::remove))
        .routes(routes!(stored_file::download))
        .routes(routes!(operation::order))
        .routes(routes!(headless::list, headless::schedule))
        .routes(routes!(diagnostic::list, diagnostic::schedule))
        .routes(routes!(transaction::list))
        .routes(routes!(transaction::show, transaction::cancel))
        .routes(routes!(organization::list, organization::create))
        .routes(routes!(organization::show, organization::replace, organization::change, organization::remove))
        .routes(routes!(device_type::list, device_type::create))
        .routes(routes!(device_type::show, device_type::replace, device_type::change, device_type::remove))
        .routes(routes!(location::list, location::create))
        .routes(routes!(location::show, location::replace, location::change, location::remove))
        .routes(routes!(campaign::list, campaign::create))
        .routes(routes!(campaign::show, campaign::replace, campaign::change, campaign::remove))
        .routes(routes!(campaign::command::start))
        .routes(routes!(campaign::command::pause))
        .routes(routes!(campaign::command::resume))
        .routes(routes!(campaign::command::cancel))
        .routes(routes!(campaign::command::retry))
        .routes(routes!(campaign::device::list))
        .routes(routes!(firmware_image::list, firmware_image::create))
        .routes(routes!(firmware_image::show, firmware_image::replace, firmware_image::change, firmware_image::remove))
        .routes(routes!(firmware_image::download, firmware_image::bring))
        .routes(routes!(token::list, token::create))
        .routes(routes!(token::show, token::replace, token::change, token::revoke))
        .routes(routes!(event::list))
        .routes(routes!(event::stream))
        .routes(routes!(webhook::list, webhook::create))
        .routes(routes!(webhook::show, webhook::replace, webhook::change, webhook::remove))
        .routes(routes!(audit::list))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
}
