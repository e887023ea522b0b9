//! Who may do what: every route of the description × role × tenant. A route without a rule here fails.

use std::collections::BTreeMap;

use acsd::api::ApiConfig;
use acsd::clock::SystemClock;
use acsd::model::campaign::{Campaign, CampaignState};
use acsd::model::device::OrganizationId;
use acsd::model::event::{EventData, EventEntry};
use acsd::model::token::Role;
use acsd::model::trace::TraceOutcome;
use acsd::model::webhook::Webhook;
use acsd::types::time::Clock as _;
use serde_json::{Value, json};

use crate::store::traces::trace;

use super::support::{
    ADMIN, Api, DEVICES, DIAGNOSTICS, EXPIRED, HEADLESS, LOCATIONS, ORGANIZATIONS, TOKENS, TRANSACTIONS, TYPES, VIEWER,
    operations,
};

/// What a route is about, and so what callers of other organizations are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// A list: holds only what the caller may see.
    List,
    /// A single record: not there for others.
    Single,
    /// An organization that is named, in the path or in the body: forbidden to others.
    Named,
    /// What all share: everybody reads it.
    Shared,
    /// What all share: who is bound to organizations may not change it.
    SharedWrite,
}

/// The least role, and the status on success.
struct Rule {
    role: Role,
    subject: Subject,
    status: u16,
    body: fn(&Scene) -> Value,
}

/// What there is for one call: a device of organization 70 and all around it.
struct Scene {
    serial: String,
    transaction: u64,
    headless: String,
    organization: u64,
    location: u64,
    device_type: u64,
    token: u64,
    webhook: u64,
    /// A draft, and campaigns that are running and paused.
    campaigns: [u64; 3],
    session: u64,
    rpc: u64,
    image: u64,
    file: u32,
    number: usize,
}

const IMAGES: &str = "/api/v1/firmware_image/";
const WEBHOOKS: &str = "/api/v1/webhook/";
const CAMPAIGNS: &str = "/api/v1/campaign/";

/// Text that is in every record of organization 70, and in no other.
const MARK: &str = "marked";

