//! What the session engine costs: whole sessions, their messages decoded beforehand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a bench fails by panicking")]
#![allow(clippy::allow_attributes, reason = "as above")]

use std::hint::black_box;
use std::time::Duration;

use acsd::cwmp::codec::{self, Limits};
use acsd::cwmp::emission::EmissionFlags;
use acsd::cwmp::message::acs::ParameterValues;
use acsd::cwmp::message::{Body, Envelope, Method, Request, Response};
use acsd::cwmp::session::{Action, Incoming, Session, SessionLimits};
use acsd::types::time::Timestamp;
use criterion::{Criterion, criterion_group, criterion_main};

const INFORM: &str = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
    xmlns:cwmp=\"urn:dslforum-org:cwmp-1-0\"><s:Header><cwmp:ID s:mustUnderstand=\"1\">7</cwmp:ID></s:Header><s:Body>\
    <cwmp:Inform><DeviceId><Manufacturer>Example</Manufacturer><OUI>00D09E</OUI><ProductClass>Bench</ProductClass>\
    <SerialNumber>1</SerialNumber></DeviceId><Event><EventStruct><EventCode>2 PERIODIC</EventCode><CommandKey/>\
    </EventStruct></Event><MaxEnvelopes>1</MaxEnvelopes><CurrentTime>2024-06-01T12:00:00Z</CurrentTime>\
    <RetryCount>0</RetryCount><ParameterList/></cwmp:Inform></s:Body></s:Envelope>";

fn opened(envelope: &Envelope<'_>, now: Timestamp) -> Session {
    let Body::Request(Request::Inform(inform)) = &envelope.body else { panic!("it is an Inform") };
    let mut session = Session::new(now, 7, SessionLimits::default());
    session.open(now, envelope, inform, EmissionFlags::default()).expect("is let in");
    session
}

/// Inform, empty POST, end.
fn without_work(envelope: &Envelope<'_>, now: Timestamp) -> Session {
    let mut session = opened(envelope, now);
    let action = session.on_post(now + Duration::from_millis(5), Incoming::Empty);
    assert_eq!(action, Action::Poll);
    session.finish();
    session
}

/// Inform, empty POST, `calls` times a call and its answer, end.
fn with_work(envelope: &Envelope<'_>, now: Timestamp, calls: u32) -> Session {
    let mut session = opened(envelope, now);
    session.on_post(now, Incoming::Empty);
    for _ in 0..calls {
        let id = session.call(Method::GetParameterValues);
        let body = Body::Response(Response::GetParameterValues(ParameterValues::default()));
        let action = session.on_post(now, Incoming::Message { id: Some(id.into()), body });
        assert!(matches!(action, Action::Answered(_)), "{action:?}");
    }
    session.finish();
    session
}

fn sessions(criterion: &mut Criterion) {
    let envelope = codec::decode(INFORM, &Limits::default()).expect("decodes");
    let now = Timestamp::from_secs(1_700_000_000);
    let mut group = criterion.benchmark_group("session");
    group.bench_function("without work", |bencher| bencher.iter(|| without_work(black_box(&envelope), now)));
    for calls in [1, 10] {
        let name = format!("with {calls} calls");
        group.bench_function(name, |bencher| bencher.iter(|| with_work(black_box(&envelope), now, calls)));
    }
    group.finish();
}

criterion_group!(benches, sessions);
criterion_main!(benches);
