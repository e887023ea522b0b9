//! `/campaign/`: what is read, what is refused, what an answer shows, what is done in which state.

use acsd::model::campaign::{Campaign, CampaignOperation, CampaignState};
use acsd::model::file::{Content, FIRMWARE_FILE_TYPE, FirmwareImage, ImageId};
use acsd::model::token::Role;
use acsd::model::transaction::TransactionStatus;
use acsd::types::time::Timestamp;
use serde_json::{Value, json};

use super::support::{ADMIN, Api, ORGANIZATIONS, VIEWER, record};

const CAMPAIGNS: &str = "/api/v1/campaign/";

fn order(id: &Value, command: &str) -> String {
    format!("{CAMPAIGNS}{id}/{command}/")
}

/// The loop, for as long as the test lasts.
fn run(api: &Api) {
    tokio::spawn(api.campaigns.clone().run(api.stop.clone()));
}

async fn until(api: &Api, id: &Value, holds: impl Fn(&Value) -> bool) -> Value {
    let until = tokio::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let campaign = api.call_as(ADMIN, "GET", &record(CAMPAIGNS, id), Value::Null).await.expect(200, "the campaign");
        if holds(&campaign) {
            return campaign;
        }
        assert!(tokio::time::Instant::now() < until, "{campaign}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_definition_is_read_whole_and_shown_as_it_was_sent() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "A", "tags": ["spring"]})).await;
    api.create(json!({"serial_number": "B"})).await;
    let sent = json!({
        "name": "Spring", "operation": "set",
        "variables": [
            {"variable_name": "Device.A", "value": "1", "value_type": "integer"},
            {"variable_name": "Device.ManagementServer.Password", "value": "hush", "value_type": null},
        ],
        "selection": {"tag": ["spring"], "is_active": true, "status": "Down", "type": 1, "organization": 1,
                      "search": "a", "serial_numbers": ["A", "B"]},
        "canary": 5, "steps": [10, 50, 100], "step_pause": 60,
        "window": {"days": ["mon", "sun"], "from": "22:00", "to": "05:30", "time_zone": "Europe/Berlin"},
        "concurrency": 7, "stop_after_failures": 9, "stop_failure_share": 20, "retries": 1, "device_timeout": 600,
    });
    let made = api.call("POST", CAMPAIGNS, sent.clone()).await.expect(201, "made");
    for (name, value) in sent.as_object().expect("an object") {
        match name.as_str() {
            "variables" => {
                assert_eq!(made[name][0], value[0]);
                assert_eq!(made[name][1]["value"], "********");
            }
            "selection" => {
                for (filter, value) in value.as_object().expect("an object") {
                    assert_eq!(&made[name][filter], value, "{filter}");
                }
            }
            _ => assert_eq!(&made[name], value, "{name}"),
        }
    }
    let counts = json!({"total": 1, "pending": 1, "running": 0, "succeeded": 0, "failed": 0, "skipped": 0});
    assert_eq!(made["counts"], counts, "how many it would be now");
    for (name, value) in [("state", json!("draft")), ("step", Value::Null), ("reason", Value::Null)] {
        assert_eq!(made[name], value, "{name}");
    }
    let id = u32::try_from(made["id"].as_u64().expect("an id")).expect("small");
    let stored = api.store.campaigns().get(id).expect("stored");
    let CampaignOperation::Set(assignments) = &stored.operation else { panic!("{stored:?}") };
    assert!(assignments[1].value.plain().is_none(), "the secret is sealed");

    // What is left out has its default; what is shown may be sent back, but for stars.
    let least = json!({"name": "Least", "operation": "sync", "selection": {}});
    let least = api.call("POST", CAMPAIGNS, least).await.expect(201, "made");
    for (name, value) in [
        ("canary", json!(0)),
        ("steps", json!([100])),
        ("step_pause", json!(0)),
        ("window", Value::Null),
        ("concurrency", json!(100)),
        ("stop_after_failures", Value::Null),
        ("retries", json!(0)),
        ("device_timeout", json!(86_400)),
        ("variables", Value::Null),
    ] {
        assert_eq!(least[name], value, "{name}");
    }
    let back = api.call("PUT", &record(CAMPAIGNS, &least["id"]), least.clone()).await.expect(200, "sent back");
    assert_eq!(back, least);
    api.call("PUT", &record(CAMPAIGNS, id), made).await.refused_fields(&["variables"], "stars");
    let list = api.get(CAMPAIGNS).await.expect(200, "the list");
    assert_eq!((&list["count"], &list["results"][0]["name"]), (&json!(2), &json!("Least")));
    assert_eq!(api.get(&format!("{CAMPAIGNS}?state=running")).await.expect(200, "a filter")["count"], 0);
    api.get(&format!("{CAMPAIGNS}?state=odd")).await.refused_fields(&["state"], "no state");
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_at_once() {
    let api = Api::start().await;
    let body = json!({
        "name": "", "operation": "fly",
        "selection": {
            "type": 99, "status": "sideways", "odd": 1, "serial_numbers": [], "search": "x".repeat(257),
        },
        "canary": -1, "steps": [50, 10], "step_pause": "x", "concurrency": 0, "stop_after_failures": 0,
        "window": {"days": ["moonday"], "from": "25:00", "to": "24:30", "time_zone": "Europe/Atlantis"},
        "stop_failure_share": 101, "retries": 99, "device_timeout": 0, "odd": true,
    });
    let fields = [
        "name",
        "operation",
        "selection",
        "canary",
        "steps",
        "step_pause",
        "concurrency",
        "stop_after_failures",
        "window",
        "stop_failure_share",
        "retries",
        "device_timeout",
        "odd",
    ];
    let reply = api.call("POST", CAMPAIGNS, body).await;
    for (field, names) in [
        ("selection", vec!["odd", "search", "serial_numbers", "status", "type"]),
        ("window", vec!["days", "from", "time_zone", "to"]),
    ] {
        let mut found: Vec<&str> = reply.json[field].as_object().expect(field).keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, names);
    }
    reply.refused_fields(&fields, "all of it");
    api.call("POST", CAMPAIGNS, json!({})).await.refused_fields(&["name", "operation", "selection"], "nothing");
    let operations = [
        (json!({"operation": "firmware"}), "firmware_image"),
        (json!({"operation": "firmware", "firmware_image": 77}), "firmware_image"),
        (json!({"operation": "set"}), "variables"),
        (json!({"operation": "set", "variables": [{"variable_name": "Device.", "value": "1"}]}), "variables"),
        (json!({"operation": "reboot", "firmware_image": 1}), "firmware_image"),
        (json!({"operation": "reboot", "variables": []}), "variables"),
        (json!({"operation": "diagnostic"}), "diagnostic"),
        (json!({"operation": "diagnostic", "diagnostic": {"operation": "ipping"}}), "diagnostic"),
    ];
    for (mut body, field) in operations {
        body["name"] = json!("n");
        body["selection"] = json!({});
        let case = body.to_string();
        api.call("POST", CAMPAIGNS, body).await.refused_fields(&[field], &case);
    }
    for steps in [json!([]), json!([100, 100]), json!([0, 100]), json!([50]), json!([50, 101]), json!("all")] {
        let body = json!({"name": "n", "operation": "sync", "selection": {}, "steps": steps});
        api.call("POST", CAMPAIGNS, body).await.refused_fields(&["steps"], &steps.to_string());
    }
    for (id, status) in [("99", 404), ("x", 404)] {
        for (method, path) in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "start/"), ("GET", "devices/")] {
            let body = if method == "PATCH" { json!({}) } else { Value::Null };
            api.call(method, &format!("{CAMPAIGNS}{id}/{path}"), body).await.refused(status, method);
        }
    }
}