fn rules() -> BTreeMap<&'static str, Rule> {
    use Role::{Admin, Operator, Viewer};
    use Subject::{List, Named, Shared, SharedWrite, Single};
    let none: fn(&Scene) -> Value = |_| Value::Null;
    let empty: fn(&Scene) -> Value = |_| json!({});
    let named: fn(&Scene) -> Value = |scene| json!({"name": format!("{MARK} again {}", scene.number)});
    let below: fn(&Scene) -> Value = |scene| json!({"name": format!("{MARK} new {}", scene.number), "parent": 70});
    let place: fn(&Scene) -> Value =
        |scene| json!({"name": format!("{MARK} new {}", scene.number), "organization_id": 70});
    let kind: fn(&Scene) -> Value = |scene| json!({"name": format!("new {}", scene.number)});
    let token: fn(&Scene) -> Value = |_| json!({"name": MARK, "role": "viewer", "organizations": [70]});
    let device: fn(&Scene) -> Value =
        |scene| json!({"serial_number": format!("{MARK}-new-{}", scene.number), "organization_id": 70});
    let replacement: fn(&Scene) -> Value =
        |scene| json!({"name": scene.serial, "type": 1, "organization_id": 70, "is_active": true});
    let order: fn(&Scene) -> Value = |_| json!({"operation": "reboot"});
    let headless: fn(&Scene) -> Value = |scene| json!({"serial_number": scene.serial, "operation": "get"});
    let test: fn(&Scene) -> Value =
        |scene| json!({"serial_number": scene.serial, "operation": "ipping", "target": "192.0.2.1"});
    let refresh: fn(&Scene) -> Value = |_| json!({"refresh": "Device."});
    let write: fn(&Scene) -> Value = |_| json!({"Device.X": "1"});
    let upload: fn(&Scene) -> Value = |_| json!({"upload": "config"});
    let call: fn(&Scene) -> Value = |_| json!({"method": "GetRPCMethods"});
    let hook: fn(&Scene) -> Value = |_| json!({"url": "https://example.net/"});
    let campaign: fn(&Scene) -> Value = |_| json!({"name": MARK, "operation": "sync", "selection": {}});
    let rule = |role, subject, status, body| Rule { role, subject, status, body };
    BTreeMap::from([
        ("GET /api/v1/inventory_device_serial/", rule(Viewer, List, 200, none)),
        ("POST /api/v1/inventory_device_serial/", rule(Operator, Named, 201, device)),
        ("GET /api/v1/inventory_device_serial/export/", rule(Viewer, List, 200, none)),
        // Whose devices its lines may mean, the tests of imports say.
        ("POST /api/v1/inventory_device_serial/import/", rule(Operator, Shared, 415, empty)),
        ("GET /api/v1/inventory_device_serial/{serial_number}/", rule(Viewer, Single, 200, none)),
        ("PUT /api/v1/inventory_device_serial/{serial_number}/", rule(Operator, Single, 200, replacement)),
        ("PATCH /api/v1/inventory_device_serial/{serial_number}/", rule(Operator, Single, 200, empty)),
        ("DELETE /api/v1/inventory_device_serial/{serial_number}/", rule(Operator, Single, 204, none)),
        ("GET /api/v1/inventory_device_serial/{serial_number}/configuration/", rule(Viewer, Single, 200, none)),
        ("PUT /api/v1/inventory_device_serial/{serial_number}/configuration/", rule(Operator, Single, 200, empty)),
        ("PATCH /api/v1/inventory_device_serial/{serial_number}/configuration/", rule(Operator, Single, 200, empty)),
        ("GET /api/v1/inventory_device_serial/{serial_number}/parameters/", rule(Viewer, Single, 200, none)),
        ("POST /api/v1/inventory_device_serial/{serial_number}/parameters/", rule(Operator, Single, 202, refresh)),
        ("PATCH /api/v1/inventory_device_serial/{serial_number}/parameters/", rule(Operator, Single, 202, write)),
        ("POST /api/v1/inventory_device_serial/{serial_number}/files/", rule(Operator, Single, 202, upload)),
        ("GET /api/v1/inventory_device_serial/{serial_number}/rpc/", rule(Viewer, Single, 200, none)),
        ("POST /api/v1/inventory_device_serial/{serial_number}/rpc/", rule(Operator, Single, 202, call)),
        ("GET /api/v1/inventory_device_serial/{serial_number}/rpc/methods/", rule(Viewer, Single, 200, none)),
        ("GET /api/v1/inventory_device_serial/{serial_number}/rpc/{id}/", rule(Viewer, Single, 200, none)),
        ("GET /api/v1/inventory_device_serial/{serial_number}/sessions/", rule(Viewer, Single, 200, none)),
        ("DELETE /api/v1/inventory_device_serial/{serial_number}/sessions/", rule(Operator, Single, 204, none)),
        ("GET /api/v1/inventory_device_serial/{serial_number}/sessions/{id}/", rule(Viewer, Single, 200, none)),
        ("GET /api/v1/inventory_device_serial/{serial_number}/files/", rule(Viewer, Single, 200, none)),
        ("GET /api/v1/inventory_device_serial/{serial_number}/files/{id}/", rule(Viewer, Single, 200, none)),
        ("DELETE /api/v1/inventory_device_serial/{serial_number}/files/{id}/", rule(Operator, Single, 204, none)),
        ("GET /api/v1/inventory_device_serial/{serial_number}/files/{id}/file/", rule(Viewer, Single, 200, none)),
        ("GET /api/v1/firmware_image/", rule(Viewer, Shared, 200, none)),
        ("POST /api/v1/firmware_image/", rule(Admin, SharedWrite, 201, kind)),
        ("GET /api/v1/firmware_image/{id}/", rule(Viewer, Shared, 200, none)),
        ("PUT /api/v1/firmware_image/{id}/", rule(Admin, SharedWrite, 200, kind)),
        ("PATCH /api/v1/firmware_image/{id}/", rule(Admin, SharedWrite, 200, kind)),
        ("DELETE /api/v1/firmware_image/{id}/", rule(Admin, SharedWrite, 204, none)),
        // Its file is still to come.
        ("GET /api/v1/firmware_image/{id}/file/", rule(Viewer, Shared, 404, none)),
        ("PUT /api/v1/firmware_image/{id}/file/", rule(Admin, SharedWrite, 415, empty)),
        ("PUT /api/v1/inventory_device_serial_operation/{serial_number}/", rule(Operator, Single, 200, order)),
        ("GET /api/v1/inventory_device_serial_headless_operation/", rule(Viewer, List, 200, none)),
        ("POST /api/v1/inventory_device_serial_headless_operation/", rule(Operator, Single, 201, headless)),
        ("GET /api/v1/inventory_device_serial_diags/", rule(Viewer, List, 200, none)),
        ("POST /api/v1/inventory_device_serial_diags/", rule(Operator, Single, 201, test)),
        ("GET /api/v1/transaction/", rule(Viewer, List, 200, none)),
        ("GET /api/v1/transaction/{id}/", rule(Viewer, Single, 200, none)),
        ("DELETE /api/v1/transaction/{id}/", rule(Operator, Single, 204, none)),
        ("GET /api/v1/organization/", rule(Viewer, List, 200, none)),
        ("POST /api/v1/organization/", rule(Admin, Named, 201, below)),
        ("GET /api/v1/organization/{id}/", rule(Viewer, Named, 200, none)),
        ("PUT /api/v1/organization/{id}/", rule(Admin, Named, 200, below)),
        ("PATCH /api/v1/organization/{id}/", rule(Admin, Named, 200, named)),
        ("DELETE /api/v1/organization/{id}/", rule(Admin, Named, 204, none)),
        ("GET /api/v1/inventory_location/", rule(Viewer, List, 200, none)),
        ("POST /api/v1/inventory_location/", rule(Operator, Named, 201, place)),
        ("GET /api/v1/inventory_location/{id}/", rule(Viewer, Single, 200, none)),
        ("PUT /api/v1/inventory_location/{id}/", rule(Operator, Single, 200, place)),
        ("PATCH /api/v1/inventory_location/{id}/", rule(Operator, Single, 200, named)),
        ("DELETE /api/v1/inventory_location/{id}/", rule(Operator, Single, 204, none)),
        ("GET /api/v1/inventory_device_type/", rule(Viewer, Shared, 200, none)),
        ("POST /api/v1/inventory_device_type/", rule(Admin, SharedWrite, 201, kind)),
        ("GET /api/v1/inventory_device_type/{id}/", rule(Viewer, Shared, 200, none)),
        ("PUT /api/v1/inventory_device_type/{id}/", rule(Admin, SharedWrite, 200, kind)),
        ("PATCH /api/v1/inventory_device_type/{id}/", rule(Admin, SharedWrite, 200, kind)),
        ("DELETE /api/v1/inventory_device_type/{id}/", rule(Admin, SharedWrite, 204, none)),
        ("GET /api/v1/event/", rule(Viewer, List, 200, none)),
        ("GET /api/v1/audit/", rule(Admin, List, 200, none)),
        ("GET /api/v1/webhook/", rule(Admin, List, 200, none)),
        ("POST /api/v1/webhook/", rule(Admin, Shared, 201, hook)),
        ("GET /api/v1/webhook/{id}/", rule(Admin, Single, 200, none)),
        ("PUT /api/v1/webhook/{id}/", rule(Admin, Single, 200, hook)),
        ("PATCH /api/v1/webhook/{id}/", rule(Admin, Single, 200, empty)),
        ("DELETE /api/v1/webhook/{id}/", rule(Admin, Single, 204, none)),
        ("GET /api/v1/campaign/", rule(Viewer, List, 200, none)),
        ("POST /api/v1/campaign/", rule(Operator, Shared, 201, campaign)),
        ("GET /api/v1/campaign/{id}/", rule(Viewer, Single, 200, none)),
        ("PUT /api/v1/campaign/{id}/", rule(Operator, Single, 200, campaign)),
        ("PATCH /api/v1/campaign/{id}/", rule(Operator, Single, 200, named)),
        ("DELETE /api/v1/campaign/{id}/", rule(Operator, Single, 204, none)),
        ("GET /api/v1/campaign/{id}/devices/", rule(Viewer, Single, 200, none)),
        ("POST /api/v1/campaign/{id}/start/", rule(Operator, Single, 200, none)),
        ("POST /api/v1/campaign/{id}/pause/", rule(Operator, Single, 200, none)),
        ("POST /api/v1/campaign/{id}/resume/", rule(Operator, Single, 200, none)),
        ("POST /api/v1/campaign/{id}/cancel/", rule(Operator, Single, 200, none)),
        // Nothing has failed.
        ("POST /api/v1/campaign/{id}/retry/", rule(Operator, Single, 409, none)),
        ("GET /api/v1/api_token/", rule(Admin, List, 200, none)),
        ("POST /api/v1/api_token/", rule(Admin, Named, 201, token)),
        ("GET /api/v1/api_token/{id}/", rule(Admin, Single, 200, none)),
        ("PUT /api/v1/api_token/{id}/", rule(Admin, Single, 200, token)),
        ("PATCH /api/v1/api_token/{id}/", rule(Admin, Single, 200, named)),
        ("DELETE /api/v1/api_token/{id}/", rule(Admin, Single, 204, none)),
    ])
}

