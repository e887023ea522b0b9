//! Recorded sessions: who may see them, in which form, and how followers read them.

use acsd::model::trace::{Direction, SessionTrace, TraceMessage, TraceOutcome};
use serde_json::{Value, json};

use super::support::{Api, OPERATOR, STRANGER, VIEWER, device};
use crate::store::traces::trace;

fn sessions(serial: &str) -> String {
    format!("{}sessions/", device(serial))
}

/// A device with three recorded sessions; the number of the first.
async fn with_sessions() -> (Api, u64) {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let key = api.store.by_serial("S").await.expect("the store").expect("the device").key;
    let mut first = 0;
    for (at, outcome) in [(60, TraceOutcome::Completed), (120, TraceOutcome::Superseded), (180, TraceOutcome::Refused)]
    {
        let mut session = trace(at, outcome, "<a>&amp;</a>");
        session.messages.push(TraceMessage {
            at: session.ended_at,
            direction: Direction::Out,
            rpc: "".into(),
            xml: "".into(),
            status: Some(204),
            note: "".into(),
        });
        let id = api.store.keep_trace(key, SessionTrace { omitted: 2, ..session }, 9).await.expect("kept");
        first = if first == 0 { id.expect("there").0 } else { first };
    }
    (api, first)
}

fn ids(page: &Value) -> Vec<u64> {
    page["results"].as_array().expect("results").iter().map(|row| row["id"].as_u64().expect("a number")).collect()
}

#[tokio::test]
async fn sessions_are_listed_newest_first_and_shown() {
    let (api, first) = with_sessions().await;
    let all = api.call_as(VIEWER, "GET", &sessions("S"), Value::Null).await.expect(200, "a viewer may read");
    assert_eq!((all["count"].as_u64(), ids(&all)), (Some(3), vec![first + 2, first + 1, first]));
    let want = json!({
        "id": first, "started_at": "1970-01-01T00:01:00Z", "ended_at": "1970-01-01T00:01:01Z", "address": "192.0.2.7",
        "events": ["2 PERIODIC"], "outcome": "completed", "omitted": 2, "message_count": 2,
        "messages": [
            {"time": "1970-01-01T00:01:00Z", "offset_ms": 0, "direction": "in", "rpc": "Inform",
             "xml": "<a>&amp;</a>", "status": null, "note": ""},
            {"time": "1970-01-01T00:01:01Z", "offset_ms": 1000, "direction": "out", "rpc": "", "xml": "", "status": 204,
             "note": ""},
        ],
    });
    assert_eq!(all["results"][2], want);
    assert_eq!(api.get(&format!("{}{first}/", sessions("S"))).await.expect(200, "one"), want);
    let page = api.get(&format!("{}?limit=1&offset=1&messages=false", sessions("S"))).await.expect(200, "a page");
    assert_eq!(ids(&page), [first + 1]);
    assert!(page["results"][0].get("messages").is_none(), "{page}");
    assert!(page["next"].as_str().is_some_and(|next| next.contains("messages=false")), "{page}");
}

#[tokio::test]
async fn followers_and_filters_see_their_part() {
    let (api, first) = with_sessions().await;
    let table = [
        (format!("after={first}"), vec![first + 1, first + 2]),
        (format!("after={}", first + 2), vec![]),
        ("since=1970-01-01T00:02:00Z".to_owned(), vec![first + 2, first + 1]),
        (format!("since=1970-01-01T00:03:00Z&after={first}"), vec![first + 2]),
    ];
    for (query, want) in table {
        let page = api.get(&format!("{}?{query}", sessions("S"))).await.expect(200, &query);
        assert_eq!(ids(&page), want, "{query}");
    }
    let wrong = api.get(&format!("{}?after=x&since=then&messages=maybe", sessions("S"))).await;
    wrong.refused_fields(&["after", "since", "messages"], "wrong forms");
}

#[tokio::test]
async fn nobody_learns_of_others_and_only_operators_clear() {
    let (api, first) = with_sessions().await;
    api.create(json!({"serial_number": "T"})).await;
    let one = format!("{}{first}/", sessions("S"));
    for path in [sessions("S"), one.clone(), sessions("nobody")] {
        api.call_as(STRANGER, "GET", &path, Value::Null).await.refused(404, &path);
    }
    api.call_as(STRANGER, "DELETE", &sessions("S"), Value::Null).await.refused(404, "a stranger");
    for path in
        [format!("{}{first}/", sessions("T")), format!("{}x/", sessions("S")), format!("{}99999/", sessions("S"))]
    {
        api.get(&path).await.refused(404, &path);
    }
    api.call_as(VIEWER, "DELETE", &sessions("S"), Value::Null).await.refused(403, "a viewer");
    assert_eq!(api.call_as(OPERATOR, "DELETE", &sessions("S"), Value::Null).await.status, 204);
    assert_eq!(api.get(&sessions("S")).await.expect(200, "none left")["count"], 0);
}