#[tokio::test]
async fn each_operation_is_taken() {
    let api = Api::start().await;
    let image = |id| FirmwareImage {
        id: ImageId(id),
        name: "image".to_owned(),
        version: "2.0".to_owned(),
        device_type: None,
        file_type: FIRMWARE_FILE_TYPE.to_owned(),
        size: None,
        sha256: None,
        content: Content::Missing,
        created: Timestamp(0),
    };
    api.store.firmware_images().add(None, Box::new(image)).await.expect("added");
    let ping = json!({"operation": "ipping", "target": "example.net", "count": 3});
    for arguments in [
        json!({"operation": "firmware", "firmware_image": 1}),
        json!({"operation": "set", "variables": [{"variable_name": "Device.A", "value": "1"}]}),
        json!({"operation": "sync"}),
        json!({"operation": "reconf"}),
        json!({"operation": "reboot"}),
        json!({"operation": "diagnostic", "diagnostic": ping}),
    ] {
        let mut body = arguments.clone();
        body["name"] = json!("n");
        body["selection"] = json!({});
        let made = api.call("POST", CAMPAIGNS, body).await.expect(201, "made");
        assert_eq!(made["operation"], arguments["operation"]);
        assert_eq!(made["firmware_image"], arguments["firmware_image"]);
        if made["operation"] == "diagnostic" {
            assert_eq!(
                (&made["diagnostic"]["target"], &made["diagnostic"]["count"]),
                (&json!("example.net"), &json!(3))
            );
        }
    }
    // Another operation needs its own argument; the same one takes a new argument alone.
    let path = record(CAMPAIGNS, 2);
    api.call("PATCH", &path, json!({"operation": "firmware"})).await.refused_fields(&["firmware_image"], "no image");
    api.call("PATCH", &path, json!({"firmware_image": 1}))
        .await
        .refused_fields(&["firmware_image", "variables"], "not of a set, whose variables are missing then");
    let other = json!({"variables": [{"variable_name": "Device.B", "value": "2"}]});
    let changed = api.call("PATCH", &path, other).await.expect(200, "other variables");
    assert_eq!(changed["variables"][0]["variable_name"], "Device.B");
    let changed = api.call("PATCH", &path, json!({"operation": "reboot"})).await.expect(200, "another operation");
    assert_eq!((&changed["operation"], &changed["variables"]), (&json!("reboot"), &Value::Null));
}