/// Where a caller stands towards organization 70.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tenant {
    Unbound,
    Own,
    Parent,
    Other,
}

impl Tenant {
    const ALL: [Self; 4] = [Self::Unbound, Self::Own, Self::Parent, Self::Other];

    fn bound_to(self) -> &'static [u32] {
        match self {
            Self::Unbound => &[],
            Self::Own => &[70],
            Self::Parent => &[7],
            Self::Other => &[8],
        }
    }
}

/// What a caller is to be answered.
fn wanted(rule: &Rule, role: Role, tenant: Tenant) -> u16 {
    if role < rule.role {
        return 403;
    }
    match (rule.subject, tenant) {
        (Subject::Single, Tenant::Other) => 404,
        (Subject::Named, Tenant::Other) => 403,
        (Subject::SharedWrite, Tenant::Own | Tenant::Parent | Tenant::Other) => 403,
        _ => rule.status,
    }
}

async fn scene(api: &Api, number: usize) -> Scene {
    let serial = format!("{MARK}-{number}");
    let name = format!("{MARK} {number}");
    api.make(DEVICES, json!({"serial_number": serial, "organization_id": 70})).await;
    let ordered = api.call_as(ADMIN, "PUT", &operations(&serial), json!({"operation": "factory"})).await;
    let got = api.make(HEADLESS, json!({"serial_number": serial, "operation": "get"})).await;
    api.make(DIAGNOSTICS, json!({"serial_number": serial, "operation": "ipping", "target": "192.0.2.1"})).await;
    let organization = api.make(ORGANIZATIONS, json!({"name": name, "parent": 70})).await;
    let location = api.make(LOCATIONS, json!({"name": name, "organization_id": 70})).await;
    let device_type = api.make(TYPES, json!({"name": format!("kind {number}")})).await;
    let token = api.make(TOKENS, json!({"name": name, "role": "viewer", "organizations": [70]})).await;
    let webhook = api.make(WEBHOOKS, json!({"url": format!("https://example.net/{MARK}")})).await;
    let bind = |hook: &mut Webhook| hook.organizations = Some(vec![OrganizationId(70)]);
    let hook = u32::try_from(webhook["id"].as_u64().expect("an id")).expect("a number");
    api.store.webhooks().edit(hook, Box::new(bind)).await.expect("bound");
    let mut campaigns = [0; 3];
    for (place, state) in
        campaigns.iter_mut().zip([CampaignState::Draft, CampaignState::Running, CampaignState::Paused])
    {
        let made = api.make(CAMPAIGNS, json!({"name": name, "operation": "sync", "selection": {}})).await;
        *place = made["id"].as_u64().expect("an id");
        let bind = move |campaign: &mut Campaign| {
            campaign.organizations = Some(vec![OrganizationId(70)]);
            campaign.course.state = state;
        };
        let number = u32::try_from(*place).expect("a number");
        api.store.campaigns().edit(number, Box::new(bind)).await.expect("bound");
    }
    let device = api.store.by_serial(&serial).await.expect("the store").expect("the device");
    let booted = EventEntry::of_device(&device.profile, SystemClock.now(), EventData::Boot);
    api.store.append_event(booted).expect("recorded");
    let session = trace(1, TraceOutcome::Completed, MARK);
    let session = api.store.keep_trace(device.key, session, 9).await.expect("kept").expect("the device is there");
    let call = json!({"method": "GetRPCMethods"});
    let rpc = api.call_as(ADMIN, "POST", &format!("{DEVICES}{serial}/rpc/"), call).await.expect(202, "a call");
    let file = api.sent(device.key, MARK.as_bytes()).await;
    let image = api.make(IMAGES, json!({"name": format!("image {number}")})).await;
    let id = |value: &Value| value["id"].as_u64().expect("an id");
    Scene {
        rpc: id(&rpc),
        transaction: id(&ordered.expect(200, "ordered")),
        headless: got["id"].as_str().expect("an id").to_owned(),
        organization: id(&organization),
        location: id(&location),
        device_type: id(&device_type),
        token: id(&token),
        webhook: id(&webhook),
        campaigns,
        session: session.0,
        image: id(&image),
        file,
        serial,
        number,
    }
}

