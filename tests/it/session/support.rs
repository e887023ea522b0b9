//! Messages and sessions, shortly said.

use acsd::cwmp::emission::{Declaration, EmissionFlags};
use acsd::cwmp::fault::CpeFaultCode;
use acsd::cwmp::message::acs::{AddObjectResponse, Applied, ParameterNames, ParameterValues};
use acsd::cwmp::message::cpe::{Kicked, TransferComplete};
use acsd::cwmp::message::inform::{DeviceIdStruct, EventStruct, Inform};
use acsd::cwmp::message::{Body, Envelope, Fault, Header, Method, Request, Response};
use acsd::cwmp::session::{Action, Incoming, Session, SessionLimits};
use acsd::cwmp::version::Namespace;
use acsd::types::event::EventCode;
use acsd::types::time::Timestamp;

pub(super) const T0: Timestamp = Timestamp::from_secs(1_000_000);

pub(super) fn inform() -> Inform<'static> {
    Inform {
        device_id: DeviceIdStruct { serial_number: "1".into(), ..DeviceIdStruct::default() },
        events: vec![EventStruct { code: EventCode::Periodic, raw_code: "2 PERIODIC".into(), command_key: "".into() }],
        max_envelopes: 1,
        current_time: "2024-01-01T00:00:00Z".into(),
        retry_count: 0,
        parameters: Vec::new(),
    }
}

pub(super) fn envelope(header: Header<'static>, body: Body<'static>) -> Envelope<'static> {
    Envelope { declaration: Declaration::Absent, namespace: Some(Namespace::Cwmp1_2), header, body }
}

pub(super) fn inform_envelope(header: Header<'static>) -> Envelope<'static> {
    envelope(header, Body::Request(Request::Inform(inform())))
}

pub(super) fn opened_with(limits: SessionLimits) -> Session {
    let mut session = Session::new(T0, 0xabcd, limits);
    let header = Header { id: Some("1".into()), ..Header::default() };
    session.open(T0, &inform_envelope(header), &inform(), EmissionFlags::default()).expect("opens");
    session
}

pub(super) fn opened() -> Session {
    opened_with(SessionLimits::default())
}

/// A session in which a call is outstanding, and its ID.
pub(super) fn calling(method: Method) -> (Session, String) {
    let mut session = opened();
    assert_eq!(session.on_post(T0, Incoming::Empty), Action::Poll);
    let id = session.call(method);
    (session, id)
}

pub(super) fn message(id: Option<&str>, body: Body<'static>) -> Incoming<'static> {
    Incoming::Message { id: id.map(|id| id.to_owned().into()), body }
}

pub(super) fn request(name: &str) -> Body<'static> {
    Body::Request(match name {
        "TransferComplete" => Request::TransferComplete(TransferComplete::default()),
        "Kicked" => Request::Kicked(Kicked::default()),
        _ => Request::GetRpcMethods,
    })
}

pub(super) fn fault(code: u16) -> Body<'static> {
    Body::Fault(Fault { code: CpeFaultCode(code), message: "".into(), parameters: Vec::new() })
}

/// The response that the method calls for.
pub(super) fn response(method: Method) -> Body<'static> {
    Body::Response(match method {
        Method::GetParameterValues => Response::GetParameterValues(ParameterValues::default()),
        Method::GetParameterNames => Response::GetParameterNames(ParameterNames::default()),
        Method::SetParameterValues => Response::SetParameterValues(Applied::Now),
        Method::AddObject => Response::AddObject(AddObjectResponse { instance_number: 1, status: Applied::Now }),
        Method::DeleteObject => Response::DeleteObject(Applied::Now),
        Method::FactoryReset => Response::FactoryReset,
        Method::Reboot => Response::Reboot,
        other => panic!("no test calls {other:?}"),
    })
}