#[tokio::test]
async fn commands_and_changes_suit_the_state() {
    let api = Api::start().await;
    let body = json!({"name": "n", "operation": "reboot", "selection": {}});
    let made = api.call("POST", CAMPAIGNS, body.clone()).await.expect(201, "made");
    let (id, number) = (made["id"].clone(), u32::try_from(made["id"].as_u64().expect("an id")).expect("small"));
    use CampaignState::{Canceled, Completed, Draft, Paused, Running, Stopped};
    // In which state: start, pause, resume, cancel, PUT, PATCH of its pace, PATCH of its selection, DELETE.
    let table = [
        (Draft, [200, 409, 409, 409, 200, 200, 200, 204]),
        (Running, [409, 200, 409, 200, 409, 409, 409, 409]),
        (Paused, [409, 409, 200, 200, 409, 200, 409, 204]),
        (Stopped, [409, 409, 200, 200, 409, 200, 409, 204]),
        (Completed, [409, 409, 409, 409, 409, 409, 409, 204]),
        (Canceled, [409, 409, 409, 409, 409, 409, 409, 204]),
    ];
    for (state, wanted) in table {
        let before = api.store.campaigns().get(number).expect("there");
        let reset = |campaign: &mut Campaign| {
            campaign.course = acsd::model::campaign::Course::draft();
            campaign.course.state = state;
            if matches!(state, Completed | Canceled) {
                campaign.course.closed = Some(acsd::model::campaign::member::Counts::default());
            }
        };
        let calls = [
            ("POST", order(&id, "start"), Value::Null),
            ("POST", order(&id, "pause"), Value::Null),
            ("POST", order(&id, "resume"), Value::Null),
            ("POST", order(&id, "cancel"), Value::Null),
            ("PUT", record(CAMPAIGNS, &id), body.clone()),
            ("PATCH", record(CAMPAIGNS, &id), json!({"concurrency": 3, "name": "m"})),
            ("PATCH", record(CAMPAIGNS, &id), json!({"selection": {}})),
            ("DELETE", record(CAMPAIGNS, &id), Value::Null),
        ];
        for ((method, path, body), wanted) in calls.into_iter().zip(wanted) {
            api.store.campaigns().edit(number, Box::new(reset)).await.expect("reset").expect("there");
            let reply = api.call(method, &path, body).await;
            assert_eq!(reply.status, wanted, "{state:?}: {method} {path}: {}", reply.text);
            if wanted == 409 {
                reply.refused(409, "words");
            }
        }
        // Removed above, or still there.
        if api.store.campaigns().get(number).is_none() {
            let again = Campaign::clone(&before);
            api.store.campaigns().add(Some(number), Box::new(move |_| again)).await.expect("added");
        }
        api.call("POST", &order(&id, "retry"), Value::Null).await.refused(409, "nothing has failed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_runs_and_shows_how_it_stands_with_each_device() {
    let api = Api::start().await;
    run(&api);
    for number in 0..6 {
        api.create(json!({"serial_number": format!("R-{number}")})).await;
    }
    let body = json!({"name": "n", "operation": "reboot", "selection": {}, "canary": 1, "concurrency": 2});
    let id = api.call("POST", CAMPAIGNS, body).await.expect(201, "made")["id"].clone();
    let devices = format!("{CAMPAIGNS}{id}/devices/");
    assert_eq!(api.get(&devices).await.expect(200, "a draft's")["count"], 0);
    let started = api.call("POST", &order(&id, "start"), Value::Null).await.expect(200, "started");
    assert_eq!(started["state"], "running");
    let settle = async |serial: &str, fault: Option<(u16, &str)>| {
        let until = tokio::time::Instant::now() + crate::support::PATIENCE;
        let device = api.store.by_serial(serial).await.expect("the store").expect("the device");
        while !api.store.has_work(device.key, acsd::types::time::Clock::now(&acsd::clock::SystemClock)) {
            assert!(tokio::time::Instant::now() < until, "{serial} has no work");
            tokio::task::yield_now().await;
        }
        let status = if fault.is_some() { TransactionStatus::Failed } else { TransactionStatus::Completed };
        let claimed = api.claim(&device).await;
        api.settle(claimed, status, fault, &[]).await;
    };
    settle("R-0", None).await;
    until(&api, &id, |campaign| campaign["step"] == 2 && campaign["counts"]["running"] == 2).await;
    api.call("DELETE", &record(CAMPAIGNS, &id), Value::Null).await.refused(409, "it is running");
    settle("R-1", Some((9002, "Internal error"))).await;
    until(&api, &id, |campaign| campaign["counts"]["failed"] == 1 && campaign["counts"]["running"] == 2).await;
    let rows = api.get(&devices).await.expect(200, "devices");
    assert_eq!(rows["count"], 6);
    let row = &rows["results"][1];
    for (name, value) in [
        ("serial_number", json!("R-1")),
        ("status", json!("failed")),
        ("step", json!(2)),
        ("attempts", json!(1)),
        ("message", json!("Internal error (fault 9002)")),
    ] {
        assert_eq!(row[name], value, "{name}: {row}");
    }
    assert!(row["transaction"].is_u64() && row["started_at"].is_string() && row["ended_at"].is_string(), "{row}");
    let pending = api.get(&format!("{devices}?status=pending&limit=1")).await.expect(200, "pending");
    assert_eq!((&pending["count"], &pending["results"][0]["serial_number"]), (&json!(2), &json!("R-4")));
    assert!(pending["next"].as_str().expect("a neighbour").contains("status=pending"));
    api.get(&format!("{devices}?status=odd")).await.refused_fields(&["status"], "no status");
    for serial in ["R-2", "R-3", "R-4", "R-5"] {
        settle(serial, None).await;
    }
    let done = until(&api, &id, |campaign| campaign["state"] == "completed").await;
    assert_eq!((&done["counts"]["succeeded"], &done["counts"]["failed"]), (&json!(5), &json!(1)));
    assert!(done["ended_at"].is_string());
    api.call("POST", &order(&id, "retry"), Value::Null).await.expect(200, "once more");
    settle("R-1", None).await;
    until(&api, &id, |campaign| campaign["counts"]["succeeded"] == 6).await;
    until(&api, &id, |campaign| campaign["state"] == "completed").await;
    let audit = api.call_as(ADMIN, "GET", "/api/v1/audit/?resource=campaign", Value::Null).await.expect(200, "audit");
    assert_eq!(audit["count"], 3, "made, started, retried: {audit}");
    api.call("DELETE", &record(CAMPAIGNS, &id), Value::Null).await.expect(204, "gone");
    api.get(&devices).await.refused(404, "gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_token_s_campaign_is_for_its_own_devices() {
    let api = Api::start().await;
    run(&api);
    for id in [7, 8] {
        api.make(ORGANIZATIONS, json!({"id": id, "name": format!("org {id}")})).await;
        api.make(super::support::DEVICES, json!({"serial_number": format!("O-{id}"), "organization_id": id})).await;
    }
    let (own, other) = (api.token("own", Role::Operator, &[7]).await, api.token("other", Role::Operator, &[8]).await);
    let body = json!({"name": "n", "operation": "reboot", "selection": {}});
    let made = api.call_as(&own, "POST", CAMPAIGNS, body.clone()).await.expect(201, "made");
    assert_eq!((&made["organizations"], &made["counts"]["total"]), (&json!([7]), &json!(1)));
    let path = record(CAMPAIGNS, &made["id"]);
    api.call_as(&other, "GET", &path, Value::Null).await.refused(404, "not theirs");
    api.call_as(&other, "POST", &order(&made["id"], "start"), Value::Null).await.refused(404, "not theirs");
    api.call_as(VIEWER, "POST", &order(&made["id"], "start"), Value::Null).await.refused(403, "a viewer");
    api.call_as(ADMIN, "POST", &order(&made["id"], "start"), Value::Null).await.expect(200, "an admin's start");
    let running = until(&api, &made["id"], |campaign| campaign["counts"]["running"] == 1).await;
    assert_eq!(running["counts"]["total"], 1, "still only its own devices");
    let elsewhere = json!({"name": "n", "operation": "reboot", "selection": {"organization": 8}});
    api.call_as(&own, "POST", CAMPAIGNS, elsewhere).await.refused(403, "a named organization");
    assert_eq!(api.call_as(&other, "GET", CAMPAIGNS, Value::Null).await.expect(200, "list")["count"], 0);
    let organization = record(ORGANIZATIONS, 7);
    let kept = api.call_as(ADMIN, "DELETE", &organization, Value::Null).await.expect(409, "it has a campaign");
    assert_eq!(kept["dependents"]["campaigns"], 1, "{kept}");
}