/// The path of a route with this scene's names in it.
fn path_of(route: &str, scene: &Scene) -> String {
    let list = route.split('{').next().unwrap_or(route);
    let id = match list {
        TRANSACTIONS => scene.transaction,
        ORGANIZATIONS => scene.organization,
        LOCATIONS => scene.location,
        TYPES => scene.device_type,
        TOKENS => scene.token,
        WEBHOOKS => scene.webhook,
        CAMPAIGNS if route.ends_with("/pause/") || route.ends_with("/cancel/") => scene.campaigns[1],
        CAMPAIGNS if route.ends_with("/resume/") || route.ends_with("/retry/") => scene.campaigns[2],
        CAMPAIGNS => scene.campaigns[0],
        DEVICES if route.contains("/rpc/") => scene.rpc,
        IMAGES => scene.image,
        DEVICES if route.contains("/files/") => scene.file.into(),
        DEVICES => scene.session,
        _ => 0,
    };
    route.replace("{serial_number}", &scene.serial).replace("{id}", &id.to_string())
}

/// The routes of the description that need a token.
async fn routes(api: &Api) -> Vec<(String, String)> {
    let described = api.call_as(VIEWER, "GET", "/api/v1/openapi.json", Value::Null).await.expect(200, "description");
    let mut routes = Vec::new();
    for (path, item) in described["paths"].as_object().expect("paths") {
        // The stream never ends: it has tests of its own.
        if path.starts_with("/api/v1/") && path != "/api/v1/event/stream/" {
            routes
                .extend(item.as_object().expect("an item").keys().map(|method| (method.to_uppercase(), path.clone())));
        }
    }
    routes
}

async fn start() -> Api {
    let api = Api::with(ApiConfig { rate_per_second: 0, ..ApiConfig::default() }).await;
    for (id, parent) in [(7, None), (70, Some(7)), (8, None)] {
        api.make(ORGANIZATIONS, json!({"id": id, "name": format!("org {id}"), "parent": parent})).await;
    }
    api
}

#[tokio::test]
async fn every_route_has_a_rule_and_keeps_it() {
    let api = start().await;
    let rules = rules();
    let routes = routes(&api).await;
    let named: Vec<String> = routes.iter().map(|(method, path)| format!("{method} {path}")).collect();
    for rule in rules.keys() {
        assert!(named.iter().any(|route| route == rule), "there is no {rule}");
    }
    let mut tokens = Vec::new();
    for role in [Role::Viewer, Role::Operator, Role::Admin] {
        for tenant in Tenant::ALL {
            let text = format!("{role:?} {tenant:?}").replace(' ', "-");
            tokens.push((role, tenant, api.token(&text, role, tenant.bound_to()).await));
        }
    }
    let mut number = 0;
    for (method, route) in routes {
        let name = format!("{method} {route}");
        let rule = rules.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no rule"));
        let mut unspent = None;
        for token in ["nobody", EXPIRED] {
            let reply = api.call_as(token, &method, &route.replace(['{', '}'], ""), Value::Null).await;
            reply.refused(401, &format!("{name} as {token}"));
        }
        for (role, tenant, token) in &tokens {
            let scene = match unspent.take() {
                Some(scene) => scene,
                None => {
                    number += 1;
                    scene(&api, number).await
                }
            };
            let reply = api.call_as(token, &method, &path_of(&route, &scene), (rule.body)(&scene)).await;
            let wanted = wanted(rule, *role, *tenant);
            assert_eq!(reply.status, wanted, "{name} as {role:?}, {tenant:?}: {}", reply.text);
            if wanted >= 400 {
                assert!(!reply.text.contains(MARK), "{name} as {role:?}, {tenant:?} tells: {}", reply.text);
            }
            if rule.subject == Subject::List && wanted == 200 {
                let seen = reply.text.contains(MARK);
                assert_eq!(seen, *tenant != Tenant::Other, "{name} as {role:?}, {tenant:?}: {}", reply.text);
            }
            // What was refused or only read has changed nothing.
            unspent = (wanted >= 400 || method == "GET").then_some(scene);
        }
    }
}

#[tokio::test]
async fn what_others_have_is_not_told_by_filters_either() {
    let api = start().await;
    let scene = scene(&api, 1).await;
    let other = api.token("other", Role::Admin, &[8]).await;
    let get = |path: String| {
        let (api, other) = (&api, other.clone());
        async move { api.call_as(&other, "GET", &path, Value::Null).await }
    };
    for organization in [7, 70, 999] {
        get(format!("{DEVICES}?organization={organization}")).await.refused(403, "a named organization");
        get(format!("{ORGANIZATIONS}{organization}/")).await.refused(403, "a named organization");
    }
    get(format!("{HEADLESS}?id={}", scene.headless)).await.refused(404, "an id");
    for path in
        [format!("{HEADLESS}?serial_number={}", scene.serial), format!("{TRANSACTIONS}?serial_number={}", scene.serial)]
    {
        let reply = get(path.clone()).await;
        assert!(reply.status == 200 && !reply.text.contains(MARK), "{path}: {}", reply.text);
    }
    api.make(DEVICES, json!({"serial_number": "mine", "organization_id": 8})).await;
    let location = json!({"location": scene.location});
    let reply = api.call_as(&other, "PATCH", &format!("{DEVICES}mine/"), location).await;
    assert!(reply.text.contains("does not exist"), "{}", reply.text);
    reply.refused_fields(&["location"], "a location of others");
    let taken = json!({"name": format!("{MARK} 1")});
    api.call_as(&other, "POST", LOCATIONS, taken.clone()).await.expect(201, "the same short name as others have");
    api.call_as(&other, "POST", ORGANIZATIONS, taken).await.expect(201, "the same short name as others have");
}
